"""The built-in trainer's data formats and splits, for trainers that want to share a device's configuration with it.

The object under ``data`` in ``agent.json``: ``{"format":"idx","images":FILE,"labels":FILE}``, ``{"format":"cifar10","files":[FILE,…]}`` or
``{"format":"csv","file":FILE,"label":COLUMN}``, each with an optional ``partition``. A trainer is free to read anything else instead.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
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
    """Positions of this node's samples, the same as the built-in trainer's: every node computes one split from the same seed.

    ``{"range": {"from": 0, "to": 100}}``; ``{"iid": {"of": 8, "index": 0}}``; ``{"shards": {"of": 8, "index": 0, "perNode": 2}}``:
    sorted by class, cut, ``perNode`` pieces dealt to each node, McMahan et al. 2017; ``{"dirichlet": {"of": 8, "index": 0, "alpha": 1}}``:
    each class shared out by proportions from a Dirichlet distribution, Hsu et al. 2019. All but ``range`` take a ``seed``, 1 without it.
    """
    if not isinstance(configuration, Mapping) or len(configuration) != 1:
        raise TrainerError("a partition is one of range, iid, shards, dirichlet")
    ((kind, fields),) = configuration.items()
    count = len(labels)
    try:
        if kind == "range":
            start, end = int(fields["from"]), int(fields["to"])
            if not 0 <= start < end <= count:
                raise TrainerError(f"the range {start} to {end} is not within the {count} samples, or is empty")
            return numpy.arange(start, end)
        if kind not in ("iid", "shards", "dirichlet"):
            raise TrainerError(f"the partition {kind!r} is not known here: range, iid, shards and dirichlet are")
        nodes, index, seed = int(fields["of"]), int(fields["index"]), int(fields.get("seed", 1))
        if not 0 <= index < nodes:
            raise TrainerError(f"part {index} of {nodes} does not exist: `index` runs from 0 to `of` − 1")
        if nodes > count:
            raise TrainerError(f"{count} samples cannot be shared among {nodes} nodes")
        if kind == "iid":
            return numpy.asarray(_cut(_shuffled(count, seed), nodes)[index])
        if kind == "dirichlet":
            alpha = float(fields["alpha"])
            if not 0 < alpha < math.inf:
                raise TrainerError(f"alpha must be more than 0, got {alpha}")
            return numpy.asarray(_dirichlet(labels, nodes, alpha, seed)[index])
        each = int(fields.get("perNode", 2))
        if each < 1 or nodes * each > count:
            raise TrainerError(f"{nodes} nodes with {each} shards each need more than the {count} samples, or no shard at all")
        cuts = _cut(sorted(range(count), key=lambda position: (int(labels[position]), position)), nodes * each)
        return numpy.asarray([position for part in _cut(_shuffled(len(cuts), seed), nodes)[index] for position in cuts[part]])
    except KeyError as error:
        raise TrainerError(f"the partition {kind} needs {error}") from error


def _shuffled(count: int, seed: int) -> list[int]:
    positions = list(range(count))
    SplitMix64(seed).shuffle(positions)
    return positions


def _cut(values: list[int], parts: int) -> list[list[int]]:
    return [values[part * len(values) // parts : (part + 1) * len(values) // parts] for part in range(parts)]


def _dirichlet(labels: numpy.ndarray[Any, Any], nodes: int, alpha: float, seed: int) -> list[list[int]]:
    """Step by step what MusterModels/Data/Partition.swift does, so that the numbers drawn are the same."""
    generator = SplitMix64(seed)
    parts: list[list[int]] = [[] for _ in range(nodes)]
    for label in numpy.unique(labels):
        members = [int(position) for position in numpy.flatnonzero(labels == label)]
        generator.shuffle(members)
        # In logarithms, because a gamma variate of a small alpha is often below the smallest float.
        logarithms = [_log_gamma(generator, alpha) for _ in range(nodes)]
        largest = max(logarithms)
        shares = [math.exp(logarithm - largest) for logarithm in logarithms]
        total, so_far, start = _fold(shares), 0.0, 0
        for node in range(nodes):
            so_far += shares[node]
            last = node == nodes - 1
            end = len(members) if last else min(len(members), max(start, int(so_far / total * len(members))))
            parts[node] += members[start:end]
            start = end
    # A node that would have nothing gets one sample of the largest.
    while (empty := next((node for node in range(nodes) if not parts[node]), None)) is not None:
        parts[empty].append(max(parts, key=len).pop())
    return [sorted(part) for part in parts]


def _fold(values: list[float]) -> float:
    """One after the other: since Python 3.12 ``sum`` compensates, which is another last bit."""
    total = 0.0
    for value in values:
        total += value
    return total


def _log_gamma(generator: SplitMix64, shape: float) -> float:
    """The logarithm of a Gamma(shape, 1) variate. Marsaglia and Tsang 2000, with their boost for shapes below 1."""
    if shape < 1:
        return _log_gamma(generator, shape + 1) + math.log(1 - generator.unit()) / shape
    d = shape - 1.0 / 3
    c = 1 / math.sqrt(9 * d)
    while True:
        x = math.sqrt(-2 * math.log(1 - generator.unit())) * math.cos(2 * math.pi * generator.unit())
        v = 1 + c * x
        if v <= 0:
            continue
        cube = v * v * v
        if math.log(1 - generator.unit()) < 0.5 * x * x + d - d * cube + d * math.log(cube):
            return math.log(d) + math.log(cube)
