"""The tables and figures that `ghostnet reproduce` makes: sims/targets.toml, and where it and the stored numbers stand.

Scripts and numbers are sims/ and figures/ of a checkout; a wheel has them inside the package.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from ghostnet.errors import ConfigError
from ghostnet.files import toml
from ghostnet.model.typed import require_known
from ghostnet.results.report import aligned
from ghostnet.results.stored_numbers import Rule

PACKAGE = Path(__file__).resolve().parents[1]
INSTALLED = (PACKAGE / "sims").is_dir()
_ROOT = PACKAGE if INSTALLED else PACKAGE.parent
SCRIPTS, STORED = _ROOT / "sims", _ROOT / "figures"


@dataclass(frozen=True)
class Target:
    """A table or figure.

    Attributes:
        script: of `SCRIPTS`, without its ending. words: of its command line.
        what: it is. cpu_minutes: that it takes on one core. expected: of it.
        extra: of the installation that it needs, and a module of that; "" where it needs none.
        numbers: how they are held to the stored ones; empty where none are stored.
    """

    name: str
    script: str
    what: str
    cpu_minutes: float
    expected: str
    words: tuple[str, ...] = ()
    extra: str = ""
    module: str = ""
    numbers: tuple[Rule, ...] = ()

    @property
    def time(self) -> str:
        """Of one core, as text."""
        minutes = self.cpu_minutes
        return f"{minutes:g} min" if minutes < 100 else f"{minutes / 60:.0f} h"

    def require_extra(self) -> None:
        """Raise ConfigError unless what it needs is installed."""
        if self.module and importlib.util.find_spec(self.module) is None:
            raise ConfigError(f"{self.name}: needs the extra [{self.extra}]; pip install 'ghost-units[{self.extra}]'")


def targets() -> dict[str, Target]:
    """All of them, by name.

    Raises:
        FileError: the table is not there.
    """
    found = {}
    for name, fields in toml.read(SCRIPTS / "targets.toml").items():
        rules = tuple(Rule(**rule | {"key": tuple(rule.get("key", ()))}) for rule in fields.pop("numbers", []))
        found[name] = Target(name, words=tuple(fields.pop("words", ())), numbers=rules, **fields)
    return found


def target(name: str) -> Target:
    """The one of this name.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    found = targets()
    require_known([name], found, "target")
    return found[name]


def table() -> str:
    """A line for each: what it is, and what it takes."""
    rows = [["target", "CPU time", "needs", "what"]]
    rows += [[one.name, one.time, one.extra and f"[{one.extra}]", one.what] for one in targets().values()]
    return aligned(rows)
