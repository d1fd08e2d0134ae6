"""The order of a training's samples, and the sums of its metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Callable

import numpy

from .contract import Local, TrainerError
from .random import SplitMix64


class Batches:
    """The batches of one training, in the built-in trainer's order, so that the same model on the same samples takes the same steps.

    Iterating gives the positions of each batch's samples; the last batch of an epoch may be smaller. Call :meth:`add` after each batch: it
    adds up the batch's results and ends a training that diverges. Progress is reported after each batch.
    """

    def __init__(self, samples: int, local: Local, seed: int, progress: Callable[[float, int, float | None], None] | None = None) -> None:
        if samples < 1:
            raise TrainerError("there is no data to train on")
        self.samples = samples
        self.local = local
        self.epoch = 0
        """The current epoch, counted from 1."""
        self._generator = SplitMix64.of(seed, local.seed)
        self._progress = progress
        self._sums: dict[str, float] = {}
        self._counted = 0
        self._size = 0

    def __iter__(self) -> Iterator[numpy.ndarray[Any, Any]]:
        for epoch in self.epochs():
            yield from epoch

    def epochs(self) -> Iterator[Iterator[numpy.ndarray[Any, Any]]]:
        """The same batches as one iterator for each epoch, for frameworks that have a loop of their own."""
        order = list(range(self.samples))
        for epoch in range(self.local.epochs):
            self.epoch, self._sums, self._counted = epoch + 1, {}, 0
            # In place: each epoch shuffles what the last one left.
            self._generator.shuffle(order)
            yield self._epoch(epoch, numpy.asarray(order, dtype=numpy.int64))

    def _epoch(self, epoch: int, positions: numpy.ndarray[Any, Any]) -> Iterator[numpy.ndarray[Any, Any]]:
        size = max(1, self.local.batch)
        for start in range(0, self.samples, size):
            rows = positions[start : start + size]
            self._size = len(rows)
            yield rows
            done = (epoch + (start + self._size) / self.samples) / self.local.epochs
            loss = self._sums["loss"] / self._counted if self._counted and "loss" in self._sums else None
            if self._progress is not None:
                self._progress(done, self.epoch, loss)

    def add(self, loss: Any, correct: Any = None, **sums: Any) -> None:
        """Adds the current batch: its **mean** loss, the number of samples classified correctly, and sums of any other metrics."""
        value = _number(loss)
        if not math.isfinite(value):
            raise TrainerError(f"the loss is {value} in epoch {self.epoch}: the rate {self.local.rate:g} may be too high")
        self._counted += self._size
        self._sum("loss", value * self._size)
        if correct is not None:
            self._sum("accuracy", _number(correct))
        for name, number in sums.items():
            self._sum(name, _number(number))

    def metrics(self) -> dict[str, float]:
        """The means over the samples of the last epoch: loss, accuracy and any other metrics."""
        return {name: value / max(1, self._counted) for name, value in self._sums.items()}

    def _sum(self, name: str, value: float) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + value


def _number(value: Any) -> float:
    # A tensor that still has its gradient says so at every conversion.
    return float(value.detach() if hasattr(value, "detach") else value)
