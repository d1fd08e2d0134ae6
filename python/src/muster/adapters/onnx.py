"""An exported ONNX training step, run by ONNX Runtime: docs/trainers.md, "ONNX training step".

This module is itself a trainer: ``muster-trainer muster.adapters.onnx:train``. The step is the job's ``step.onnx``, or the file that the
device's data configuration names as ``step``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy

from .. import models
from ..budget import threads
from ..context import Context
from ..contract import Evaluation, Parameters, Task, TrainerError, Update

VERSION = 1
_HYPERPARAMETERS = {"momentum": "momentum", "weightDecay": "weight_decay", "proximal": "proximal"}


class Step:
    """A loaded training step."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads()
        options.inter_op_num_threads = 1
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise TrainerError(f"{path.name} cannot be loaded: {error}") from error
        metadata = self.session.get_modelmeta().custom_metadata_map
        version = metadata.get("muster.step")
        if version is None:
            raise TrainerError(f"{path.name} is not a training step: make one with muster-export-onnx")
        if int(version) > VERSION:
            raise TrainerError(
                f"{path.name} is a training step of version {version}, but this package knows versions up to {VERSION}: update it"
            )
        self.batch = int(metadata["muster.batch"])
        self.input = tuple(json.loads(metadata["muster.input"]))
        self.names: list[str] = json.loads(metadata["muster.parameters"])
        self.states: list[str] = json.loads(metadata.get("muster.states", "[]"))
        self.inputs = {value.name: value for value in self.session.get_inputs()}
        self._outputs = [value.name for value in self.session.get_outputs()]
        self._carried = [name for name in self._outputs if name.startswith("next.")]
        self._score = [name for name in self._outputs if name in ("evaluation.loss", "evaluation.correct")]
        if not self._score:
            self._score = [name for name in self._outputs if name in ("loss", "correct")]
        self._constants: dict[str, Any] = {}
        self._bound: dict[str, Any] = {}

    def load(self, task: Task, given: Parameters) -> None:
        """Binds a model and the task's hyperparameters. Raises :class:`TrainerError` when the step does not support them."""
        if sorted(given) != sorted(self.names):
            raise TrainerError(f"the step's model differs from the task's: {', '.join(sorted(set(given) ^ set(self.names))[:5])}")
        if task.job == "train" and task.local.batch > self.batch:
            raise TrainerError(f"the task's batch is {task.local.batch}, but the step was exported for at most {self.batch}")
        constants = {"rate": numpy.float32(task.local.rate)}
        for name, field in _HYPERPARAMETERS.items():
            if name in self.inputs:
                constants[name] = numpy.float32(getattr(task.local, field))
            elif task.job == "train" and getattr(task.local, field) != 0:
                raise TrainerError(f"the task sets local.{name}, but the step was exported without it")
        self._constants = {name: numpy.asarray(value) for name, value in constants.items()}
        self._bound = {}
        for name, value in given.items():
            shape = tuple(self.inputs[name].shape)
            if tuple(value.shape) != shape:
                raise TrainerError(f"{name} is {list(value.shape)}, but the step has {list(shape)}")
            self._bound[name] = numpy.asarray(value, order="C")
            if f"base.{name}" in self.inputs:
                self._bound[f"base.{name}"] = self._bound[name]
        for name in self.states:
            self._bound[name] = numpy.zeros(self.inputs[name].shape, numpy.float32)

    def parameters(self) -> Parameters:
        """The current model."""
        return {name: numpy.array(self._bound[name], copy=True) for name in self.names}

    def train(self, x: Any, y: Any) -> tuple[float, float]:
        """Makes one step on up to ``batch`` samples. Returns the sums of loss and of correctly classified samples before the step."""
        values = self._run(self._outputs, x, y, self._constants)
        for name in self._carried:
            self._bound[name[len("next.") :]] = values[name]
        return float(values["loss"]), float(values.get("correct", 0))

    def score(self, x: Any, y: Any) -> tuple[float, float]:
        """Returns the same sums without making a step."""
        values = self._run(self._score, x, y, {**self._constants, "rate": numpy.asarray(numpy.float32(0))})
        prefix = "evaluation." if "evaluation.loss" in values else ""
        return float(values[f"{prefix}loss"]), float(values.get(f"{prefix}correct", 0))

    def _run(self, outputs: list[str], x: Any, y: Any, constants: dict[str, Any]) -> dict[str, Any]:
        count = len(y)
        weights = numpy.ones(self.batch, numpy.float32)
        if count < self.batch:
            # The last batch: filled up with samples that do not count.
            fill = self.batch - count
            x = numpy.concatenate([x, numpy.zeros((fill, *x.shape[1:]), x.dtype)])
            y = numpy.concatenate([y, numpy.zeros(fill, y.dtype)])
            weights[count:] = 0
        feed = {"x": numpy.asarray(x, order="C"), "y": y, "weights": weights, **constants, **self._bound}
        return dict(zip(outputs, self.session.run(outputs, feed)))


_steps: dict[tuple[str, int, int], Step] = {}


def _step(task: Task, context: Context) -> Step:
    path: Path | None = context.step
    if path is None:
        name = task.data.get("step") if isinstance(task.data, dict) else None
        if name is None:
            raise TrainerError("there is no training step: neither step.onnx in the job folder nor `step` in the device's data")
        path = Path(name)
    try:
        status = os.stat(path)
    except OSError as error:
        raise TrainerError(f"{path}: {error.strerror}") from error
    key = (str(path.resolve()), status.st_mtime_ns, status.st_size)
    if key not in _steps:
        _steps.clear()
        _steps[key] = Step(path)
    return _steps[key]


def _measure(step: Step, x: Any, y: Any, context: Context) -> dict[str, float]:
    loss = correct = 0.0
    for start in range(0, len(y), step.batch):
        sums = step.score(x[start : start + step.batch], y[start : start + step.batch])
        loss, correct = loss + sums[0], correct + sums[1]
        context.progress(0)
    return {"loss": loss / len(y), "accuracy": correct / len(y)}


def _samples(step: Step, context: Context) -> tuple[Any, Any]:
    x, y = context.data()
    if tuple(x.shape[1:]) != step.input:
        raise TrainerError(f"the device's samples are {list(x.shape[1:])}, but the step takes {list(step.input)}")
    kinds = {"tensor(float)": numpy.float32, "tensor(int64)": numpy.int64}
    return x.astype(kinds.get(step.inputs["x"].type, numpy.float32), copy=False), y


def train(task: Task, parameters: Parameters, context: Context) -> Update:
    """Trains with the step. See :class:`muster.Update`."""
    step = _step(task, context)
    x, y = _samples(step, context)
    step.load(task, parameters)
    before = _measure(step, x, y, context)
    batches = context.batches(len(y))
    for rows in batches:
        loss, correct = step.train(x[rows], y[rows])
        batches.add(loss / len(rows), correct)
    return Update(step.parameters(), len(y), batches.metrics(), initial_loss=before["loss"])


def evaluate(task: Task, parameters: Parameters, context: Context) -> Evaluation:
    """Evaluates with the step."""
    step = _step(task, context)
    x, y = _samples(step, context)
    step.load(task, parameters)
    return Evaluation(len(y), _measure(step, x, y, context))


def initialize(task: Task, context: Context) -> Parameters:
    """Initializes built-in models. For another model, the task needs the first model that ``muster-export-onnx --initial`` writes."""
    return models.initial(task.model, task.seed)
