"""What a data set is, and how four arrays become one."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ghostnet.errors import DataError

OWN = "arrays"  # the name of a data set that was given as arrays, and is in no file
_SHOWN = 20  # labels, in a line about them


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of one classification task.

    name: "mnist", "fashion-mnist", the absolute path that it was read from, or "arrays".
    train_images (n, n_0), test_images (m, n_0): uint8, pixels from 0 to 255; or float32 or float64, the activities of
        the inputs as they are (see `scale`). One row is one image, flattened.
    train_labels (n,), test_labels (m,): class numbers from 0, integers (see `one_hot`).
    labels: what each class is called; by default its number.
    The arrays are views that can't be written to.

    Raises:
        DataError: on construction, for arrays that are not these.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    labels: tuple[int | str, ...] = ()

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            self._check(part, *self.part(part))
            for what in (f"{part}_images", f"{part}_labels"):
                view = getattr(self, what).view()
                view.flags.writeable = False  # what was checked, and hashed, is what is shown
                object.__setattr__(self, what, view)
        train, test = self.train_images, self.test_images
        if (train.dtype, train.shape[1]) != (test.dtype, test.shape[1]):
            found = f"{train.dtype} of {train.shape[1]} values to train and {test.dtype} of {test.shape[1]} to test"
            raise DataError(f"{self.name}: images are {found}; give both alike")
        most = 1 + max(int(self.train_labels.max()), int(self.test_labels.max()))
        if not self.labels:
            object.__setattr__(self, "labels", tuple(range(most)))
        if most > len(self.labels):
            raise DataError(f"{self.name}: class {most - 1} has no label: there are {len(self.labels)}")

    def _check(self, part: str, images: np.ndarray, labels: np.ndarray) -> None:
        fits = images.dtype in (np.uint8, np.float32, np.float64) and images.ndim == 2 and images.size
        fits = fits and labels.dtype.kind in "iu" and labels.shape == images.shape[:1] and labels.min() >= 0
        if not fits:
            found = f"{images.dtype} {images.shape} with labels {labels.dtype} {labels.shape}"
            expected = "uint8, float32 or float64 (examples, pixels) with a class number each, as `dataset` makes them"
            raise DataError(f"{self.name}: {part} images are {found}: expected {expected}")
        if not np.isfinite(self.span(part)).all():
            place = np.argwhere(~np.isfinite(images))[0].tolist()
            raise DataError(f"{self.name}: {part} images{place} is {images[tuple(place)]}: expected finite numbers")

    @property
    def classes(self) -> int:
        """Number of classes, the n_N a network needs."""
        return len(self.labels)

    @property
    def pixels(self) -> int:
        """Pixels of one image, the n_0 a network needs."""
        return self.train_images.shape[1]

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 of the arrays and their shapes: what was read, whatever the files' names and compression."""
        digest = hashlib.sha256()
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def part(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels of one part, "train" or "test"."""
        return getattr(self, f"{name}_images"), getattr(self, f"{name}_labels")

    def span(self, part: str) -> tuple[float, float]:
        """The least and the greatest value of a part's images, as activities; nan where one of them is."""
        return self._spans[part]

    @functools.cached_property
    def _spans(self) -> dict[str, tuple[float, float]]:
        images = {part: self.part(part)[0] for part in ("train", "test")}
        return {
            part: (0.0, 1.0) if values.dtype == np.uint8 else (float(np.min(values)), float(np.max(values)))
            for part, values in images.items()
        }


def assemble(name: str, parts: Sequence[ArrayLike], sources: Sequence[object]) -> Dataset:
    """x, y, x_test and y_test as one Dataset: images flattened, the sorted distinct labels of y numbered from 0.

    Args:
        parts: images (n, …) of uint8 or floats, labels (n,) or (n, 1), integers or text; twice.
        sources: what each part is called in the line about it.

    Raises:
        DataError: for parts that are none of these, or do not fit together.
    """
    arrays = [read(part, source) for read, part, source in zip((as_images, _labels) * 2, parts, sources, strict=True)]
    for images, labels in ((0, 1), (2, 3)):
        if len(arrays[images]) != len(arrays[labels]):
            counts = f"{len(arrays[labels])} labels for the {len(arrays[images])} images of {sources[images]}"
            raise DataError(f"{sources[labels]}: {counts}; get both from one data set")
    train, test = arrays[0], arrays[2]
    if train.shape[1:] != test.shape[1:]:
        found = f"images of {test.shape[1:]}, {train.shape[1:]} in {sources[0]}"
        raise DataError(f"{sources[2]}: {found}; get both from one data set")
    if train.dtype != test.dtype:
        raise DataError(f"{sources[2]}: holds {test.dtype}, {sources[0]} {train.dtype}; convert one of them")
    known, *numbers = _numbered(arrays[1], arrays[3], sources[1], sources[3])
    flat = [np.ascontiguousarray(images.reshape(len(images), -1)) for images in (train, test)]
    return Dataset(name, flat[0], numbers[0], flat[1], numbers[1], tuple(known.tolist()))


def array(values: ArrayLike, source: object) -> np.ndarray:
    """What stands for an array, be it a list or a tensor on any device, as an array; a view where that is possible.

    Raises:
        DataError: it is none, or has masked places.
    """
    if hasattr(values, "detach"):  # torch's
        values = values.detach().cpu()
    if np.ma.is_masked(values):
        raise DataError(f"{source}: has masked places; fill them")
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{source}: no array ({reason}); give numbers, in rows of the same length") from error


def as_images(values: ArrayLike, source: object) -> np.ndarray:
    """Images (n, …) as uint8, float32 or float64; a view where that is possible.

    Raises:
        DataError: they are none.
    """
    images = array(values, source)
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        expected = "uint8 (pixels from 0 to 255) or floats (taken as they are)"
        raise DataError(f"{source}: holds {images.dtype}: expected {expected}; convert it to one of them")
    if images.ndim < 2 or not images.size:
        raise DataError(f"{source}: of shape {images.shape}: expected (examples, …), one image at least")
    size = images.dtype.itemsize
    return images.astype(f"f{min(8, max(4, size))}", copy=False) if images.dtype.kind == "f" else images


def _labels(values: ArrayLike, source: object) -> np.ndarray:
    """Labels (n,) as integers or text."""
    labels = array(values, source)
    if labels.dtype == object and all(isinstance(label, str) for label in labels.flat):  # as pandas has text
        labels = labels.astype(str)
    if labels.dtype.kind not in "biuU":
        raise DataError(f"{source}: holds {labels.dtype}: expected integers or text; convert it to one of them")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(f"{source}: of shape {labels.shape}: expected a label for every image")
    return labels


def _numbered(train: np.ndarray, test: np.ndarray, of_train: object, of_test: object) -> tuple[np.ndarray, ...]:
    """The sorted distinct labels of the training part, and the labels of both parts as their places among these."""
    if (train.dtype.kind == "U") != (test.dtype.kind == "U"):
        raise DataError(f"{of_test}: holds {test.dtype}, {of_train} {train.dtype}; give labels of one kind")
    known, numbers = np.unique(train, return_inverse=True)
    strange = test[~np.isin(test, known)]
    if len(strange):
        shown = ", ".join(map(str, known[:_SHOWN].tolist())) + " …" * (len(known) > _SHOWN)
        text = f"label {strange[0]} is not among those of {of_train} ({shown})"
        raise DataError(f"{of_test}: {text}; leave those examples out, or train on some")
    smallest = np.min_scalar_type(len(known) - 1)
    return known, numbers.astype(smallest), np.searchsorted(known, test).astype(smallest)
