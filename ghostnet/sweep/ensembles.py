"""Tasks of equal shape as one ensemble on the torch engine, every run with its own seed, β, dt, η and η^g.

When an ensemble has ended, every task has the run directory that it would have had alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from threadpoolctl import threadpool_limits

from ghostnet.engines import PER_RUN
from ghostnet.errors import DivergenceError, FileError, GhostnetError
from ghostnet.model.experiment import Experiment
from ghostnet.model.models import RATES
from ghostnet.model.network import build, select
from ghostnet.runs import checkpoint
from ghostnet.runs.checkpoint import Checkpoint
from ghostnet.runs.resuming import resume
from ghostnet.runs.store import RunDirectory
from ghostnet.runs.training import train
from ghostnet.sweep.plan import Task
from ghostnet.sweep.task import Outcome, ended_by, status


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
    return list(map(tuple, groups.values()))


def directory(tasks: Sequence[Task], folder: Path) -> Path:
    """Where an ensemble is while it is trained."""
    names = "\n".join(task.name for task in tasks)
    return folder / f".ensemble-{hashlib.sha256(names.encode()).hexdigest()[:12]}"


def perform_together(tasks: Sequence[Task], folder: Path, threads: int) -> list[Outcome]:
    """Bring an ensemble to its end, from its last checkpoint if there is one. A run that diverges is left behind."""
    left, outcomes = list(tasks), []
    try:
        with threadpool_limits(threads):
            while left:
                path = directory(left, folder)
                try:
                    _train(left, path, threads)
                except DivergenceError as error:
                    if error.divergence is None:
                        raise
                    run = error.divergence.run
                    outcomes.append(Outcome(left[run].name, "diverged", str(error), error.exit_code))
                    _divide(path, left, folder, {run: "diverged"})
                    _go_on_without(run, path, left, folder)
                else:
                    _divide(path, left, folder, dict.fromkeys(range(len(left)), "complete"))
                    outcomes += [Outcome(task.name, "complete") for task in left]
                    left = []
                shutil.rmtree(path)
    except GhostnetError as error:
        outcomes += [ended_by(error, task.name) for task in left]
    return outcomes


def _train(tasks: list[Task], path: Path, threads: int) -> None:
    state = status(path).get("status")
    if state is None:
        options = tasks[0].options | {"engine": "torch", "per_run": _constants(tasks)}
        train(_ensemble(tasks), path, threads=threads, progress=False, **options)
    elif state != "complete":
        resume(path, threads=threads, progress=False)


def _ensemble(tasks: list[Task]) -> Experiment:
    return tasks[0].experiment.replace(seeds=[task.experiment.seeds[0] for task in tasks])


def _constants(tasks: list[Task]) -> dict[str, list]:
    return {name: [getattr(task.experiment, name) for task in tasks] for name in PER_RUN}


def _settings(settings: dict, tasks: list[Task]) -> dict:
    """An ensemble's settings, for some of its tasks."""
    return settings | {"options": settings["options"] | {"per_run": _constants(tasks)}}


def _divide(path: Path, tasks: list[Task], folder: Path, states: dict[int, str]) -> None:
    """Give runs of an ensemble directories of their own."""
    with RunDirectory.existing(path) as ensemble:
        settings, end = ensemble.settings, checkpoint.latest(path) or Checkpoint(build(_ensemble(tasks)))
    for run, state in states.items():
        e = tasks[run].experiment
        with RunDirectory(folder / tasks[run].name, e, _settings(settings, [tasks[run]])) as alone:
            part = _share(_part(end, [run], e), len(tasks))
            alone.metrics(part.metrics)
            saved = checkpoint.save(alone.place, part, settings["dtype"]).name
            alone.status(state, epoch=max(end.epoch, 0), presentation=end.shown, checkpoint=saved)


def _share(part: Checkpoint, runs: int) -> Checkpoint:
    """One run's share of the seconds that an ensemble of so many took."""
    rows = [row | {"seconds": round(row["seconds"] / runs, 3)} for row in part.metrics]
    return dataclasses.replace(part, seconds=part.seconds / runs, metrics=rows)


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


def _part(whole: Checkpoint, runs: list[int], e: Experiment) -> Checkpoint:
    """Some runs of a checkpoint, numbered from 0."""
    if whole.network is None:
        raise FileError(f"{whole.name}: a checkpoint of an ensemble without a network; start the sweep anew")
    rows = [row | {"run": runs.index(row["run"])} for row in whole.metrics if row["run"] in runs]
    return Checkpoint(select(whole.network, runs, e), whole.epoch, whole.shown, whole.seconds, rows)
