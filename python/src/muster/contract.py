"""The inputs and results of a job under the trainer contract, version 1."""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy

VERSION = 1

Parameters = dict[str, "numpy.ndarray[Any, Any]"]
"""A model: arrays by name. Names and layouts are PyTorch's: ``conv1.weight`` is out × in × height × width, ``fc1.weight`` out × in.
The arrays are sorted by name, which is not the order of the layers."""


class Tensors(dict[str, "numpy.ndarray[Any, Any]"]):
    """Parameters with a declaration of the *buffers* among them: state without a gradient, such as running statistics.

    Buffers are averaged over devices and replaced; no server optimizer steps them, and nothing clips or sparsifies them. ``initialize``
    declares a model's buffers by returning this class. Otherwise, tensors whose names end as in :data:`USUAL_BUFFERS` are buffers.
    """

    def __init__(self, parameters: Mapping[str, numpy.ndarray[Any, Any]], buffers: Iterable[str] | None = None) -> None:
        super().__init__(parameters)
        self.buffers: tuple[str, ...] = tuple(sorted(usual_buffers(self) if buffers is None else set(buffers)))


USUAL_BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "moving_mean", "moving_variance")
"""The endings of the names of PyTorch's and Keras' running statistics."""


def usual_buffers(names: Iterable[str]) -> set[str]:
    """The names that are buffers if a model declares none."""
    return {name for name in names if name.endswith(USUAL_BUFFERS)}


class TrainerError(Exception):
    """An error that the device's owner can fix. Only the message is logged, without a stack trace."""


@dataclass(frozen=True)
class Model:
    """The model that a task trains. The trainer decides what ``type`` means."""

    type: str
    input: tuple[int, ...] | None = None
    """The shape of one sample: channels, height, width."""
    classes: int | None = None
    hidden: tuple[int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    """The task's ``model.options``: the trainer's own parameters of the model."""
    raw: Mapping[str, Any] = field(default_factory=dict)
    """The whole object, including fields that this package does not know."""


@dataclass(frozen=True)
class Local:
    """The hyperparameters of local training. A trainer that does not support one of them should refuse it with :meth:`only`."""

    epochs: int = 1
    batch: int = 32
    rate: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 0.0
    proximal: float = 0.0
    """FedProx's μ, which adds (μ/2)‖w − base‖² to the loss."""
    seed: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    """The task's ``local.options``: the trainer's own parameters of training."""

    def only(self, *supported: str) -> None:
        """Raises :class:`TrainerError` if the task sets momentum, weight_decay or proximal and it is not named here."""
        for name in ("momentum", "weight_decay", "proximal"):
            if getattr(self, name) != 0 and name not in supported:
                label = "weightDecay" if name == "weight_decay" else name
                raise TrainerError(f"the task sets local.{label} to {getattr(self, name)}, which this trainer does not support")


@dataclass(frozen=True)
class Task:
    """The description of a job, from ``task.json`` in the job folder."""

    job: str
    """``initialize``, ``train`` or ``evaluate``"""
    id: str
    round: int
    model: Model
    local: Local
    seed: int
    """The round's seed; for ``initialize`` the task's initial seed. 0 to 2⁶⁴ − 1."""
    data: Any = None
    """The device's data configuration, unchanged from its configuration file."""
    raw: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> Task:
        """Reads a ``task.json``."""
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise TrainerError(f"task.json cannot be read: {error}") from error
        except ValueError as error:
            raise TrainerError(f"task.json is not valid JSON: {error}") from error
        return Task.parse(fields)

    @staticmethod
    def parse(fields: Any) -> Task:
        """Parses the content of a ``task.json``."""
        if not isinstance(fields, dict):
            raise TrainerError("task.json is not a JSON object")
        version = fields.get("contract")
        if not isinstance(version, int):
            raise TrainerError("task.json has no contract version")
        if version > VERSION:
            # Alone first: a newer contract may look different elsewhere.
            raise TrainerError(
                f"task.json has contract version {version}, but this trainer knows versions up to {VERSION}: update the package muster"
            )
        if fields.get("job") not in ("initialize", "train", "evaluate"):
            raise TrainerError(f"task.json has the unknown job {fields.get('job')!r}")
        try:
            model, local = fields["model"], fields.get("local", {})
            return Task(
                job=fields["job"],
                id=str(fields["task"]),
                round=int(fields["round"]),
                seed=int(fields["seed"]),
                data=fields.get("data"),
                model=Model(
                    type=str(model["type"]),
                    input=tuple(model["input"]) if model.get("input") else None,
                    classes=model.get("classes"),
                    hidden=tuple(model.get("hidden") or ()),
                    options=dict(model.get("options") or {}),
                    raw=model,
                ),
                local=Local(
                    epochs=int(local.get("epochs", 1)),
                    batch=int(local.get("batch", 32)),
                    rate=float(local.get("rate", 0.1)),
                    momentum=float(local.get("momentum", 0)),
                    weight_decay=float(local.get("weightDecay", 0)),
                    proximal=float(local.get("proximal", 0)),
                    seed=int(local.get("seed", 1)),
                    options=dict(local.get("options") or {}),
                ),
                raw=fields,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TrainerError(f"task.json: {type(error).__name__}: {error}") from error


@dataclass
class Update:
    """The result of ``train``: the new parameters (not a difference), and their weight and metrics."""

    parameters: Parameters
    """Every tensor of the global model, with its name, shape and dtype."""
    samples: float
    """The number of samples trained on, which is the update's weight."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Metrics of the last epoch: loss, accuracy and any others."""
    initial_loss: float | None = None
    """The loss of the global model on the same samples before training."""


@dataclass
class Evaluation:
    """The result of ``evaluate``."""

    samples: float
    metrics: Mapping[str, float] = field(default_factory=dict)


def number(value: Any, name: str) -> float:
    """Converts a framework's number (also a scalar array or a tensor) to a finite number for JSON."""
    if not isinstance(value, numbers.Real) and hasattr(value, "item"):
        try:
            value = value.item()
        except Exception as error:
            raise TrainerError(f"{name} is {type(value).__name__} with more than one value, not a number") from error
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TrainerError(f"{name} is {type(value).__name__}, not a number")
    if not math.isfinite(value):
        raise TrainerError(f"{name} is {value}, but must be finite")
    return float(value)


def metrics_document(job: str, samples: Any, metrics: Mapping[str, Any], initial_loss: Any = None) -> dict[str, Any]:
    """The content of ``metrics.json``. Raises :class:`TrainerError` for values that the agent would refuse."""
    count = number(samples, "samples")
    if count < 0 or (count == 0 and job != "initialize"):
        raise TrainerError(f"samples is {count:g}: there is no data to {job} on")
    if not isinstance(metrics, Mapping):
        raise TrainerError(f"metrics is {type(metrics).__name__}, not a dictionary")
    if len(metrics) > 64:
        raise TrainerError(f"there are {len(metrics)} metrics, but at most 64 are allowed")
    for name in metrics:
        if not isinstance(name, str) or not name.isprintable() or not 1 <= len(name.encode()) <= 63:
            raise TrainerError(f"the metric {name!r}: a name must be printable and 1 to 63 bytes long")
    document: dict[str, Any] = {
        "samples": count,
        "metrics": {name: number(value, f"the metric {name}") for name, value in metrics.items()},
    }
    if initial_loss is not None:
        document["initialLoss"] = number(initial_loss, "initial_loss")
    return document
