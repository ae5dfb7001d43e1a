"""Chunks of a trace's arrays: cut, shuffled and compressed on all CPUs, outside of the HDF5 library and its lock.

ISA-L makes the same format as zlib, five times as fast; `ghostnet.files.stored` reads it.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import h5py
import numpy as np
from isal import isal_zlib

from ghostnet.files.shuffle import shuffled

_ROWS, _UNITS = 8192, 8  # few units over a long time: one of them is read 15 times faster than from whole rows
_VALUES = 1 << 16  # of a chunk
_SMALL = 1 << 16  # values of an array that HDF5 may pack itself
_LEVEL = 1
Map: TypeAlias = Callable[[Callable[..., Any], Iterable[Any]], Iterable[Any]]
FILTERS = dict(compression="gzip", compression_opts=_LEVEL, shuffle=True)


def shape_of(axes: tuple[str, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Few units over a long time; as many runs and places in the batch as there is room for."""
    if len(axes) == 1:
        return (max(1, min(shape[0], _VALUES if axes[0] not in ("time", "snapshot") else _ROWS)),)
    most = {"time": _ROWS, "unit": _UNITS, "ghost": _UNITS}
    chunks = [max(1, min(n, most.get(axis.partition("_")[0], n))) for axis, n in zip(axes, shape, strict=True)]
    for lane in (i for i, axis in enumerate(axes) if axis in ("run", "example")):
        others = math.prod(chunks) // chunks[lane]
        chunks[lane] = max(1, min(chunks[lane], _VALUES // others))
    return tuple(chunks)


def create(
    group: h5py.Group, name: str, axes: tuple[str, ...], values: np.ndarray, compress: bool, each: Map
) -> h5py.Dataset:
    """A dataset of values; `each` is `map`, or that of a pool of threads."""
    chunks = shape_of(axes, values.shape)
    limits = (None if axes[0] in ("time", "snapshot") else values.shape[0], *values.shape[1:])
    made = functools.partial(group.create_dataset, name, chunks=chunks, maxshape=limits, **FILTERS if compress else {})
    if values.size < _SMALL:
        return made(data=values)
    dataset = made(shape=values.shape, dtype=values.dtype)
    starts = list(itertools.product(*map(range, itertools.repeat(0), values.shape, chunks)))
    for start, content in zip(starts, each(functools.partial(_packed, values, chunks, compress), starts), strict=True):
        dataset.id.write_direct_chunk(start, content)
    return dataset


def _packed(values: np.ndarray, chunks: tuple[int, ...], compress: bool, start: tuple[int, ...]) -> bytes | np.ndarray:
    """A chunk as HDF5 has it in the file: whole, zeros where there are no values, through the filters in turn."""
    part = values[tuple(slice(first, first + n) for first, n in zip(start, chunks, strict=True))]
    if part.shape == chunks:
        whole = np.ascontiguousarray(part)
    else:
        whole = np.zeros(chunks, values.dtype)
        whole[tuple(map(slice, part.shape))] = part
    if not compress:
        return whole
    return isal_zlib.compress(shuffled(whole), _LEVEL)
