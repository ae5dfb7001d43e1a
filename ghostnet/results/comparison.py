"""Runs beside each other, whatever trained them: one table and one picture from their metrics.csv."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ghostnet.errors import FileError
from ghostnet.files.figures import publish_figure
from ghostnet.results.report import aligned, percent
from ghostnet.runs import metrics, store


@dataclass(frozen=True)
class Curves:
    """What metrics.csv of one run says.

    epoch (evaluations,). columns: name → (evaluations, runs), nan where a value is missing.
    """

    name: str
    epoch: np.ndarray
    columns: dict[str, np.ndarray]

    def mean(self, column: str) -> np.ndarray:
        """Over the runs, per evaluation."""
        return self.columns[column].mean(1)

    @property
    def angle(self) -> np.ndarray | None:
        """Mean angle to backprop over hidden layers and runs, in degrees, per evaluation; None where not measured."""
        angles = [values for name, values in self.columns.items() if name.startswith("angle_")]
        return np.mean(angles, axis=(0, 2)) if angles else None


def read(paths: Iterable[Path]) -> list[Curves]:
    """The curves of run directories; an evaluation counts once every run of the directory has it.

    Args:
        paths: of runs, or of directories of runs, such as a sweep's, which stand for all in them that have metrics.

    Raises:
        FileError: one that has no readable metrics.csv.
    """
    return [_read(run) for path in map(Path, paths) for run in _within(path) or [path]]


def _within(path: Path) -> list[Path]:
    """The run directories in a directory; hidden ones are of work in progress."""
    return sorted(found.parent for found in path.glob(f"*/{store.METRICS}") if not found.parent.name.startswith("."))


def _read(path: Path) -> Curves:
    try:
        rows = metrics.read(path / store.METRICS)
    except FileError as error:
        raise FileError(f"{path}: no comparable run ({error})") from error
    runs = len({row["run"] for row in rows})
    whole = rows[: len(rows) // max(1, runs) * runs]
    if not whole:
        raise FileError(
            f"{path}: no comparable run (no row in {store.METRICS} yet); give one past its first evaluation"
        )
    names = [name for name in rows[0] if name not in metrics.PLACE]
    values = {name: [math.nan if row[name] is None else row[name] for row in whole] for name in names}
    columns = {name: np.array(values[name], float).reshape(-1, runs) for name in names}
    return Curves(path.name, np.array([row["epoch"] for row in whole[::runs]]), columns)


def table(runs: list[Curves]) -> str:
    """Accuracies in percent (mean ± standard deviation over seeds), time and angle to backprop of each run."""
    heading = ["run", "seeds", "epochs", "train", "test", "best test", "s/epoch", "angle to BP"]
    return aligned([heading, *(_row(run) for run in runs)])


def _row(run: Curves) -> list[str]:
    test, epochs = run.columns["test_accuracy"], int(run.epoch[-1])
    seconds = run.mean("seconds")
    speed = f"{(seconds[-1] - seconds[0]) / (epochs - run.epoch[0]):.2f}" if epochs > run.epoch[0] else ""
    angle = "" if run.angle is None else f"{run.angle[-1]:.1f}°"
    accuracies = [
        percent(run.columns["train_accuracy"][-1]),
        percent(test[-1]),
        percent(test[run.mean("test_accuracy").argmax()]),
    ]
    return [run.name, str(test.shape[1]), str(epochs), *accuracies, speed, angle]


def publish_picture(runs: list[Curves], path: Path) -> None:
    """Test accuracy over epochs and over training time, and the angle to backprop: `path`.png, .pdf and .json."""
    import matplotlib.pyplot as plt

    from ghostnet.results import plots

    plt.style.use(plots.STYLE)
    figure, axes = plt.subplots(1, 3, figsize=(9.0, 2.8))
    for index, run in enumerate(runs):
        plots.progress(run.name, run.epoch, run.mean("seconds"), run.mean("test_accuracy"), run.angle, index, axes)
    axes[0].legend()
    publish_figure(figure, path, runs=[run.name for run in runs], table=table(runs).splitlines())
    plt.close(figure)
