"""The number of threads that numeric libraries may use."""

from __future__ import annotations

import os

_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


def threads() -> int:
    """The agent's limit (``OMP_NUM_THREADS``), or 1 without one. Libraries that use every core make a busy device forty times slower."""
    try:
        return max(1, int(os.environ.get("OMP_NUM_THREADS", "1")))
    except ValueError:
        return 1


def limit() -> None:
    """Sets the number of threads for libraries that are not imported yet."""
    for name in _VARIABLES:
        os.environ.setdefault(name, str(threads()))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
