"""Recording on the compiled engine: copies of what a step leaves in memory into a block of rows."""

from __future__ import annotations

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ghostnet.engines.cpu import slots
from ghostnet.engines.cpu.compiled import jit
from ghostnet.model.recorder import Selection

NOTHING = np.empty((0, 3), np.int64)  # pieces of a row that has no columns
_COLUMN = {"s": slots.S, "r": slots.R, "g": slots.G, "e": slots.E, "drive": slots.DRIVE}


def pieces(selection: Selection, tables: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the columns of a row come from: (from, to, count), int64 (pieces, 3), of the state and of what follows."""
    parts: tuple[list, list] = ([], [])
    column = 0
    for v in selection.variables:
        held = v.symbol in ("s", "g") or (v.symbol == "drive" and v.k == 1)  # W_1 x follows W_1 at once
        offsets, rows = _where(v.symbol, v.k, tables)
        offsets = offsets[v.units[0]]
        breaks = np.flatnonzero(np.diff(offsets) != 1) + 1
        for example in selection.examples:
            for stretch in np.split(np.arange(len(offsets)), breaks):
                start = offsets[stretch[0]] + example * rows[v.units[0][stretch[0]]]
                parts[not held].append((start, column, len(stretch)))
                column += len(stretch)
    state, following = (np.array(part, np.int64).reshape(-1, 3) for part in parts)
    return state, following


def _where(symbol: str, k: int, tables: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each unit of layer k, or ghost: where its values begin, and how far those of an example are from the next."""
    panels = tables[:, k] if k == 1 and symbol != "g" else tables[:1, k]
    units, width = (slots.GHOSTS, slots.GHOST_WIDTH) if symbol == "g" else (slots.UNITS, slots.WIDTH)
    starts = [at[_COLUMN[symbol]] + np.arange(at[units]) for at in panels]
    return np.concatenate(starts), np.repeat(panels[:, width], panels[:, units])


@intrinsic
def copy_elements(context, row, target, mem, source, count):
    """row[target : target + count] = mem[source : source + count], the fastest way there is (memcpy)."""

    def generate(context, builder, signature, values):
        row_type, _, mem_type, *_ = signature.args
        to = builder.gep(context.make_array(row_type)(context, builder, values[0]).data, [values[1]])
        at = builder.gep(context.make_array(mem_type)(context, builder, values[2]).data, [values[3]])
        cgutils.raw_memcpy(builder, to, at, values[4], mem_type.dtype.bitwidth // 8)

    return types.void(row, types.intp, mem, types.intp, types.intp), generate


@jit
def copy(mem, row, parts):
    """Copy the pieces into a row."""
    for p in range(parts.shape[0]):
        copy_elements(row, parts[p, 1], mem, parts[p, 0], parts[p, 2])
