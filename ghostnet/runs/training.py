"""Training: epochs of presentations in a seeded order, evaluated after each. The only loop that knows about epochs."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ghostnet.data import Dataset
from ghostnet.engines.evaluation import score_columns, scored_parts, warn_at_chance
from ghostnet.errors import ConfigError, DivergenceError, Stopped
from ghostnet.gradients.monitor import gradient_columns, warn_unsettled
from ghostnet.host.interruption import Interruption
from ghostnet.host.progress import Progress
from ghostnet.model.experiment import MOST, Experiment, integer
from ghostnet.model.network import Network, build
from ghostnet.model.order import presentation_order
from ghostnet.model.recorder import Recorder
from ghostnet.runs import checkpoint, traces
from ghostnet.runs.checkpoint import Checkpoint
from ghostnet.runs.data import fitting_data, same_data
from ghostnet.runs.settings import own_laws, require_same_laws, settings_of
from ghostnet.runs.store import RunDirectory
from ghostnet.simulator import Simulator

_CHUNK_SECONDS = 0.3  # a signal is answered between chunks
_CHECKPOINT_SECONDS = 300.0  # between checkpoints within an epoch; there is one after every epoch


@dataclass(frozen=True)
class Training:
    """What a training run leaves.

    network: as trained. metrics: one dict per run and evaluation, as in metrics.csv; accuracies are fractions,
    MSE is the mean of (y - ρ(u_N))² over examples and outputs, seconds are those of training, evaluation excluded.
    """

    network: Network
    metrics: list[dict]


def train(
    experiment: Experiment,
    out: str | os.PathLike | None = None,
    *,
    data: Dataset | None = None,
    engine: str = "cpu",
    dtype: str | None = None,
    threads: int | None = None,
    progress: bool = True,
    record: Recorder | None = None,
    gradcheck_every: int = 0,
    gradcheck_examples: int = 50,
    **options,
) -> Training:
    """Train every seed of an experiment, side by side.

    Args:
        out: a new run directory; None keeps everything in memory.
        data: what to learn from, as `ghostnet.dataset` makes it; None: what `experiment.data` names.
        engine, dtype, threads, options: see `Simulator`.
        record: what to record as traces in the run directory.
        gradcheck_every: add the columns of `gradients.monitor.gradient_columns` to the metrics, with figures at every
            so many epochs; 0: no such columns. gradcheck_examples: over so many examples.

    Raises:
        ConfigError: the experiment does not fit the data, or `out` is in use.
        DataError: the data can't be read. FileError: `out` can't be written.
        DivergenceError: an activity became non-finite or exploded; the metrics until then are kept.
        Stopped: SIGINT, SIGTERM or SIGHUP came and `out` is given; `resume` goes on from there.
    """
    _require_possible(experiment, out, record, gradcheck_every, gradcheck_examples, options)
    experiment, dataset = fitting_data(experiment, data)
    simulator = Simulator(build(experiment), engine, dtype, threads, **options)
    settings = {name: simulator.settings[name] for name in ("engine", "dtype", "threads")} | {"options": options}
    settings["data_sha256"] = dataset.sha256
    gradchecks = {"gradcheck_every": gradcheck_every, "gradcheck_examples": gradcheck_examples}
    settings["laws"] = own_laws(experiment)
    directory = RunDirectory(out, experiment, settings | gradchecks) if out is not None else None
    run = _Run(simulator, dataset, directory, progress, record, **gradchecks)
    return run.until_the_end(Checkpoint(simulator.network))


def _require_possible(
    experiment: Experiment,
    out: str | os.PathLike | None,
    record: Recorder | None,
    gradcheck_every: int,
    gradcheck_examples: int,
    options: dict,
) -> None:
    if record is not None and not isinstance(record, Recorder):
        raise ConfigError(f"record is a {type(record).__name__}: expected a Recorder")
    if record is not None and out is None:
        raise ConfigError("record: expected `out` too, a run directory for the traces")
    integer("gradcheck_every", gradcheck_every, 0, MOST)  # epochs; 0: never
    integer("gradcheck_examples", gradcheck_examples, 1, MOST)
    if len(set(experiment.seeds)) < len(experiment.seeds) and "per_run" not in options:
        raise ConfigError(f"seeds = {experiment.seeds}: a seed twice gives the same network twice")


def resume(
    out: str | os.PathLike,
    *,
    data: Dataset | None = None,
    threads: int | None = None,
    progress: bool = True,
    record: Recorder | None = None,
) -> Training:
    """Go on with a run that was stopped or killed, from its newest readable checkpoint. For a baseline's, take
    `ghostnet.baselines.resume`.

    On the same machine with the same versions, all that follows is what it would have been without the interruption,
    bit for bit, on any number of threads; only the seconds differ.

    Args:
        data: the data set again, where the run began with arrays (`ghostnet.dataset`).
        threads, progress, record: see `train`.

    Raises:
        FileError: `out` is no run directory, or can't be read or written.
        ConfigError: config.toml isn't what its checkpoint was made with, provenance.json says what can't be, or a law
            of one's own has changed.
        InUse: another process is at work on it. DataError: the data are not those that the run began with.
        And what `train` raises.
    """
    with RunDirectory.existing(out) as directory:
        e = directory.experiment
        engine, dtype, options = settings_of(directory, "engine", "dtype", "options")
        gradchecks = settings_of(directory, "gradcheck_every", "gradcheck_examples")
        start = checkpoint.latest(directory.path, e, dtype) or Checkpoint(build(e))
        require_same_laws(e, directory.settings.get("laws", {}))
        simulator = Simulator(start.network, engine, dtype, threads, **options)
        run = _Run(simulator, same_data(e, directory, data), directory, progress, record, *gradchecks)
        return run.until_the_end(start)


@dataclass
class _Run:
    """One run on its way: `position` says how far it is."""

    simulator: Simulator
    dataset: Dataset
    directory: RunDirectory | None
    progress: bool
    record: Recorder | None
    gradcheck_every: int
    gradcheck_examples: int

    def __post_init__(self):
        e = self.experiment = self.simulator.experiment
        total = e.epochs * e.presentations_per_epoch
        self.bar = Progress(total, self.simulator.presentations, self.progress)
        self.interruption = Interruption(listen=self.directory is not None)
        self.checkpoint: str | None = None  # the last that was saved
        self.warned = False

    def until_the_end(self, start: Checkpoint) -> Training:
        """From `start` to the last epoch; the directory says how it ended."""
        self.position, self.saved = start, time.monotonic()
        with contextlib.closing(self.bar), self.interruption, ending(self.directory, self._status):
            try:
                with self._recording():
                    for epoch in range(start.epoch + 1, self.experiment.epochs + 1):
                        if epoch:
                            self._present(epoch)
                        self._evaluate(epoch)
            except DivergenceError as error:
                error.args = (f"epoch {self.position.epoch + 1}: {error}{self._flight_record(error)}",)
                raise
        labels = [self.dataset.train_labels], [self.dataset.test_labels]
        warn_at_chance(self.position.metrics, scored_parts(*labels, self.experiment.train_examples))
        return Training(self.simulator.network, self.position.metrics)

    def _recording(self) -> contextlib.AbstractContextManager:
        if self.record is None:
            return contextlib.nullcontext()
        return traces.recording(self.simulator, self.record, self.directory.place)

    def _flight_record(self, error: DivergenceError) -> str:
        if self.directory is None:
            return ""
        return traces.flight_record(self.simulator, self.dataset, error, self.directory.place)

    def _present(self, epoch: int) -> None:
        """What is left of an epoch's presentations."""
        position, simulator = self.position, self.simulator
        what, compiling = f"epoch {epoch}/{self.experiment.epochs}", True
        for chunk in _chunks(presentation_order(self.experiment, epoch)[position.shown :]):
            self.bar.describe("compiling" if compiling else what)
            start = time.perf_counter()
            self.interruption.at_once(compiling)
            simulator.run_examples(self.dataset, chunk)
            self.interruption.at_once(False)
            compiling = False
            position.seconds += time.perf_counter() - start
            position.shown += len(chunk)
            self.bar.advance(len(chunk))
            if self.interruption.requested or time.monotonic() - self.saved > _CHECKPOINT_SECONDS:
                self._save()
            self.interruption.obey()

    def _evaluate(self, epoch: int) -> None:
        """The end of an epoch: its rows of metrics.csv, and a checkpoint."""
        position = self.position
        rows = _evaluation(self.simulator, self.dataset, epoch, position.seconds)
        if self.gradcheck_every:
            how = self.gradcheck_every, self.gradcheck_examples
            gradients = gradient_columns(self.simulator, self.dataset, epoch, *how)
            rows = [row | columns for row, columns in zip(rows, gradients, strict=True)]
        self.warned = self.warned or warn_unsettled(self.simulator, self.dataset)
        position.metrics += rows
        position.epoch, position.shown = epoch, 0
        self.bar.line(epoch_line(rows))
        if self.directory:
            self.directory.metrics(position.metrics)
        self._save()
        self.interruption.obey()

    def _save(self) -> None:
        if self.directory:
            self.position.network = self.simulator.network
            self.checkpoint = checkpoint.save(self.directory.place, self.position, self.simulator.dtype).name
            self._status("running")
        self.saved = time.monotonic()

    def _status(self, state: str) -> None:
        epoch, shown = max(self.position.epoch, 0), self.position.shown
        self.directory.status(state, epoch=epoch, presentation=shown, checkpoint=self.checkpoint)


@contextlib.contextmanager
def ending(directory: RunDirectory | None, status: Callable[[str], None]) -> Iterator[None]:
    """Context that tells `status` how its body ended, and then lets others into the directory, if there is one."""
    state = "failed"
    try:
        yield
        state = "complete"
    except DivergenceError:
        state = "diverged"
        raise
    except Stopped as error:
        state = "stopped"
        raise Stopped(f"{error}; go on with: ghostnet resume {directory.path}") from None
    except KeyboardInterrupt:
        state = "stopped"
        raise
    finally:
        if directory:
            with directory:
                status(state)


def _chunks(order: np.ndarray) -> Iterator[np.ndarray]:
    """Pieces of about _CHUNK_SECONDS, from the measured speed. Results do not depend on where the cuts are."""
    size, position = 1, 0
    while position < len(order):
        start = time.perf_counter()
        yield order[position : position + size]
        position += size
        speed = size / (time.perf_counter() - start)
        size = int(np.clip(speed * _CHUNK_SECONDS, 1, 4 * size))


def _evaluation(simulator: Simulator, dataset: Dataset, epoch: int, seconds: float) -> list[dict]:
    scores = simulator.evaluate(dataset)
    return [
        {"run": run, "seed": seed, "epoch": epoch} | score_columns(scores, run) | {"seconds": round(seconds, 3)}
        for run, seed in enumerate(simulator.experiment.seeds)
    ]


def epoch_line(rows: list[dict]) -> str:
    """One line for an epoch: means over the runs."""
    mean = {key: np.mean([row[key] for row in rows]) for key in ("train_accuracy", "test_accuracy", "test_mse")}
    return (
        f"epoch {rows[0]['epoch']:3d}   train {mean['train_accuracy']:7.2%}   test {mean['test_accuracy']:7.2%}   "
        f"test mse {mean['test_mse']:.5f}   {rows[0]['seconds']:.1f} s" + f"   (mean of {len(rows)})" * (len(rows) > 1)
    )
