"""How a run is run and what it began with, as its provenance.json says: checked before the run goes on."""

from __future__ import annotations

import math

from ghostnet.engines import ENGINES
from ghostnet.errors import ConfigError
from ghostnet.model import names
from ghostnet.model.experiment import Experiment
from ghostnet.model.typed import is_count
from ghostnet.runs.configuration import Configuration
from ghostnet.runs.store import PROVENANCE, RunDirectory

_OPTIONS = {
    "device": (str,),
    "fast_matmul": (bool,),
    "settle_tol": (int, float),
    "max_sweeps": (int,),
    "per_run": (dict,),
}
_DTYPES = ("float32", "float64")
_KNOWN = {
    "engine": (lambda value: value in ENGINES, f"one of {', '.join(ENGINES)}"),
    "dtype": (lambda value: value in _DTYPES, " or ".join(_DTYPES)),
    "threads": (lambda value: is_count(value) and value >= 1, "at least 1"),
    "options": (lambda value: _are_options(value), f"a table of {', '.join(_OPTIONS)}"),
    "noise": (lambda value: isinstance(value, float) and 0 < value < math.inf, "a positive number"),
    "gradcheck_every": (lambda value: is_count(value), "a number of epochs, or 0"),
    "gradcheck_examples": (lambda value: is_count(value) and value >= 1, "at least 1"),
}


def settings_of(directory: RunDirectory, *names: str) -> list:
    """What provenance.json says of these settings.

    Raises:
        ConfigError: it lacks one, or gives it a value that it can't have.
    """
    for name in names:
        if name not in directory.settings:
            raise ConfigError(f"{directory.path}: {PROVENANCE} lacks {name!r}; train anew")
        value, (possible, expected) = directory.settings[name], _KNOWN[name]
        if not possible(value):
            text = f"{name} = {value!r}: expected {expected}; take a backup or train anew"
            raise ConfigError(f"{directory.path / PROVENANCE}: {text}")
    return [directory.settings[name] for name in names]


def _are_options(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(given, _OPTIONS.get(name, ())) and isinstance(given, bool) == (name == "fast_matmul")
        for name, given in value.items()
    )


def own_laws(made: Configuration) -> dict[str, dict]:
    """Laws and model of an experiment, or a baseline's transfer function, that are not built in, by field."""
    e, fields = (made, names.FIELDS) if isinstance(made, Experiment) else (made.effective, ("transfer",))
    laws = {field: names.described(field, getattr(e, field)) for field in fields}
    return {field: law for field, law in laws.items() if law}


def require_same_laws(directory: RunDirectory) -> None:
    """Raise ConfigError where a law of a run is not the one of that name that it began with."""
    began_with = directory.settings.get("laws", {})
    for field, law in own_laws(directory.configuration).items():
        if law["sha256"] != began_with.get(field, {}).get("sha256"):
            raise ConfigError(
                f"{field} = {law['name']}: its text is not the one that the run began with (in its provenance.json); "
                "put that back, or train anew"
            )
