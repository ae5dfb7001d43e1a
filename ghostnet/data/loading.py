"""Data sets from wherever they are: by name, from a file or directory, or from arrays of the user's own."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from numpy.typing import ArrayLike

from ghostnet.data import cifar, idx, npz, published
from ghostnet.data.datasets import OWN, Dataset, array, assemble
from ghostnet.errors import DataError

_EXPECTED = "'mnist', 'fashion-mnist', a .npz file or a directory of IDX or CIFAR files"
_PARTS = ("x", "y", "x_test", "y_test")


def dataset(
    x: ArrayLike | str | os.PathLike,
    y: ArrayLike | None = None,
    x_test: ArrayLike | None = None,
    y_test: ArrayLike | None = None,
) -> Dataset:
    """A data set from arrays, ``dataset(x, y, x_test, y_test)``, or from where it lies, ``dataset("digits.npz")``.

    Args:
        x: images (n, …), which are flattened: uint8, pixels from 0 to 255, shown as 0 to 1; or floats, shown as they
            are, which have to be rates that the transfer function has (the sigmoid's: 0 to 1). NumPy arrays, torch
            tensors or lists; copied. Or, alone, what `ghostnet.data.load` takes.
        y: labels (n,), integers or text. Output c stands for the c-th of the sorted distinct labels in it.
        x_test: images to test on, likewise.
        y_test: their labels (n,).

    Raises:
        DataError: one line with the argument or file, for what can't be read, isn't such an array, or doesn't fit
            together, such as a label in y_test that y lacks.

    Examples:
        >>> data = gn.dataset(np.eye(3), ["a", "b", "a"], np.eye(3), ["b", "a", "b"])
        >>> data.labels, data.train_labels
        (('a', 'b'), array([0, 1, 0], dtype=uint8))
    """
    if isinstance(x, str | os.PathLike):
        if any(part is not None for part in (y, x_test, y_test)):
            raise DataError(f"dataset: {x} is a path, which comes alone; give four arrays, or a path")
        return load(x)
    parts = x, y, x_test, y_test
    for name, part in zip(_PARTS, parts, strict=True):
        if part is None:
            raise DataError(f"dataset: no {name}; give {', '.join(_PARTS)}, or a path")
    given = (part for part in parts if part is not None)
    return assemble(OWN, [array(part, name).copy() for name, part in zip(_PARTS, given, strict=True)], _PARTS)


def load(place: str | os.PathLike = "mnist") -> Dataset:
    """Read a data set by name, or from a file or directory, checked before anything is done with it.

    "mnist" comes with the package. "fashion-mnist" is looked for in $GHOSTNET_DATA/fashion-mnist, in
    $GHOSTNET_DATA and in the system's data sets, else fetched once (30 MB) to pooch's cache. Both are held to
    the SHA-256 of the published data. Anything else is a path, from the working directory, or ~ from home:

    - a .npz file with x_train, y_train, x_test and y_test, which are what `dataset` takes;
    - a directory of four IDX files named as MNIST's are, like `train-images-idx3-ubyte` or
      `train-images.idx3-ubyte`, with or without .gz ("./mnist" is a directory);
    - a directory of the binary files of CIFAR-10 (data_batch_*.bin, test_batch.bin) or CIFAR-100 (train.bin, test.bin).

    Raises DataError, naming the file, for what is missing, damaged, not the published data or not consistent.
    """
    if place in published.NAMES:
        return idx.read(place, *published.sources(place))
    if place == OWN:
        text = "arrays that a Python program gave, which no file keeps; give them again (data=gn.dataset(…)), or a path"
        raise DataError(f"data = {OWN}: stands for {text}")
    path = Path(os.path.expanduser(place)).absolute()
    if os.path.isdir(path):
        return cifar.read(path) if cifar.holds(path) else idx.read(str(path), idx.find(path))
    if os.path.isfile(path):
        return npz.read(path)
    close = difflib.get_close_matches(path.name.lower(), published.NAMES, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise DataError(
        f"unknown data set {str(place)!r}: no such file or directory; put the data there, or give {_EXPECTED}{hint}"
    )
