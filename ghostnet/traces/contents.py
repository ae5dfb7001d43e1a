"""What is in a trace: the arrays of a segment by name, with their axes and what is said of them."""

from __future__ import annotations

import numpy as np

from ghostnet.model.experiment import Experiment
from ghostnet.model.models import CLAMPED, labels
from ghostnet.model.recorder import Variable
from ghostnet.model.symbols import SYMBOLS
from ghostnet.traces.reading import Array
from ghostnet.traces.recording import Segment


def contents(segment: Segment) -> dict[str, Array]:
    """Everything in a segment by name; views of it where possible."""
    n, own = segment.rows, segment.selection
    step, lanes = segment.step[:n], ("time", "run", "example")
    seeds = np.array(own.experiment.seeds)[own.runs]
    arrays: dict[str, Array] = {
        "time": (("time",), step * own.experiment.dt, {"units": "s", "long_name": "model time at the end of the step"}),
        "step": (("time",), step, {"long_name": "Euler steps since the network's first"}),
        "phase": (("time",), segment.phase[:n], _phase_attributes(own.experiment)),
        "presentation": (("time",), segment.presentation[:n], {"long_name": "presentation, 0 is the network's first"}),
        "epoch": (("time",), segment.epoch[:n], {"long_name": "epoch, 1 is the first; 0 outside training"}),
        "row_steps": (("time",), segment.row_steps[:n], {"long_name": "Euler steps that the row stands for"}),
        "example_index": (lanes, segment.example[:n], {"long_name": "index of the image in its data set, or -1"}),
        "label": (lanes, segment.label[:n], {"long_name": "class shown"}),
        "run": (("run",), own.runs.astype("i4"), {"long_name": "run: place of the seed among the experiment's seeds"}),
        "seed": (("run",), seeds, {"long_name": "seed of the run"}),
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
    symbol = SYMBOLS[v.symbol]
    return {"units": symbol.unit, "long_name": symbol.about.format(k=v.k), "symbol": v.name}


def _snapshots(segment: Segment) -> dict[str, Array]:
    """The matrices, along an axis of their own."""
    own = segment.selection
    if not own.matrices:
        return {}
    steps = np.array([step for step, _ in segment.snapshots], np.int64)
    about = {"units": "s", "long_name": "model time at which the matrices were recorded"}
    arrays: dict[str, Array] = {"snapshot": (("snapshot",), steps * own.experiment.dt, about)}
    for i, v in enumerate(own.matrices):
        fast = ("example",) if v.symbol.endswith("W_gp") and own.experiment.plasticity.owned else ()
        shape = (0, len(own.runs), *((len(own.examples),) if fast else ()), *map(len, v.units))
        values = np.stack([m[i] for _, m in segment.snapshots]) if len(steps) else np.empty(shape, segment.dtype)
        arrays[v.name] = (("snapshot", "run", *fast, *v.axes), values, _attributes(v))
    return arrays
