"""Calls from several threads: they take turns, here and in what a process has only once."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator


class Turns:
    """A lock to be held by `with`, again by the thread that holds it.

    A copy, pickled too, is another lock, and in a forked child nobody holds it: the thread that did is not there.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _all.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple:
        return Turns, ()


_all: weakref.WeakSet[Turns] = weakref.WeakSet()


def _renew() -> None:
    for turns in _all:
        turns._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)

_BLAS = Turns()


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS on one thread in the body. One at a time: the limit is the process's, and another's end would lift it."""
    from threadpoolctl import threadpool_limits  # here, because stepping needs none

    with _BLAS, threadpool_limits(1, "blas"):
        yield
