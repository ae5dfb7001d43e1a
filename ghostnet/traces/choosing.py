"""Which examples of a data set to record: by class, or those that a network gets wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ghostnet.data import scale
from ghostnet.errors import ConfigError
from ghostnet.model.equations import feedforward
from ghostnet.model.network import Network

_BLOCK = 1000  # examples at a time


def of_classes(labels: np.ndarray, candidates: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Those of the candidates (indices into labels) that are of one of the classes."""
    return candidates[np.isin(labels[candidates], classes)]


def misclassified(network: Network, images: np.ndarray, labels: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Those of the candidates that the feedforward graph of any run gets wrong; images uint8 (n, n_0), labels (n,)."""
    wrong = np.zeros(len(candidates), bool)
    for start in range(0, len(candidates), _BLOCK):
        some = candidates[start : start + _BLOCK]
        x = scale(images[some], "float64")[None]
        answers = feedforward(network.weights.W, x, network.experiment.transfer)[-1].argmax(-1)
        wrong[start : start + _BLOCK] = (answers != labels[some]).any(0)
    return candidates[wrong]


def batches(chosen: np.ndarray, batch: int, cut: bool) -> np.ndarray:
    """Indices as (presentations, batch).

    Args:
        cut: leave out what fills no batch.

    Raises:
        ConfigError: they do not fill batches, or there are none.
    """
    over = len(chosen) % batch
    if (over and not cut) or len(chosen) < batch:
        raise ConfigError(f"examples: {len(chosen)} do not fill batches of {batch}; give a multiple")
    return chosen[: len(chosen) - over].reshape(-1, batch)
