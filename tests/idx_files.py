"""Small IDX files for the tests, and the one-line refusal that all of them share."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from ghostnet import data
from ghostnet.errors import DataError

FILES = data._FILES


def idx_bytes(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def small_parts():
    """Four arrays that fit together: 5 and 3 images of 2 × 3 pixels, labels up to 2 and up to 4."""
    images = np.arange(30, dtype=np.uint8).reshape(5, 2, 3)
    return [images, np.array([0, 1, 2, 0, 1], np.uint8), images[:3] + 100, np.array([4, 3, 0], np.uint8)]


def write_parts(folder, arrays, names=FILES):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(names, arrays, strict=True):
        content = idx_bytes(array)
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder


def refusal(function, *arguments, **options):
    """The text of the DataError a call has to raise, held to be a single line."""
    with pytest.raises(DataError) as caught:
        function(*arguments, **options)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text
