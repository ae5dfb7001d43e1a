"""What a network says of images: its feedforward graph, which the free phase settles to (Theorem 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ghostnet.data import scale
from ghostnet.data.datasets import as_images
from ghostnet.model.equations import feedforward, transfer
from ghostnet.model.inputs import rates

if TYPE_CHECKING:
    from ghostnet.model.network import Network

_BLOCK = 1000  # examples at a time, so that memory does not grow with their number


def output_rates(network: Network, x: ArrayLike) -> np.ndarray:
    """See `Network.outputs`."""
    found: np.ndarray = transfer(output_activities(network, x), network.experiment.transfer)
    return found


def output_activities(network: Network, x: ArrayLike) -> np.ndarray:
    """u_N, (runs, n, n_N); x: see `Network.outputs`."""
    e, W = network.experiment, network.weights.W
    images = as_images(x, "x")
    images = images.reshape(len(images), -1)
    found = np.empty((network.runs, len(images), e.sizes[-1]))
    for start in range(0, len(images), _BLOCK):
        some = slice(start, start + _BLOCK)
        shown = rates("x", scale(images[some], "float64"), e, 0, ("examples", e.sizes[0]))
        found[:, some] = feedforward(W, shown[None], e.transfer)[-1]
    return found
