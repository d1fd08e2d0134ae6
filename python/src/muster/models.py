"""The tensors of the built-in models: the same names, shapes and first values as in ``muster-train``."""

from __future__ import annotations

import math

import numpy

from .contract import Model, Parameters, TrainerError
from .random import SplitMix64

Schema = list[tuple[str, tuple[int, ...]]]


def schema(model: Model) -> Schema:
    """Names and shapes in the order of the layers. Raises :class:`TrainerError` for a type that is not built in."""
    if model.type not in ("softmax", "mlp", "lenet5"):
        raise TrainerError(f"the model type {model.type!r} is not built in: the trainer must initialize it")
    if not model.input or not 1 <= len(model.input) <= 3 or not model.classes:
        raise TrainerError(f"the model {model.type} needs `input` and `classes`")
    found: Schema = []
    features = math.prod(model.input)
    hidden: tuple[int, ...] = ()
    if model.type == "mlp":
        hidden = model.hidden
    elif model.type == "lenet5":
        channels, height, width = (1,) * (3 - len(model.input)) + tuple(model.input)
        if height != width or height not in (8, 28, 32):
            raise TrainerError(f"lenet5 takes images of 8×8, 28×28 or 32×32 pixels, got {height}×{width}")
        kernel, paddings = (3, (1, 1)) if height == 8 else (5, (2, 0) if height == 28 else (0, 0))
        for index, (outputs, padding) in enumerate(zip((6, 16), paddings), 1):
            found += [(f"conv{index}.weight", (outputs, channels, kernel, kernel)), (f"conv{index}.bias", (outputs,))]
            channels, height = outputs, (height + 2 * padding - kernel + 1) // 2
        features, hidden = channels * height * height, (120, 84)
    widths = (features, *hidden, model.classes)
    for index, (inputs, outputs) in enumerate(zip(widths, widths[1:]), 1):
        found += [(f"fc{index}.weight", (outputs, inputs)), (f"fc{index}.bias", (outputs,))]
    return found


def initial(model: Model, seed: int) -> Parameters:
    """The first model for a seed, bit for bit as muster-train makes it: weights uniform in ±√(6 / fan-in), biases 0. He et al. 2015."""
    generator = SplitMix64(seed)
    values: Parameters = {}
    for name, shape in schema(model):
        if len(shape) == 1:
            values[name] = numpy.zeros(shape, numpy.float32)
        else:
            bound = math.sqrt(6 / math.prod(shape[1:]))
            values[name] = ((2 * generator.units(math.prod(shape)) - 1) * bound).astype(numpy.float32).reshape(shape)
    return values
