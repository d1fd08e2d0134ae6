"""The context of a job: progress, data, and folders."""

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
    """The agent asks the trainer to stop. Do not catch it; nothing needs to be cleaned up."""


class Context:
    """The context of one job: it reports progress, and gives access to data and folders."""

    INTERVAL = 0.1

    def __init__(self, task: Task, folder: Path, write: Callable[[str], None], cancelled: Callable[[], bool] = lambda: False) -> None:
        self.task = task
        self.folder = folder
        """The job folder. It is removed with the job, and so are files that a trainer writes there."""
        self._write = write
        self._cancelled = cancelled
        self._last: float | None = None

    @property
    def state(self) -> Path:
        """A folder that stays on the device until the task ends, for example for personal layers, an optimizer's state or a cache."""
        folder = self.folder / "state"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def step(self) -> Path | None:
        """The task's ONNX training step; None if the task has none."""
        path = self.folder / "step.onnx"
        return path if path.exists() else None

    def progress(self, fraction: float, epoch: int | None = None, loss: float | None = None) -> None:
        """Reports the completed part of the job, 0 to 1. May be called often: at most ten lines a second are written.

        Raises :class:`Cancelled` when the job must stop.
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
        """The samples and classes of this device's data configuration, in a format of the built-in trainer (:mod:`muster.data`)."""
        return data.load(self.task.data, self.task.model.classes)

    def batches(self, samples: int) -> Batches:
        """The batches of this job's training. Progress is reported automatically."""
        return Batches(samples, self.task.local, self.task.seed, lambda fraction, epoch, loss: self.progress(fraction, epoch, loss))
