"""Training: epochs of presentations in a seeded order, evaluated after each. The only loop that knows about epochs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ghostnet import data
from ghostnet.config import Experiment
from ghostnet.errors import ConfigError, DivergenceError
from ghostnet.evaluation import evaluate
from ghostnet.gradient_monitor import gradient_columns, warn_unsettled
from ghostnet.network import Network, Stream, build, generator
from ghostnet.progress import Progress
from ghostnet.simulator import Simulator, available_cpus
from ghostnet.store import RunDirectory

_CHUNK_SECONDS = 0.3  # a signal is answered between chunks
_CHUNK_BYTES = 1 << 25


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
    engine: str = "cpu",
    dtype: str | None = None,
    threads: int | None = None,
    progress: bool = True,
    gradcheck_every: int = 0,
) -> Training:
    """Train every seed of an experiment, side by side.

    Args:
        out: a new run directory; None keeps everything in memory.
        engine, dtype, threads: see `Simulator`.
        gradcheck_every: add the columns of `gradient_monitor.gradient_columns` to the metrics, with figures at every
            so many epochs; 0: no such columns.

    Raises:
        ConfigError: the experiment does not fit the data, or `out` is in use.
        DataError: the data can't be read. FileError: `out` can't be written.
        DivergenceError: an activity became non-finite or exploded; the metrics until then are kept.
    """
    if gradcheck_every < 0:
        raise ConfigError(f"gradcheck_every = {gradcheck_every}: expected a number of epochs, or 0 for never")
    threads = threads or available_cpus()
    dataset = _fitting_data(experiment)
    simulator = Simulator(build(experiment), engine, dtype, threads)
    settings = {"engine": engine, "dtype": simulator.dtype.name, "threads": threads}
    directory = RunDirectory(out, experiment, settings) if out is not None else None
    bar = Progress(experiment.epochs * (experiment.train_examples // experiment.batch), progress)
    rows: list[dict] = []
    state, epoch, seconds, warned = "failed", 0, 0.0, False
    try:
        for epoch in range(experiment.epochs + 1):
            if epoch:
                seconds += _epoch(simulator, dataset, epoch, bar)
            rows += _evaluation(simulator, dataset, epoch, seconds, threads, gradcheck_every)
            warned = warned or (engine != "equilibrium" and warn_unsettled(simulator.network, dataset, simulator.dtype))
            bar.line(_summary(rows[-len(experiment.seeds) :]))
            if directory:
                directory.metrics(rows)
                directory.status("running", epoch=epoch)
        state = "complete"
    except DivergenceError as error:
        state = "diverged"
        raise DivergenceError(f"epoch {epoch}: {error}") from error
    except KeyboardInterrupt:
        state = "stopped"
        raise
    finally:
        bar.close()
        if directory:
            directory.status(state, epoch=epoch)
    return Training(simulator.network, rows)


def _fitting_data(e: Experiment) -> data.Dataset:
    dataset = data.load(e.data)
    for field, index, wanted, what in (
        ("sizes", 0, dataset.pixels, "inputs"),
        ("sizes", -1, dataset.classes, "outputs"),
    ):
        if getattr(e, field)[index] != wanted:
            raise ConfigError(f"{field} = {e.sizes}: {e.data} needs {wanted} {what}")
    if e.train_examples > len(dataset.train_images):
        raise ConfigError(f"train_examples = {e.train_examples}: {e.data} has {len(dataset.train_images)}")
    return dataset


def presentation_order(e: Experiment, epoch: int) -> np.ndarray:
    """Indices of the examples shown in an epoch, (presentations, runs, batch); a last partial batch is left out."""
    count = e.train_examples // e.batch
    orders = [generator(seed, Stream.ORDER, epoch).permutation(e.train_examples) for seed in e.seeds]
    return np.stack([order[: count * e.batch].reshape(count, e.batch) for order in orders], axis=1)


def _epoch(simulator: Simulator, dataset: data.Dataset, epoch: int, bar: Progress) -> float:
    """Present every training example once; returns the seconds it took."""
    e = simulator.experiment
    order = presentation_order(e, epoch)
    start = time.perf_counter()
    bar.describe("compiling" if simulator.presentations == 0 else f"epoch {epoch}/{e.epochs}")
    for chunk in _chunks(order):
        images = data.scale(dataset.train_images[chunk], simulator.dtype)
        simulator.run(images, data.one_hot(dataset.train_labels[chunk], dataset.classes, simulator.dtype))
        bar.describe(f"epoch {epoch}/{e.epochs}")
        bar.advance(len(chunk))
    return time.perf_counter() - start


def _chunks(order: np.ndarray) -> Iterator[np.ndarray]:
    """Pieces of about _CHUNK_SECONDS, from the measured speed. Results do not depend on where the cuts are."""
    most = max(1, _CHUNK_BYTES // (order[0].size * 784 * 4))
    size, position = 1, 0
    while position < len(order):
        start = time.perf_counter()
        yield order[position : position + size]
        position += size
        speed = size / (time.perf_counter() - start)
        size = int(np.clip(speed * _CHUNK_SECONDS, 1, min(most, 4 * size)))


def _evaluation(
    simulator: Simulator, dataset: data.Dataset, epoch: int, seconds: float, threads: int, gradcheck_every: int
) -> list[dict]:
    e, network = simulator.experiment, simulator.network
    weights, count = network.weights, e.train_examples
    gradients = [{}] * network.runs
    if gradcheck_every:
        gradients = gradient_columns(network, dataset, epoch, gradcheck_every, simulator.dtype)
    parts = {
        "train": (dataset.train_images[:count], dataset.train_labels[:count]),
        "test": (dataset.test_images, dataset.test_labels),
    }
    scores = {name: evaluate(weights, *part, e.transfer, simulator.dtype, threads) for name, part in parts.items()}
    return [
        {"run": run, "seed": seed, "epoch": epoch}
        | {f"{name}_accuracy": round(float(score.accuracy[run]), 6) for name, score in scores.items()}
        | {f"{name}_mse": float(f"{score.mse[run]:.6g}") for name, score in scores.items()}
        | {"seconds": round(seconds, 3)}
        | gradients[run]
        for run, seed in enumerate(e.seeds)
    ]


def _summary(rows: list[dict]) -> str:
    """One line for an epoch: means over the runs."""
    mean = {key: np.mean([row[key] for row in rows]) for key in ("train_accuracy", "test_accuracy", "test_mse")}
    return (
        f"epoch {rows[0]['epoch']:3d}   train {mean['train_accuracy']:7.2%}   test {mean['test_accuracy']:7.2%}   "
        f"test mse {mean['test_mse']:.5f}   {rows[0]['seconds']:.1f} s" + f"   (mean of {len(rows)})" * (len(rows) > 1)
    )
