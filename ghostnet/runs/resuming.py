"""`ghostnet.resume`: any run directory, whatever was trained in it, goes on, and may be lengthened."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from ghostnet.data import Dataset
from ghostnet.errors import ConfigError
from ghostnet.model.checks import MOST
from ghostnet.model.experiment import Experiment
from ghostnet.model.recorder import Recorder
from ghostnet.model.typed import integer
from ghostnet.runs import configuration, ghosts
from ghostnet.runs.checkpoint import Checkpoint
from ghostnet.runs.configuration import Configuration
from ghostnet.runs.data import same_data
from ghostnet.runs.loop import Run, Trainable, Training, require_callbacks
from ghostnet.runs.settings import require_same_laws
from ghostnet.runs.store import RunDirectory

Restored = Callable[..., tuple[Trainable, Checkpoint]]  # takes what `ghosts.restored` does
_RESTORED: dict[type, Restored] = {Experiment: ghosts.restored}


def register(kind: type, restored: Restored) -> None:
    """Have runs whose configuration is of a kind go on with what `restored` gives."""
    _RESTORED[kind] = restored


def resume(
    out: str | os.PathLike,
    *,
    epochs: int | None = None,
    data: Dataset | None = None,
    threads: int | None = None,
    progress: bool = True,
    record: Recorder | None = None,
    callbacks: Sequence[Callable[[Run], object]] = (),
) -> Training:
    """Go on with a run that was stopped or killed, from its newest readable checkpoint, or with one that is complete.

    On the same machine with the same versions, all that follows is what it would have been without the interruption,
    bit for bit, on any number of threads; only the seconds differ.

    Args:
        epochs: train until there are so many, whatever the run was asked for before; what follows is what it would
            have been, had it been asked for them from the start. None: as before.
        data: the data set again, where the run began with arrays (`ghostnet.dataset`).
        threads: see `Simulator`; a baseline keeps to those that it began with, as its roundings depend on them.
        progress: see `train`.
        record: see `train`.
        callbacks: see `train`.

    Raises:
        FileError: `out` is no run directory, or can't be read or written.
        ConfigError: config.toml isn't what its checkpoint was made with, provenance.json says what can't be, a law
            of one's own has changed, or the run has more epochs behind it than `epochs`.
        InUse: another process is at work on it. DataError: the data are not those that the run began with.
        DivergenceError, Stopped: as from `train`.

    Examples:
        >>> _ = gn.train(exp, "run", data=data, engine="reference", progress=False)
        >>> training = gn.resume("run", epochs=2, data=data, progress=False)
        >>> [row["epoch"] for row in training.metrics]
        [0, 1, 2]
    """
    require_callbacks(callbacks)
    with RunDirectory.existing(out, configuration.from_mapping) as directory:
        made = directory.configuration
        wanted = made if epochs is None else configuration.with_epochs(made, integer("epochs", epochs, 0, MOST))
        require_same_laws(directory)
        dataset = same_data(configuration.experiment(made), directory, data)
        trainable, start = _RESTORED[type(made)](directory, wanted, dataset, threads, record)
        if wanted != made:
            _give_epochs(directory, wanted, start)
        due = configuration.experiment(wanted).evaluates
        start.metrics = [row for row in start.metrics if due(row["epoch"])]  # the last epoch may no longer be the last
        return Run(trainable, dataset, directory, start, progress, callbacks).until_the_end()


def _give_epochs(directory: RunDirectory, wanted: Configuration, start: Checkpoint) -> None:
    """Let a run's directory say that it is one of another number of epochs, if it has not gone further."""
    before, epochs = (configuration.experiment(found).epochs for found in (directory.configuration, wanted))
    done = max(start.epoch, 0) + (start.shown > 0)
    if epochs < done:
        text = f"{directory.path} has begun epoch {done}" if start.shown else f"{directory.path} has done {done}"
        raise ConfigError(f"epochs = {epochs}: {text}; give {done} or more")
    given = configuration.epochs_given(directory.settings) or [before]
    given = given if given[-1] == epochs else [*given, epochs]  # as it is where a kill came before config.toml
    directory.give_epochs(wanted, given, epoch=max(start.epoch, 0), presentation=start.shown)
