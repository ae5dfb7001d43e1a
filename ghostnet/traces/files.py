"""Writing trace files. Layout: docs/traces.md.

A trace is netCDF-4 compatible HDF5. A long record is a row of segments, `t.h5`, `t-0002.h5`, …, each complete in itself
and published whole; the attributes `record` and `segment` of each say that they belong together.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from ghostnet.errors import FileError
from ghostnet.files import hdf5
from ghostnet.files.provenance import provenance
from ghostnet.files.publishing import Place
from ghostnet.host.cpus import available_cpus
from ghostnet.model.experiment import Experiment
from ghostnet.traces import chunks
from ghostnet.traces.contents import contents
from ghostnet.traces.reading import COORDINATES, DIMENSION, DIMENSIONS, TEXTS, Array, continuation
from ghostnet.traces.recording import Segment

_PLOTTED = 10  # lines of the default plot


class TraceFiles:
    """Keeps segments as files `path`, `path-0002`, …: pass its `keep` to a Recording, and close it at the end.

    While a segment fills, the one before is packed, and the one before that goes to the disk, in threads.

    Args:
        settings: what joins the provenance: engine, dtype and the like.

    Raises:
        FileError: a file can't be written there. keep, paths, close: a segment before can't be written, or the
            directory has been moved or replaced; those before it are whole, and nothing else is left behind.
    """

    def __init__(self, path: str | os.PathLike, experiment: Experiment, settings: dict | None = None):
        self.path = Path(path)
        self._paths: list[Path] = []
        try:
            self.place = Place(self.path.parent)
        except FileError as error:
            raise FileError(f"{path}: can't be written: {error}") from error
        made = json.dumps(provenance() | (settings or {}), ensure_ascii=False, default=np.ndarray.tolist)
        self.texts = dict(zip(TEXTS, (experiment.to_toml(), made), strict=True))
        self.record = uuid.uuid4().hex
        self.output = f"_{experiment.depth}"
        self._packer, self._writer = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._helpers = ThreadPoolExecutor(available_cpus())
        self._packing: Future | None = None
        self._writing: Future | None = None
        self._number = 0

    @property
    def paths(self) -> list[Path]:
        """The files that are whole; waits for those that are being written."""
        self._packed()
        self._written()
        return self._paths

    def keep(self, segment: Segment) -> None:
        """Write a segment, which has to stay as it is until the next call."""
        self._packed()
        self._number += 1
        self._packing = self._packer.submit(self._pack, segment, self._number)

    def close(self) -> None:
        """Wait until all is written."""
        try:
            self._packed()
            self._written()
        finally:
            for pool in (self._packer, self._writer, self._helpers):
                pool.shutdown()

    def _packed(self) -> None:
        packing, self._packing = self._packing, None
        if packing:
            packing.result()

    def _written(self) -> None:
        writing, self._writing = self._writing, None
        if writing:
            self._paths.append(writing.result())

    def _pack(self, segment: Segment, number: int) -> None:
        """Make a file's content, and hand it on when the one before has been written: at most one waits in memory."""
        attributes = {"record": self.record, "segment": number, "title": "ghostnet trace", "Conventions": "CF-1.11"}
        arrays, put = contents(segment), partial(_put, compress=segment.selection.compress, each=self._helpers.map)
        image = hdf5.image(lambda file: _write(file, arrays, self.texts | attributes, self.output, put))
        self._written()
        self._writing = self._writer.submit(self.place.publish, continuation(self.path, number).name, image)


def _write(file: h5py.File, arrays: dict[str, Array], attributes: dict, output: str, put: Callable) -> None:
    scales = [name for name, (axes, *_) in arrays.items() if axes == (name,)]
    numbers = {name: number for number, name in enumerate(scales)}
    for name in (*scales, *(name for name in arrays if name not in numbers)):
        put(file, name, arrays[name], numbers)
        if name not in numbers and name not in COORDINATES:
            fitting = (c for c in COORDINATES if set(arrays[c][0]) <= set(arrays[name][0]))
            hdf5.describe(file[name], {"coordinates": " ".join(fitting)})
    hdf5.describe(file, attributes)
    _default_plot(file, arrays, output, partial(put, numbers={"time": len(numbers)}))


def _put(group: h5py.Group, name: str, array: Array, numbers: dict[str, int], compress: bool, each: chunks.Map) -> None:
    """A dataset, and its dimension scales; it is one itself where its only axis has its name.

    HDF5's own list of a dataset's scales is never read from a file (see `hdf5`), but netCDF-4's numbers of them are.
    """
    axes, values, about = array
    made = chunks.create(group, name, axes, values, compress, each)
    hdf5.describe(made, about)
    if axes == (name,):
        made.make_scale(name)
        made.attrs[DIMENSION] = np.int32(numbers[name])
        return
    for dimension, axis in zip(made.dims, axes, strict=True):
        dimension.attach_scale(group[axis])
    made.attrs[DIMENSIONS] = np.array([numbers[axis] for axis in axes], np.int32)


def _default_plot(file: h5py.File, arrays: dict[str, Array], output: str, put: Callable) -> None:
    """The NXdata group that H5Web and silx show first: units of the output layer, or of what there is, over the time
    since the record began."""
    lines = [name for name, (axes, *_) in arrays.items() if axes[:3] == ("time", "run", "example") and len(axes) == 4]
    lines.sort(key=lambda name: (name != "r" + output, name != "s" + output))
    time = arrays["time"][1]
    if not lines or not len(time):
        return
    group, values = file.create_group("plot"), arrays[lines[0]][1]
    about = {"units": "s", "long_name": "model time since the record began"}
    put(group, "time", (("time",), time - time[0], about))
    names = [f"{lines[0]}_unit_{unit}" for unit in range(min(_PLOTTED, values.shape[3]))]
    classes, seed = np.unique(arrays["label"][1][:, 0, 0]), arrays["seed"][1][0]
    shown = ", ".join(map(str, classes)) if len(classes) <= _PLOTTED else f"{len(classes)} of them"
    title = f"{lines[0]}, seed {seed}, class {shown}"
    for unit, name in enumerate(names):
        said = title if unit == 0 else name  # H5Web takes its heading from the first line's name
        put(group, name, (("time",), values[:, 0, 0, unit], {"units": "1", "long_name": said}))
    drawn = {"NX_class": "NXdata", "signal": names[0], "axes": "time"}
    hdf5.describe(file, {"NX_class": "NXroot", "default": "plot"})
    hdf5.describe(group, drawn | ({"auxiliary_signals": names[1:]} if names[1:] else {}))
    group.attrs["title"] = title  # of any length, or silx shows it as bytes
