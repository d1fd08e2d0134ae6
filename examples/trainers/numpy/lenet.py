"""LeNet-5 on 8×8 images with nothing but NumPy: forward and backward written out."""

import numpy as np


def windows(x):
    """The 3×3 neighbourhood of each pixel (padded by 1), one row a pixel: N·H·W × C·9."""
    n, c, h, w = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return views.transpose(0, 2, 3, 1, 4, 5).reshape(n * h * w, c * 9)


def convolve(x, weight, bias):
    n, _, h, w = x.shape
    columns = windows(x)
    y = columns @ weight.reshape(len(weight), -1).T + bias
    return y.reshape(n, h, w, len(weight)).transpose(0, 3, 1, 2), columns


def convolve_back(grad, columns, weight):
    """Gradients of input, weight and bias."""
    n, o, h, w = grad.shape
    rows = grad.transpose(0, 2, 3, 1).reshape(n * h * w, o)
    # The input's gradient is a convolution, too: with the kernel turned and its channels exchanged.
    turned = np.ascontiguousarray(weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3))
    back, _ = convolve(grad, turned, 0)
    return back, (rows.T @ columns).reshape(weight.shape), rows.sum(0)


def pool(x):
    n, c, h, w = x.shape
    quads = x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h // 2, w // 2, 4)
    first = quads.argmax(-1)
    return np.take_along_axis(quads, first[..., None], -1)[..., 0], first


def pool_back(grad, first):
    n, c, h, w = grad.shape
    quads = np.zeros((n, c, h, w, 4), grad.dtype)
    np.put_along_axis(quads, first[..., None], grad[..., None], -1)
    return quads.reshape(n, c, h, w, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, 2 * h, 2 * w)


def run(p, x, y, gradients=True):
    """Mean loss, how many are right, and the gradient of each parameter."""
    c1, k1 = convolve(x, p["conv1.weight"], p["conv1.bias"])
    s1, f1 = pool(np.maximum(c1, 0))
    c2, k2 = convolve(s1, p["conv2.weight"], p["conv2.bias"])
    s2, f2 = pool(np.maximum(c2, 0))
    h0 = s2.reshape(len(x), -1)
    h1 = np.maximum(h0 @ p["fc1.weight"].T + p["fc1.bias"], 0)
    h2 = np.maximum(h1 @ p["fc2.weight"].T + p["fc2.bias"], 0)
    scores = h2 @ p["fc3.weight"].T + p["fc3.bias"]
    scores -= scores.max(1, keepdims=True)
    odds = np.exp(scores)
    total = odds.sum(1, keepdims=True)
    rows = np.arange(len(y))
    loss = float((np.log(total[:, 0]) - scores[rows, y]).mean())
    correct = int((scores.argmax(1) == y).sum())
    if not gradients:
        return loss, correct, {}
    g = {}

    def dense_back(grad, inputs, name):
        g[f"{name}.weight"], g[f"{name}.bias"] = grad.T @ inputs, grad.sum(0)
        return grad @ p[f"{name}.weight"]

    grad = odds / total
    grad[rows, y] -= 1
    grad /= np.float32(len(y))
    grad = dense_back(grad, h2, "fc3") * (h2 > 0)
    grad = dense_back(grad, h1, "fc2") * (h1 > 0)
    grad = dense_back(grad, h0, "fc1").reshape(s2.shape)
    grad = pool_back(grad, f2) * (c2 > 0)
    grad, g["conv2.weight"], g["conv2.bias"] = convolve_back(grad, k2, p["conv2.weight"])
    grad = pool_back(grad, f1) * (c1 > 0)
    _, g["conv1.weight"], g["conv1.bias"] = convolve_back(grad, k1, p["conv1.weight"])
    return loss, correct, g
