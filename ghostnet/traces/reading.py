"""Reading one trace file: what it says of itself is checked before anybody works with it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import xarray as xr

from ghostnet.errors import ConfigError, FileError
from ghostnet.files import hdf5
from ghostnet.model import names
from ghostnet.model.experiment import MAX_TEXT, Experiment, from_toml

Array = tuple[tuple[str, ...], np.ndarray, dict]  # axes, values, attributes
TEXTS = ("config_toml", "provenance_json")
COORDINATES = ("step", "phase", "presentation", "epoch", "row_steps", "example_index", "label", "seed")
DIMENSION, DIMENSIONS = "_Netcdf4Dimid", "_Netcdf4Coordinates"  # netCDF-4's: the number of an axis; those of an array
_LANES = {"example_index": ("time", "run", "example"), "label": ("time", "run", "example"), "seed": ("run",)}
_HIDDEN = ("CLASS", "NAME", "_NCProperties", "coordinates", DIMENSION, DIMENSIONS, *hdf5.UNREAD)


class Part(NamedTuple):
    """One file of a trace. attributes: of the file. arrays: its datasets by name."""

    attributes: dict
    arrays: dict[str, Array]


def read_segment(path: str | os.PathLike, variables: Iterable[str] | None = None) -> Part:
    """One trace file, or these variables of it and what says where they belong.

    Raises:
        FileError: it can't be read, is damaged or refused (see `hdf5.open_strictly`), is no trace, or holds what can't
            be.
    """
    with hdf5.open_strictly(path) as file:
        return part_of(Path(path), file, variables)


def part_of(path: Path, file: h5py.File, variables: Iterable[str] | None = None) -> Part:
    """As `read_segment`, from an open file."""
    axes = axes_of(file) if {"time", *COORDINATES} <= file.keys() and {*TEXTS} <= file.attrs.keys() else {}
    if not {"time", *COORDINATES} <= axes.keys():
        raise FileError(f"{path}: not a trace; give a file that `ghostnet record` wrote")
    for name in variables or ():
        if name not in axes:
            raise FileError(f"{path}: no variable {name!r}; it has {', '.join(sorted(axes))}")
    wanted = axes if variables is None else (*variables, *COORDINATES, *(n for n, own in axes.items() if own == (n,)))
    arrays = {n: (own, file[n][()], _plain(file[n])) for n, own in axes.items() if n in wanted}
    texts = {name: hdf5.text(file, name, MAX_TEXT) for name in TEXTS}
    if not isinstance(json.loads(texts["provenance_json"]), dict):
        raise ValueError("provenance_json is no object")
    try:
        _require_sound(arrays, from_toml(texts["config_toml"]))
    except ConfigError as error:
        raise FileError(f"{path}: its config_toml: {error}") from error
    return Part(_plain(file), arrays)


def axes_of(file: h5py.File) -> dict[str, tuple[str, ...]]:
    """The names of every dataset's axes; one whose only axis has its name is what numbers that axis."""
    own = {name: thing for name, thing in file.items() if isinstance(thing, h5py.Dataset)}
    numbers = {name: int(thing.attrs[DIMENSION]) for name, thing in own.items() if DIMENSION in thing.attrs}
    names = {number: name for name, number in numbers.items()}
    found = {}
    for name, thing in own.items():
        ids = [numbers[name]] if name in numbers else np.ravel(thing.attrs.get(DIMENSIONS, ())).tolist()
        if not set(ids) <= names.keys() or len(ids) != thing.ndim:
            raise ValueError(f"{name} has axes {ids}, of {names}")
        found[name] = tuple(names[number] for number in ids)
    return found


def _plain(thing: h5py.Group | h5py.Dataset) -> dict:
    """Its attributes, less those of HDF5 and netCDF themselves."""
    values = {name: thing.attrs[name] for name in thing.attrs if name not in _HIDDEN}
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}


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
        FileError: a file can't be read, is damaged or refused (see `hdf5.open_strictly`), or is no trace; one is
            missing before others of the same record.
    """
    parts = [read_segment(path, variables)]
    for following in _continuations(Path(path)):
        part = read_segment(following, variables)
        if part.attributes.get("record") != parts[0].attributes.get("record"):
            break  # left over from another record
        parts.append(part)
        if following.name != (missing := continuation(Path(path), len(parts))).name:
            raise FileError(f"{missing}: missing, a part of the record that goes on in {following}; take a backup")
    try:
        return dataset([part.arrays for part in parts], parts[0].attributes)
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(f"{path}: its parts do not fit together ({error}); take a backup or record it anew") from error
