"""W_1, whose input stands still and is mostly dark: its own forms of (6) and (16), exact short cuts."""

from __future__ import annotations

import numpy as np
from numba.extending import overload

from ghostnet.engines.cpu import simd
from ghostnet.engines.cpu.compiled import NONE, ONE, inline, jit
from ghostnet.engines.cpu.emit import VECTOR_BYTES
from ghostnet.engines.cpu.plasticity import add_clipped, scale
from ghostnet.engines.cpu.products import clear, multiply, whole_vectors
from ghostnet.engines.cpu.shares import columns, in_panels, place_in_crowd
from ghostnet.engines.cpu.simd import load, splat, store
from ghostnet.engines.cpu.slots import CLIPPED, D_SUM, DRIVE, FADE, GRAM, UNITS, WIDTH, D, R, W
from ghostnet.engines.cpu.team import any_of


@jit
def drive_input(mem, at, c, lit, lit_count):
    """W_1 x, over the lit pixels of each example: constant while W_1 is."""
    lanes = VECTOR_BYTES // mem.itemsize
    width = at[1, WIDTH]
    first, count = columns(mem, c, at[1, UNITS])
    end = first + count
    for b in range(c.batch):
        x, drive = at[0, R] + b * at[0, WIDTH], at[1, DRIVE] + b * width
        j = first
        while j + 3 * lanes < end:
            u_0 = u_1 = u_2 = u_3 = splat(mem, 0.0)
            for t in range(lit_count[b]):
                i = lit[b, t]
                x_i, w = splat(mem, mem[x + i]), at[1, W] + i * width + j
                u_0 = simd.fma(x_i, load(mem, w), u_0)
                u_1 = simd.fma(x_i, load(mem, w + lanes), u_1)
                u_2 = simd.fma(x_i, load(mem, w + 2 * lanes), u_2)
                u_3 = simd.fma(x_i, load(mem, w + 3 * lanes), u_3)
            store(mem, drive + j, u_0)
            store(mem, drive + j + lanes, u_1)
            store(mem, drive + j + 2 * lanes, u_2)
            store(mem, drive + j + 3 * lanes, u_3)
            j += 4 * lanes
        while j < end:
            u_0 = splat(mem, 0.0)
            for t in range(lit_count[b]):
                i = lit[b, t]
                u_0 = simd.fma(splat(mem, mem[x + i]), load(mem, at[1, W] + i * width + j), u_0)
            store(mem, drive + j, u_0)
            j += lanes


def clips(mem, at, c, share, d):
    """Whether W_1's rule may have to clip, in this panel or, without panels, anywhere."""


@overload(clips)
def _clips(mem, at, c, share, d):
    if in_panels(c):  # each of the crowd finds out by itself
        return lambda mem, at, c, share, d: (
            c.clip != np.inf and exceeds_clip(mem, at, c, share, d, NONE, whole_vectors(mem, at[1, UNITS]))
        )

    def anywhere(mem, at, c, share, d):
        first, count = columns(mem, c, at[1, UNITS])
        return c.clip != np.inf and any_of(c.team, exceeds_clip(mem, at, c, share, d, first, count))

    return anywhere


@jit
def exceeds_clip(mem, at, c, share, d, first, count):
    """Whether some |dW_1/dt| of these columns might: |dW_ij/dt| <= η_1 Σ_b |d_bi|, since 0 <= x <= 1."""
    zero = splat(mem, 0.0)
    greatest = zero
    for j in range(d + first, d + first + count, VECTOR_BYTES // mem.itemsize):
        bound = zero
        for i in range(j, j + c.batch * at[1, WIDTH], at[1, WIDTH]):
            bound = bound + simd.maximum(load(mem, i), zero - load(mem, i))
        greatest = simd.maximum(greatest, bound)
    return abs(share) * c.eta[1] * simd.largest(mem, greatest) > c.clip


@jit
def scale_first(mem, at, c, factor):
    """Multiply W_1 by a number."""
    first, count = columns(mem, c, at[1, UNITS])
    scale(mem, at[1, W] + first, at[0, UNITS], at[1, WIDTH], count, factor)


@jit
def learn_input(mem, at, c, lit, lit_count, d, step):
    """W_1 += step η_1 Σ_b d_b x_b^T, over the lit pixels of each example."""
    width, W_1 = at[1, WIDTH], at[1, W]
    first, count = columns(mem, c, at[1, UNITS])
    for b in range(c.batch):
        for t in range(lit_count[b]):
            i = lit[b, t]
            x = splat(mem, step * c.eta[1] * mem[at[0, R] + b * at[0, WIDTH] + i])
            for j in range(first, first + count, VECTOR_BYTES // mem.itemsize):
                w = W_1 + i * width + j
                store(mem, w, simd.fma(x, load(mem, d + b * width + j), load(mem, w)))


@jit
def learn_input_clipped(mem, at, c, d, step, share):
    """(6) and (16) for W_1, elementwise clipped: dW_1/dt is formed pixel by pixel."""
    width = at[1, WIDTH]
    first, count = columns(mem, c, at[1, UNITS])
    row = at[1, CLIPPED] + first
    for i in range(at[0, UNITS]):
        x = at[0, R] + i
        multiply(mem, row, width, ONE, x, NONE, at[0, WIDTH], c.batch, d + first, width, count, share * c.eta[1], 0.0)
        add_clipped(mem, at[1, W] + first + i * width, row, count, step, c.clip)


@inline
def gram_row(mem, c):
    """Row length of x x^T."""
    return whole_vectors(mem, c.batch)


@jit
def learn_once(mem, at, c, d, share, lit, lit_count):
    """(16) for W_1; d: where its postsynaptic factor is."""
    scale_first(mem, at, c, c.keep[0])
    if clips(mem, at, c, share, d):
        learn_input_clipped(mem, at, c, d, 1.0, share)
    else:
        learn_input(mem, at, c, lit, lit_count, d, share)


@inline
def learn_first(mem, at, c, share, lit, lit_count):
    """(6) for W_1 while x stands still: u_1 += η_1 dt (x x^T) d keeps W_1 x current, and Σ d waits for `settle`, as
    does the decay."""
    if clips(mem, at, c, share, at[1, D]):
        settle(mem, at, c, lit, lit_count)
        scale_first(mem, at, c, c.keep[0])
        learn_input_clipped(mem, at, c, at[1, D], c.dt, share)
        drive_input(mem, at, c, lit, lit_count)
        return
    add_to_sum(mem, at, c, share)
    width, gram, row = at[1, WIDTH], at[0, GRAM], gram_row(mem, c)
    first, count = columns(mem, c, at[1, UNITS])
    drive, d, eta = at[1, DRIVE] + first, at[1, D] + first, c.dt * share * c.eta[1]
    multiply(mem, drive, width, c.batch, gram, row, ONE, c.batch, d, width, count, eta, c.keep[0])


@jit
def add_to_sum(mem, at, c, share):
    """D_SUM += share D_1, and the decay of both sum and W_1."""
    width = at[1, WIDTH]
    first, count = columns(mem, c, at[1, UNITS])
    scale(mem, at[1, D_SUM] + first, c.batch, width, count, c.keep[0])
    mem[faded(at, c)] *= c.keep[0]
    by = splat(mem, share)
    for begin in range(first, first + c.batch * width, width):
        for i in range(begin, begin + count, VECTOR_BYTES // mem.itemsize):
            store(mem, at[1, D_SUM] + i, simd.fma(by, load(mem, at[1, D] + i), load(mem, at[1, D_SUM] + i)))


@jit
def settle(mem, at, c, lit, lit_count):
    """Make the changes of W_1 that `learn_first` has put off."""
    scale_first(mem, at, c, mem[faded(at, c)])
    mem[faded(at, c)] = 1.0
    learn_input(mem, at, c, lit, lit_count, at[1, D_SUM], c.dt)
    first, count = columns(mem, c, at[1, UNITS])
    for row in range(first, first + c.batch * at[1, WIDTH], at[1, WIDTH]):
        clear(mem, at[1, D_SUM] + row, count)


@inline
def faded(at, c):
    """Where a thread keeps how far its columns of W_1 should have decayed and have not yet."""
    member, _ = place_in_crowd(c)
    return at[0, FADE] + member
