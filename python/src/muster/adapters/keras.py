"""Keras: its kernels are H×W×I×O and in×out; Muster's, like PyTorch's, are O×I×H×W and out×in.

A layer ``conv1`` has ``conv1.weight`` and ``conv1.bias``. **Flatten in PyTorch's order** before the first dense layer:
``Permute((3, 1, 2))`` then ``Flatten()``, if images are channels-last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy

from ..contract import Parameters, Tensors
from .selection import complain, select

# Keras' name of a variable: PyTorch's.
_NAMES = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "embeddings": "weight",
    "gamma": "weight",
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}

_BUFFERS = ("moving_mean", "moving_variance")


def to_keras(array: numpy.ndarray[Any, Any], kind: str = "kernel") -> numpy.ndarray[Any, Any]:
    """Converts a tensor to Keras' layout. ``kind``: ``kernel``, ``depthwise_kernel``, or anything else for equal layouts."""
    return _transpose(array, kind, {5: (2, 3, 4, 1, 0), 4: (2, 3, 1, 0), 3: (2, 1, 0), 2: (1, 0)}, (2, 3, 0, 1))


def from_keras(array: numpy.ndarray[Any, Any], kind: str = "kernel") -> numpy.ndarray[Any, Any]:
    """Converts a tensor from Keras' layout."""
    return _transpose(array, kind, {5: (4, 3, 0, 1, 2), 4: (3, 2, 0, 1), 3: (2, 1, 0), 2: (1, 0)}, (2, 3, 0, 1))


def _transpose(array: Any, kind: str, axes: Any, depthwise: Any) -> numpy.ndarray[Any, Any]:
    array = numpy.asarray(array)
    if kind == "depthwise_kernel":
        return numpy.asarray(array.transpose(depthwise), order="C")
    if kind == "kernel" and array.ndim in axes:
        return numpy.asarray(array.transpose(axes[array.ndim]), order="C")
    return numpy.asarray(array, order="C")


def _variables(model: Any) -> Iterator[tuple[str, str, Any]]:
    """Muster's name, Keras' kind and the variable, in the order of the layers."""
    for layer in model.layers:
        if getattr(layer, "layers", None):
            for name, kind, variable in _variables(layer):
                yield f"{layer.name}.{name}", kind, variable
            continue
        for variable in layer.weights:
            kind = variable.name.split("/")[-1].split(":")[0]
            if kind in _NAMES:
                yield f"{layer.name}.{_NAMES[kind]}", kind, variable


def parameters(model: Any, names: Sequence[str] | None = None) -> Tensors:
    """The model's variables as Muster's parameters; with ``names``, only the matching ones. Moving averages are declared as buffers."""
    every = {name: (kind, variable) for name, kind, variable in _variables(model)}
    chosen = {name: from_keras(numpy.array(every[name][1]), every[name][0]) for name in select(every, names)}
    return Tensors(chosen, (name for name in chosen if every[name][0] in _BUFFERS))


def load(model: Any, given: Parameters, names: Sequence[str] | None = None) -> None:
    """Assigns parameters to the model's variables. Raises :class:`muster.TrainerError` when they do not fit."""
    every = {name: (kind, variable) for name, kind, variable in _variables(model)}
    chosen = select(every, names)
    problems = [f"{name} is missing" for name in chosen if name not in given]
    problems += [f"{name} is not a variable of the model" for name in given if name not in every]
    values = {}
    for name in chosen:
        if name not in given:
            continue
        kind, variable = every[name]
        values[name] = to_keras(given[name], kind)
        if tuple(values[name].shape) != tuple(variable.shape):
            problems.append(f"{name} is {list(values[name].shape)} in Keras' layout, but the model has {list(variable.shape)}")
    complain(problems, "the global model does not fit the Keras model")
    for name, value in values.items():
        every[name][1].assign(value)
