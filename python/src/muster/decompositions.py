"""Backward passes for which ONNX has no operators, written with operators that it has. Used by :mod:`muster.export`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .contract import TrainerError


def table() -> dict[Any, Any]:
    """Decompositions by operator: PyTorch's own, and the ones below for convolution and pooling."""
    import torch
    from torch._decomp import core_aten_decompositions

    aten = torch.ops.aten
    return {
        **core_aten_decompositions(),
        aten.convolution_backward.default: _convolution_backward,
        aten.max_pool2d_with_indices.default: _max_pool,
        aten.max_pool2d_with_indices_backward.default: _max_pool_backward,
        aten.avg_pool2d_backward.default: _avg_pool_backward,
    }


def _convolution_backward(
    gradient: Any,
    x: Any,
    weight: Any,
    bias_sizes: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    mask: Sequence[bool],
) -> Any:
    import torch

    if transposed:
        raise TrainerError("the backward pass of a transposed convolution cannot be exported")
    convolution = torch.ops.aten.convolution
    sizes = weight.shape[2:]
    dimensions = range(len(sizes))
    to_x = to_weight = to_bias = None
    if mask[0]:
        # What the stride left over at the far edge.
        rest = [
            x.shape[2 + i] - ((gradient.shape[2 + i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (sizes[i] - 1) + 1)
            for i in dimensions
        ]
        to_x = convolution(gradient, weight, None, stride, padding, dilation, True, rest, groups)
    if mask[1]:
        parts = []
        # Correlating the input with the gradient: channels and samples change places, stride and dilation too.
        for inputs, outputs in zip(x.chunk(groups, 1), gradient.chunk(groups, 1)):
            part = convolution(
                inputs.transpose(0, 1), outputs.transpose(0, 1), None, dilation, padding, stride, False, [0] * len(sizes), 1
            ).transpose(0, 1)
            for i in dimensions:
                part = part.narrow(2 + i, 0, sizes[i])
            parts.append(part)
        to_weight = parts[0] if groups == 1 else torch.cat(parts)
    if mask[2]:
        to_bias = gradient.sum([0, *(2 + i for i in dimensions)])
    return to_x, to_weight, to_bias


def _is_plain(x: Any, kernel: Sequence[int], stride: Sequence[int], padding: Any, dilation: Any) -> bool:
    """Whether the windows lie side by side and cover the whole image."""
    kernel, stride = _pair(kernel), _pair(stride or kernel)
    sides = x.shape[-2] % kernel[0] == 0 and x.shape[-1] % kernel[1] == 0
    return sides and stride == kernel and _pair(padding) == (0, 0) and _pair(dilation) == (1, 1)


def _pair(value: Any) -> Any:
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    return values * 2 if len(values) == 1 else values


def _max_pool(x: Any, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil: bool = False) -> Any:
    if not _is_plain(x, kernel, stride, padding, dilation):
        raise TrainerError("only max-pooling whose windows lie side by side and cover the whole image can be exported")
    (h, w), (kh, kw) = x.shape[-2:], _pair(kernel)
    head = tuple(x.shape[:-2])
    n = len(head)
    order = (*range(n), n, n + 2, n + 1, n + 3)
    windows = x.reshape(*head, h // kh, kh, w // kw, kw).permute(order).reshape(*head, h // kh, w // kw, kh * kw)
    # The place within the window; as in PyTorch the first of equal ones.
    return windows.amax(-1), windows.argmax(-1)


def _max_pool_backward(gradient: Any, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool, places: Any) -> Any:
    import torch

    (h, w), (kh, kw) = x.shape[-2:], _pair(kernel)
    hot = (places.unsqueeze(-1) == torch.arange(kh * kw)).to(gradient.dtype)
    return _spread(gradient.unsqueeze(-1) * hot, tuple(x.shape[:-2]), h, w, kh, kw)


def _avg_pool_backward(gradient: Any, x: Any, kernel: Any, stride: Any, padding: Any, ceil: bool, count_pad: bool, divisor: Any) -> Any:
    if not _is_plain(x, kernel, stride, padding, 1):
        raise TrainerError("only average pooling whose windows lie side by side and cover the whole image can be exported")
    (h, w), (kh, kw) = x.shape[-2:], _pair(kernel)
    each = (gradient / (divisor or kh * kw)).unsqueeze(-1).expand(*gradient.shape, kh * kw)
    return _spread(each, tuple(x.shape[:-2]), h, w, kh, kw)


def _spread(windows: Any, head: Any, h: int, w: int, kh: int, kw: int) -> Any:
    """Puts windows together to an image again."""
    n = len(head)
    order = (*range(n), n, n + 2, n + 1, n + 3)
    return windows.reshape(*head, h // kh, w // kw, kh, kw).permute(order).reshape(*head, h, w)
