"""Laws by name: those built in, those given as objects in this process, and "module:attribute" of a user's own file."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
import sys
from pathlib import Path

from ghostnet.errors import ConfigError, require_known
from ghostnet.model.laws import TRANSFERS, Transfer

_OWN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_given: dict[str, Transfer] = {}  # objects, by the names that experiments have for them


def named(value: object) -> object:
    """The name that stands for a law in an experiment: a name as it is, an object's own; other values as they are.

    Raises:
        ConfigError: another object has that name.
    """
    if not isinstance(value, Transfer):
        return value
    for name, built_in in TRANSFERS.items():
        if value == built_in:
            return name
    module = sys.modules.get(value.rho.__module__)
    places = [name for name, thing in vars(module).items() if thing is value] if module else []
    name = f"{value.rho.__module__}:{places[0] if places else value.rho.__name__.strip('<>')}"
    if not _OWN.fullmatch(name):
        raise ConfigError(f"transfer {name}: expected a law defined in a module, a script or a notebook")
    if _given.setdefault(name, value).describe() != value.describe():
        _given[name] = value  # a cell of a notebook run again; a run that was begun with the other one says so
    return name


def require_name(name: str) -> None:
    """Raise ConfigError unless the name is that of a law built in, or could be that of a user's own.

    Nothing is imported: an experiment may come from a file of somebody else's.
    """
    if not _OWN.fullmatch(name):
        require_known([name], TRANSFERS, "transfer")


def transfer(name: str) -> Transfer:
    """The transfer function of that name.

    Raises:
        ConfigError: there is none.
    """
    require_name(name)
    return TRANSFERS.get(name) or _given.get(name) or _imported(name)


def described(name: str) -> dict[str, str]:
    """What a run keeps of a user's own law: its name, text and digest; {} for one that is built in."""
    return {} if name in TRANSFERS else {"name": name, **transfer(name).describe()}


@functools.cache
def _imported(name: str) -> Transfer:
    """The object that "module:attribute" names, from the path that Python imports from, or the current directory."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(_module(module), attribute)
    except AttributeError:
        raise ConfigError(f"transfer = {name}: {module} has no {attribute}; expected a Transfer of that name") from None
    if not isinstance(found, Transfer):
        raise ConfigError(f"transfer = {name}: a {type(found).__name__}; expected a ghostnet.Transfer(rho, slope)")
    return found


def _module(name: str):
    if name in sys.modules:
        return sys.modules[name]
    here, sys.path[:] = list(sys.path), [*sys.path, str(Path.cwd())]
    try:
        top = importlib.util.find_spec(name.partition(".")[0])
        if top is None:
            raise ConfigError(
                f"transfer = {name}:…: there is no module {name} in {Path.cwd()} or where Python looks for modules "
                "(PYTHONPATH); go there, or name it there"
            )
        if top.origin and any((folder / "provenance.json").exists() for folder in Path(top.origin).parents):
            raise ConfigError(f"transfer = {name}:…: {top.origin} lies in a run directory; nothing there is executed")
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"transfer = {name}:…: {name} can't be imported ({error})") from error
    finally:
        sys.path[:] = here
