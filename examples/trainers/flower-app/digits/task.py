"""The model, an MLP with one hidden layer written out in NumPy, and the data. Nothing here knows Flower or Muster."""

import gzip
import struct

import numpy as np


def initial(hidden, seed=1):
    """Arrays by name, each layer uniform in ±√(6 / inputs)."""
    random = np.random.default_rng(seed)
    arrays = {}
    for index, (inputs, outputs) in enumerate(((64, hidden), (hidden, 10)), 1):
        bound = np.sqrt(6 / inputs)
        arrays[f"layer{index}.weight"] = random.uniform(-bound, bound, (outputs, inputs)).astype(np.float32)
        arrays[f"layer{index}.bias"] = np.zeros(outputs, np.float32)
    return arrays


def load(images, labels, part, parts):
    """Every ``parts``-th sample, from number ``part``."""

    def values(path):
        with gzip.open(path) as file:
            data = file.read()
        sizes = struct.unpack_from(f">{data[3]}I", data, 4)
        return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(sizes)

    x, y = values(images)[part::parts], values(labels)[part::parts]
    return x.reshape(len(x), -1).astype(np.float32) / np.float32(255), y


def forward(model, x):
    h = np.maximum(x @ model["layer1.weight"].T + model["layer1.bias"], 0)
    scores = h @ model["layer2.weight"].T + model["layer2.bias"]
    odds = np.exp(scores - scores.max(1, keepdims=True))
    return h, odds / odds.sum(1, keepdims=True)


def train(model, x, y, epochs, batch, rate, seed):
    """Plain SGD; returns the mean loss of the last epoch."""
    random, loss = np.random.default_rng(seed), 0.0
    for _ in range(epochs):
        loss = 0.0
        order = random.permutation(len(y))
        for start in range(0, len(y), batch):
            rows = order[start : start + batch]
            h, p = forward(model, x[rows])
            loss -= float(np.log(p[np.arange(len(rows)), y[rows]]).sum())
            p[np.arange(len(rows)), y[rows]] -= 1
            p /= np.float32(len(rows))
            back = (p @ model["layer2.weight"]) * (h > 0)
            step = np.float32(rate)
            model["layer2.weight"] -= step * (p.T @ h)
            model["layer2.bias"] -= step * p.sum(0)
            model["layer1.weight"] -= step * (back.T @ x[rows])
            model["layer1.bias"] -= step * back.sum(0)
    return loss / len(y)


def evaluate(model, x, y):
    """Mean loss and accuracy."""
    p = forward(model, x)[1]
    return float(-np.log(p[np.arange(len(y)), y]).mean()), float((p.argmax(1) == y).mean())
