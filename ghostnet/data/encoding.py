"""Pixels and labels as what is shown to a network: activities of its inputs, targets of its outputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ghostnet.errors import DataError


def scale(images: np.ndarray, dtype: DTypeLike) -> np.ndarray:
    """Images as activities, for one batch at a time: pixels / 255, correctly rounded in `dtype`; floats as they are.

    images (..., n_0): uint8 or floats. Returns (..., n_0) of `dtype`, a floating type.
    Raises DataError for images of another type.
    """
    images = np.asarray(images)
    if images.dtype == np.uint8:  # a division, because x * (1 / 255) rounds twice and ends one ulp off for many x
        return np.divide(images, 255, dtype=dtype)
    if images.dtype.kind != "f":
        raise DataError(f"scale: expected uint8 pixels or floats, got {images.dtype}; pass images as `load` has them")
    return images.astype(dtype)


def one_hot(labels: ArrayLike, classes: int, dtype: DTypeLike) -> np.ndarray:
    """Labels as target activities: 1 in the place of the class, 0 elsewhere.

    labels (...): integers in [0, classes). Returns (..., classes) of `dtype`.
    Raises DataError for a label that isn't such an integer.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or np.any((labels < 0) | (labels >= classes)):
        raise DataError(f"one_hot: expected integer labels from 0 to {classes - 1}; check the output layer's size")
    return (labels[..., None] == np.arange(classes)).astype(dtype)
