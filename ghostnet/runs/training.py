"""`ghostnet.train`: ghost networks, from their initial weights or from those of another network."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Any

from ghostnet.data import Dataset
from ghostnet.errors import ConfigError
from ghostnet.model.checks import MOST
from ghostnet.model.experiment import Experiment
from ghostnet.model.network import Network, build
from ghostnet.model.recorder import Recorder
from ghostnet.model.typed import integer
from ghostnet.runs.checkpoint import Checkpoint
from ghostnet.runs.data import fitting_data
from ghostnet.runs.ghosts import Ghosts, sha256, started
from ghostnet.runs.loop import Run, Training, require_callbacks
from ghostnet.runs.settings import own_laws
from ghostnet.runs.store import RunDirectory
from ghostnet.simulator import Simulator


def train(
    experiment: Experiment,
    out: str | os.PathLike | None = None,
    *,
    data: Dataset | None = None,
    start: Network | None = None,
    engine: str = "cpu",
    dtype: str | None = None,
    threads: int | None = None,
    progress: bool = True,
    record: Recorder | None = None,
    gradcheck_every: int = 0,
    gradcheck_examples: int = 50,
    callbacks: Sequence[Callable[[Run], object]] = (),
    **options: Any,
) -> Training:
    """Train every seed of an experiment, side by side.

    Args:
        out: a new run directory; None keeps everything in memory.
        data: what to learn from, as `ghostnet.dataset` makes it; None: what `experiment.data` names.
        start: a network whose weights and activities to begin with, of as many runs as there are seeds; epoch 0
            evaluates it. None: `ghostnet.build(experiment)`.
        engine: see `Simulator`.
        dtype: see `Simulator`.
        threads: see `Simulator`.
        options: see `Simulator`.
        progress: show it, on standard error.
        record: what to record as traces in the run directory.
        gradcheck_every: add the columns of `gradients.monitor.gradient_columns` to the metrics, with figures at every
            so many epochs; 0: no such columns. gradcheck_examples: over so many examples.
        callbacks: each is called after each evaluation, in turn, with the `Run`, and may stop it: status "stopped",
            no error, and `resume` could go on. An exception of one ends the run as "failed", resumable too.

    Raises:
        ConfigError: the experiment does not fit the data, `start` not the experiment, or `out` is in use.
        DataError: the data can't be read. FileError: `out` can't be written.
        DivergenceError: an activity became non-finite or exploded; the metrics until then are kept.
        Stopped: SIGINT, SIGTERM or SIGHUP came and `out` is given; `resume` goes on from there.

    Examples:
        >>> training = gn.train(exp, "run", data=data, engine="reference", progress=False)
        >>> [row["epoch"] for row in training.metrics]
        [0, 1]
    """
    _require_possible(experiment, out, record, options)
    require_callbacks(callbacks)
    gradchecks = {
        "gradcheck_every": integer("gradcheck_every", gradcheck_every, 0, MOST),  # epochs; 0: never
        "gradcheck_examples": integer("gradcheck_examples", gradcheck_examples, 1, MOST),
    }
    experiment, dataset = fitting_data(experiment, data)
    network = build(experiment) if start is None else started(experiment, start)
    simulator = Simulator(network, engine, dtype, threads, **options)
    settings = {name: simulator.settings[name] for name in ("engine", "dtype", "threads")} | {"options": options}
    settings |= {"data_sha256": dataset.sha256, "laws": own_laws(experiment)} | gradchecks
    if start is not None:
        settings["start_sha256"] = sha256(network)
    with RunDirectory(out, experiment, settings) if out is not None else contextlib.nullcontext() as directory:
        place = None if directory is None else directory.place
        ghosts = Ghosts(simulator, dataset, place, record, **gradchecks)
        run = Run(ghosts, dataset, directory, Checkpoint(network), progress, callbacks)
        return run.until_the_end(keep_start=start is not None)


def _require_possible(e: Experiment, out: str | os.PathLike | None, record: Recorder | None, options: dict) -> None:
    if record is not None and not isinstance(record, Recorder):
        raise ConfigError(f"record is a {type(record).__name__}: expected a Recorder")
    if record is not None and out is None:
        raise ConfigError("record: expected `out` too, a run directory for the traces")
    if len(set(e.seeds)) < len(e.seeds) and "per_run" not in options:
        raise ConfigError(f"seeds = {e.seeds}: a seed twice gives the same network twice")
