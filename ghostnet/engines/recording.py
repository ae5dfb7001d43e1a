"""Recording on the compiled engine: steps, and copies of what they leave in memory into a block of rows.

A step computes r_k, e_k and the drives from the state it starts at, and leaves the next s_k and g_k. So a row takes s
and g right after its step and the rest while the next step starts; after the last row these are computed for it alone.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ghostnet.engines import slots
from ghostnet.engines.compiled import NO, entry, jit
from ghostnet.engines.currents import all_rates, currents, output_error
from ghostnet.engines.kernels import begin_presentation, diverged_layer, finish_presentation, step
from ghostnet.recorder import Selection

_COLUMN = {"s": slots.S, "r": slots.R, "g": slots.G, "e": slots.E, "drive": slots.DRIVE}


def pieces(selection: Selection, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the columns of a row come from: (from, to, count), int64 (pieces, 3), of the state and of what follows."""
    parts, column = ([], []), 0
    for v in selection.variables:
        width = table[v.k, slots.GHOST_WIDTH if v.symbol == "g" else slots.WIDTH]
        held = v.symbol in ("s", "g") or (v.symbol == "drive" and v.k == 1)  # W_1 x follows W_1 at once
        stretches = np.split(v.units[0], np.flatnonzero(np.diff(v.units[0]) != 1) + 1)
        for example in selection.examples:
            for stretch in stretches:
                start = table[v.k, _COLUMN[v.symbol]] + example * width + stretch[0]
                parts[not held].append((start, column, len(stretch)))
                column += len(stretch)
    return tuple(np.array(part, np.int64).reshape(-1, 3) for part in parts)


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


@jit
def record_phase(mem, at, c, phase, steps, state, rest, block, lit, lit_count):
    """Euler steps of one phase; block (rows, columns) takes a row after every steps[row] of them."""
    beta = c.beta if phase else 0.0
    plastic = (c.plastic[phase, 0], c.plastic[phase, 1], c.plastic[phase, 2])
    rows = block.shape[0]
    for row in range(rows):
        for n in range(steps[row]):
            step(mem, at, c, beta, plastic, lit, lit_count)
            if n == 0 and row > 0:
                copy(mem, block[row - 1], rest)
        copy(mem, block[row], state)
    if rows and rest.shape[0]:
        all_rates(mem, at, c)  # these write only what every step computes anew
        output_error(mem, at, c, beta)
        currents(mem, at, c, NO)
        copy(mem, block[rows - 1], rest)


@entry
def record(mem, at, c, phase, steps, state, rest, block, lit, lit_count):
    """`record_phase` for a presentation in pieces."""
    record_phase(mem, at, c, phase, steps, state, rest, block, lit, lit_count)


@entry
def record_presentations(mem, at, c, free, clamped, xs, ys, state, rest, block, lit, lit_count):
    """As `kernels.present`; block (presentations · rows, columns); free and clamped: the steps of each phase's rows."""
    row = 0
    for p in range(xs.shape[0]):
        begin_presentation(mem, at, c, xs[p], ys[p], lit, lit_count)
        middle, end = row + free.shape[0], row + free.shape[0] + clamped.shape[0]
        record_phase(mem, at, c, 0, free, state, rest, block[row:middle], lit, lit_count)
        record_phase(mem, at, c, 1, clamped, state, rest, block[middle:end], lit, lit_count)
        finish_presentation(mem, at, c, lit, lit_count)
        row = end
        layer = diverged_layer(mem, at, c)
        if layer:
            return p, layer
    return xs.shape[0], 0


@entry
def diverged(mem, at, c, lit, lit_count):
    """The lowest layer with a non-finite or exploding activity; 0 where there is none."""
    return diverged_layer(mem, at, c)
