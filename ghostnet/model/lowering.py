"""Laws for engines: the same text, with the engine's own functions where the law names the primitives."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping

from ghostnet import primitives
from ghostnet.errors import ConfigError

PRIMITIVES = {getattr(primitives, name): name for name in primitives.__all__}


def lower(law: Callable, own: Mapping[str, Callable], finish: Callable = lambda function: function) -> Callable:
    """A law bound to an engine's versions of the primitives.

    Args:
        own: them, by name. finish: what the engine makes of a function, such as a compiled one; functions that the law
            calls go through it too.

    Raises:
        ConfigError: the law uses something else than primitives, numbers and functions made of these.
    """
    if law in PRIMITIVES:
        return own[PRIMITIVES[law]]
    require_plain(law)
    bound = {name: _bound(law, name, value, own, finish) for name, value in _names(law).items()}
    cells = law.__closure__ or ()
    closure = tuple(types.CellType(bound[name]) for name in law.__code__.co_freevars[: len(cells)])
    lowered = types.FunctionType(law.__code__, {"__builtins__": {}} | bound, law.__name__, law.__defaults__, closure)
    lowered.__module__, lowered.__qualname__ = law.__module__, law.__qualname__
    return finish(lowered)


def functions(law: Callable) -> list[types.FunctionType]:
    """A law and the functions that it calls, apart from primitives."""
    if law in PRIMITIVES:
        return []
    inner = [value for value in _names(law).values() if isinstance(value, types.FunctionType)]
    return [law, *(part for function in inner for part in functions(function))]


def numbers(law: Callable) -> list[tuple]:
    """The numbers and primitives that a law takes from elsewhere than its text: of it and of each function that it
    calls, its defaults and, by name, what it finds around it.
    """
    around = (
        {n: PRIMITIVES[v] if isinstance(v, types.FunctionType) else v for n, v in _names(f).items() if _is_leaf(v)}
        for f in functions(law)
    )
    return [(f.__defaults__, sorted(found.items())) for f, found in zip(functions(law), around, strict=True)]


def arguments(law: Callable) -> tuple[str, ...]:
    """The names of a law's arguments."""
    return law.__code__.co_varnames[: law.__code__.co_argcount]


def _is_leaf(value: object) -> bool:
    return isinstance(value, (int, float)) or (isinstance(value, types.FunctionType) and value in PRIMITIVES)


def require_plain(law: Callable) -> None:
    """Raises ConfigError for what is no plain Python function."""
    if not isinstance(law, types.FunctionType):
        raise ConfigError(f"{law!r}: expected a law as a Python function of its own (def or lambda)")


def _names(law: types.FunctionType) -> dict[str, object]:
    """What a law takes from its module and from around it, by name."""
    inside = dict(zip(law.__code__.co_freevars, (cell.cell_contents for cell in law.__closure__ or ()), strict=True))
    for name in law.__code__.co_names:
        if name not in law.__globals__:
            raise _refusal(law, name, "is not defined in its module")
        inside[name] = law.__globals__[name]
    return inside


def _bound(law: Callable, name: str, value: object, own: Mapping[str, Callable], finish: Callable) -> object:
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, types.FunctionType):
        return lower(value, own, finish)
    raise _refusal(law, name, "is neither a number nor a function made of primitives")


def _refusal(law: Callable, name: str, why: str) -> ConfigError:
    return ConfigError(
        f"law {law.__module__}:{law.__qualname__}: {name} {why}; import {', '.join(primitives.__all__)} from "
        "ghostnet.primitives, and use no others"
    )
