"""The built-in trainer's data formats and splits, for trainers that want to share a device's configuration with it.

The object under ``data`` in ``agent.json``: ``{"format":"idx","images":FILE,"labels":FILE}``, ``{"format":"cifar10","files":[FILE,…]}`` or
``{"format":"csv","file":FILE,"label":COLUMN}``, each with an optional ``partition``; every key is in docs/data.md. Data that the
built-in trainer refuses is refused here with the same messages. A trainer may read any other data instead.
"""

from __future__ import annotations

import gzip
import itertools
import json
import math
import os
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy

from .contract import TrainerError
from .random import SplitMix64

_cache: dict[str, tuple[Any, Any]] = {}


def load(configuration: Any, classes: int | None = None) -> tuple[numpy.ndarray[Any, Any], numpy.ndarray[Any, Any]]:
    """The samples (float32, count × the shape of one) and classes (int64) of this device. Unchanged files are read only once.

    :param classes: the number of the model's classes. A sample of another class raises :class:`TrainerError`.
    """
    if not isinstance(configuration, Mapping):
        raise TrainerError("no data is configured: the configuration has no `data`")
    files = [configuration.get("images"), configuration.get("labels"), configuration.get("file"), *(configuration.get("files") or [])]
    key = json.dumps([configuration, [_identity(name) for name in files if name]], sort_keys=True)
    if key not in _cache:
        _cache.clear()
        x, y = _read(configuration)
        if configuration.get("partition"):
            rows = partition(configuration["partition"], y)
            x, y = x[rows], y[rows]
        _cache[key] = (x, y)
    x, y = _cache[key]
    if classes is not None and len(y) and y.max() >= classes:
        wrong = int(y[numpy.argmax(y >= classes)])
        name = next(name for name in files if name)
        raise TrainerError(f"{name}: it has a sample of class {wrong}, but the model's classes are 0 to {classes - 1}")
    return x, y


def _identity(name: str) -> list[Any]:
    try:
        status = os.stat(name)
    except OSError as error:
        raise TrainerError(f"{name}: cannot be read: {error.strerror}") from error
    return [name, status.st_size, status.st_mtime_ns, status.st_ino]


def _read(configuration: Mapping[str, Any]) -> tuple[Any, Any]:
    kind = configuration.get("format")
    try:
        if kind == "idx":
            return _idx(configuration["images"], configuration["labels"])
        if kind == "cifar10":
            return _cifar10(configuration["files"])
        if kind == "csv":
            return _csv(configuration)
    except KeyError as error:
        raise TrainerError(f"data: the format {kind} needs {error}") from error
    except (OSError, ValueError, EOFError, struct.error) as error:
        raise TrainerError(f"data: {error}") from error
    raise TrainerError(f"data: unknown format {kind!r}; known formats: idx, cifar10, csv")


def _bytes(name: str) -> bytes:
    with open(name, "rb") as file:
        data = file.read()
    try:
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except EOFError as error:
        raise TrainerError(f"{name}: its compressed data ends too early: the file is truncated") from error
    except (OSError, zlib.error) as error:
        raise TrainerError(f"{name}: its compressed data is damaged: {error}") from error


def _idx(images: str, labels: str) -> tuple[Any, Any]:
    pixels, classes = _idx_values(images, 2, 4), _idx_values(labels, 1, 1)
    if len(pixels) != len(classes):
        raise TrainerError(f"{labels}: holds {len(classes)} labels for the {len(pixels)} samples of {images}")
    # Channels × height × width, as models want it.
    shape = pixels.shape if pixels.ndim != 3 else (len(pixels), 1, *pixels.shape[1:])
    return pixels.reshape(shape).astype(numpy.float32) / numpy.float32(255), classes.astype(numpy.int64)


def _idx_values(name: str, fewest: int, most: int) -> numpy.ndarray[Any, Any]:
    data = _bytes(name)
    if len(data) < 4:
        raise TrainerError(f"{name}: is truncated: its header should have 4 bytes, but only {len(data)} are left")
    if data[:2] != b"\x00\x00":
        raise TrainerError(f"{name}: is not an IDX file: it does not start with two zero bytes")
    if data[2] != 8:
        raise TrainerError(f"{name}: holds values of IDX type {data[2]}, but only unsigned bytes (8) are supported")
    if not fewest <= data[3] <= most:
        raise TrainerError(f"{name}: has {data[3]} dimensions, expected {fewest} to {most}: is it the right file?")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise TrainerError(f"{name}: is truncated: its header should have {start - 4} bytes, but only {len(data) - 4} are left")
    sizes = struct.unpack_from(f">{data[3]}I", data, 4)
    count, there = math.prod(sizes), len(data) - start
    if count == 0:
        raise TrainerError(f"{name}: holds no samples: its sizes are {list(sizes)}")
    if there < count:
        described = "×".join(str(size) for size in sizes)
        raise TrainerError(f"{name}: is truncated: {described} values should have {count} bytes, but only {there} are left")
    if there > count:
        raise TrainerError(f"{name}: has more data than its header says")
    return numpy.frombuffer(data, numpy.uint8, offset=start).reshape(sizes)


def _cifar10(files: list[str]) -> tuple[Any, Any]:
    size = 1 + 3 * 32 * 32
    if not files:
        raise TrainerError("cifar10: `files` is empty")
    parts = []
    for name in files:
        data = _bytes(name)
        if len(data) % size:
            raise TrainerError(f"{name}: is truncated: record {len(data) // size} has {len(data) % size} of {size} bytes")
        if not data:
            raise TrainerError(f"{name}: is empty")
        records = numpy.frombuffer(data, numpy.uint8).reshape(-1, size)
        wrong = numpy.flatnonzero(records[:, 0] > 9)
        if len(wrong):
            raise TrainerError(
                f"{name}: record {wrong[0]} has the label {records[wrong[0], 0]} instead of 0 to 9: is it CIFAR-10's binary version?"
            )
        parts.append(records)
    records = numpy.concatenate(parts)
    return records[:, 1:].reshape(-1, 3, 32, 32).astype(numpy.float32) / numpy.float32(255), records[:, 0].astype(numpy.int64)


# What a number is, for both readers: `float` alone would take nan, infinities, underscores and digits of other scripts as well.
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def _csv(configuration: Mapping[str, Any]) -> tuple[Any, Any]:
    name, label, classes = configuration["file"], configuration["label"], configuration.get("classNames")
    separator, scale = configuration.get("separator", ","), float(configuration.get("scale", 1))
    if not (isinstance(separator, str) and len(separator) == 1 and separator.isascii() and separator not in '"\r\n'):
        raise TrainerError(
            f'{name}: `separator` must be one ASCII character and not a quotation mark or line break, got "{str(separator)[:40]}"'
        )
    if not math.isfinite(scale) or scale == 0:
        raise TrainerError(f"{name}: `scale` must not be 0")
    # A name that is not UTF-8 may stand in the header: only the label's matters.
    text = _bytes(name).removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    records = _records(text, separator, name)
    top = next(records, None)
    if top is None:
        raise TrainerError(f"{name}: is empty")
    first = top[1]
    header = configuration.get("header", isinstance(label, str))
    column = _column(label, first if header else None, len(first), name)
    labels: list[int] = []
    values: list[list[float]] = []
    for number, fields in records if header else itertools.chain([top], records):
        if len(fields) != len(first):
            raise TrainerError(f"{name}: line {number} has {len(fields)} fields, but the first line has {len(first)}")
        if len(fields) < 2:
            raise TrainerError(f"{name}: has a label but no values: is the separator right?")
        row = []
        for index, field in enumerate(fields):
            if index == column:
                labels.append(_label(field, classes, f"{name}: line {number}"))
            else:
                row.append(_number(field, scale, f"{name}: line {number}, field {index + 1}"))
        values.append(row)
    if not labels:
        raise TrainerError(f"{name}: holds no samples")
    return numpy.array(values, numpy.float64).astype(numpy.float32), numpy.array(labels, numpy.int64)


def _records(text: str, separator: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """The trimmed fields of each line that is not blank, with the line's number. A quoted field may span several lines."""
    lines = enumerate(text.split("\n"), 1)
    for number, line in lines:
        if line.count('"') % 2:
            parts = [line]
            for _, line in lines:
                parts.append(line)
                if line.count('"') % 2:
                    break
            else:
                raise TrainerError(f"{name}: line {number} opens a quoted field that never ends")
            line = "\n".join(parts)
        fields = [field.strip(" \t\r") for field in (_unquoted(line, separator) if '"' in line else line.split(separator))]
        if fields != [""]:
            yield number, fields


def _unquoted(line: str, separator: str) -> list[str]:
    fields, quoted, position = [""], False, 0
    while position < len(line):
        character = line[position]
        position += 1
        if character == '"':
            if quoted and line[position : position + 1] == '"':
                fields[-1] += '"'
                position += 1
            else:
                quoted = not quoted
        elif character == separator and not quoted:
            fields.append("")
        else:
            fields[-1] += character
    return fields


def _column(label: Any, names: list[str] | None, width: int, name: str) -> int:
    if isinstance(label, str):
        if names is None:
            raise TrainerError(f"{name}: `label` is a column's name, so `header` must be true")
        if label not in names:
            shown = ", ".join(known[:40] for known in names[:20])
            raise TrainerError(f'{name}: has no column "{label}"; its columns are {shown}')
        if names.count(label) > 1:
            raise TrainerError(f'{name}: has {names.count(label)} columns "{label}": give the position of the right one')
        return names.index(label)
    position = _whole(label, "label")
    if not -width <= position < width:
        raise TrainerError(f"{name}: has {width} columns, so column {position} does not exist")
    return position % width


def _label(field: str, classes: list[str] | None, where: str) -> int:
    if classes is not None:
        if field not in classes:
            raise TrainerError(f'{where}: the label "{field[:40]}" is not in `classNames`')
        return classes.index(field)
    value = float(field) if _DECIMAL.fullmatch(field) else -1
    if not 0 <= value <= 100_000 or value != int(value):
        raise TrainerError(f'{where}: the label "{field[:40]}" is not a whole number from 0 to 100000; name the classes in `classNames`')
    return int(value)


def _number(field: str, scale: float, where: str) -> float:
    if not _DECIMAL.fullmatch(field):
        raise TrainerError(f'{where}: "{field[:40]}" is not a number')
    value = float(field) / scale
    if not abs(value) < _BEYOND_SINGLE:
        raise TrainerError(f'{where}: "{field[:40]}" is too large for single precision')
    return value


# Half a step above the largest number of single precision: from here on it is rounded to infinity.
_BEYOND_SINGLE = 2.0**128 - 2.0**103


def _whole(value: Any, name: str, least: int | None = None) -> int:
    """Checks that a value is a whole number, unlike `int`, which also accepts fractions and strings."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        raise TrainerError(f"data: `{name}` must be a whole number, got {value!r}")
    if least is not None and value < least:
        raise TrainerError(f"data: `{name}` must be {least} or more, got {value!r}")
    return int(value)


def partition(configuration: Any, labels: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
    """The positions of this node's samples, as the built-in trainer computes them. Every node computes the same split from the same seed.

    ``{"range": {"from": 0, "to": 100}}``; ``{"iid": {"of": 8, "index": 0}}``; ``{"shards": {"of": 8, "index": 0, "perNode": 2}}``:
    sorts by class, cuts, and deals ``perNode`` pieces to each node (McMahan et al. 2017).
    ``{"dirichlet": {"of": 8, "index": 0, "alpha": 1}}``: divides each class in proportions from a Dirichlet distribution (Hsu et al. 2019).
    All but ``range`` take a ``seed`` (default 1).
    """
    if not isinstance(configuration, Mapping) or len(configuration) != 1:
        raise TrainerError("a partition must be one of range, iid, shards and dirichlet")
    ((kind, fields),) = configuration.items()
    count = len(labels)
    try:
        if kind == "range":
            start, end = _whole(fields["from"], "from"), _whole(fields["to"], "to")
            if not 0 <= start < end <= count:
                raise TrainerError(f"the range {start} to {end} is not within the {count} samples, or is empty")
            return numpy.arange(start, end)
        if kind not in ("iid", "shards", "dirichlet"):
            raise TrainerError(f"unknown partition {kind!r}; known partitions: range, iid, shards, dirichlet")
        nodes, index, seed = _whole(fields["of"], "of"), _whole(fields["index"], "index"), _whole(fields.get("seed", 1), "seed", 0)
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
        each = _whole(fields.get("perNode", 2), "perNode")
        if each < 1 or nodes * each > count:
            raise TrainerError(
                f"{nodes} nodes with {each} shards each do not fit {count} samples: "
                "each node needs at least 1 shard, and each shard at least 1 sample"
            )
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
    """Follows MusterModels/Data/Partition.swift step by step, so that it draws the same random numbers."""
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
    """Adds numbers one after the other. Since Python 3.12, ``sum`` compensates for rounding, which can change the last bit."""
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
