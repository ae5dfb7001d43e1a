"""Standard output and error that can't end a work: closed, full, gone, or without the symbols of the paper."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

PLAIN = "ghostnet.plain"  # the error handler that writes a symbol in ASCII where it can't be shown
_SYMBOLS = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "eps", "η": "eta", "λ": "lambda", "ρ": "rho",
    "σ": "sigma", "τ": "tau", "Δ": "Delta", "Σ": "Sum ", "∂": "d", "√": "sqrt ", "∞": "inf", "½": "1/2", "²": "^2",
    "³": "^3", "±": "+/-", "×": "x", "·": "*", "⊙": "*", "°": " deg", "′": "'", "‖": "||", "→": "->", "←": "<-",
    "…": "...", "≤": "<=", "≥": ">=", "µ": "u", "ø": "o", "é": "e",
}  # fmt: skip


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    symbol, following = error.object[error.start], error.start + 1
    if "\udc80" <= symbol <= "\udcff":  # a byte of a file name that is no text
        return bytes([ord(symbol) & 0xFF]), following
    return _SYMBOLS.get(symbol) or symbol.encode("ascii", "backslashreplace").decode(), following


codecs.register_error(PLAIN, _plain)


def show_symbols() -> None:
    """Let a script print the paper's symbols, in ASCII where standard output or error can't show them."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=PLAIN)


class Steady:
    """A text stream whose writing never raises: the first `failure` is kept, and nothing is written after it."""

    def __init__(self, stream: TextIO | None):
        self._stream = stream
        self.failure: OSError | ValueError | None = None

    def write(self, text: str) -> int:
        self._call("write", text)
        return len(text)

    def flush(self) -> None:
        self._call("flush")

    def _call(self, method: str, *arguments: str) -> None:
        if self._stream is not None and self.failure is None:
            try:
                getattr(self._stream, method)(*arguments)
            except (OSError, ValueError) as failure:  # ValueError: it is closed
                self.failure = failure

    def isatty(self) -> bool:
        """Whether it is a terminal that can be written to."""
        return is_open(self._stream) and getattr(self._stream, "isatty", bool)()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def is_open(stream: TextIO | None) -> bool:
    """Whether there is such a stream, and nobody has closed it."""
    return stream is not None and not getattr(stream, "closed", False)


@contextlib.contextmanager
def steady_output() -> Iterator[Steady]:
    """Context in which sys.stdout and sys.stderr are Steady and show every symbol, be it in ASCII; gives the first.

    What is closed becomes the null device, so that no file takes its place among the descriptors.
    """
    _fill_descriptors()
    before, steady = (sys.stdout, sys.stderr), []
    with contextlib.ExitStack() as opened:
        for name, stream in zip(("stdout", "stderr"), before, strict=True):
            if not is_open(stream):
                stream = opened.enter_context(open(os.devnull, "w", encoding="utf-8"))
            steady.append(opened.enter_context(_steady(stream)))
            setattr(sys, name, steady[-1])
        try:
            yield steady[0]
        finally:
            sys.stdout, sys.stderr = before


@contextlib.contextmanager
def _steady(stream: TextIO) -> Iterator[Steady]:
    steady, errors = Steady(stream), getattr(stream, "errors", None)
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors=PLAIN)
    try:
        yield steady
    finally:
        steady.flush()
        if steady.failure:
            _discard(stream)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=errors)


def _discard(stream: TextIO) -> None:
    """What a stream still holds and can't be written goes nowhere; else Python would exit with code 120."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it has no descriptor, or is closed
        descriptor, null = stream.fileno(), os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, descriptor)
        os.close(null)
        stream.flush()


def _fill_descriptors() -> None:
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest that is free: this one
