"""MLX: its kernels are O×H×W×I; Muster's, like PyTorch's, are O×I×H×W. Dense weights are out×in in both.

**Flatten in PyTorch's order** before the first dense layer: ``x.transpose(0, 3, 1, 2).reshape(len(x), -1)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy

from ..contract import Parameters
from .selection import complain


def to_mlx(array: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
    """Converts a tensor to MLX' layout, in which a convolution's kernel has its input channels last."""
    array = numpy.asarray(array)
    return numpy.asarray(numpy.moveaxis(array, 1, -1) if array.ndim in (3, 4, 5) else array, order="C")


def from_mlx(array: Any) -> numpy.ndarray[Any, Any]:
    """Converts a tensor from MLX' layout."""
    array = numpy.array(array)
    return numpy.asarray(numpy.moveaxis(array, -1, 1) if array.ndim in (3, 4, 5) else array, order="C")


def _flat(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, (list, tuple)) else None
    if items is None:
        yield prefix, tree
        return
    for key, value in items:
        yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))


def parameters(module: Any) -> Parameters:
    """An ``mlx.nn.Module``'s parameters (or a tree of arrays) as Muster's."""
    tree = module.parameters() if hasattr(module, "parameters") else module
    return {name: from_mlx(value) for name, value in _flat(tree)}


def arrays(given: Parameters) -> dict[str, Any]:
    """Muster's parameters as MLX arrays by name, for models written as functions."""
    import mlx.core as mx

    return {name: mx.array(to_mlx(value)) for name, value in given.items()}


def load(module: Any, given: Parameters) -> None:
    """Loads parameters into an ``mlx.nn.Module``. Raises :class:`muster.TrainerError` when they do not fit."""
    present = dict(_flat(module.parameters()))
    values = arrays(given)
    problems = [f"{name} is missing" for name in present if name not in values]
    problems += [f"{name} is not in the module" for name in values if name not in present]
    for name, value in values.items():
        if name in present and tuple(present[name].shape) != tuple(value.shape):
            problems.append(f"{name} is {list(value.shape)} in MLX' layout, but the module has {list(present[name].shape)}")
    complain(problems, "the global model does not fit the module")
    module.load_weights(list(values.items()))
