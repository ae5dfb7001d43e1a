"""Laws for engines: the same text, with the engine's own functions where the law names the primitives."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ghostnet import primitives
from ghostnet.errors import ConfigError

Law: TypeAlias = Callable[..., Any]  # a plain function of anything elementwise; see `ghostnet.primitives`

PRIMITIVES: dict[Law, str] = {getattr(primitives, name): name for name in primitives.__all__}


def lower(law: Law, own: Mapping[str, Law], finish: Callable[[types.FunctionType], Law] = lambda law: law) -> Law:
    """A law bound to an engine's versions of the primitives.

    Args:
        own: them, by name. finish: what the engine makes of a function, such as a compiled one; functions that the law
            calls go through it too.

    Raises:
        ConfigError: the law uses something else than primitives, numbers and functions made of these.
    """
    if law in PRIMITIVES:
        return own[PRIMITIVES[law]]
    text = _plain(law)
    bound = {name: _bound(text, name, value, own, finish) for name, value in _names(text).items()}
    cells = text.__closure__ or ()
    closure = tuple(types.CellType(bound[name]) for name in text.__code__.co_freevars[: len(cells)])
    lowered = types.FunctionType(text.__code__, {"__builtins__": {}} | bound, text.__name__, text.__defaults__, closure)
    lowered.__module__, lowered.__qualname__ = text.__module__, text.__qualname__
    return finish(lowered)


def functions(law: Law) -> list[types.FunctionType]:
    """A law and the functions that it calls, apart from primitives."""
    if law in PRIMITIVES:
        return []
    text = _plain(law)
    inner = [value for value in _names(text).values() if isinstance(value, types.FunctionType)]
    return [text, *(part for function in inner for part in functions(function))]


def numbers(law: Law) -> list[tuple[object, list[tuple[str, object]]]]:
    """The numbers and primitives that a law takes from elsewhere than its text: of it and of each function that it
    calls, its defaults and, by name, what it finds around it.
    """
    around = (
        {n: PRIMITIVES[v] if isinstance(v, types.FunctionType) else v for n, v in _names(f).items() if _is_leaf(v)}
        for f in functions(law)
    )
    return [(f.__defaults__, sorted(found.items())) for f, found in zip(functions(law), around, strict=True)]


def arguments(law: Law) -> tuple[str, ...]:
    """The names of a law's arguments."""
    return law.__code__.co_varnames[: law.__code__.co_argcount]


def _is_leaf(value: object) -> bool:
    return isinstance(value, (int, float)) or (isinstance(value, types.FunctionType) and value in PRIMITIVES)


def _plain(law: object) -> types.FunctionType:
    """A law as the plain Python function that it is; raises ConfigError for what is none."""
    if not isinstance(law, types.FunctionType):
        raise ConfigError(f"{law!r}: expected a law as a Python function of its own (def or lambda)")
    return law


def _names(law: types.FunctionType) -> dict[str, object]:
    """What a law takes from its module and from around it, by name."""
    inside = dict(zip(law.__code__.co_freevars, (cell.cell_contents for cell in law.__closure__ or ()), strict=True))
    for name in law.__code__.co_names:
        if name not in law.__globals__:
            raise _refusal(law, name, "is not defined in its module")
        inside[name] = law.__globals__[name]
    return inside


def _bound(
    law: types.FunctionType,
    name: str,
    value: object,
    own: Mapping[str, Law],
    finish: Callable[[types.FunctionType], Law],
) -> object:
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, types.FunctionType):
        return lower(value, own, finish)
    raise _refusal(law, name, "is neither a number nor a function made of primitives")


def _refusal(law: types.FunctionType, name: str, why: str) -> ConfigError:
    return ConfigError(
        f"law {law.__module__}:{law.__qualname__}: {name} {why}; import {', '.join(primitives.__all__)} from "
        "ghostnet.primitives, and use no others"
    )
