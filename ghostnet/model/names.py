"""Laws and models by name: those built in, objects given in this process, and "module:attribute" of a user's file."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ghostnet.errors import ConfigError
from ghostnet.model.laws import BUILT_IN, COSTS, TRANSFERS, Cost, Laws, Transfer
from ghostnet.model.models import MODELS, Model
from ghostnet.model.typed import require_known

_OWN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_BUILT_IN: dict[str, Mapping[str, Laws]] = {
    "model": MODELS,
    "transfer": TRANSFERS,
    "cost": COSTS,
}  # by the field of an experiment
FIELDS = tuple(_BUILT_IN)
_KIND: dict[str, type[Laws]] = {"model": Model, "transfer": Transfer, "cost": Cost}
_given: dict[tuple[str, str], Laws] = {}  # objects, by field and the name that experiments have for them


def named(field: str, value: object) -> object:
    """The name that stands for a law in a field of an experiment, if that is one for laws; other values as they are.

    A name once given keeps to its law: another law that would be called so, as one made in a loop, has a digest behind.

    Raises:
        ConfigError: a law that has no name, as it is defined in no module.
    """
    if field not in _KIND or not isinstance(value, _KIND[field]):
        return value
    for name, built_in in _BUILT_IN[field].items():
        if value == built_in:
            return name
    name = _place(field, value)
    if not _OWN.fullmatch(name):
        raise ConfigError(f"{field} {name}: expected a law defined in a module, a script or a notebook")
    if _given.setdefault((field, name), value).identity != value.identity:  # one of a loop, or a cell run again
        name = f"{name}_{value.identity[:8]}"
        _given[field, name] = value
    return name


def _place(field: str, value: Laws) -> str:
    """The module and the attribute where an object is found, or could be: a model's laws may be of other modules."""
    own = [law for law in value.laws if law not in BUILT_IN]
    modules = [sys.modules[law.__module__] for law in own if law.__module__ in sys.modules]
    for module in [*modules, *list(sys.modules.values())]:
        for name, thing in list(getattr(module, "__dict__", {}).items()):
            if thing is value:
                return f"{module.__name__}:{name}"
    return f"{own[0].__module__}:{own[0].__name__.strip('<>')}" if own else f"{field}:nameless"


def known(field: str, name: str) -> bool:
    """Whether the object of that name is at hand, so that nothing has to be imported."""
    return name in _BUILT_IN[field] or (field, name) in _given


def require_name(field: str, name: str) -> None:
    """Raise ConfigError unless the name is that of a law built in, or could be that of a user's own.

    Nothing is imported: an experiment may come from a file of somebody else's.
    """
    if not _OWN.fullmatch(name):
        require_known([name], _BUILT_IN[field], field)


def transfer(name: str) -> Transfer:
    """The transfer function of that name.

    Raises:
        ConfigError: there is none.
    """
    found: Transfer = _found("transfer", name)
    return found


def model(name: str) -> Model:
    """The model of that name.

    Raises:
        ConfigError: there is none.
    """
    found: Model = _found("model", name)
    return found


def cost(name: str) -> Cost:
    """The cost of that name.

    Raises:
        ConfigError: there is none.
    """
    found: Cost = _found("cost", name)
    return found


def require_together(cost_name: str, transfer_name: str) -> None:
    """Raise ConfigError for a cost that is right only with another transfer function."""
    only = cost(cost_name).transfer
    if only not in (None, transfer_name):
        raise ConfigError(f"cost = {cost_name}: made for transfer = {only}, not {transfer_name}; change one of them")


def described(field: str, name: str) -> dict[str, str]:
    """What a run keeps of a user's own law: its name, text and digest; {} for one that is built in."""
    return {} if name in _BUILT_IN[field] else {"name": name, **_found(field, name).describe()}


def _found(field: str, name: str) -> Any:
    """Of the field's kind, whichever that is."""
    return _BUILT_IN[field].get(name) or _given.get((field, name)) or _imported(field, name)


@functools.cache
def _imported(field: str, name: str) -> Laws:
    """The object that "module:attribute" names, from the path that Python imports from, or the current directory."""
    require_name(field, name)
    module, _, attribute = name.partition(":")
    kind = _KIND[field]
    try:
        found = getattr(_module(field, module), attribute)
    except AttributeError:
        text = f"{field} = {name}: {module} has no {attribute}; expected a {kind.__name__} of that name"
        raise ConfigError(text) from None
    if not isinstance(found, kind):
        raise ConfigError(f"{field} = {name}: a {type(found).__name__}; expected a ghostnet.{kind.__name__}")
    return found


def _module(field: str, name: str) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    here, sys.path[:] = list(sys.path), [*sys.path, str(Path.cwd())]
    try:
        top = importlib.util.find_spec(name.partition(".")[0])
        if top is None:
            raise ConfigError(
                f"{field} = {name}:…: there is no module {name} in {Path.cwd()} or where Python looks for modules "
                "(PYTHONPATH); go there, or name it there"
            )
        if top.origin and any((folder / "provenance.json").exists() for folder in Path(top.origin).parents):
            raise ConfigError(f"{field} = {name}:…: {top.origin} lies in a run directory; nothing there is executed")
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"{field} = {name}:…: {name} can't be imported ({error})") from error
    finally:
        sys.path[:] = here
