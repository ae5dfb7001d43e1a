"""Traces of a training run: what it was told to record, and the last steps before a divergence."""

from __future__ import annotations

import functools
import logging
from contextlib import AbstractContextManager

from ghostnet import data
from ghostnet.errors import DivergenceError, FileError
from ghostnet.files.publishing import Place
from ghostnet.model.experiment import Experiment
from ghostnet.model.order import presentation_order
from ghostnet.model.recorder import Recorder, Shown
from ghostnet.runs import store
from ghostnet.simulator import Simulator

log = logging.getLogger("ghostnet")


def shown(e: Experiment) -> Shown:
    """The epoch and the examples of a presentation."""
    of_epoch, count = functools.lru_cache(1)(functools.partial(presentation_order, e)), e.presentations_per_epoch
    return lambda presentation: (epoch := presentation // count + 1, of_epoch(epoch)[presentation % count])


def recording(simulator: Simulator, record: Recorder, run: Place) -> AbstractContextManager:
    """What is presented is recorded to traces/presentation-N.h5, N counting the presentations before."""
    path = run.folder(store.TRACES).path / f"presentation-{simulator.presentations}.h5"
    return simulator.recording(record, path, shown(simulator.experiment))


def flight_record(simulator: Simulator, dataset: data.Dataset, error: DivergenceError, run: Place) -> str:
    """Write traces/diverged.h5; returns where, for the error's text."""
    from ghostnet.runs import flight  # brings xarray and h5py

    try:
        folder = run.folder(store.TRACES)
    except FileError as failure:
        log.warning("the steps before the divergence are not recorded: %s", failure)
        return ""
    examples = shown(simulator.experiment)
    _, chosen = examples(simulator.presentations)
    x = data.scale(dataset.train_images[chosen], simulator.dtype)
    y = data.one_hot(dataset.train_labels[chosen], dataset.classes, simulator.dtype)
    return flight.write(simulator, x, y, error, folder.path / "diverged.h5", examples)
