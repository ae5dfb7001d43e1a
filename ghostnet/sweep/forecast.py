"""What a sweep would do, and about how long: said before anything is trained or written."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ghostnet.results import report
from ghostnet.sweep.cost import Rates, kind, try_out, work
from ghostnet.sweep.plan import Sweep, Task
from ghostnet.sweep.progress import share_done
from ghostnet.sweep.task import counted, finished, state


def core_seconds(tasks: list[Task], folder: Path) -> dict[str, float | None]:
    """About what is left of each task, in seconds of one core, evaluation excluded; None where nothing tells.

    Finished tasks tell of those of their kind; of others, the largest is tried out for a moment here.
    """
    rates = Rates()
    left = [task for task in tasks if not finished(task, folder)]
    for task in tasks:
        if finished(task, folder):
            rates.learn_from(task, folder)
    unknown = {kind(task): task for task in sorted(left, key=work) if not rates.known(task)}
    for largest in unknown.values():
        try_out(largest, rates)
    seconds: dict[str, float | None] = dict.fromkeys((task.name for task in tasks), 0.0)
    for task in left:
        rest = 1 - share_done(task, folder / task.name)
        seconds[task.name] = rates.seconds(task) * rest if rates.known(task) else None
    return seconds


def table(sweep: Sweep, out: str | os.PathLike, only: Sequence[str] = ("*",)) -> str:
    """A line for every experiment of a sweep, as it is in its directory by now, and the core hours left.

    Raises:
        ConfigError, DataError: see `run`.
    """
    folder, tasks = Path(out), counted(sweep.matching(only))
    seconds = core_seconds(tasks, folder)
    cells: dict[tuple, list[Task]] = {}
    for task in tasks:
        cells.setdefault(tuple((name, label) for name, label in task.at.items() if name != "seed"), []).append(task)
    rows = [[*(name for name in tasks[0].at if name != "seed"), "runs", "epochs", "core hours left"]]
    for place, members in cells.items():
        epochs = ", ".join(map(str, sorted({task.experiment.epochs for task in members})))
        rows.append([*(str(label) for _, label in place), _runs(members, folder), epochs, _hours(members, seconds)])
    done = sum(finished(task, folder) for task in tasks)
    total = f"{len(tasks)} tasks, {done} finished; core hours left: {_hours(tasks, seconds)}, evaluation excluded"
    return report.aligned(rows) + "\n\n" + total


def _runs(tasks: list[Task], folder: Path) -> str:
    """How many are in which state."""
    states = Counter(_state(task, folder) for task in tasks)
    return ", ".join(f"{count} {name}" for name, count in states.items())


def _state(task: Task, folder: Path) -> str:
    found = state(folder / task.name) or "not run"
    return "to lengthen" if found == "complete" and not finished(task, folder) else found


def _hours(tasks: list[Task], seconds: dict[str, float | None]) -> str:
    """The hours of these tasks together, in two digits."""
    known = [value for task in tasks if (value := seconds[task.name]) is not None]
    if not known:
        return "unknown"
    hours = sum(known) / 3600
    text = f"{hours:.0f}" if hours >= 10 else f"{hours:.2g}"
    return text if len(known) == len(tasks) else f"more than {text}"
