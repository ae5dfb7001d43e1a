"""Writing trace files. Layout: README, "Traces".

A trace is netCDF-4 compatible HDF5. A long record is a row of segments, `t.h5`, `t-0002.h5`, …, each complete in itself
and published whole; the attributes `record` and `segment` of each say that they belong together.
"""

from __future__ import annotations

import json
import math
import os
import uuid
from pathlib import Path

import h5py
import numpy as np

from ghostnet.errors import FileError
from ghostnet.files import hdf5
from ghostnet.files.provenance import provenance
from ghostnet.files.publishing import Place
from ghostnet.model.experiment import Experiment
from ghostnet.traces.contents import contents
from ghostnet.traces.reading import COORDINATES, DIMENSION, DIMENSIONS, TEXTS, Array, continuation
from ghostnet.traces.recording import Segment

_STORED = dict(compression="gzip", compression_opts=1, shuffle=True, fletcher32=True)
_CHUNK = {"time": 2048, "unit": 32}  # a unit over time is read 15 times faster than from chunks of whole rows
_CHUNK_VALUES = 1 << 16
_PLOTTED = 10  # lines of the default plot


class TraceFiles:
    """Keeps segments as files `path`, `path-0002`, …: pass its `keep` to a Recording.

    Args:
        settings: what joins the provenance: engine, dtype and the like.

    Raises:
        FileError: a file can't be written there. keep: a segment can't be written, or the directory has been moved or
            replaced; those before it are whole, and nothing else is left behind.
    """

    def __init__(self, path: str | os.PathLike, experiment: Experiment, settings: dict | None = None):
        self.path, self.paths = Path(path), []
        try:
            self.place = Place(self.path.parent)
        except FileError as error:
            raise FileError(f"{path}: can't be written: {error}") from error
        made = json.dumps(provenance() | (settings or {}), ensure_ascii=False, default=np.ndarray.tolist)
        self.texts = dict(zip(TEXTS, (experiment.to_toml(), made), strict=True))
        self.record = uuid.uuid4().hex
        self.output = f"_{experiment.depth}"

    def keep(self, segment: Segment) -> None:
        number = len(self.paths) + 1
        path = continuation(self.path, number)
        attributes = {"record": self.record, "segment": number, "title": "ghostnet trace", "Conventions": "CF-1.11"}
        arrays = contents(segment)
        image = hdf5.image(lambda file: _write(file, arrays, self.texts, attributes, self.output))
        self.paths.append(self.place.publish(path.name, image))


def _write(file: h5py.File, arrays: dict[str, Array], texts: dict[str, str], attributes: dict, output: str) -> None:
    scales = [name for name, (axes, *_) in arrays.items() if axes == (name,)]
    numbers = {name: number for number, name in enumerate(scales)}
    for name in (*scales, *(name for name in arrays if name not in numbers)):
        _put(file, name, arrays[name], numbers)
        if name not in numbers and name not in COORDINATES:
            fitting = (c for c in COORDINATES if set(arrays[c][0]) <= set(arrays[name][0]))
            file[name].attrs["coordinates"] = " ".join(fitting)
    file.attrs.update(attributes | texts)
    _default_plot(file, arrays, output, {"time": len(numbers)})


def _put(group: h5py.Group, name: str, array: Array, numbers: dict[str, int]) -> None:
    """A dataset, and its dimension scales; it is one itself where its only axis has its name.

    HDF5's own list of a dataset's scales is never read from a file (see `hdf5`), but netCDF-4's numbers of them are.
    """
    axes, values, about = array
    unlimited = axes[0] in ("time", "snapshot")
    limits = (None if unlimited else values.shape[0], *values.shape[1:])
    made = group.create_dataset(name, data=values, chunks=_chunks(axes, values.shape), maxshape=limits, **_STORED)
    made.attrs.update(about)
    if axes == (name,):
        made.make_scale(name)
        made.attrs[DIMENSION] = np.int32(numbers[name])
        return
    for dimension, axis in zip(made.dims, axes, strict=True):
        dimension.attach_scale(group[axis])
    made.attrs[DIMENSIONS] = np.array([numbers[axis] for axis in axes], np.int32)


def _chunks(axes: tuple[str, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Few units over a long time; as many places in the batch and runs as there is room for."""
    chunks = [
        max(1, min(size, _CHUNK.get(axis.partition("_")[0], size))) for axis, size in zip(axes, shape, strict=True)
    ]
    for lane in (i for i, axis in enumerate(axes) if axis in ("run", "example")):
        others = math.prod(chunks) // chunks[lane]
        chunks[lane] = max(1, min(chunks[lane], _CHUNK_VALUES // others))
    return tuple(chunks)


def _default_plot(file: h5py.File, arrays: dict[str, Array], output: str, numbers: dict[str, int]) -> None:
    """The NXdata group that H5Web and silx show first: units of the output layer, or of what there is, over the time
    since the record began."""
    lines = [name for name, (axes, *_) in arrays.items() if axes[:3] == ("time", "run", "example") and len(axes) == 4]
    lines.sort(key=lambda name: (name != "r" + output, name != "s" + output))
    time = arrays["time"][1]
    if not lines or not len(time):
        return
    group, values = file.create_group("plot"), arrays[lines[0]][1]
    about = {"units": "s", "long_name": "model time since the record began"}
    _put(group, "time", (("time",), time - time[0], about), numbers)
    names = [f"{lines[0]}_unit_{unit}" for unit in range(min(_PLOTTED, values.shape[3]))]
    for unit, name in enumerate(names):
        _put(group, name, (("time",), values[:, 0, 0, unit], {"units": "1", "long_name": name}), numbers)
    classes, seed = np.unique(arrays["label"][1][:, 0, 0]), arrays["seed"][1][0]
    shown = ", ".join(map(str, classes)) if len(classes) <= _PLOTTED else f"{len(classes)} of them"
    file.attrs.update(NX_class="NXroot", default="plot")
    group.attrs.update(NX_class="NXdata", signal=names[0], axes="time", title=f"{lines[0]}, seed {seed}, class {shown}")
    if names[1:]:
        group.attrs["auxiliary_signals"] = np.array(names[1:], h5py.string_dtype())
