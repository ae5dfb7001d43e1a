"""`ghostnet.baselines.train`: MLPs and convolutional networks through the ghost units' training loop."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

from ghostnet.baselines import accounting
from ghostnet.baselines.cnn import CNN
from ghostnet.baselines.mlps import MLP
from ghostnet.baselines.rates import learning_rates
from ghostnet.data import Dataset
from ghostnet.engines.tensors import own_precision, require_device
from ghostnet.errors import ConfigError
from ghostnet.model.baseline import Baseline, BaselineRun, baseline_from_mapping
from ghostnet.model.experiment import Experiment
from ghostnet.model.recorder import Recorder
from ghostnet.runs import checkpoint
from ghostnet.runs.checkpoint import Checkpoint
from ghostnet.runs.data import fitting_data
from ghostnet.runs.loop import Run, Training, require_callbacks
from ghostnet.runs.settings import own_laws, settings_of
from ghostnet.runs.store import RunDirectory


def train(
    method: str,
    experiment: Experiment,
    out: str | os.PathLike | None = None,
    *,
    data: Dataset | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    threads: int = 1,
    progress: bool = True,
    callbacks: Sequence[Callable[[Run], object]] = (),
    **settings: Any,
) -> Training:
    """Train a network of the experiment's sizes by a method, every seed side by side.

    Args:
        method: see `ghostnet.baselines.METHODS`; lower case will do.
        experiment: a preset, or `ghostnet.baselines.mlp(sizes, …)`.
        out: a new run directory; None keeps everything in memory.
        data: what to learn from, as `ghostnet.dataset` makes it; None: what `experiment.data` names.
        dtype: "float32" or "float64". threads: torch's; more than one change roundings.
        device: "cpu" or, for an MLP, "cuda".
        callbacks: see `ghostnet.train`.
        settings: fields of `Baseline`, such as learning_rate, loss and architecture.

    Returns:
        the network (with the trained W, and FA's B where the method has one of that shape; with biases and by CD, a
        torch module per seed, images to u_N) and the rows of metrics.csv: `ghostnet.train`'s columns, then the mean
        loss of an example on both parts; of hidden layers angle_k and alignment_k, in degrees
        (`ghostnet.baselines.measures`); of every layer norm_W_k and update_ratio_k, ‖ΔW_k‖ / ‖W_k‖ of the last update;
        with clip, epsilon, delta and noise. Of a convolutional architecture, the modules; alignment_k of FA and kin.

    Raises:
        ConfigError: impossible settings, an experiment that does not fit the data, or `out` is in use.
        DataError: the data can't be read. FileError: `out` can't be written.
        DivergenceError: a weight or a loss became non-finite; the metrics until then are kept.
        Stopped: SIGINT, SIGTERM or SIGHUP came and `out` is given; `ghostnet.resume` goes on from there.

    Examples:
        >>> training = gn.baselines.train("FA", exp, data=data, learning_rate=1.0, progress=False)
        >>> [row["epoch"] for row in training.metrics]
        [0, 1]
    """
    baseline = baseline_from_mapping({"method": method} | settings)
    _require_possible(baseline, dtype, device, threads)
    require_callbacks(callbacks)
    experiment, dataset = fitting_data(experiment, data)
    if baseline.learning_rate is None:  # config.toml says what was used
        baseline = dataclasses.replace(baseline, learning_rate=learning_rates(experiment, baseline))
    run = BaselineRun(experiment, baseline)
    noisy = accounting.with_noise(run)
    accounting.columns(experiment, noisy.baseline, experiment.epochs)  # that it can't be counted is no news at the end
    trainable = _trainable(noisy, dataset, dtype, threads, device)
    how = {"engine": f"baseline {baseline.method}", "dtype": dtype, "threads": threads, "options": {"device": device}}
    how |= {"data_sha256": dataset.sha256, "laws": own_laws(run)}
    how |= {"noise": noisy.baseline.noise} if noisy != run else {}
    with RunDirectory(out, run, how) if out is not None else contextlib.nullcontext() as directory:
        start = Checkpoint(*trainable.state()[:1])
        return Run(trainable, dataset, directory, start, progress, callbacks).until_the_end()


def restored(
    directory: RunDirectory, wanted: BaselineRun, dataset: Dataset, threads: int | None, record: Recorder | None
) -> tuple[MLP | CNN, Checkpoint]:
    """What a run directory's newest readable checkpoint has, ready to go on, and that checkpoint.

    Args:
        wanted: what the directory holds, perhaps with another number of epochs. threads: not taken.

    Raises:
        ConfigError: see `ghostnet.resume`; and there is something to record.
    """
    if record is not None:
        raise ConfigError("record: a baseline has no activities over time; leave it out")
    if wanted != directory.configuration and wanted.baseline.lr_schedule == "cosine":
        raise ConfigError("epochs: under lr_schedule = cosine all rates depend on their number; train anew with more")
    noise = _found_noise(directory, wanted)
    dtype, threads, options = settings_of(directory, "dtype", "threads", "options")
    device = options.get("device", "cpu")
    _require_possible(wanted.baseline, dtype, device, threads)
    trainable = _trainable(accounting.with_noise(wanted, noise), dataset, dtype, threads, device)
    found = checkpoint.latest(directory.path, directory.configuration, dtype, trainable.require_fit)
    if found:
        with own_precision():
            trainable.restore(found)
    return trainable, found or Checkpoint(*trainable.state()[:1])


def _found_noise(directory: RunDirectory, wanted: BaselineRun) -> float | None:
    """The noise that was found for a run's target_epsilon; None where it has none.

    Raises:
        ConfigError: `wanted` has another number of epochs, which would spend another ε.
    """
    target = wanted.baseline.target_epsilon
    if target is None:
        return None
    (noise,) = settings_of(directory, "noise")
    if wanted != directory.configuration:
        made = f"noise = {noise:.4g} was found for target_epsilon = {target:g} at another number"
        raise ConfigError(f"epochs = {wanted.experiment.epochs}: {made}; train anew with this one")
    return noise


@own_precision()
def _trainable(run: BaselineRun, dataset: Dataset, dtype: str, threads: int, device: str) -> MLP | CNN:
    if run.baseline.architecture == "mlp":
        return MLP(run, dataset, dtype, threads, device)
    return CNN(run, dataset, dtype, threads)


def _require_possible(b: Baseline, dtype: str, device: str, threads: int) -> None:
    if dtype not in ("float32", "float64"):
        raise ConfigError(f"dtype = {dtype!r}: expected float32 or float64")
    if threads < 1:
        raise ConfigError(f"threads = {threads}: expected at least 1")
    require_device(device)
    if device != "cpu" and b.architecture != "mlp":
        raise ConfigError(f"device = {device}: {b.architecture} trains on the CPU; leave it out")
