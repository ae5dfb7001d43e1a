"""What decides a run's result, as its config.toml and its checkpoints say it: an Experiment, or a BaselineRun."""

from __future__ import annotations

import os
from pathlib import Path

from ghostnet.errors import ConfigError
from ghostnet.files import toml
from ghostnet.model.baseline import BaselineRun
from ghostnet.model.experiment import Experiment
from ghostnet.model.experiment import from_mapping as from_fields
from ghostnet.runs import store

Configuration = Experiment | BaselineRun


def from_mapping(fields: dict) -> Configuration:
    """From the fields of a config.toml.

    Raises:
        ConfigError: what Experiment and Baseline refuse.
    """
    return BaselineRun.from_mapping(fields) if "baseline" in fields else from_fields(fields)


def from_toml(text: str) -> Configuration:
    """From the text of a config.toml.

    Raises:
        ConfigError: it is not TOML, and what Experiment and Baseline refuse.
    """
    return from_mapping(toml.parsed(text))


def read(run: str | os.PathLike) -> Configuration:
    """From the config.toml of a run directory.

    Raises:
        FileError: it can't be read. ConfigError: as `from_toml`.
    """
    return from_mapping(toml.read(Path(run) / store.CONFIG))


def experiment(found: Configuration) -> Experiment:
    """The experiment of a run."""
    return found.experiment if isinstance(found, BaselineRun) else found


def require_same(run: Path, written: Configuration, made: Configuration) -> None:
    """Raise ConfigError where the config.toml of a run says something else than its checkpoint was made with."""
    ours, theirs = _facts(written), _facts(made)
    for name in ours | theirs:
        if ours.get(name) != theirs.get(name):
            text = f"{name} = {ours.get(name)}, but its checkpoint was made with {name} = {theirs.get(name)}"
            raise ConfigError(f"{run / store.CONFIG}: {text}; undo the change, or train anew with --config")


def _facts(found: Configuration) -> dict:
    """Every field by name."""
    if isinstance(found, Experiment):
        return vars(found)
    return vars(found.experiment) | {f"baseline.{name}": value for name, value in vars(found.baseline).items()}
