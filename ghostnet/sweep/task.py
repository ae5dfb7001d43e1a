"""One task of a sweep: train it, or go on with it; done twice, it does nothing more."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from threadpoolctl import threadpool_limits

from ghostnet import baselines, data
from ghostnet.engines import STEPPING
from ghostnet.errors import ConfigError, DataError, DivergenceError, FileError, GhostnetError, InUse, Stopped
from ghostnet.files import jsonfile
from ghostnet.runs import checkpoint, configuration, store
from ghostnet.runs.data import require_same_data
from ghostnet.runs.loop import Run, Training
from ghostnet.runs.resuming import resume
from ghostnet.runs.training import train
from ghostnet.sweep.plan import Task

Callbacks = Sequence[Callable[[Run], object]]
_ENDS = {DivergenceError: "diverged", Stopped: "stopped", InUse: "in use"}  # others: failed


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Attributes:
        status: complete, diverged, stopped, in use (another process is at work on it) or failed.
        text, exit_code: of the error that ended it; empty and 0 if complete.
    """

    name: str
    status: str
    text: str = ""
    exit_code: int = 0


def status(path: Path) -> dict:
    """What status.json says; {} where no run has begun.

    Raises:
        FileError: it can't be read.
    """
    return store.read_status(path) if (path / store.STATUS).exists() else {}


def state(path: Path) -> str | None:
    """The status of a run: None where none has begun, "unreadable" where status.json is; its task will say so."""
    try:
        return status(path).get("status")
    except FileError:
        return "unreadable"


def finished(task: Task, folder: Path) -> bool:
    """Whether a task's run is complete, with as many epochs as the task has now."""
    found = {}
    with contextlib.suppress(FileError):
        found = status(folder / task.name)
    return found.get("status") == "complete" and found.get("epoch") == task.experiment.epochs


def counted(tasks: Iterable[Task]) -> list[Task]:
    """The tasks, with a number where `train_examples` is left out: of all there are.

    Raises:
        DataError: the data can't be read. ConfigError: a batch is larger.
    """
    count = functools.cache(lambda place: len(data.load(place).train_images))

    def one(task: Task) -> Task:
        e = task.experiment
        if e.train_examples is not None:
            return task
        return dataclasses.replace(task, experiment=e.replace(train_examples=count(e.data)))

    return list(map(one, tasks))


def perform(task: Task, folder: Path, threads: int, callbacks: Callbacks = ()) -> Outcome:
    """Bring a task to its end, from its last checkpoint if there is one, on at most so many threads. One that is
    complete with fewer epochs than the task has now is lengthened.

    Args:
        callbacks: see `ghostnet.train`; status.json says whether one has ended it early.
    """
    path = folder / task.name
    try:
        found = status(path).get("status")
        if found:
            require_same(path, task)
        if found == "diverged":  # and would again
            return Outcome(task.name, found, f"diverged before; see {path}", DivergenceError.exit_code)
        with threadpool_limits(threads):
            if found is None:
                begin(task, path, threads, callbacks)
            elif not finished(task, folder):
                resume(path, epochs=task.experiment.epochs, threads=threads, progress=False, callbacks=callbacks)
    except GhostnetError as error:
        return ended_by(error, task.name)
    return Outcome(task.name, "complete")


def complete(task: Task, folder: Path, hashes: Callable[[str], str | None]) -> Outcome:
    """The outcome of a task that is finished: failed, if it isn't what is asked for, or learned from other data.

    Args:
        hashes: `hash_of` the data at a place.
    """
    path, place = folder / task.name, task.experiment.data
    try:
        require_same(path, task)
        if found := hashes(place):
            require_same_data(path, jsonfile.read(path / store.PROVENANCE), place, found)
    except GhostnetError as error:
        return ended_by(error, task.name)
    return Outcome(task.name, "complete")


def hash_of(place: str) -> str | None:
    """SHA-256 of the data at a path. None for a data set that is held to what is published, and for what can't be
    read: it is no other data.
    """
    if place in data.NAMES:
        return None
    with contextlib.suppress(DataError):
        return data.load(place).sha256
    return None


def ended_by(error: GhostnetError, name: str) -> Outcome:
    """The outcome of a task that an error has ended."""
    return Outcome(name, _ENDS.get(type(error), "failed"), str(error), error.exit_code)


def begin(
    task: Task, path: Path | None, threads: int, callbacks: Callbacks = (), given: data.Dataset | None = None
) -> Training:
    """Train a task from the start, in a new run directory or in memory, on the data that it names or those given."""
    how = {"out": path, "data": given, "callbacks": callbacks, "progress": False} | task.options
    if task.baseline is None:
        return train(task.experiment, threads=threads, **how)
    return baselines.train(experiment=task.experiment, **how, **vars(task.baseline))  # one thread: more round otherwise


def require_same(path: Path, task: Task) -> None:
    """Raise ConfigError where the directory holds another experiment than the task's, the number of epochs aside, or
    another engine or dtype, or where its config.toml has been changed since.

    A task that names no engine asks for the model as it is stepped: any engine that steps will do. A baseline that
    names no learning rate takes the one that is there.
    """
    if store.unchanged_config(path) != task.configuration.to_toml().encode():
        found, asked = configuration.read(path), configuration.facts(task.configuration)
        open_ones = {("epochs", asked["epochs"]), ("baseline.learning_rate", None)}
        fields = {name: (value,) for name, value in asked.items() if (name, value) not in open_ones}
        _require_among(path, configuration.facts(found), fields)
        checkpoint.require_same(path, found)
    engines = {"engine": (f"baseline {task.baseline.method}",) if task.baseline else STEPPING}
    engines |= {name: (task.options[name],) for name in ("engine", "dtype") if name in task.options}
    _require_among(path, jsonfile.read(path / store.PROVENANCE), engines)


def _require_among(path: Path, found: dict, fields: dict[str, tuple]) -> None:
    for name, values in fields.items():
        if found.get(name) not in values:
            text = f"holds a run with {name} = {found.get(name)}, not {' or '.join(map(str, values))}"
            raise ConfigError(f"{path}: {text}; give another directory, or move it away")
