"""What decides a run's result, as its config.toml and its checkpoints say it: an Experiment, or a BaselineRun."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from ghostnet.errors import ConfigError
from ghostnet.files import jsonfile, toml
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


def with_epochs(found: Configuration, epochs: int) -> Configuration:
    """The same for another number of epochs."""
    if isinstance(found, Experiment):
        return found.replace(epochs=epochs)
    return dataclasses.replace(found, experiment=found.experiment.replace(epochs=epochs))


def epochs_given(settings: dict) -> list:
    """The numbers of epochs that a run was given in turn, as its provenance.json says; none where it is the first."""
    given = settings.get("epochs")
    return given if isinstance(given, list) else []


def has_network(found: Configuration) -> bool:
    """Whether what such a run trains is a Network, with or without ghosts, and no torch modules."""
    return isinstance(found, Experiment) or not found.baseline.modular


def require_same(run: Path, written: Configuration, made: Configuration) -> None:
    """Raise ConfigError where the config.toml of a run says something else than its checkpoint was made with.

    The checkpoint may be of a number of epochs that the run was given before the last (`RunDirectory.give_epochs`).
    """
    ours, theirs = facts(written), facts(made)
    if ours["epochs"] != theirs["epochs"]:
        given = epochs_given(jsonfile.read(run / store.PROVENANCE))
        if ours["epochs"] in given[-1:] and theirs["epochs"] in given:
            theirs["epochs"] = ours["epochs"]
    for name in ours | theirs:
        if ours.get(name) != theirs.get(name):
            text = f"{name} = {ours.get(name)}, but its checkpoint was made with {name} = {theirs.get(name)}"
            advice = "undo the change, or train anew with --config" + ", or resume with --epochs" * (name == "epochs")
            raise ConfigError(f"{run / store.CONFIG}: {text}; {advice}")


def facts(found: Configuration) -> dict:
    """Every field by name."""
    if isinstance(found, Experiment):
        return dict(vars(found))
    return vars(found.experiment) | {f"baseline.{name}": value for name, value in vars(found.baseline).items()}
