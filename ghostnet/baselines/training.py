"""Training a baseline as `ghostnet.train` trains ghost units: same data, order, evaluation and run directory."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ghostnet.baselines import measures, privacy
from ghostnet.baselines.learner import Learner
from ghostnet.baselines.rates import learning_rates
from ghostnet.data import Dataset
from ghostnet.engines.evaluation import score_columns, scored_parts, warn_at_chance
from ghostnet.engines.tensors import Images, own_precision
from ghostnet.errors import ConfigError, DivergenceError, FileError
from ghostnet.files import toml
from ghostnet.host.interruption import Interruption
from ghostnet.host.progress import Progress
from ghostnet.model.baseline import Baseline, BaselineRun, baseline_from_mapping
from ghostnet.model.experiment import Experiment
from ghostnet.model.network import Network, build
from ghostnet.model.order import presentation_order
from ghostnet.runs import checkpoint, store
from ghostnet.runs.checkpoint import Checkpoint
from ghostnet.runs.data import fitting_data, same_data
from ghostnet.runs.settings import settings_of
from ghostnet.runs.store import RunDirectory
from ghostnet.runs.training import Training, ending, epoch_line

_MEASURED = 1000  # examples, the first of the training set, whose gradient is compared with backprop's


@own_precision()
def train(
    method: str,
    experiment: Experiment,
    out: str | os.PathLike | None = None,
    *,
    data: Dataset | None = None,
    dtype: str = "float32",
    threads: int = 1,
    progress: bool = True,
    **settings,
) -> Training:
    """Train an MLP of the experiment's sizes by a method, every seed side by side.

    Args:
        method: see `ghostnet.baselines.METHODS`; lower case will do.
        experiment: a preset, or `ghostnet.baselines.mlp(sizes, …)`.
        out: a new run directory; None keeps everything in memory.
        data: what to learn from, as `ghostnet.dataset` makes it; None: what `experiment.data` names.
        dtype: "float32" or "float64". threads: torch's; more than one change roundings.
        settings: fields of `Baseline`, such as learning_rate and loss.

    Returns:
        the network (with the trained W, and FA's B where the method has one of that shape) and the rows of metrics.csv:
        `ghostnet.train`'s columns, then angle_k, alignment_k of hidden layers and, with noise or clip, epsilon.

    Raises:
        ConfigError: impossible settings, an experiment that does not fit the data, or `out` is in use.
        DataError: the data can't be read. FileError: `out` can't be written.
        DivergenceError: a weight became non-finite; the metrics until then are kept.
        Stopped: SIGINT, SIGTERM or SIGHUP came and `out` is given; `resume` goes on after the last finished epoch.
    """
    baseline = _baseline(method, dtype, threads, settings)
    experiment, dataset = fitting_data(experiment, data)
    if baseline.learning_rate is None:  # config.toml says what was used
        baseline = dataclasses.replace(baseline, learning_rate=learning_rates(experiment, baseline))
    privacy.epsilon(experiment, baseline.noise, baseline.delta, 1)  # a missing accountant is no news after training
    learner = Learner(experiment, baseline, dtype)
    how = {"engine": f"baseline {baseline.method}", "dtype": dtype, "threads": threads, "data_sha256": dataset.sha256}
    directory = RunDirectory(out, BaselineRun(experiment, baseline), how) if out is not None else None
    with _threads(threads):
        return _Run(learner, Images(dataset), directory, progress).until_the_end(Checkpoint(_network(learner)))


@own_precision()
def resume(out: str | os.PathLike, *, data: Dataset | None = None, progress: bool = True) -> Training:
    """Go on with a run that was stopped or killed, after the epoch of its newest readable checkpoint.

    On the same machine with the same versions, all that follows is what it would have been without the interruption,
    bit for bit; only the seconds differ.

    Args:
        data: the data set again, where the run began with arrays (`ghostnet.dataset`).

    Raises:
        FileError: `out` is no run directory of a baseline, or can't be read or written.
        ConfigError: config.toml isn't what its checkpoint was made with, or provenance.json says what can't be.
        InUse: another process is at work on it. DataError: the data are not those that the run began with.
        And what `train` raises.
    """
    with RunDirectory.existing(out, BaselineRun.from_mapping) as directory:
        e, baseline = directory.experiment.experiment, directory.experiment.baseline
        dtype, threads = settings_of(directory, "dtype", "threads")
        learner = Learner(e, baseline, dtype)
        start = _restored(learner, directory.path, directory.experiment, dtype)
        run = _Run(learner, Images(same_data(e, directory, data)), directory, progress)
        with _threads(threads):
            return run.until_the_end(start or Checkpoint(_network(learner)))


def load(run: str | os.PathLike, dtype: str = "float64") -> Learner:
    """The learner of a baseline's run directory, as its newest readable checkpoint has it.

    Raises:
        FileError: there is none. ConfigError: it is no run of a baseline.
    """
    path = Path(run)
    about = BaselineRun.from_mapping(toml.read(path / store.CONFIG))
    learner = Learner(about.experiment, about.baseline, dtype)
    if _restored(learner, path, about) is None:
        raise FileError(f"{run}: no readable checkpoint; give a run that `ghostnet baseline` has taken past epoch 0")
    return learner


def _restored(learner: Learner, run: Path, made: BaselineRun, dtype: str | None = None) -> Checkpoint | None:
    """The newest readable checkpoint of a run, put into its learner; None where there is none."""

    def fits(found: Checkpoint) -> None:
        learner.require_fit(found.extra)

    found = checkpoint.latest(run, made, dtype, fits)
    if found:
        learner.restore(found.network.weights.W, found.extra)
    return found


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """torch with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _baseline(method: str, dtype: str, threads: int, settings: dict) -> Baseline:
    if dtype not in ("float32", "float64"):
        raise ConfigError(f"dtype = {dtype!r}: expected float32 or float64")
    if threads < 1:
        raise ConfigError(f"threads = {threads}: expected at least 1")
    return baseline_from_mapping({"method": method} | settings)


class _Run:
    """One run on its way: `position` says how far it is.

    Every draw of an epoch comes from streams that begin with it, so a checkpoint between epochs holds all there is.
    """

    def __init__(self, learner: Learner, images: Images, directory: RunDirectory | None, progress: bool):
        self.learner, self.images, self.directory, self.progress = learner, images, directory, progress
        self.interruption = Interruption(listen=directory is not None)
        self.checkpoint: str | None = None  # the last that was saved

    def until_the_end(self, start: Checkpoint) -> Training:
        """From `start` to the last epoch; the directory says how it ended."""
        e, self.position = self.learner.experiment, start
        steps = e.presentations_per_epoch
        self.bar = Progress(e.epochs * steps, max(start.epoch, 0) * steps, self.progress)
        with contextlib.closing(self.bar), self.interruption, ending(self.directory, self._status):
            for epoch in range(start.epoch + 1, e.epochs + 1):
                if epoch:
                    self._learn(epoch)
                self._evaluate(epoch)
        warn_at_chance(self.position.metrics, scored_parts(self.images.train, self.images.test, e.train_examples))
        return Training(_network(self.learner), self.position.metrics)

    def _learn(self, epoch: int) -> None:
        """One pass over the examples."""
        learner, e, start = self.learner, self.learner.experiment, time.perf_counter()
        learner.begin(epoch)
        self.bar.describe(f"epoch {epoch}/{e.epochs}")
        for shown, present in _batches(learner, epoch):
            learner.step(*self.images.batch(shown, learner.dtype), present)
            self.bar.advance(1)
            self.interruption.obey()
        self.position.seconds += time.perf_counter() - start
        for run, seed in enumerate(e.seeds):
            if not all(bool(W[run].isfinite().all()) for W in learner.W[1:]):
                smaller = " ".join(f"{rate / 4:g}" for rate in learning_rates(e, learner.baseline))
                text = f"epoch {epoch}: seed {seed} diverged: a weight is not finite; try learning_rate = {smaller}"
                raise DivergenceError(text)

    def _evaluate(self, epoch: int) -> None:
        """The end of an epoch: its rows of metrics.csv, and a checkpoint."""
        position, learner = self.position, self.learner
        rows = _evaluation(learner, self.images, epoch, position.seconds)
        position.metrics += rows
        position.epoch = epoch
        self.bar.line(epoch_line(rows))
        if self.directory:
            self.directory.metrics(position.metrics)
            position.network, position.extra = _network(learner), learner.state()
            position.configuration = self.directory.experiment
            dtype = str(learner.dtype).removeprefix("torch.")
            self.checkpoint = checkpoint.save(self.directory.place, position, dtype).name
            self._status("running")
        self.interruption.obey()

    def _status(self, state: str) -> None:
        self.directory.status(state, epoch=max(self.position.epoch, 0), checkpoint=self.checkpoint)


def _batches(learner: Learner, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
    """Indices (runs, batch) of the epoch's batches, and which of them count: None for all of them."""
    if learner.baseline.clip is None:
        for shown in torch.from_numpy(presentation_order(learner.experiment, epoch)):
            yield shown, None
        return
    shown, present = privacy.poisson_batches(learner.experiment, epoch)
    yield from zip(torch.from_numpy(shown), torch.from_numpy(present).to(learner.dtype), strict=True)


def _evaluation(learner: Learner, images: Images, epoch: int, seconds: float) -> list[dict]:
    e, b = learner.experiment, learner.baseline
    parts = scored_parts(images.train, images.test, e.train_examples)
    scores = {name: measures.score(learner, *part) for name, part in parts.items()}
    x, y = images.batch(torch.arange(min(e.train_examples, _MEASURED)), learner.dtype)
    extra = measures.angles(learner, x, y) | measures.alignments(learner)
    spent = {} if b.clip is None else {"epsilon": privacy.epsilon(e, b.noise, b.delta, epoch)}
    return [
        {"run": run, "seed": seed, "epoch": epoch}
        | score_columns(scores, run)
        | {"seconds": round(seconds, 3)}
        | {name: round(values[run], 6) for name, values in extra.items()}
        | spent
        for run, seed in enumerate(e.seeds)
    ]


def _network(learner: Learner) -> Network:
    """The trained network as the ghost units' code knows networks."""
    e, own = learner.experiment, learner.baseline.transfer
    network = build(
        e if own is None else e.replace(transfer=own, cost="quadratic")
    )  # a baseline has no use for the cost
    network.method = learner.baseline.method

    def arrays(tensors: list) -> list:
        return [None, *(tensor.numpy().astype(np.float64) for tensor in tensors[1:])]

    network.weights = network.weights._replace(W=arrays(learner.W))
    if learner.baseline.method in ("FA", "SSFA"):
        network.weights = network.weights._replace(B=arrays(learner.B))
    return network
