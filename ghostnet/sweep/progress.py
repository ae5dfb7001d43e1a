"""How far a sweep is, from the run directories alone: wherever its tasks run."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ghostnet.errors import FileError
from ghostnet.host.progress import Progress
from ghostnet.model.experiment import Experiment
from ghostnet.sweep.plan import Task
from ghostnet.sweep.task import Outcome, state, status

_BASELINE = 3  # what a baseline's passes cost, in forward ones of the first layer
_EQUILIBRIUM_STEPS = 10  # what the equilibrium engine's sweeps cost, in Euler steps


class SweepProgress:
    """Context with a bar over the work of all tasks, a line for each that ends, and the time left.

    Tasks weigh what they cost, so that the time left is right where large and small ones are mixed.

    Args:
        folder: where the run directories are. places: other directories that say how far a task is, by its name.
    """

    def __init__(self, tasks: list[Task], folder: Path, places: dict[str, Path], shown: bool):
        self._left = {task.name: task for task in tasks}
        self._places = {task.name: [folder / task.name, *filter(None, [places.get(task.name)])] for task in tasks}
        self._total, self._tasks = sum(map(_work, tasks)), len(tasks)
        self._done = self._now()
        self._bar = Progress(self._total, self._done, shown, unit=None)
        self.look()

    def __enter__(self) -> SweepProgress:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def look(self) -> None:
        """See how far the tasks are."""
        done = self._now()
        self._bar.describe(f"{self._tasks - len(self._left)} of {self._tasks} tasks")
        self._bar.advance(max(0, done - self._done))
        self._done = max(done, self._done)

    def ended(self, outcome: Outcome) -> None:
        """A task came to its end."""
        self._left.pop(outcome.name, None)
        self._bar.line(f"{outcome.name}: {outcome.status}" + (f" ({outcome.text})" if outcome.text else ""))

    def _now(self) -> int:
        """The work done, forgetting the tasks that are complete."""
        left = 0
        for task in list(self._left.values()):
            places = self._places[task.name]
            if state(places[0]) == "complete":
                del self._left[task.name]
            else:
                left += round(_work(task) * (1 - max(_share(task, path) for path in places)))
        return self._total - left


def _share(task: Task, path: Path) -> float:
    """The share of a task's presentations that is done, as its last checkpoint says; 0 where that can't be read."""
    found = {}
    with contextlib.suppress(FileError):
        found = status(path)
    epoch, shown = (n if isinstance(n := found.get(name), int) else 0 for name in ("epoch", "presentation"))
    each = task.experiment.presentations_per_epoch
    done = (epoch * each + shown) / max(1, task.experiment.epochs * each)
    return min(1.0, max(0.0, done))


def _work(task: Task) -> int:
    """About how many multiplications a task takes."""
    e = task.experiment
    if task.baseline:
        return e.epochs * e.presentations_per_epoch * _BASELINE * e.batch * e.sizes[0] * e.sizes[1]
    return e.epochs * e.presentations_per_epoch * _presentation(e, task.options.get("engine"))


def _presentation(e: Experiment, engine: str | None) -> int:
    steps = _EQUILIBRIUM_STEPS if engine == "equilibrium" else sum(e.steps)
    hidden = zip(e.sizes[1:-1], e.sizes[2:], e.ghosts, strict=True)
    lateral = sum(units * (2 * above + 3 * ghosts) for units, above, ghosts in hidden)
    return e.batch * (2 * e.sizes[0] * e.sizes[1] + steps * lateral)
