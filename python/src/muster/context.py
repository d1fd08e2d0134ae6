"""What a trainer has around it during a job."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any, Callable

import numpy

from . import data
from .batches import Batches
from .contract import Task


class Cancelled(BaseException):
    """The agent wants the trainer to stop. Let it through: nothing needs to be tidied up."""


class Context:
    """The surroundings of one job: where to report, what to keep."""

    INTERVAL = 0.1

    def __init__(self, task: Task, folder: Path, write: Callable[[str], None], cancelled: Callable[[], bool] = lambda: False) -> None:
        self.task = task
        self.folder = folder
        """The job folder. What a trainer writes there goes with the job."""
        self._write = write
        self._cancelled = cancelled
        self._last: float | None = None

    @property
    def state(self) -> Path:
        """A folder that stays on the device from round to round, until the task ends: personal layers, an optimizer's state, a cache."""
        folder = self.folder / "state"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def step(self) -> Path | None:
        """The ONNX training step that came with the task, if one did."""
        path = self.folder / "step.onnx"
        return path if path.exists() else None

    def progress(self, fraction: float, epoch: int | None = None, loss: float | None = None) -> None:
        """Reports how far the job is, 0 to 1. May be called as often as one likes: ten lines a second are written at most.

        Raises :class:`Cancelled` when the job is to stop.
        """
        if self._cancelled():
            raise Cancelled()
        now = time.monotonic()
        if (self._last is not None and now - self._last < self.INTERVAL and fraction < 1) or not math.isfinite(fraction):
            return
        self._last = now
        line = {"progress": round(min(1.0, max(0.0, float(fraction))), 4)}
        if epoch is not None:
            line["epoch"] = int(epoch)
        if loss is not None and math.isfinite(loss):
            line["loss"] = float(loss)
        self._write(json.dumps(line))

    def data(self) -> tuple[numpy.ndarray[Any, Any], numpy.ndarray[Any, Any]]:
        """Samples and classes of this device's data configuration, in the built-in trainer's formats: :mod:`muster.data`."""
        return data.load(self.task.data, self.task.model.classes)

    def batches(self, samples: int) -> Batches:
        """The batches of this job's training; reports progress by itself."""
        return Batches(samples, self.task.local, self.task.seed, lambda fraction, epoch, loss: self.progress(fraction, epoch, loss))
