"""What `ghostnet info` says about a trace file."""

from __future__ import annotations

import json
import os

import numpy as np

from ghostnet.files import hdf5
from ghostnet.traces.reading import Array, part_of


def summary(path: str | os.PathLike) -> str:
    """What is in a trace file, as a short table: axes, times, classes, variables, settings.

    Raises:
        FileError: as `open_trace`.
    """
    with hdf5.open_strictly(path) as contents:
        about, known = part_of(contents)
        rows = [
            [n, " × ".join(axes), str(values.dtype), str(said.get("long_name", ""))]
            for n, (axes, values, said) in known.items()
        ]
        scales = [f"{name} {len(values)}" for name, (axes, values, _) in known.items() if axes == (name,)]
        return "\n".join(
            [
                f"{path}: ghostnet trace, segment {about.get('segment', 1)}, {os.path.getsize(path) / 1e6:.1f} MB",
                "",
                "axes      " + ", ".join(scales),
                *_facts(known, json.loads(about["provenance_json"])),
                "",
                *_table(rows),
                "",
                about["config_toml"].rstrip(),
            ]
        )


def _facts(known: dict[str, Array], about: dict) -> list[str]:
    """Lines about times, phases, presentations and classes."""
    time, phase, shown, classes = (known[name][1] for name in ("time", "phase", "presentation", "label"))
    phases = str(known["phase"][2].get("flag_meanings", "")).split()
    span = f"{float(time[0]):g} to {float(time[-1]):g} s" if len(time) else "no rows"
    steps = ", ".join(f"{np.count_nonzero(phase == i)} rows {name.replace('_', ' ')}" for i, name in enumerate(phases))
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
