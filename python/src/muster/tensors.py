"""Reads and writes models as safetensors files, and checks them."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy

from .contract import Parameters, Tensors, TrainerError, usual_buffers

BUFFERS = "muster.buffers"
"""The metadata key under which a model declares its buffers, as a JSON array of names."""


def load(path: Path) -> Tensors:
    """Reads a model. The arrays are writable copies."""
    from safetensors.numpy import load_file

    header = _header(path)
    if "BF16" in [entry.get("dtype", "") for name, entry in header.items() if name != "__metadata__"]:
        try:
            # Registers the type that numpy lacks.
            import ml_dtypes  # noqa: F401
        except ImportError as error:
            raise TrainerError(f"{path.name} holds bfloat16, which numpy does not support: pip install ml_dtypes") from error
    try:
        tensors = load_file(str(path))
    except Exception as error:
        raise TrainerError(f"{path.name} cannot be read: {error}") from error
    declared = header.get("__metadata__", {}).get(BUFFERS)
    try:
        buffers = None if declared is None else [str(name) for name in json.loads(declared)]
    except (ValueError, TypeError) as error:
        raise TrainerError(f"{path.name}: its {BUFFERS} is not a JSON array of names: {declared!r}") from error
    return Tensors({name: array if array.flags.writeable else array.copy() for name, array in sorted(tensors.items())}, buffers)


def save(parameters: Parameters, path: Path) -> None:
    """Writes a model to a temporary file and renames it, so that the file is complete as soon as it exists.

    Buffers that :class:`muster.Tensors` declares are written to the metadata, unless they follow from their names.
    """
    from safetensors.numpy import save_file

    metadata = None
    if isinstance(parameters, Tensors) and set(parameters.buffers) != usual_buffers(parameters):
        metadata = {BUFFERS: json.dumps(list(parameters.buffers), separators=(",", ":"))}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # safetensors takes the memory as it lies: without this a transposed array is written wrong, silently. (ascontiguousarray would give
        # a scalar a dimension.)
        save_file({name: numpy.asarray(array, order="C") for name, array in parameters.items()}, str(temporary), metadata)
        # It makes files that only their owner may read.
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        if temporary.exists():
            temporary.unlink()


def write_text(text: str, path: Path) -> None:
    """Writes a small text file in the same way."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        if temporary.exists():
            temporary.unlink()


def problems(parameters: Any, like: Parameters | None) -> list[str]:
    """All problems of a model: values that are not arrays or not finite, and names, shapes or dtypes that differ from those of ``like``."""
    if not isinstance(parameters, dict):
        return [f"the parameters are {type(parameters).__name__}, not a dictionary of arrays by name"]
    if not parameters:
        return ["there are no parameters"]
    found: list[str] = []
    for name in sorted(parameters, key=str):
        array = parameters[name]
        if not isinstance(name, str):
            found.append(f"the name {name!r} is not a string")
        elif not isinstance(array, numpy.ndarray):
            hint = ": convert it with its numpy() or with numpy.asarray()" if hasattr(array, "shape") else ""
            found.append(f"{name} is {type(array).__module__}.{type(array).__name__}, not a numpy array{hint}")
        elif array.dtype == object:
            found.append(f"{name} is an array of objects, not of numbers")
        elif _floating(array) and not bool(numpy.isfinite(array).all()):
            count = int((~numpy.isfinite(array)).sum())
            found.append(f"{name} has {count} of {array.size} numbers that are not finite: a smaller learning rate may help")
        if like is None or name not in like or not isinstance(array, numpy.ndarray):
            continue
        if array.shape != like[name].shape:
            hint = ": is it transposed?" if sorted(array.shape) == sorted(like[name].shape) else ""
            found.append(f"{name} has the shape {list(array.shape)}, but the global model's has {list(like[name].shape)}{hint}")
        if array.dtype != like[name].dtype:
            found.append(f"{name} is {array.dtype}, but the global model's is {like[name].dtype}")
    if isinstance(parameters, Tensors):
        found += [
            f"{name} is declared as a buffer, but is not a tensor of the model" for name in parameters.buffers if name not in parameters
        ]
    if like is not None:
        for name in sorted(set(like) - set(parameters)):
            found.append(f"{name} is missing: every tensor of the global model must be returned")
        for name in sorted(str(name) for name in set(parameters) - set(like)):
            found.append(f"{name} is not in the global model")
    return found


def _floating(array: numpy.ndarray[Any, Any]) -> bool:
    # bfloat16 and the float8s are of kind V (void) for numpy.
    return array.dtype.kind in "fcV"


def _header(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(size, 100_000_000)))
    except (OSError, ValueError, struct.error) as error:
        raise TrainerError(f"{path.name} is not a safetensors file: {error}") from error
    if not isinstance(header, dict):
        raise TrainerError(f"{path.name} is not a safetensors file: its header is not an object")
    return header
