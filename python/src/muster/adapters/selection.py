"""Selects tensors by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from ..contract import TrainerError


def select(names: Iterable[str], patterns: Sequence[str] | None) -> list[str]:
    """The names that match one of the patterns (``fc3.*``, ``*lora*``, whole names); all names without patterns.

    Raises :class:`TrainerError` for a pattern that matches nothing, because it is probably a typing error.
    """
    known = list(names)
    if patterns is None:
        return known
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise TrainerError(f"no tensor of the model is named {pattern!r}; it has {', '.join(known[:8])}, …")
    return [name for name in known if any(fnmatchcase(name, pattern) for pattern in patterns)]


def complain(problems: list[str], what: str) -> None:
    """Raises :class:`TrainerError` when there are problems."""
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise TrainerError(f"{what}: {'; '.join(problems[:5])}{more}")
