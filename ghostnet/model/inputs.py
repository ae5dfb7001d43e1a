"""Arrays from outside: numbers, finite and of the right scale, or one line that says which is not."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ghostnet.data import Dataset
from ghostnet.errors import ConfigError
from ghostnet.model import names
from ghostnet.model.experiment import Experiment


def numbers(name: str, values: ArrayLike) -> np.ndarray:
    """What stands for an array, as an array of bool, integers or floats of at most 64 bits; a view where possible.

    Raises:
        ConfigError: it is none, such as text, objects, times and complex numbers, or lists of different lengths.
    """
    if np.ma.is_masked(values):
        raise ConfigError(f"{name} has masked places: fill them")
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{name} is no array ({reason}); give numbers, in rows of the same length") from error
    if array.dtype.kind not in "biuf":
        raise ConfigError(f"{name} holds {array.dtype}: expected numbers (bool, integers or floats)")
    return array.astype(np.float64) if array.dtype.itemsize > 8 else array


def rates(name: str, values: ArrayLike, e: Experiment, layer: int, *shapes: tuple[int | str, ...]) -> np.ndarray:
    """What is shown to a layer: numbers that its units could have as rates; where the model clips, inputs in [0, 1].

    Args:
        layer: 0 or -1. shapes: those that will do; a name stands for any length.

    Raises:
        ConfigError: it holds no numbers, has another shape, or values that are not finite or out of range.
    """
    array = numbers(name, values)
    if not any(_fits(array.shape, shape) for shape in shapes):
        expected = " or ".join(f"({', '.join(map(str, shape))})" for shape in shapes)
        raise ConfigError(f"{name} has shape {array.shape}: expected {expected}")
    if array.dtype.kind != "b":
        require_within(name, array, *_bounds(e, layer), f"scale {name} and clean it")
    return array


def require_fit(e: Experiment, dataset: Dataset) -> None:
    """Raise ConfigError where an experiment does not fit a data set, or what stands for one is none."""
    if not isinstance(dataset, Dataset):
        raise ConfigError(f"data set is a {type(dataset).__name__}: expected what `ghostnet.dataset` gives")
    for index, wanted, what in ((0, dataset.pixels, "inputs"), (-1, dataset.classes, "outputs")):
        if e.sizes[index] != wanted:
            raise ConfigError(f"sizes = {e.sizes}: {dataset.name} needs {wanted} {what}")
    count = len(dataset.train_images)
    if e.train_examples is not None and e.train_examples > count:
        raise ConfigError(f"train_examples = {e.train_examples}: {dataset.name} has {count}; None takes all")
    low, high = _bounds(e, 0)
    for part in ("train", "test"):
        least, greatest = dataset.span(part)
        if least < low or greatest > high:
            name = f"{dataset.name}: {part} images"
            require_within(name, dataset.part(part)[0], low, high, "scale them, or take another transfer function")


def _bounds(e: Experiment, layer: int) -> tuple[float, float]:
    """Of what is shown to a layer. The clip is looked for only where inputs in [0, 1] can need it."""
    return (0.0, 1.0) if layer == 0 and e.clip is not None else names.transfer(e.transfer).bounds


def _fits(found: tuple[int, ...], wanted: tuple[int | str, ...]) -> bool:
    return len(found) == len(wanted) and all(isinstance(n, str) or n == m for n, m in zip(wanted, found, strict=True))


def require_within(name: str, array: np.ndarray, low: float, high: float, remedy: str) -> None:
    """Raise ConfigError, naming the first place, where an array has more than finite numbers in [low, high]."""
    if not array.size or (np.minimum.reduce(array, None) >= low and np.maximum.reduce(array, None) <= high):
        return  # nan is neither
    place = np.argwhere(~((array >= low) & (array <= high)))[0].tolist()
    found = f"{name}{place} is {array[tuple(place)]}"
    raise ConfigError(f"{found}: expected finite numbers from {low:g} to {high:g}; {remedy}")
