"""How far a sweep is, from the run directories alone: wherever its tasks run."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ghostnet.errors import FileError
from ghostnet.host.progress import Progress
from ghostnet.sweep.cost import Rates, kind, work
from ghostnet.sweep.plan import Task
from ghostnet.sweep.task import Outcome, finished, status


class SweepProgress:
    """Context with a bar over the seconds that all tasks take, a line for each that ends, and the time left.

    What a task takes follows from its work, and from what finished tasks of its kind have taken: so the time left is
    right where large and small ones are mixed, and engines.

    Args:
        folder: where the run directories are. places: other directories that say how far a task is, by its name.
    """

    def __init__(self, tasks: list[Task], folder: Path, places: dict[str, Path], shown: bool):
        self._folder, self._count, self._rates = folder, len(tasks), Rates()
        self._loads = {task.name: (kind(task), work(task)) for task in tasks}
        self._left = {task.name: task for task in tasks}
        self._places = {task.name: [folder / task.name, *filter(None, [places.get(task.name)])] for task in tasks}
        self._shares = dict.fromkeys(self._left, 0.0)
        self._see()
        self._before = dict(self._shares)
        self._bar = Progress(1, 0, shown, unit=None)
        self._show()

    def __enter__(self) -> SweepProgress:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def look(self) -> None:
        """See how far the tasks are."""
        self._see()
        self._show()

    def ended(self, outcome: Outcome) -> None:
        """A task came to its end: of one that has failed, nothing is left to do."""
        if outcome.status != "complete":
            for kept in (self._left, self._loads):
                kept.pop(outcome.name, None)
        self._bar.line(f"{outcome.name}: {outcome.status}" + (f" ({outcome.text})" if outcome.text else ""))

    def seconds(self) -> tuple[float, float, float]:
        """Of one core: what all tasks take, what was done when this began, and what is done now."""
        costs = {name: self._rates.rate(what) * load for name, (what, load) in self._loads.items()}
        before, now = (sum(costs[name] * shares[name] for name in costs) for shares in (self._before, self._shares))
        return sum(costs.values()), before, now

    def _show(self) -> None:
        self._bar.describe(f"{self._count - len(self._left)} of {self._count} tasks")
        self._bar.revise(*self.seconds())

    def _see(self) -> None:
        """Look at the tasks that are left, and learn from those that are finished by now."""
        for task in list(self._left.values()):
            if finished(task, self._folder):
                self._shares[task.name] = 1.0
                self._rates.learn_from(task, self._folder)
                del self._left[task.name]
            else:
                shares = (share_done(task, path) for path in self._places[task.name])
                self._shares[task.name] = max(self._shares[task.name], *shares)


def share_done(task: Task, path: Path) -> float:
    """The share of a task's presentations that is done, as its last checkpoint says; 0 where that can't be read."""
    found = {}
    with contextlib.suppress(FileError):
        found = status(path)
    epoch, shown = (n if isinstance(n := found.get(name), int) else 0 for name in ("epoch", "presentation"))
    each = task.experiment.presentations_per_epoch
    done = (epoch * each + shown) / max(1, task.experiment.epochs * each)
    return min(1.0, max(0.0, done))
