"""The data of a run: those that it was given, or that its experiment names; to its end, those that it began with."""

from __future__ import annotations

import os
from pathlib import Path

from ghostnet import data
from ghostnet.data import Dataset
from ghostnet.errors import ConfigError, DataError
from ghostnet.files import jsonfile
from ghostnet.model.experiment import Experiment
from ghostnet.model.inputs import require_fit
from ghostnet.runs.store import CONFIG, PROVENANCE, RunDirectory


def fitting_data(e: Experiment, given: Dataset | None = None) -> tuple[Experiment, Dataset]:
    """The data set that a run of an experiment begins with, and the experiment as the run has it: `data` says where
    they are from, and `train_examples` is a number.

    Args:
        given: instead of what the experiment names.

    Raises:
        ConfigError: the experiment does not fit it. DataError: it can't be read.
    """
    dataset = data.load(e.data) if given is None else given
    require_fit(e, dataset)
    count = len(dataset.train_images) if e.train_examples is None else e.train_examples
    return e.replace(data=e.data if given is None else dataset.name, train_examples=count), dataset


def same_data(e: Experiment, directory: RunDirectory, given: Dataset | None = None) -> Dataset:
    """The data set of an experiment whose run began before.

    Args:
        given: instead of what the experiment names; needed where the run began with arrays.

    Raises:
        ConfigError: the experiment does not fit it. DataError: it can't be read, or is not what the run began with.
    """
    if e.train_examples is None:
        raise ConfigError(f"{directory.path / CONFIG}: lacks train_examples; put it back, or train anew")
    if given is None and e.data == data.OWN:
        text = "began with arrays, which it does not keep; give them again: resume(path, data=gn.dataset(…))"
        raise DataError(f"{directory.path}: {text}")
    dataset = data.load(e.data) if given is None else given
    require_fit(e, dataset)
    require_same_data(directory.path, directory.settings, dataset.name, dataset.sha256)
    return dataset


def data_to_show(e: Experiment, run: str | os.PathLike | None = None, place: str | None = None) -> Dataset:
    """A data set to be shown to a network of an experiment.

    Args:
        run: the run directory that the network is from, if any. place: where other data are, instead of its own.

    Raises:
        ConfigError: the experiment does not fit it. DataError: it can't be read, or is not what the run began with.
        FileError: the run does not say what it began with.
    """
    dataset = data.load(e.data if place is None else place)
    require_fit(e if place is None else e.replace(train_examples=None), dataset)
    if run is not None and place is None:
        require_same_data(Path(run), jsonfile.read(Path(run) / PROVENANCE), dataset.name, dataset.sha256)
    return dataset


def require_same_data(run: Path, settings: dict, place: str, sha256: str) -> None:
    """Raise DataError unless a run, by its settings, began with the data that are at a place now."""
    if "data_sha256" not in settings:
        text = f"{PROVENANCE} lacks data_sha256, as those of ghostnet 0.1 do; go on with that version, or train anew"
        raise DataError(f"{run}: {text}")
    began = settings["data_sha256"]
    if began != sha256:
        text = f"began with data of SHA-256 {str(began)[:12]!r}, but {place} holds those of {sha256[:12]!r}"
        raise DataError(f"{run}: {text}; put the former back (data_sha256 in {PROVENANCE}), or train anew")
