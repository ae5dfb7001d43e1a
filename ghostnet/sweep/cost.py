"""What tasks cost: multiplications by arithmetic, and what one takes as tasks of the same kind have shown."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import defaultdict
from pathlib import Path

from ghostnet import data
from ghostnet.data import Dataset
from ghostnet.errors import FileError, GhostnetError
from ghostnet.host.quiet import quiet
from ghostnet.model.experiment import Experiment
from ghostnet.runs import metrics, store
from ghostnet.sweep.plan import Task
from ghostnet.sweep.task import begin

Kind = tuple[str, str]  # engine and model, or "baseline", method and architecture

_BASELINE = 3  # passes of a baseline: forward, backward, and the update
_EQUILIBRIUM_STEPS = 10  # what the equilibrium engine's sweeps cost, in Euler steps
# Seconds a multiplication takes, on one core of some years' age: only their ratios count where some are known.
_USUAL = {"cpu": 1e-10, "equilibrium": 1e-10, "torch": 5e-10, "reference": 1e-8, "baseline": 1e-10}
_TRIAL = 0.5  # seconds of training that tell the cost
_SCORED = 100  # test examples that a trial scores


def kind(task: Task) -> Kind:
    """Tasks of one kind take about the same time for a multiplication."""
    if task.baseline:
        return "baseline", f"{task.baseline.method} {task.baseline.architecture}"
    return task.options.get("engine", "cpu"), task.experiment.model


def work(task: Task) -> int:
    """About how many multiplications a task takes."""
    e = task.experiment
    if task.baseline:
        each = _BASELINE * e.batch * _forward(task.baseline.architecture, e.sizes)
    else:
        each = _presentation(e, task.options.get("engine"))
    return e.epochs * e.presentations_per_epoch * each


@functools.lru_cache
def _forward(architecture: str, sizes: tuple[int, ...]) -> int:
    """Multiplications of an example's forward pass; of images, as torch counts them, without computing any."""
    if architecture == "mlp":
        return sum(below * above for below, above in itertools.pairwise(sizes))
    import torch  # seconds, of which a sweep of ghost networks has no need
    from torch.utils.flop_counter import FlopCounterMode

    from ghostnet.baselines import architectures

    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        architectures.of_rows(architecture, sizes).eval()(torch.zeros(1, sizes[0]))
    return counter.get_total_flops() // 2


def _presentation(e: Experiment, engine: str | None) -> int:
    steps = _EQUILIBRIUM_STEPS if engine == "equilibrium" else sum(e.steps)
    hidden = zip(e.sizes[1:-1], e.sizes[2:], e.ghosts, strict=True)
    lateral = sum(units * (2 * above + 3 * ghosts) for units, above, ghosts in hidden)
    return e.batch * (2 * e.sizes[0] * e.sizes[1] + steps * lateral)


class Rates:
    """Seconds that a multiplication takes, for each kind of task, from tasks that have been trained."""

    def __init__(self) -> None:
        self._seconds: defaultdict[Kind, float] = defaultdict(float)
        self._work: defaultdict[Kind, float] = defaultdict(float)

    def learn(self, task: Task, seconds: float) -> None:
        """So long a task took."""
        self._seconds[kind(task)] += seconds
        self._work[kind(task)] += work(task)

    def learn_from(self, task: Task, folder: Path) -> None:
        """What a finished task took; nothing where its metrics can't be read."""
        try:
            rows = metrics.read(folder / task.name / store.METRICS)
        except FileError:
            return
        if rows:
            self.learn(task, rows[-1]["seconds"])

    def known(self, task: Task) -> bool:
        """Whether tasks of this kind have been trained."""
        return self._work[kind(task)] > 0

    def seconds(self, task: Task) -> float:
        """About what a task takes of one core. Of a kind that isn't known: as the known ones are to what is usual."""
        return work(task) * self.rate(kind(task))

    def rate(self, what: Kind) -> float:
        """About what a multiplication takes, in seconds."""
        if self._work[what]:
            return self._seconds[what] / self._work[what]
        usual = sum(_USUAL[engine] * count for (engine, _), count in self._work.items())
        return _USUAL[what[0]] * (sum(self._seconds.values()) / usual if usual else 1)


def try_out(task: Task, rates: Rates) -> None:
    """Train the first examples of a task for half a second on one thread, in memory, for what it tells of the cost.

    Nothing is learned where a task can't be trained here.
    """
    e, options = task.experiment, {n: v for n, v in task.options.items() if not n.startswith("gradcheck")}
    most = e.train_examples or e.batch

    def trained(count: int) -> tuple[Task, float]:
        part = dataclasses.replace(task, experiment=e.replace(epochs=1, train_examples=count), options=options)
        return part, begin(part, None, 1, given=few).metrics[-1]["seconds"]

    try:
        few, count = _few_to_test(data.load(e.data)), e.batch
        with quiet("ghostnet"):
            trained(count)  # compiles
            part, seconds = trained(count)
            while seconds < _TRIAL and count < most:
                count = min(most, count * int(min(16, max(2, 1.5 * _TRIAL / max(seconds, 1e-3)))))
                part, seconds = trained(count)
        rates.learn(part, seconds)
    except GhostnetError:
        return


def _few_to_test(whole: Dataset) -> Dataset:
    images, labels = whole.test_images[:_SCORED], whole.test_labels[:_SCORED]
    return dataclasses.replace(whole, test_images=images, test_labels=labels)
