"""NumPy's .npz files with x_train, y_train, x_test and y_test, as Keras' mnist.npz has them.

It is a zip file of .npy files. Nothing is unpickled, and nothing is allocated beyond what its entries really hold.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from ghostnet.data.datasets import Dataset, assemble
from ghostnet.data.opening import opened
from ghostnet.errors import DataError

KEYS = ("x_train", "y_train", "x_test", "y_test")
MAX_BYTES = 1 << 32  # of each array, decompressed: CIFAR-10 in float64 takes 1.2 · 2^30
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read(path: Path, max_bytes: int = MAX_BYTES) -> Dataset:
    """The data set in a file.

    Args:
        max_bytes: of the largest array accepted.

    Raises:
        DataError: the file can't be read, is no .npz file or a damaged one, lacks an array, or has one of objects or
            beyond max_bytes; what `assemble` refuses.
    """
    with opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                parts = [_array(archive, key, max_bytes) for key in KEYS]
        except (NotImplementedError, RuntimeError) as error:  # a compression that zipfile lacks; encrypted
            raise DataError(f"can't be unpacked ({error}); write it with numpy.savez") from error
    return assemble(str(path), parts, [f"{path}: {key}" for key in KEYS])


def _array(archive: zipfile.ZipFile, key: str, max_bytes: int) -> np.ndarray:
    """One array, after a look at what its header declares."""
    try:
        entry = archive.getinfo(f"{key}.npy")
    except KeyError:
        there = ", ".join(name.removesuffix(".npy") for name in archive.namelist()[:8]) or "nothing"
        raise DataError(f"holds no {key}, but {there}; expected {', '.join(KEYS)}") from None
    if entry.file_size > max_bytes:
        raise DataError(f"{key}: of {entry.file_size} bytes, expected {max_bytes} at most; take fewer examples")
    with archive.open(entry) as stream:
        _require_possible(stream, key, entry.file_size)
    with archive.open(entry) as stream:
        array = npy.read_array(stream, allow_pickle=False)
        stream.read(1)  # to the end, where the CRC is checked
    return array


def _require_possible(stream: IO[bytes], key: str, size: int) -> None:
    """Raise DataError where a header declares objects, or more or fewer values than follow it."""
    version = npy.read_magic(stream)
    if version not in _HEADERS:
        raise DataError(f"{key}: .npy of version {version}; write it with numpy.savez")
    shape, _, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise DataError(f"{key}: holds Python objects, and nothing is unpickled; save integers, floats or text")
    declared = stream.tell() + math.prod(shape) * dtype.itemsize
    if declared != size:
        raise DataError(f"{key}: declares {declared} bytes, holds {size}; get the file again")
