"""Values in the types that settings declare, and how a line about one shows it."""

from __future__ import annotations

import contextlib
import difflib
import numbers
import operator
import unicodedata
from collections.abc import Iterable, Mapping, Set
from typing import Any, SupportsIndex, TypeGuard

from ghostnet.errors import ConfigError

LARGEST_COUNT = 1 << 53  # of anything: floats and JSON's readers keep whole numbers up to there
_SHOWN = 200  # characters of a value
_BITS = 256  # of an integer: more is beyond any use, and in the end beyond what Python prints


def typed(name: str, kind: str, value: object) -> Any:
    """The value of a setting in its declared type, such as "float | None"; a bare number stands for a tuple of one.

    Raises:
        ConfigError: it is no such value.
    """
    try:
        if kind.startswith("tuple"):
            # Of these one would get keys, numbers of characters, or no certain order.
            single = (str, bytes, bytearray, Mapping, Set)
            items = value if isinstance(value, Iterable) and not isinstance(value, single) else (value,)
            return tuple((_integer if "int" in kind else _real)(item) for item in items)
        if kind == "str":
            if not isinstance(value, str):
                raise TypeError
            return value
        if value is None and "None" in kind:
            return None
        return _integer(value) if "int" in kind else _real(value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{name} = {shown(value)}: expected {kind.replace(', ...', ' …')}") from None


def require_known(names: Iterable[str], valid: Iterable[str], what: str) -> None:
    """Raise ConfigError for the first unknown name, with the nearest valid one and all of them."""
    valid = list(valid)
    for name in names:
        if not isinstance(name, str) or name not in valid:
            near = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(f"unknown {what} {shown(name)}: {hint}valid: {', '.join(valid)}")


def integer(name: str, value: SupportsIndex, least: int, most: int) -> int:
    """The value of an option that is counted; nothing but an integer will do.

    Raises:
        ConfigError: it is none, or out of range.
    """
    with contextlib.suppress(TypeError):
        if not isinstance(value, bool) and least <= (number := operator.index(value)) <= most:
            return number
    raise ConfigError(f"{name} = {shown(value)}: expected an integer from {least} to {most}")


def require(condition: object, text: str) -> None:
    """Raise ConfigError with this text unless the condition holds."""
    if not condition:
        raise ConfigError(text)


def require_printable(name: str, text: str) -> None:
    """Raise ConfigError unless a text fits on a line as it is: spaces of any kind, but no control character."""
    printable = text and all(c.isprintable() or unicodedata.category(c) == "Zs" for c in text)
    require(printable, f"{name} = {shown(text)}: expected printable characters, and at least one")


def shown(value: object) -> str:
    """A value as a line about it shows it: on one line, cut where it is long."""
    try:
        text = " ".join(repr(value).splitlines())
    except (ValueError, RecursionError):  # more digits than Python prints, or too deep
        return f"{type(value).__name__} too large to show"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"


def is_count(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number that something can be counted with."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST_COUNT


def _integer(value: object) -> int:
    if not _is_real(value) or int(value) != value:
        raise TypeError
    if int(value).bit_length() > _BITS:
        raise OverflowError
    return int(value)


def _real(value: object) -> float:
    if not _is_real(value):
        raise TypeError
    return float(value)


def _is_real(value: object) -> TypeGuard[float]:
    return isinstance(value, (float, int, numbers.Real)) and not isinstance(value, bool)  # the abstract one is slow
