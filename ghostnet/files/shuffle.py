"""HDF5's shuffle filter: the first bytes of all values, then the second ones, …, as alike bytes pack better.

A plane at a time: NumPy's own transposition of bytes takes three times as long.
"""

from __future__ import annotations

import numpy as np


def shuffled(values: np.ndarray) -> np.ndarray:
    """The bytes of a contiguous array, planes after each other, (itemsize, n)."""
    single = values.reshape(-1, 1).view(np.uint8)
    planes = np.empty((single.shape[1], len(single)), np.uint8)
    for place, plane in enumerate(planes):
        plane[:] = single[:, place]
    return planes


def unshuffled(content: bytes, itemsize: int) -> np.ndarray:
    """The bytes of the values, (n, itemsize), from those of their planes."""
    planes = np.frombuffer(content, np.uint8).reshape(itemsize, -1)
    single = np.empty(planes.shape[::-1], np.uint8)
    for place, plane in enumerate(planes):
        single[:, place] = plane
    return single
