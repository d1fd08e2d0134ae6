"""The built-in trainer's data formats and splits, for trainers that want to share a device's configuration with it.

The object under ``data`` in ``agent.json``: ``{"format":"idx","images":FILE,"labels":FILE}``, ``{"format":"cifar10","files":[FILE,…]}`` or
``{"format":"csv","file":FILE,"label":COLUMN}``, each with an optional ``partition``. A trainer is free to read anything else instead.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import struct
from collections.abc import Mapping
from typing import Any

import numpy

from .contract import TrainerError
from .random import SplitMix64

_cache: dict[str, tuple[Any, Any]] = {}


def load(configuration: Any) -> tuple[numpy.ndarray[Any, Any], numpy.ndarray[Any, Any]]:
    """Samples (float32, count × the shape of one) and classes (int64) of this device. Again with unchanged files it costs nothing."""
    if not isinstance(configuration, Mapping):
        raise TrainerError("this device has no data: its configuration has nothing under `data`")
    files = [configuration.get("images"), configuration.get("labels"), configuration.get("file"), *(configuration.get("files") or [])]
    key = json.dumps([configuration, [_identity(name) for name in files if name]], sort_keys=True)
    if key not in _cache:
        _cache.clear()
        x, y = _read(configuration)
        if configuration.get("partition"):
            rows = partition(configuration["partition"], y)
            x, y = x[rows], y[rows]
        _cache[key] = (x, y)
    return _cache[key]


def _identity(name: str) -> list[Any]:
    try:
        status = os.stat(name)
    except OSError as error:
        raise TrainerError(f"{name} cannot be read: {error.strerror}") from error
    return [name, status.st_size, status.st_mtime_ns, status.st_ino]


def _read(configuration: Mapping[str, Any]) -> tuple[Any, Any]:
    kind = configuration.get("format")
    try:
        if kind == "idx":
            pixels, labels = _idx(configuration["images"]), _idx(configuration["labels"])
            if pixels.ndim < 2 or labels.ndim != 1:
                raise TrainerError(
                    f"{configuration['images']} has {pixels.ndim} dimensions, the labels {labels.ndim}: are they the right files?"
                )
            if len(pixels) != len(labels):
                raise TrainerError(f"{configuration['labels']} holds {len(labels)} labels for {len(pixels)} samples")
            # Channels × height × width, as models want it.
            shape = pixels.shape if pixels.ndim != 3 else (len(pixels), 1, *pixels.shape[1:])
            return pixels.reshape(shape).astype(numpy.float32) / numpy.float32(255), labels.astype(numpy.int64)
        if kind == "cifar10":
            data = b"".join(_bytes(name) for name in configuration["files"])
            records = numpy.frombuffer(data, numpy.uint8).reshape(-1, 1 + 3 * 32 * 32)
            samples = records[:, 1:].reshape(-1, 3, 32, 32).astype(numpy.float32) / numpy.float32(255)
            return samples, records[:, 0].astype(numpy.int64)
        if kind == "csv":
            return _csv(configuration)
    except KeyError as error:
        raise TrainerError(f"data: the format {kind} needs {error}") from error
    except (OSError, ValueError, EOFError, struct.error) as error:
        raise TrainerError(f"data: {error}") from error
    raise TrainerError(f"data: the format {kind!r} is not known; idx, cifar10 and csv are")


def _bytes(name: str) -> bytes:
    with open(name, "rb") as file:
        data = file.read()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def _idx(name: str) -> numpy.ndarray[Any, Any]:
    data = _bytes(name)
    if data[:3] != b"\x00\x00\x08":
        raise TrainerError(f"{name} is not an IDX file of bytes")
    sizes = struct.unpack_from(f">{data[3]}I", data, 4)
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * data[3]).reshape(sizes)


def _csv(configuration: Mapping[str, Any]) -> tuple[Any, Any]:
    name, label = configuration["file"], configuration["label"]
    text = _bytes(name).decode("utf-8-sig").splitlines()
    lines = [line for line in csv.reader(text, delimiter=configuration.get("separator", ",")) if line]
    if configuration.get("header", isinstance(label, str)):
        names, lines = [field.strip() for field in lines[0]], lines[1:]
        if isinstance(label, str):
            label = names.index(label)
    if not lines:
        raise TrainerError(f"{name} holds no samples")
    column = int(label) % len(lines[0])
    classes = configuration.get("classNames")
    labels = [classes.index(line[column].strip()) if classes else int(float(line[column])) for line in lines]
    values = numpy.array([line[:column] + line[column + 1 :] for line in lines], dtype=numpy.float64)
    return (values / float(configuration.get("scale", 1))).astype(numpy.float32), numpy.array(labels, numpy.int64)


def partition(configuration: Any, labels: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
    """Positions of this node's samples: ``{"range": …}``, ``{"iid": …}`` or ``{"shards": …}``, the same as the built-in trainer's."""
    if not isinstance(configuration, Mapping) or len(configuration) != 1:
        raise TrainerError("a partition is one of range, iid, shards")
    ((kind, fields),) = configuration.items()
    count = len(labels)
    try:
        if kind == "range":
            start, end = int(fields["from"]), int(fields["to"])
            if not 0 <= start < end <= count:
                raise TrainerError(f"the range {start} to {end} is not within the {count} samples, or is empty")
            return numpy.arange(start, end)
        if kind not in ("iid", "shards"):
            raise TrainerError(f"the partition {kind!r} is not known here: range, iid and shards are")
        nodes, index, seed = int(fields["of"]), int(fields["index"]), int(fields.get("seed", 1))
        parts, each = nodes, 1
        positions = list(range(count))
        if kind == "shards":
            each = int(fields.get("perNode", 2))
            parts = nodes * each
            positions.sort(key=lambda position: (int(labels[position]), position))
        else:
            SplitMix64(seed).shuffle(positions)
        if not 0 <= index < nodes or each < 1 or parts > count:
            raise TrainerError(f"part {index} of {nodes} does not exist in {count} samples")
        cuts = [positions[part * count // parts : (part + 1) * count // parts] for part in range(parts)]
        if kind == "iid":
            return numpy.asarray(cuts[index])
        order = list(range(parts))
        SplitMix64(seed).shuffle(order)
        mine = order[index * parts // nodes : (index + 1) * parts // nodes]
        return numpy.asarray([position for part in mine for position in cuts[part]])
    except KeyError as error:
        raise TrainerError(f"the partition {kind} needs {error}") from error
