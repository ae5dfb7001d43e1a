"""What the page of `ghostnet view` is told of a trace: its rows, presentations and variables."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from ghostnet.errors import ConfigError, FileError
from ghostnet.model.experiment import Experiment, from_toml
from ghostnet.model.typed import require_known
from ghostnet.traces.reading import open_trace
from ghostnet.traces.view_coding import LINEAR, LOG, Coded, encode, packed_counts

_RECORD = re.compile(r"presentation-(\d+)\.h5")
_DIVERGED = "diverged.h5"
_LANES = ("time", "run", "example")
_LIVELY = 8  # units that are shown at first: those that move most
_EXPLODED = 1e3  # values beyond it are coded by their logarithm: even steps would leave nothing of the others


class Choice(NamedTuple):
    """What of a trace the page holds; None: all. units: places of every axis. presentations: as they are numbered."""

    variables: tuple[str, ...] | None = None
    units: slice | None = None
    presentations: slice | None = None


class Source(NamedTuple):
    """A trace as the page has it. about: for JSON. payloads: name → text of `view_coding`."""

    about: dict
    payloads: dict[str, str]


def traces_of(path: Path, variables: tuple[str, ...] | None) -> dict[str, xr.Dataset]:
    """By name, the traces that a path leads to: a file, or a run directory with all that was recorded of it.

    Raises:
        FileError: there is none, or it can't be read.
    """
    if not path.is_dir():
        return {path.name: open_trace(path, variables)}
    numbers = {int(match[1]): file for file in path.glob("traces/*.h5") if (match := _RECORD.fullmatch(file.name))}
    name, found = path.resolve().name, {}
    if numbers:
        parts = [open_trace(numbers[number], variables) for number in sorted(numbers)]
        found[name] = _joined(parts)
    if (diverged := path / "traces" / _DIVERGED).exists():
        found[f"{name}, diverging"] = open_trace(diverged, variables)
    if not found:
        raise FileError(f"{path}: no traces in it; record some with `ghostnet record {path}`")
    return found


def _joined(parts: list[xr.Dataset]) -> xr.Dataset:
    """The records of one run, each up to where the next begins: what a run had recorded beyond its last checkpoint
    before it was killed is recorded again.
    """
    rows = [part.drop_dims("snapshot", errors="ignore") for part in parts if part.sizes["time"]]
    for i, following in enumerate(rows[1:]):
        rows[i] = rows[i].isel(time=rows[i].step.to_numpy() < int(following.step[0]))
    return xr.concat(rows, "time", data_vars="minimal", coords="minimal", compat="equals", join="exact")


def source(name: str, trace: xr.Dataset, choice: Choice) -> Source:
    """A trace for the page.

    Raises:
        ConfigError: nothing is left of it, or what is asked for was not recorded.
    """
    e, trace = from_toml(trace.attrs["config_toml"]), _chosen(name, trace, choice)
    made = json.loads(trace.attrs["provenance_json"])
    payloads = {}
    variables = {}
    for key, values, told in _variables(trace, e):
        coded = encode(_series(values), told.pop("code"))
        variables[key] = told | _told(coded)
        payloads[key] = coded.payload
    payloads |= {key: packed_counts(trace[key].to_numpy()) for key in ("step", "row_steps")}
    about = {
        "name": name,
        "title": f"{e.model}-{e.feedback}, {'-'.join(map(str, e.sizes))}, β {e.beta:g}",
        "config": trace.attrs["config_toml"],
        "made": {key: made[key] for key in ("engine", "dtype", "argv", "divergence") if key in made},
        "dt": e.dt,
        "depth": e.depth,
        "rows": trace.sizes["time"],
        "seeds": trace.seed.to_numpy().tolist(),
        "places": trace.example.to_numpy().tolist(),
        "phases": [name.replace("_", " ") for name in str(trace.phase.attrs["flag_meanings"]).split()],
        "presentations": _presentations(trace, _answers(trace, e)),
        "variables": variables,
    }
    return Source(about, payloads)


def _chosen(name: str, trace: xr.Dataset, choice: Choice) -> xr.Dataset:
    """The rows, variables and units that the page is to hold."""
    known = [str(n) for n, values in trace.data_vars.items() if values.dims[:3] == _LANES]
    require_known(choice.variables or (), known, "variable")
    trace = trace[list(choice.variables or known)]
    if choice.presentations:
        wanted = range(2**31)[choice.presentations]
        trace = trace.isel(time=[n in wanted for n in trace.presentation.to_numpy().tolist()])
    if not trace.sizes["time"] or not trace.data_vars:
        raise ConfigError(f"{name}: nothing of it is chosen; it has no such rows or no activities")
    return trace


def _variables(trace: xr.Dataset, e: Experiment) -> Iterator[tuple[str, np.ndarray, dict]]:
    """(name, values (time, run, example, units), what is said of it), norms of errors included."""
    for name, array in ((str(n), values) for n, values in trace.data_vars.items()):
        symbol, _, k = name.rpartition("_")
        values, axis = array.to_numpy(), array.dims[3]
        told = {"symbol": symbol, "k": int(k), "about": array.attrs.get("long_name", ""), "axis": axis}
        sizes = e.ghosts[int(k) - 1] if symbol == "g" else e.sizes[int(k)]
        spread = values[:, 0, 0].std(0, dtype=np.float64)
        lively = np.sort(np.argsort(-spread, kind="stable")[:_LIVELY])
        most = np.abs(values[np.isfinite(values)]).max(initial=0)
        wide = symbol == "e" or most > _EXPLODED or not np.isfinite(values).all()
        told |= {"units": trace[axis].to_numpy().tolist(), "of": sizes, "lively": lively.tolist()}
        yield name, values, told | {"code": LOG if wide else LINEAR}
        if symbol == "e":
            with np.errstate(all="ignore"):
                norm = np.linalg.norm(values.astype(np.float64), axis=3, keepdims=True)
            part = "" if values.shape[3] == sizes else f", of {values.shape[3]} of {sizes} units"
            about = {"about": f"norm of the error of layer {k}{part}", "axis": "", "units": [0], "of": 1, "lively": [0]}
            yield f"norm_{name}", norm, told | about | {"code": LOG}


def _series(values: np.ndarray) -> np.ndarray:
    """(time, run, example, units) as (run · example · unit, time)."""
    return np.ascontiguousarray(np.moveaxis(values, 0, -1)).reshape(-1, len(values))


def _told(coded: Coded) -> dict:
    kind = "relative" if coded.kind == LOG else "absolute"
    return {"kind": coded.kind, "low": coded.low, "step": coded.step, "error": float(f"{coded.error:.2g}"), "is": kind}


def _answers(trace: xr.Dataset, e: Experiment) -> np.ndarray | None:
    """The output unit that is most active after each row, (time, run, example); None where not all were recorded."""
    for name in (f"r_{e.depth}", f"s_{e.depth}"):
        if name in trace and trace[name].shape[3] == e.sizes[-1]:
            values = trace[name].to_numpy()
            best = trace[f"unit_{e.depth}"].to_numpy()[np.nan_to_num(values, nan=-np.inf).argmax(3)]
            return np.where(np.isfinite(values).all(3), best, -1)
    return None


def _presentations(trace: xr.Dataset, answers: np.ndarray | None) -> list[dict]:
    """Each with its rows and phases; classes, examples and answers by run and place in the batch.

    said: the answer at the end of its first phase, before the target is shown.
    """
    numbers, phase = trace.presentation.to_numpy(), trace.phase.to_numpy()
    labels, examples = trace.label.to_numpy(), trace.example_index.to_numpy()
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    found = []
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(numbers)], strict=True):
        edges = [start, *(start + 1 + np.flatnonzero(np.diff(phase[start:stop]))).tolist(), stop]
        spans = [[int(phase[a]), a, b] for a, b in itertools.pairwise(edges)]
        one = {"n": int(numbers[start]), "epoch": int(trace.epoch[start]), "rows": [start, stop], "phases": spans}
        one |= {"label": labels[start].tolist(), "index": examples[start].tolist()}
        if answers is not None and spans[0][0] == 0:
            one["said"] = answers[spans[0][2] - 1].tolist()
        found.append(one)
    return found
