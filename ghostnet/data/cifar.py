"""CIFAR-10 and CIFAR-100, binary version (A. Krizhevsky, "Learning multiple layers of features from tiny images").

A file is records of the same length: the label, one byte (CIFAR-10), or the coarse and the fine label, a byte each
(CIFAR-100; the fine one is taken); then 32 × 32 pixels of red, of green and of blue, row by row.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ghostnet.data.datasets import Dataset, assemble
from ghostnet.data.opening import MAX_BYTES, opened, read_up_to
from ghostnet.errors import DataError

_PIXELS = 3 * 32 * 32
_KINDS = (("data_batch_*.bin", "test_batch.bin", 1), ("train.bin", "test.bin", 2))  # files, bytes of a label


def holds(folder: Path) -> bool:
    """Whether a directory has files of either kind."""
    return _kind(folder) is not None


def read(folder: Path) -> Dataset:
    """The data set in a directory; the batches of CIFAR-10 are those that are there, in the order of their numbers.

    Raises:
        DataError: a file is missing, can't be read, or is no such file.
    """
    kind = _kind(folder)
    if kind is None:
        raise DataError(f"{folder}: holds no files of CIFAR-10 or CIFAR-100; expected their binary version")
    pattern, test, label = kind
    train = sorted(folder.glob(pattern), key=lambda path: (len(path.name), path.name))
    if not train or not os.path.isfile(folder / test):
        raise DataError(f"{folder}: holds no {test if train else pattern}; expected {pattern} and {test}")
    parts = [*_records(train, label), *_records([folder / test], label)]
    return assemble(str(folder), parts, [folder / pattern] * 2 + [folder / test] * 2)


def _kind(folder: Path) -> tuple[str, str, int] | None:
    """The first kind that has a file there."""
    for kind in _KINDS:
        if any(folder.glob(kind[0])) or (folder / kind[1]).exists():
            return kind
    return None


def _records(paths: Sequence[Path], label: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 3072) and labels (n,) of some files."""
    length, found = label + _PIXELS, []
    for path in paths:
        with opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            if not 0 < size <= MAX_BYTES or size % length:
                raise DataError(f"{size} bytes: expected records of {length}, {MAX_BYTES} bytes at most; get it again")
            content = read_up_to(file, size)
            if len(content) < size:
                raise DataError("became shorter while it was read; read it again")
        found.append(np.frombuffer(content, np.uint8).reshape(-1, length))
    records = np.concatenate(found)
    return records[:, label:], records[:, label - 1]
