"""How kernels are compiled, and where the machine code is kept between sessions."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numba
import numpy as np

_OPTIONS = {"error_model": "numpy", "nogil": True, "_nrt": False}  # no allocation, hence no reference counting
jit = numba.njit(**_OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True)

# Arguments that Numba shall not take for types of their own, as it does a 0 or False in the text, and compile anew for.
NONE, ONE, NO = np.int64(0), np.int64(1), np.bool_(False)

# For what one kernel calls once: it becomes part of that kernel before anything is compiled.
inline = numba.njit(**_OPTIONS, inline="always", no_cpython_wrapper=True, no_cfunc_wrapper=True)


def cache_directory() -> Path:
    """Where machine code is kept: named after the sources, for Numba looks only at the outermost function's file."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    return Path(numba.config.CACHE_DIR or _user_cache()) / f"kernels-{digest[:16]}"


def _user_cache() -> str:
    from platformdirs import user_cache_dir  # here, because it is not needed where NUMBA_CACHE_DIR is set

    return user_cache_dir("ghostnet")


def entry(function):
    """`jit` for what Python calls, kept on disk where there is a place for it."""
    previous = numba.config.CACHE_DIR
    try:
        directory = cache_directory()
        directory.mkdir(parents=True, exist_ok=True)
        numba.config.CACHE_DIR = str(directory)
        return numba.njit(**_OPTIONS, no_cfunc_wrapper=True, cache=True)(function)
    except OSError:
        return jit(function)
    finally:
        numba.config.CACHE_DIR = previous
