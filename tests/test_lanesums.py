"""Sums of the lanes of several vectors at once, for every length of vector, whatever this processor has."""

from __future__ import annotations

import numpy as np
import pytest

from ghostnet.engines.cpu.lanesums import additions, sources


def alone(vector):
    while len(vector) > 1:
        low, high = np.split(vector, 2)
        vector = low + high
    return vector[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("vector_bytes", [16, 32, 64])
def test_each_lane_is_the_sum_of_one_vector_in_the_order_that_it_has_alone(vector_bytes, dtype):
    size = np.dtype(dtype).itemsize
    lanes = vector_bytes // size
    vectors = np.random.default_rng(0).normal(size=(lanes, lanes)).astype(dtype)
    slots = [None] * lanes
    for lane, slot in enumerate(sources(lanes, size)):
        slots[slot] = vectors[lane]
    for low, high in additions(lanes, size):
        both = [np.concatenate(pair) for pair in zip(slots[::2], slots[1::2], strict=True)]
        slots = [pair[low] + pair[high] for pair in both]
    assert slots[0].tolist() == [alone(vector) for vector in vectors]
