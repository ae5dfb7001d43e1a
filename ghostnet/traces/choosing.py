"""Which examples of a data set to record: by class, or those that a network gets wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ghostnet.errors import ConfigError
from ghostnet.model.network import Network


def of_classes(labels: np.ndarray, candidates: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Those of the candidates (indices into labels) that are of one of the classes."""
    return candidates[np.isin(labels[candidates], classes)]


def misclassified(network: Network, images: np.ndarray, labels: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Those of the candidates that the feedforward graph of any run gets wrong; images uint8 (n, n_0), labels (n,)."""
    wrong = network.predict(images[candidates]) != labels[candidates]
    return candidates[wrong.any(0)]


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
