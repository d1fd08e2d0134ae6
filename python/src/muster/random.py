"""The random numbers of the built-in trainer, which give the same order of samples in every language and framework."""

from __future__ import annotations

from typing import Any

import numpy

_MASK = (1 << 64) - 1


class SplitMix64:
    """The generator of Steele, Lea and Flood 2014."""

    def __init__(self, seed: int) -> None:
        self.state = seed & _MASK

    @staticmethod
    def of(first: int, second: int) -> SplitMix64:
        """A generator from two seeds, a round's and a task's."""
        return SplitMix64(first ^ SplitMix64(second).next())

    def next(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & _MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, bound: int) -> int:
        """A whole number from 0 to ``bound`` − 1."""
        return (self.next() * bound) >> 64

    def unit(self) -> float:
        """A number uniform in [0, 1)."""
        return float(self.next() >> 11) * 2.0**-53

    def units(self, count: int) -> numpy.ndarray[Any, Any]:
        """The next ``count`` results of :meth:`unit` at once."""
        steps = numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
        z = numpy.uint64(self.state) + steps
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z = z ^ (z >> numpy.uint64(31))
        self.state = (self.state + count * 0x9E3779B97F4A7C15) & _MASK
        return (z >> numpy.uint64(11)).astype(numpy.float64) * 2.0**-53

    def shuffle(self, values: list[int]) -> None:
        """Shuffles in place with the algorithm of Fisher and Yates, from the end."""
        for i in range(len(values) - 1, 0, -1):
            j = self.below(i + 1)
            values[i], values[j] = values[j], values[i]
