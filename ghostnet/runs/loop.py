"""The training loop: epochs in chunks, kept after each and evaluated, whatever it is that learns. The only one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ghostnet.data import Dataset
from ghostnet.engines.evaluation import Score, score_columns, scored_parts, warn_at_chance
from ghostnet.errors import ConfigError, DivergenceError, Stopped
from ghostnet.host.interruption import Interruption
from ghostnet.host.progress import Progress
from ghostnet.model.experiment import Experiment
from ghostnet.model.network import Network
from ghostnet.runs import checkpoint
from ghostnet.runs.checkpoint import Checkpoint
from ghostnet.runs.store import RunDirectory

_CHUNK_SECONDS = 0.3  # a signal is answered between chunks
_CHECKPOINT_SECONDS = 300.0  # between checkpoints within an epoch; there is one after every epoch


class Trainable(Protocol):
    """What the loop trains: every run of an experiment, side by side.

    Attributes:
        experiment: whose epochs, seeds and examples these are.
        compiles: whether its first presentation may take long, with nothing to lose.
    """

    experiment: Experiment
    compiles: bool

    @property
    def dtype(self) -> np.dtype | str:
        """Of its values in a checkpoint."""

    @property
    def network(self) -> Network | list:
        """What learns, as it is now, a copy where that is a Network."""

    def during(self) -> AbstractContextManager:
        """Context of all presentations and evaluations."""

    def present(self, epoch: int, start: int, stop: int) -> None:
        """The presentations [start, stop) of an epoch; those before were the last.

        Raises:
            DivergenceError: something became non-finite, or exploded.
        """

    def evaluate(self, epoch: int) -> tuple[dict[str, Score], list[dict]]:
        """Scores on {"train": …, "test": …}, and each run's further columns of metrics.csv."""

    def state(self) -> tuple[Network | None, dict[str, np.ndarray]]:
        """What the next presentation depends on, for a checkpoint: the network, if it is a Network, and arrays."""


@dataclass(frozen=True)
class Training:
    """What a training run leaves.

    Attributes:
        network: as trained; of a baseline that is convolutional, with biases or by CD, torch modules, one per seed.
        metrics: one dict per run and evaluation, as in metrics.csv; accuracies are fractions, MSE is the mean of
            (y - ρ(u_N))² over examples and outputs, seconds are those of training, evaluation excluded.
        stopped: why a callback ended it early, else None.

    Examples:
        >>> training = gn.train(exp, data=data, engine="reference", progress=False)
        >>> training.network.runs, training.stopped
        (1, None)
    """

    network: Network | list
    metrics: list[dict]
    stopped: str | None = None


class Run:
    """A training on its way, as callbacks meet it: evaluated, and its checkpoint written.

    Attributes:
        experiment: what is trained. path: the run directory, or None.
        trainable: what learns: `.simulator` of ghost networks, `.learner` of an MLP baseline, `.modules` of a
            convolutional one. It is the live one: what is presented to it trains it.

    Examples:
        >>> def enough(run):
        ...     if run.epoch == 1:
        ...         run.stop("seen enough")
        >>> gn.train(exp.replace(epochs=9), data=data, engine="reference", progress=False, callbacks=[enough]).stopped
        'seen enough'
    """

    def __init__(
        self,
        trainable: Trainable,
        dataset: Dataset,
        directory: RunDirectory | None,
        start: Checkpoint,
        progress: bool = True,
        callbacks: Iterable[Callable[[Run], object]] = (),
    ):
        self.experiment, self.trainable = trainable.experiment, trainable
        self.path: Path | None = directory.path if directory else None
        self._dataset = dataset
        self._directory = directory
        self._callbacks = tuple(callbacks)
        self._position, self._saved = start, time.monotonic()
        e, each = self.experiment, self.experiment.presentations_per_epoch
        self._bar = Progress(e.epochs * each, max(start.epoch, 0) * each + start.shown, progress)
        self._interruption = Interruption(listen=directory is not None)
        self._checkpoint: str | None = None  # the last that was saved
        self._reason: str | None = None

    @property
    def epoch(self) -> int:
        """The last that is finished, and evaluated where a callback asks; 0 is before training."""
        return self._position.epoch

    @property
    def metrics(self) -> list[dict]:
        """The rows of metrics.csv so far."""
        return list(self._position.metrics)

    @property
    def network(self) -> Network | list:
        """What learns, as it is now (see `Training`)."""
        return self.trainable.network

    def stop(self, reason: str = "a callback asked for it") -> None:
        """End the run after this evaluation, with status "stopped" and this reason: `ghostnet.resume` could go on."""
        self._reason = self._reason or str(reason)

    def until_the_end(self, keep_start: bool = False) -> Training:
        """Train to the last epoch; the directory says how it ended.

        Args:
            keep_start: begin with a checkpoint, of what can't be made anew.
        """
        e = self.experiment
        with contextlib.closing(self._bar), self._interruption, self._ending(), self.trainable.during():
            if keep_start:
                self._save()
            if self.epoch == e.epochs and self._position.metrics[-1]["epoch"] < self.epoch:  # it was to go on
                self._end(self.epoch)
            for epoch in range(self.epoch + 1, e.epochs + 1):
                if epoch:
                    self._present(epoch)
                self._end(epoch)
                if self._reason:
                    break
        labels = [self._dataset.train_labels], [self._dataset.test_labels]
        warn_at_chance(self.metrics, scored_parts(*labels, e.train_examples))
        return Training(self.network, self.metrics, self._reason)

    def _present(self, epoch: int) -> None:
        """What is left of an epoch, in chunks of about _CHUNK_SECONDS; where the cuts are changes no result."""
        position = self._position
        count = self.experiment.presentations_per_epoch
        size = 1
        preparing = self.trainable.compiles
        while position.shown < count:
            self._bar.describe("compiling" if preparing else f"epoch {epoch}/{self.experiment.epochs}")
            stop, before = min(position.shown + size, count), time.perf_counter()
            self._interruption.at_once(preparing)
            try:
                self.trainable.present(epoch, position.shown, stop)
            except DivergenceError as error:
                error.args = (f"epoch {epoch}: {error}",)
                raise
            self._interruption.at_once(False)
            seconds, preparing = time.perf_counter() - before, False
            shown, position.shown = stop - position.shown, stop
            position.seconds += seconds
            size = int(np.clip(shown / seconds * _CHUNK_SECONDS, 1, 4 * size))
            self._bar.advance(shown)
            if self._interruption.requested or time.monotonic() - self._saved > _CHECKPOINT_SECONDS:
                self._save()
            self._interruption.obey()

    def _end(self, epoch: int) -> None:
        """The end of an epoch: its rows of metrics.csv, if it is evaluated, a checkpoint, and whoever wants to know."""
        due = self.experiment.evaluates(epoch)
        if due:
            self._evaluate(epoch)
        self._position.epoch, self._position.shown = epoch, 0
        self._save()
        for callback in self._callbacks if due else ():
            callback(self)
        self._interruption.obey()

    def _evaluate(self, epoch: int) -> None:
        position = self._position
        scores, further = self.trainable.evaluate(epoch)
        rows = [
            {"run": run, "seed": seed, "epoch": epoch}
            | score_columns(scores, run)
            | {"seconds": round(position.seconds, 3)}
            | further[run]
            for run, seed in enumerate(self.experiment.seeds)
        ]
        position.metrics += rows
        self._bar.line(epoch_line(rows))
        if self._directory:
            self._directory.metrics(position.metrics)

    def _save(self) -> None:
        if self._directory:
            position = self._position
            position.network, position.extra = self.trainable.state()
            position.configuration = self._directory.configuration
            self._checkpoint = checkpoint.save(self._directory.place, position, self.trainable.dtype).name
            self._status("running")
        self._saved = time.monotonic()

    def _status(self, state: str) -> None:
        if self._directory:
            epoch, shown = max(self.epoch, 0), self._position.shown
            reason = {"reason": self._reason} if state == "stopped" and self._reason else {}
            self._directory.status(state, epoch=epoch, presentation=shown, checkpoint=self._checkpoint, **reason)

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        """Context whose end the directory tells of."""
        state = "failed"
        try:
            yield
            state = "stopped" if self._reason else "complete"
        except DivergenceError:
            state = "diverged"
            raise
        except Stopped as error:
            state = "stopped"
            raise Stopped(f"{error}; go on with: ghostnet resume {self.path}") from None
        except KeyboardInterrupt:
            state = "stopped"
            raise
        finally:
            self._status(state)


def require_callbacks(callbacks: object) -> None:
    """Raise ConfigError for what is no list of functions."""
    if not isinstance(callbacks, Sequence) or not all(map(callable, callbacks)):
        raise ConfigError("callbacks: expected a list of functions, each of which takes the run")


def epoch_line(rows: list[dict]) -> str:
    """One line for an epoch: means over the runs."""
    mean = {key: np.mean([row[key] for row in rows]) for key in ("train_accuracy", "test_accuracy", "test_mse")}
    return (
        f"epoch {rows[0]['epoch']:3d}   train {mean['train_accuracy']:7.2%}   test {mean['test_accuracy']:7.2%}   "
        f"test mse {mean['test_mse']:.5f}   {rows[0]['seconds']:.1f} s" + f"   (mean of {len(rows)})" * (len(rows) > 1)
    )
