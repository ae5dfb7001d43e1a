"""What `ghostnet info` says about a trace file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np

from ghostnet import hdf5
from ghostnet.traces.files import TEXTS, axes_of, plain, wanted

_PHASES = ("free", "weakly clamped")


def summary(path: str | os.PathLike) -> str:
    """What is in a trace file, as a short table: axes, times, classes, variables, settings.

    Raises:
        FileError: as `open_trace`.
    """
    with hdf5.open_strictly(path) as file:
        wanted(Path(path), file)
        arrays = {n: thing for n, thing in file.items() if isinstance(thing, h5py.Dataset) and n not in TEXTS}
        return "\n".join(
            [
                f"{path}: ghostnet trace, segment {file.attrs.get('segment', 1)}, {os.path.getsize(path) / 1e6:.1f} MB",
                "",
                "axes      " + ", ".join(f"{name} {len(scale)}" for name, scale in arrays.items() if scale.is_scale),
                *_facts(file),
                "",
                *_table([[n, " × ".join(axes_of(a)), str(a.dtype), _about(a)] for n, a in arrays.items()]),
                "",
                file["config_toml"].asstr()[()].rstrip(),
            ]
        )


def _facts(file: h5py.File) -> list[str]:
    """Lines about times, phases, presentations and classes."""
    time, phase, shown, classes = (file[name][()] for name in ("time", "phase", "presentation", "label"))
    about = dict(json.loads(file["provenance_json"].asstr()[()]))
    span = f"{float(time[0]):g} to {float(time[-1]):g} s" if len(time) else "no rows"
    steps = ", ".join(f"{np.count_nonzero(phase == i)} rows {name}" for i, name in enumerate(_PHASES))
    numbers = np.unique(shown).tolist()
    which = f", {numbers[0]} to {numbers[-1]}" if numbers else ""
    return [
        f"time      {span}; {steps}",
        f"shown     {len(numbers)} presentations{which}",
        "classes   " + ", ".join(map(str, np.unique(classes).tolist())),
        f"made by   {about.get('engine')}, {about.get('dtype')}: {' '.join(map(str, about.get('argv', [])))}",
    ]


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _about(data: h5py.Dataset) -> str:
    return str(plain(data.attrs).get("long_name", ""))
