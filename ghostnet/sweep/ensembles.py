"""Tasks of equal shape as one ensemble on the torch engine, every run with its own seed, β, dt, η and η^g.

Every task has a run directory with its metrics while the ensemble is trained, and in the end the one that it would have
had alone.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from threadpoolctl import threadpool_limits

from ghostnet.engines import PER_RUN
from ghostnet.errors import DivergenceError, FileError, GhostnetError, Stopped
from ghostnet.files import jsonfile
from ghostnet.files.publishing import publish
from ghostnet.model.experiment import Experiment
from ghostnet.model.models import RATES
from ghostnet.model.network import build, select
from ghostnet.runs import checkpoint, configuration, store
from ghostnet.runs.checkpoint import Checkpoint
from ghostnet.runs.loop import Run
from ghostnet.runs.resuming import resume
from ghostnet.runs.store import RunDirectory
from ghostnet.runs.training import train
from ghostnet.sweep.plan import Task
from ghostnet.sweep.task import Outcome, ended_by, finished, require_same, status

_PREFIX = ".ensemble-"
_TASKS = "tasks.json"  # which they are, in the directory of an ensemble
_MOST = 400  # each holds two files open, of the 1024 that a process commonly may


def pack(tasks: Sequence[Task]) -> list[tuple[Task, ...]]:
    """Those together that differ in seed, β, dt and learning rates only; tasks that name another engine stay alone."""
    groups: dict = {}
    for task in tasks:
        if task.baseline or task.options.get("engine", "torch") != "torch":
            continue
        e = task.experiment
        none = {name: (0.0,) * len(getattr(e, name)) for name in RATES}
        shape = e.replace(seeds=(0,), beta=1.0, dt=e.tau, **none)
        groups.setdefault((shape, tuple(sorted(task.options.items()))), []).append(task)
    return [tuple(group[i : i + _MOST]) for group in groups.values() for i in range(0, len(group), _MOST)]


def directory(tasks: Sequence[Task], folder: Path) -> Path:
    """Where an ensemble is while it is trained."""
    names = "\n".join(task.name for task in tasks)
    return folder / f"{_PREFIX}{hashlib.sha256(names.encode()).hexdigest()[:12]}"


def begun(tasks: Sequence[Task], folder: Path) -> list[tuple[Task, ...]]:
    """Ensembles of these tasks that have been trained in part, whatever ended that, but for those that are finished."""
    found, by_name = [], {task.name: task for task in tasks}
    for path in sorted(folder.glob(f"{_PREFIX}*")):
        names = jsonfile.read(path / _TASKS)["tasks"] if (path / _TASKS).exists() else []
        members = tuple(by_name[name] for name in names if name in by_name)
        if members and len(members) == len(names) and not all(finished(task, folder) for task in members):
            found.append(members)
    return found


def perform_together(tasks: Sequence[Task], folder: Path, threads: int) -> list[Outcome]:
    """Bring an ensemble to its end, from its last checkpoint if there is one. A run that diverges is left behind."""
    left, outcomes = list(tasks), []
    with contextlib.ExitStack() as stack:
        own = OwnDirectories(folder, stack)
        try:
            with threadpool_limits(threads):
                while left:
                    path = directory(left, folder)
                    try:
                        _train(left, path, threads, own)
                    except DivergenceError as error:
                        if error.divergence is None:
                            raise
                        run = error.divergence.run
                        outcomes.append(Outcome(left[run].name, "diverged", str(error), error.exit_code))
                        _divide(path, left, own, {run: "diverged"})
                        _go_on_without(run, path, left, folder)
                    else:
                        _divide(path, left, own, dict.fromkeys(range(len(left)), "complete"))
                        outcomes += [Outcome(task.name, "complete") for task in left]
                        left = []
                    shutil.rmtree(path)
        except GhostnetError as error:
            outcomes += [ended_by(error, task.name) for task in left]
            own.stopped("stopped" if isinstance(error, Stopped) else "failed", left)
    return outcomes


class OwnDirectories:
    """The run directory of every task of an ensemble: held, and written, while it is trained.

    Args:
        stack: closes them.
    """

    def __init__(self, folder: Path, stack: contextlib.ExitStack):
        self._folder, self._stack = folder, stack
        self._open: dict[str, RunDirectory] = {}

    def of(self, task: Task, settings: dict) -> RunDirectory:
        """That of a task, made if it isn't there; `settings` are the ensemble's.

        Raises:
            ConfigError: it holds another experiment than the task's. InUse: another process is at work on it.
        """
        if task.name not in self._open:
            path, e = self._folder / task.name, task.experiment
            if status(path):
                require_same(path, task)
                directory = self._stack.enter_context(RunDirectory.existing(path))
                before = configuration.experiment(directory.configuration).epochs
                if before != e.epochs:
                    directory.give_epochs(e, [before, e.epochs], epoch=0)
            else:
                directory = self._stack.enter_context(RunDirectory(path, e, _settings(settings, [task])))
            self._open[task.name] = directory
        return self._open[task.name]

    def show(self, tasks: list[Task], run: Run) -> None:
        """What every task has come to, after an evaluation of the ensemble."""
        if run.path is None:
            return
        settings = jsonfile.read(run.path / store.PROVENANCE)
        publish(run.path / _TASKS, jsonfile.text({"tasks": [task.name for task in tasks]}))
        for number, task in enumerate(tasks):
            directory = self.of(task, settings)
            directory.metrics(_share(run.metrics, number, len(tasks)))
            directory.status("running", epoch=run.epoch)

    def stopped(self, state: str, tasks: list[Task]) -> None:
        """Say of tasks that are being trained how that ended; the ensemble's checkpoint has what they go on from."""
        for task in tasks:
            if task.name in self._open:
                found = status(self._folder / task.name)
                self._open[task.name].status(state, epoch=found.get("epoch", 0))


def _train(tasks: list[Task], path: Path, threads: int, own: OwnDirectories) -> None:
    callbacks = [functools.partial(own.show, list(tasks))]
    if not status(path):
        options = tasks[0].options | {"engine": "torch", "per_run": _constants(tasks)}
        train(_ensemble(tasks), path, threads=threads, progress=False, callbacks=callbacks, **options)
    else:
        epochs = tasks[0].experiment.epochs
        resume(path, epochs=epochs, threads=threads, progress=False, callbacks=callbacks)


def _ensemble(tasks: list[Task]) -> Experiment:
    return tasks[0].experiment.replace(seeds=[task.experiment.seeds[0] for task in tasks])


def _constants(tasks: list[Task]) -> dict[str, list]:
    return {name: [getattr(task.experiment, name) for task in tasks] for name in PER_RUN}


def _settings(settings: dict, tasks: list[Task]) -> dict:
    """An ensemble's settings, for some of its tasks."""
    return settings | {"options": settings["options"] | {"per_run": _constants(tasks)}}


def _divide(path: Path, tasks: list[Task], own: OwnDirectories, states: dict[int, str]) -> None:
    """Give runs of an ensemble that have ended all that they would have alone."""
    with RunDirectory.existing(path) as ensemble:
        settings, end = ensemble.settings, checkpoint.latest(path) or Checkpoint(build(_ensemble(tasks)))
    for run, state in states.items():
        part = _part(end, [run], tasks[run].experiment)
        part.seconds, part.metrics = end.seconds / len(tasks), _share(end.metrics, run, len(tasks))
        alone = own.of(tasks[run], settings)
        alone.metrics(part.metrics)
        saved = checkpoint.save(alone.place, part, settings["dtype"]).name
        alone.status(state, epoch=max(end.epoch, 0), presentation=end.shown, checkpoint=saved)


def _share(rows: list[dict], run: int, runs: int) -> list[dict]:
    """The rows of one run, alone, with its share of the seconds that an ensemble of so many took."""
    return [row | {"run": 0, "seconds": round(row["seconds"] / runs, 3)} for row in rows if row["run"] == run]


def _go_on_without(run: int, path: Path, tasks: list[Task], folder: Path) -> None:
    """Take a run out of the list of tasks; the others go on from the last checkpoint in a directory of their own."""
    with RunDirectory.existing(path) as ensemble:
        settings, last = ensemble.settings, checkpoint.latest(path)
    del tasks[run]
    if not tasks or last is None:
        return
    others = [i for i in range(len(tasks) + 1) if i != run]
    with RunDirectory(directory(tasks, folder), _ensemble(tasks), _settings(settings, tasks)) as rest:
        checkpoint.save(rest.place, _part(last, others, _ensemble(tasks)), settings["dtype"])
        rest.place.publish(_TASKS, jsonfile.text({"tasks": [task.name for task in tasks]}))


def _part(whole: Checkpoint, runs: list[int], e: Experiment) -> Checkpoint:
    """Some runs of a checkpoint, numbered from 0."""
    if whole.network is None:
        raise FileError(f"{whole.name}: a checkpoint of an ensemble without a network; start the sweep anew")
    rows = [row | {"run": runs.index(row["run"])} for row in whole.metrics if row["run"] in runs]
    return Checkpoint(select(whole.network, runs, e), whole.epoch, whole.shown, whole.seconds, rows)
