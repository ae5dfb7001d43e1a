"""Laws by name: those built in, those given as objects in this process, and "module:attribute" of a user's own file."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
import sys
from pathlib import Path

from ghostnet.errors import ConfigError
from ghostnet.model.laws import COSTS, TRANSFERS, Cost, Transfer
from ghostnet.model.typed import require_known

_OWN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_BUILT_IN = {"transfer": TRANSFERS, "cost": COSTS}  # by the field of an experiment
_KIND = {"transfer": Transfer, "cost": Cost}
_given: dict[tuple[str, str], Transfer | Cost] = {}  # objects, by field and the name that experiments have for them


def named(field: str, value: object) -> object:
    """The name that stands for a law in a field of an experiment, if that is one for laws; other values as they are.

    A name once given keeps to its law: another law that would be called so, as one made in a loop, has a digest behind.

    Raises:
        ConfigError: a law that has no name, as it is defined in no module.
    """
    if not isinstance(value, _KIND.get(field, ())):
        return value
    for name, built_in in _BUILT_IN[field].items():
        if value == built_in:
            return name
    function = value.rho if isinstance(value, Transfer) else value.value
    module = sys.modules.get(function.__module__)
    places = [name for name, thing in vars(module).items() if thing is value] if module else []
    name = f"{function.__module__}:{places[0] if places else function.__name__.strip('<>')}"
    if not _OWN.fullmatch(name):
        raise ConfigError(f"{field} {name}: expected a law defined in a module, a script or a notebook")
    if _given.setdefault((field, name), value).identity != value.identity:  # one of a loop, or a cell run again
        name = f"{name}_{value.identity[:8]}"
        _given[field, name] = value
    return name


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
    return _found("transfer", name)


def cost(name: str) -> Cost:
    """The cost of that name.

    Raises:
        ConfigError: there is none.
    """
    return _found("cost", name)


def require_together(cost_name: str, transfer_name: str) -> None:
    """Raise ConfigError for a cost that is right only with another transfer function."""
    only = cost(cost_name).transfer
    if only not in (None, transfer_name):
        raise ConfigError(f"cost = {cost_name}: made for transfer = {only}, not {transfer_name}; change one of them")


def described(field: str, name: str) -> dict[str, str]:
    """What a run keeps of a user's own law: its name, text and digest; {} for one that is built in."""
    return {} if name in _BUILT_IN[field] else {"name": name, **_found(field, name).describe()}


def _found(field: str, name: str) -> Transfer | Cost:
    return _BUILT_IN[field].get(name) or _given.get((field, name)) or _imported(field, name)


@functools.cache
def _imported(field: str, name: str) -> Transfer | Cost:
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


def _module(field: str, name: str):
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
