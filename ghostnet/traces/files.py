"""Trace files: what is in them, how they are written, and how they are opened. Layout: README, "Traces".

A trace is netCDF-4 compatible HDF5. A long record is a row of segments, `t.h5`, `t-0002.h5`, …, each complete in itself
and published whole; the attributes `record` and `segment` of each say that they belong together.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from ghostnet.errors import FileError
from ghostnet.files import hdf5
from ghostnet.files.provenance import provenance
from ghostnet.files.publishing import Place
from ghostnet.model.experiment import Experiment
from ghostnet.model.models import CLAMPED, labels
from ghostnet.model.recorder import Variable
from ghostnet.traces.reading import COORDINATES, DIMENSION, DIMENSIONS, TEXTS, Array, read_segment
from ghostnet.traces.recording import Segment

_ABOUT = {
    "s": "activity of the pyramidal units of layer {k}",
    "r": "firing rate of layer {k}",
    "g": "activity of the ghost units of layer {k}",
    "e": "error term of layer {k}",
    "drive": "feedforward drive of layer {k}, W_k r_(k-1)",
    "W": "feedforward weights into layer {k}",
    "B": "feedback weights onto layer {k}",
    "W_pg": "lateral weights of layer {k}, pyramidal to ghost",
    "W_gp": "lateral weights of layer {k}, ghost to pyramidal",
}
_STORED = dict(compression="gzip", compression_opts=1, shuffle=True, fletcher32=True)
_CHUNK_BYTES = 1 << 20
_PLOTTED = 10  # lines of the default plot


def contents(segment: Segment) -> dict[str, Array]:
    """Everything in a segment by name; views of it where possible."""
    n, own = segment.rows, segment.selection
    step, lanes = segment.step[:n], ("time", "run", "example")
    arrays: dict[str, Array] = {
        "time": (("time",), step * own.experiment.dt, {"units": "s", "long_name": "model time at the end of the step"}),
        "step": (("time",), step, {"long_name": "Euler steps since the network's first"}),
        "phase": (("time",), segment.phase[:n], _phase_attributes(own.experiment)),
        "presentation": (("time",), segment.presentation[:n], {"long_name": "presentation, 0 is the network's first"}),
        "epoch": (("time",), segment.epoch[:n], {"long_name": "epoch, 1 is the first; 0 outside training"}),
        "example_index": (lanes, segment.example[:n], {"long_name": "index of the image in its data set, or -1"}),
        "label": (lanes, segment.label[:n], {"long_name": "class shown"}),
        "run": (("run",), own.runs.astype("i4"), {"long_name": "run: place of the seed among the experiment's seeds"}),
        "example": (("example",), own.examples.astype("i4"), {"long_name": "place in the batch"}),
    }
    for v in (*own.variables, *own.matrices):
        for axis, units in zip(v.axes, v.units, strict=True):
            arrays[axis] = ((axis,), units.astype("i4"), {"long_name": "{} of layer {}".format(*axis.split("_"))})
    column = 0
    for v in own.variables:
        width = len(own.examples) * len(v.units[0])
        shape = (len(own.runs), n, len(own.examples), len(v.units[0]))
        values = segment.block[:, :n, column : column + width].reshape(shape)
        arrays[v.name] = ((*lanes, *v.axes), np.moveaxis(values, 0, 1), _attributes(v))
        column += width
    return arrays | _snapshots(segment)


def _phase_attributes(e: Experiment) -> dict:
    names = [label.replace(CLAMPED, f"weakly_{CLAMPED}") for label in labels(e.phases)]
    return {
        "long_name": "phase that the step belongs to",
        "flag_values": np.arange(len(names), dtype=np.int8),
        "flag_meanings": " ".join(names),
    }


def _attributes(v: Variable) -> dict:
    return {"units": "1", "long_name": _ABOUT[v.symbol].format(k=v.k), "symbol": v.name}


def _snapshots(segment: Segment) -> dict[str, Array]:
    """The matrices, along an axis of their own."""
    own = segment.selection
    if not own.matrices:
        return {}
    steps = np.array([step for step, _ in segment.snapshots], np.int64)
    about = {"units": "s", "long_name": "model time at which the matrices were recorded"}
    arrays: dict[str, Array] = {"snapshot": (("snapshot",), steps * own.experiment.dt, about)}
    for i, v in enumerate(own.matrices):
        fast = ("example",) if v.symbol == "W_gp" and own.experiment.plasticity.owned else ()
        shape = (0, len(own.runs), *((len(own.examples),) if fast else ()), *map(len, v.units))
        values = np.stack([m[i] for _, m in segment.snapshots]) if len(steps) else np.empty(shape, segment.dtype)
        arrays[v.name] = (("snapshot", "run", *fast, *v.axes), values, _attributes(v))
    return arrays


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
        path = _continuation(self.path, number)
        attributes = {"record": self.record, "segment": number, "title": "ghostnet trace"}
        arrays = contents(segment)
        image = hdf5.image(lambda file: _write(file, arrays, self.texts, attributes, self.output))
        self.paths.append(self.place.publish(path.name, image))


def _continuation(path: Path, number: int) -> Path:
    ending = path.suffix if path.suffix[1:2].isalpha() else ""  # .h5 or .nc, not what follows the point of beta-0.05
    return path if number == 1 else path.with_name(f"{path.name.removesuffix(ending)}-{number:04d}{ending}")


def _write(file: h5py.File, arrays: dict[str, Array], texts: dict[str, str], attributes: dict, output: str) -> None:
    scales = [name for name, (axes, *_) in arrays.items() if axes == (name,)]
    numbers = {name: number for number, name in enumerate(scales)}
    for name in (*scales, *(name for name in arrays if name not in numbers)):
        _put(file, name, arrays[name], numbers)
    for name, text in texts.items():
        file[name] = text
    file.attrs.update(attributes)
    _default_plot(file, arrays, output, {"time": len(numbers)})


def _put(group: h5py.Group, name: str, array: Array, numbers: dict[str, int]) -> None:
    """A dataset, and its dimension scales; it is one itself where its only axis has its name.

    HDF5's own list of a dataset's scales is never read from a file (see `hdf5`), but netCDF-4's numbers of them are.
    """
    axes, values, about = array
    unlimited = axes[0] in ("time", "snapshot")
    row = max(1, values[:1].nbytes)
    chunks = (max(1, min(len(values), _CHUNK_BYTES // row)), *(max(1, n) for n in values.shape[1:]))
    limits = (None if unlimited else values.shape[0], *values.shape[1:])
    made = group.create_dataset(name, data=values, chunks=chunks, maxshape=limits, **_STORED)
    made.attrs.update(about)
    if axes == (name,):
        made.make_scale(name)
        made.attrs[DIMENSION] = np.int32(numbers[name])
        return
    for dimension, axis in zip(made.dims, axes, strict=True):
        dimension.attach_scale(group[axis])
    made.attrs[DIMENSIONS] = np.array([numbers[axis] for axis in axes], np.int32)


def _default_plot(file: h5py.File, arrays: dict[str, Array], output: str, numbers: dict[str, int]) -> None:
    """The NXdata group that H5Web and silx show first: units of the output layer, or of what there is, over time."""
    lines = [name for name, (axes, *_) in arrays.items() if axes[:3] == ("time", "run", "example") and len(axes) == 4]
    lines.sort(key=lambda name: (name != "r" + output, name != "s" + output))
    if not lines:
        return
    group, values = file.create_group("plot"), arrays[lines[0]][1]
    _put(group, "time", arrays["time"], numbers)
    names = [f"{lines[0]}_unit_{unit}" for unit in range(min(_PLOTTED, values.shape[3]))]
    for unit, name in enumerate(names):
        _put(group, name, (("time",), values[:, 0, 0, unit], {"units": "1", "long_name": name}), numbers)
    file.attrs.update(NX_class="NXroot", default="plot")
    group.attrs.update(NX_class="NXdata", signal=names[0], axes="time", title=f"{lines[0]}, first run and example")
    if names[1:]:
        group.attrs["auxiliary_signals"] = np.array(names[1:], h5py.string_dtype())


def dataset(parts: list[dict[str, Array]], attributes: dict | None = None) -> xr.Dataset:
    """Segments as one xarray Dataset with a model-time axis; values are copied only where there are several.

    Raises:
        ValueError: they do not fit together.
    """
    whole = {}
    for name, (axes, values, about) in parts[0].items():
        others = [part[name][1] for part in parts[1:]]
        if axes[:1] in (("time",), ("snapshot",)) and others:
            values = np.concatenate([values, *others])
        elif not all(np.array_equal(values, other) for other in others):
            raise ValueError(f"{name} differs")
        whole[name] = (axes, values, about)
    coordinates = {name: array for name, array in whole.items() if name in COORDINATES or array[0] == (name,)}
    return xr.Dataset({n: a for n, a in whole.items() if n not in coordinates}, coordinates, attributes)


def open_trace(path: str | os.PathLike, variables: Iterable[str] | None = None) -> xr.Dataset:
    """A recorded trace with all its segments, in memory.

    Args:
        path: the first file.
        variables: names such as "e_1" to read; by default all. Times and labels always come along.

    Raises:
        FileError: a file can't be read, is damaged or refused (see `hdf5.open_strictly`), or is no trace.
    """
    parts = [read_segment(path, variables)]
    while (following := _continuation(Path(path), len(parts) + 1)).exists():
        part = read_segment(following, variables)
        if part.attributes.get("record") != parts[0].attributes.get("record"):
            break  # left over from another record
        parts.append(part)
    try:
        return dataset([part.arrays for part in parts], parts[0].attributes)
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(f"{path}: its parts do not fit together ({error}); take a backup or record it anew") from error
