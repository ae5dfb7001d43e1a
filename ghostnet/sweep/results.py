"""A sweep's run directories as one dataset, and as a table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ghostnet.results import report
from ghostnet.runs import metrics, store
from ghostnet.sweep.execution import FILE
from ghostnet.sweep.plan import Task, read
from ghostnet.sweep.task import state

if TYPE_CHECKING:
    import xarray as xr

_ALWAYS = ("train_accuracy", "test_accuracy", "train_mse", "test_mse", "seconds")  # that any run has


def load_sweep(folder: str | os.PathLike) -> xr.Dataset:
    """All metrics of a sweep, whole or in progress.

    Returns:
        Every other column of metrics.csv as a variable over the sweep's dimensions (`experiment` for its list, the
        names of its grid, `seed`) and `epoch`; nan where there is no such row, and throughout for runs that diverged.
        Coordinate `status` over all dimensions but epoch: complete, diverged, running, stopped, failed, "not run",
        "unreadable", or "" where the sweep has no such task; coordinate `directory`: the run's name.

    Raises:
        FileError: it is no directory of a sweep, or a file of it can't be read. ConfigError: a damaged sweep.toml.

    Examples:
        >>> np.savez("few.npz", x_train=np.eye(4), y_train=[0, 1, 0, 1], x_test=np.eye(4), y_test=[0, 1, 0, 1])
        >>> settings = {"preset": "mb-100-tf", "sizes": [4, 3, 2], "data": "few.npz", "epochs": 1}
        >>> sweep = gn.sweep.Sweep(settings | {"engine": "reference"}, grid={"beta": [0.1, 0.2]})
        >>> _ = gn.sweep.run(sweep, "sweep", workers=1, progress=False)
        >>> gn.load_sweep("sweep").test_accuracy.dims
        ('beta', 'seed', 'epoch')
    """
    import xarray as xr

    folder = Path(folder)
    tasks = read(folder / FILE).tasks
    labels = {name: list(dict.fromkeys(task.at[name] for task in tasks)) for name in tasks[0].at}
    shape = tuple(map(len, labels.values()))
    states, names = np.full(shape, "", object), np.full(shape, "", object)
    found = []
    for task in tasks:
        at = tuple(labels[name].index(label) for name, label in task.at.items())
        states[at], names[at] = state(folder / task.name) or "not run", task.name
        found += [(at, row) for row in _rows(folder, task)] if states[at] != "diverged" else []
    columns = dict.fromkeys([*_ALWAYS, *(name for _, row in found for name in row if name not in metrics.PLACE)])
    epochs = np.array(sorted({row["epoch"] for _, row in found}), np.int64)
    values = {name: np.full((*shape, len(epochs)), np.nan) for name in columns}
    for at, row in found:
        for name in row.keys() - metrics.PLACE:
            values[name][*at, np.searchsorted(epochs, row["epoch"])] = np.nan if row[name] is None else row[name]
    dims = (*labels, "epoch")
    coordinates = {"status": (dims[:-1], states.astype(str)), "directory": (dims[:-1], names.astype(str))}
    variables = {name: (dims, array) for name, array in values.items()}
    return xr.Dataset(variables, labels | {"epoch": epochs} | coordinates)


def _rows(folder: Path, task: Task) -> list[dict]:
    path = folder / task.name / store.METRICS
    return metrics.read(path) if path.exists() else []


def table(folder: str | os.PathLike) -> str:
    """A line for every experiment of a sweep: its runs by status, and accuracies of the complete ones in percent."""
    results = load_sweep(folder)
    cells = [name for name in results.status.dims if name != "seed"]
    rows = [[*cells, "runs", "epochs", "train %", "test %"]]
    for place in np.ndindex(*(results.sizes[name] for name in cells)):
        cell = results.isel(dict(zip(cells, place, strict=True)))
        states = [state for state in cell.status.values.tolist() if state]
        if not states:
            continue
        done = complete(cell)
        places = [str(cell[name].item()) for name in cells]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        rows.append([*places, counts, *_accuracies(done)])
    return report.aligned(rows)


def complete(cell: xr.Dataset) -> xr.Dataset:
    """The complete runs of one experiment, a dataset over seed and epoch."""
    return cell.isel(seed=np.flatnonzero(cell.status.values == "complete"))


def _accuracies(done: xr.Dataset) -> list[str]:
    """The last epoch of complete runs, and mean ± standard deviation of their accuracies there."""
    known = done.dropna("epoch", subset=["test_accuracy"])
    if not known.sizes["seed"] or not known.sizes["epoch"]:
        return ["", "", ""]
    last = known.isel(epoch=-1)
    return [
        str(last.epoch.item()),
        *(report.percent(last[f"{part}_accuracy"].values.tolist()) for part in ("train", "test")),
    ]
