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


def pieces(selection: Selection, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the columns of a row come from: (from, to, count), int64 (pieces, 3), of the state and of what follows."""
    parts: tuple[list, list] = ([], [])
    column = 0
    for v in selection.variables:
        width = table[v.k, slots.GHOST_WIDTH if v.symbol == "g" else slots.WIDTH]
        held = v.symbol in ("s", "g") or (v.symbol == "drive" and v.k == 1)  # W_1 x follows W_1 at once
        stretches = np.split(v.units[0], np.flatnonzero(np.diff(v.units[0]) != 1) + 1)
        for example in selection.examples:
            for stretch in stretches:
                start = table[v.k, _COLUMN[v.symbol]] + example * width + stretch[0]
                parts[not held].append((start, column, len(stretch)))
                column += len(stretch)
    state, following = (np.array(part, np.int64).reshape(-1, 3) for part in parts)
    return state, following


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
