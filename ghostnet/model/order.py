"""In which order the examples of an epoch are shown."""

from __future__ import annotations

import numpy as np

from ghostnet.model.experiment import Experiment
from ghostnet.model.network import Stream, generator


def presentation_order(e: Experiment, epoch: int) -> np.ndarray:
    """Indices of the examples shown in an epoch, (presentations, runs, batch); a last partial batch is left out."""
    count = e.presentations_per_epoch
    assert e.train_examples is not None  # else an epoch has no presentations
    orders = [generator(seed, Stream.ORDER, epoch).permutation(e.train_examples) for seed in e.seeds]
    return np.stack([order[: count * e.batch].reshape(count, e.batch) for order in orders], axis=1)
