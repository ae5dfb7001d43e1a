"""Reading one trace file: what it says of itself is checked before anybody works with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from ghostnet.errors import ConfigError, FileError
from ghostnet.files import hdf5
from ghostnet.model import names
from ghostnet.model.experiment import MAX_TEXT, Experiment, from_toml

Array = tuple[tuple[str, ...], np.ndarray, dict]  # axes, values, attributes
TEXTS = ("config_toml", "provenance_json")
COORDINATES = ("step", "phase", "presentation", "epoch", "example_index", "label")
DIMENSION, DIMENSIONS = "_Netcdf4Dimid", "_Netcdf4Coordinates"  # netCDF-4's: the number of an axis; those of an array
_HIDDEN = ("CLASS", "NAME", "_NCProperties", DIMENSION, DIMENSIONS, *hdf5.UNREAD)


class Part(NamedTuple):
    """One file of a trace. attributes: of the file, and its `TEXTS`. arrays: its other datasets by name."""

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
    axes = axes_of(file) if {"time", *COORDINATES, *TEXTS} <= file.keys() else {}
    if not {"time", *COORDINATES} <= axes.keys():
        raise FileError(f"{path}: not a trace; give a file that `ghostnet record` wrote")
    for name in variables or ():
        if name not in axes:
            raise FileError(f"{path}: no variable {name!r}; it has {', '.join(sorted(axes))}")
    wanted = axes if variables is None else (*variables, *COORDINATES, *(n for n, own in axes.items() if own == (n,)))
    arrays = {n: (own, file[n][()], _plain(file[n])) for n, own in axes.items() if n in wanted}
    texts = {name: _text(file[name]) for name in TEXTS}
    if not isinstance(json.loads(texts["provenance_json"]), dict):
        raise ValueError("provenance_json is no object")
    try:
        _require_sound(arrays, from_toml(texts["config_toml"]))
    except ConfigError as error:
        raise FileError(f"{path}: its config_toml: {error}") from error
    return Part(texts | _plain(file), arrays)


def _text(thing: h5py.Dataset | h5py.Group) -> str:
    found = thing.asstr()[()] if isinstance(thing, h5py.Dataset) else None
    if not isinstance(found, str) or len(found) > MAX_TEXT:
        raise ValueError(f"{thing.name} is not one text of at most {MAX_TEXT} characters")
    return found


def axes_of(file: h5py.File) -> dict[str, tuple[str, ...]]:
    """The names of every dataset's axes; one whose only axis has its name is what numbers that axis."""
    own = {name: thing for name, thing in file.items() if isinstance(thing, h5py.Dataset) and name not in TEXTS}
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
        lanes = ("time", "run", "example") if name in ("example_index", "label") else ("time",)
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
