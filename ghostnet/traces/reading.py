"""Reading trace files: what one says of itself is checked before anybody works with it; values are read when needed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint
from xarray.core import indexing

from ghostnet.errors import ConfigError, FileError
from ghostnet.files import hdf5
from ghostnet.files.hdf5 import Contents
from ghostnet.files.stored import Stored
from ghostnet.model import names
from ghostnet.model.experiment import MAX_TEXT, Experiment, from_toml
from ghostnet.traces.rows import Rows

Array: TypeAlias = tuple[tuple[str, ...], Any, dict]  # axes, values (an array, Stored or Rows), attributes
TEXTS = ("config_toml", "provenance_json")
COORDINATES = ("step", "phase", "presentation", "epoch", "row_steps", "example_index", "label", "seed")
DIMENSION, DIMENSIONS = "_Netcdf4Dimid", "_Netcdf4Coordinates"  # netCDF-4's: the number of an axis; those of an array
_LANES = {"example_index": ("time", "run", "example"), "label": ("time", "run", "example"), "seed": ("run",)}
_HIDDEN = ("CLASS", "NAME", "_NCProperties", "coordinates", DIMENSION, DIMENSIONS)


class Part(NamedTuple):
    """One file of a trace. attributes: of the file. arrays: its datasets by name."""

    attributes: dict
    arrays: dict[str, Array]


def part_of(contents: Contents) -> Part:
    """One trace file: its coordinates, and where its variables are.

    Raises:
        FileError: it is no trace. ValueError: it holds what can't be.
    """
    path, known = contents.path, {"time", *COORDINATES} <= contents.arrays.keys()
    if not known or not {*TEXTS} <= contents.attributes.keys():
        raise FileError(f"{path}: not a trace; give a file that `ghostnet record` wrote")
    arrays: dict[str, Array] = {}
    for name, axes in _axes(contents.arrays).items():
        stored = contents.arrays[name]
        said = {key: value for key, value in stored.attributes.items() if key not in _HIDDEN}
        arrays[name] = (axes, stored.whole() if axes == (name,) or name in COORDINATES else stored, said)
    config, made = (hdf5.text(contents, name, MAX_TEXT) for name in TEXTS)
    if not isinstance(json.loads(made), dict):
        raise ValueError("provenance_json is no object")
    try:
        _require_sound(arrays, from_toml(config))
    except ConfigError as error:
        raise FileError(f"{path}: its config_toml: {error}") from error
    return Part({key: value for key, value in contents.attributes.items() if key not in _HIDDEN}, arrays)


def _axes(arrays: dict[str, Stored]) -> dict[str, tuple[str, ...]]:
    """The names of every dataset's axes; one whose only axis has its name is what numbers that axis."""
    numbers = {name: int(own.attributes[DIMENSION]) for name, own in arrays.items() if DIMENSION in own.attributes}
    names = {number: name for name, number in numbers.items()}
    found = {}
    for name, own in arrays.items():
        ids = [numbers[name]] if name in numbers else np.ravel(own.attributes.get(DIMENSIONS, ())).tolist()
        if not set(ids) <= names.keys() or len(ids) != own.ndim:
            raise ValueError(f"{name} has axes {ids}, of {names}")
        found[name] = tuple(names[number] for number in ids)
    return found


def _require_sound(arrays: dict[str, Array], e: Experiment) -> None:
    """Raise ValueError where a number that says what a row belongs to is none that it can be."""
    tops = {"time": None, "snapshot": None, "run": len(e.seeds), "example": e.batch, "label": e.sizes[-1]}
    tops["phase"] = len(e.phases) if names.known("model", e.model) else None  # nothing of a user's is imported
    tops |= {f"unit_{k}": n for k, n in enumerate(e.sizes)} | {f"ghost_{k}": m for k, m in enumerate(e.ghosts, 1)}
    for name, (axes, values, _) in arrays.items():
        if axes != (name,) and name not in COORDINATES:
            if values.dtype.kind != "f":
                raise ValueError(f"{name} has type {values.dtype}, expected floats")
            continue
        whole, least = name not in ("time", "snapshot"), -1 if name == "example_index" else 0
        top = tops[name] if name not in COORDINATES else tops.get(name)
        lanes = _LANES.get(name, ("time",))
        if axes != ((name,) if name not in COORDINATES else lanes):
            raise ValueError(f"{name} has axes {axes}")
        if values.dtype.kind not in ("iu" if whole else "f") or not np.isfinite(values).all():
            raise ValueError(f"{name} has type {values.dtype}, or holds what is no number")
        if values.size and (values.min() < least or (top is not None and values.max() >= top)):
            found = f"{values.min()} to {values.max()}"
            raise ValueError(
                f"{name} goes from {found}: expected {least} and more" + f", below {top}" * (top is not None)
            )
        if name in ("time", "step", "snapshot") and np.any(values[1:] < values[:-1]):
            raise ValueError(f"{name} goes back")


def continuation(path: Path, number: int) -> Path:
    """The file that a record goes on in, as its number-th (1 is the first, `path`)."""
    ending = path.suffix if path.suffix[1:2].isalpha() else ""  # .h5 or .nc, not what follows the point of beta-0.05
    return path if number == 1 else path.with_name(f"{path.name.removesuffix(ending)}-{number:04d}{ending}")


def _continuations(path: Path) -> list[Path]:
    """The files that a record whose first is `path` may go on in, in order; some may be missing."""
    before, _, after = continuation(path, 0).name.rpartition("0000")
    pattern = re.compile(re.escape(before) + "([0-9]{4,})" + re.escape(after))
    found = [(int(match[1]), other) for other in path.parent.iterdir() if (match := pattern.fullmatch(other.name))]
    return [other for number, other in sorted(found) if number > 1]


def dataset(parts: list[dict[str, Array]], attributes: dict | None = None) -> xr.Dataset:
    """Segments as one xarray Dataset with a model-time axis; values are copied only where there are several.

    Raises:
        ValueError: they do not fit together.
    """
    whole = {}
    for name, (axes, values, about) in parts[0].items():
        others = [part[name][1] for part in parts[1:]]
        if isinstance(values, Stored):
            values = indexing.LazilyIndexedArray(Rows([values, *others]))
        elif axes[:1] in (("time",), ("snapshot",)) and others:
            values = np.concatenate([values, *others])
        elif not all(np.array_equal(values, other) for other in others):
            raise ValueError(f"{name} differs")
        whole[name] = (axes, values, about)
    coordinates = {name: array for name, array in whole.items() if name in COORDINATES or array[0] == (name,)}
    return xr.Dataset({n: a for n, a in whole.items() if n not in coordinates}, coordinates, attributes)


class TraceBackend(BackendEntrypoint):
    """How xarray opens a trace: `xr.open_dataset(path, engine="ghostnet", chunks={})` for Dask."""

    description = "Traces of ghostnet, proved as they are read"

    def open_dataset(self, filename_or_obj: Any, *, drop_variables: Iterable[str] | None = None) -> xr.Dataset:
        path = Path(filename_or_obj)
        parts = [_read_part(path)]
        for following in _continuations(path):
            part = _read_part(following)
            if part.attributes.get("record") != parts[0].attributes.get("record"):
                break  # left over from another record
            parts.append(part)
            if following.name != (missing := continuation(path, len(parts))).name:
                raise FileError(f"{missing}: missing, a part of the record that goes on in {following}; take a backup")
        try:
            whole = dataset([part.arrays for part in parts], parts[0].attributes)
        except (ValueError, KeyError, TypeError) as error:
            text = f"its parts do not fit together ({error}); take a backup or record it anew"
            raise FileError(f"{path}: {text}") from error
        return whole.drop_vars(drop_variables or ())


def _read_part(path: Path) -> Part:
    with hdf5.open_strictly(path) as contents:
        return part_of(contents)


def open_trace(path: str | os.PathLike, variables: Iterable[str] | None = None) -> xr.Dataset:
    """A recorded trace with all its segments. Times and labels are read now, variables when they are needed.

    Args:
        path: the first file. It may be replaced, but is then refused, until all that is needed has been read.
        variables: names such as "e_1" to keep; by default all. Times and labels always come along.

    Raises:
        FileError: a file can't be read, is damaged or refused (see `hdf5.open_strictly`), or is no trace; one is
            missing before others of the same record. Also later, when values are read.

    Examples:
        >>> with sim.recording(gn.Recorder(("e",)), "t.h5"):
        ...     sim.present(x, y)
        >>> gn.open_trace("t.h5").e_1.dims
        ('time', 'run', 'example', 'unit_1')
    """
    trace = xr.open_dataset(path, engine=TraceBackend)
    if variables is None:
        return trace
    wanted = list(variables)
    for name in wanted:
        if name not in trace.variables:
            known = ", ".join(sorted(map(str, trace.variables)))
            raise FileError(f"{path}: no variable {name!r}; it has {known}")
    return trace[wanted]
