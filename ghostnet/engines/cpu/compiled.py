"""How kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from ghostnet.engines.cpu import cache

# _nrt: no allocation, hence no reference counting.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "_nrt": False}
_OUTER = _OPTIONS | {"no_cfunc_wrapper": True}  # called by Python
_INNER = _OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # called by kernels only

jit = numba.njit(**_INNER)

# For what one kernel calls once: it becomes part of that kernel before anything is compiled.
inline = numba.njit(**_INNER, inline="always")

# Numba takes a 0 or False in the text for a type of its own, and compiles what it is given to once more for it.
NONE = np.int64(0)
ONE = np.int64(1)
TWO = np.int64(2)
NO = np.bool_(False)


def entry(function: Callable) -> Callable:
    """`jit` for what Python calls, kept on disk where there is a place for it."""
    kernel = numba.njit(**_OUTER)(function)
    if kept := cache.of(function):
        kernel._cache = kept  # what `cache=True` would set, with a place of our choice
    return kernel
