"""The plastic weights: the rules of a model, (4), (5), (6), (15) and (16) among them."""

from __future__ import annotations

import numpy as np

from ghostnet.engines.cpu import simd
from ghostnet.engines.cpu.compiled import ONE, inline, jit
from ghostnet.engines.cpu.currents import clear_padding, fits_one_sweep
from ghostnet.engines.cpu.emit import VECTOR_BYTES
from ghostnet.engines.cpu.products import dots, multiply, outer
from ghostnet.engines.cpu.shares import columns, examples
from ghostnet.engines.cpu.simd import load, splat, store
from ghostnet.engines.cpu.slots import (
    CLIPPED,
    D_GP,
    GHOST_WIDTH,
    GHOSTS,
    MISMATCH,
    NOWHERE,
    R_ABOVE,
    RHO_G,
    S_ABOVE,
    UNITS,
    W_GP,
    W_PG,
    WIDTH,
    E,
    G,
    P,
    R,
    S,
    W,
)
from ghostnet.engines.cpu.vectorlaws import post_of_ghost, post_of_unit


@jit
def post_of_layer(mem, at, c, k, post, d):
    """post of the units of layer k, at d."""
    s = at[k, S]
    r = at[k, R]
    e = at[k, E]
    width = at[k, WIDTH]
    first, count = examples(c, k)
    for i in range(first * width, (first + count) * width, VECTOR_BYTES // mem.itemsize):
        store(mem, d + i, post_of_unit(post, c.rho, c.slope, load(mem, s + i), load(mem, r + i), load(mem, e + i)))
    clear_padding(mem, d + first * width, count, at[k, UNITS], width)


@inline
def teach_W_gp(mem, at, c, k):
    """Of (5) the postsynaptic factor, or (15), for hidden layer k; less what `currents` has done."""
    if not c.plain_gp:
        post_of_layer(mem, at, c, k, c.post_gp, at[k, D_GP])
    if c.owned and not (c.plain_gp and fits_one_sweep(at, c, k)):
        learn_own_W_gp(mem, at, c, k)


@inline
def teach_W_pg(mem, at, c, k):
    """Of (4) the postsynaptic factor, for hidden layer k."""
    first, count = examples(c, k + 1)
    post_of_ghosts(mem, at, c, k, imitated(mem, at, c, k), first, count)


@inline
def learn_own_W_gp(mem, at, c, k):
    """(15) for examples that own their W^gp."""
    first, count = examples(c, k)
    width = at[k, WIDTH]
    m = at[k, GHOSTS]
    factor = at[k, E] if c.plain_gp else at[k, D_GP]
    scale(mem, at[k, W_GP] + first * m * width, count * m, width, width, c.keep[2])
    for b in range(first, first + count):
        W_gp = at[k, W_GP] + b * m * width
        rho_g = at[k, RHO_G] + b * at[k, GHOST_WIDTH]
        outer(mem, W_gp, width, m, rho_g, factor + b * width, width, c.dt * c.eta_gp[k])


@inline
def learn_ghosts(mem, at, c, k, W_pg_acts, W_gp_acts):
    """(4), (4') and (5) for hidden layer k: matrices that the whole batch teaches."""
    width = at[k, WIDTH]
    row = at[k, GHOST_WIDTH]
    m = at[k, GHOSTS]
    first, count = columns(mem, c, at[k, UNITS])
    if W_gp_acts and not c.owned:
        W_gp = at[k, W_GP] + first
        e = (at[k, E] if c.plain_gp else at[k, D_GP]) + first
        eta, keep = c.dt * c.eta_gp[k], c.keep[2]
        multiply(mem, W_gp, width, m, at[k, RHO_G], ONE, row, c.batch, e, width, count, eta, keep)  # (5)
    if W_pg_acts:
        W_pg = at[k, W_PG] + first
        r = at[k, R] + first
        eta, keep = c.dt * c.eta_pg[k], c.keep[1]
        multiply(mem, W_pg, width, m, at[k, MISMATCH], ONE, row, c.batch, r, width, count, eta, keep)  # (4)


@inline
def imitated(mem, at, c, k):
    """Where the activities and rates are that the ghosts of layer k imitate: of their partners, or mixtures of them."""
    if at[k, P] == NOWHERE:
        return at[k + 1, S], at[k + 1, R]
    row = at[k + 1, WIDTH]
    ghost_width = at[k, GHOST_WIDTH]
    m = at[k, GHOSTS]
    first, count = examples(c, k + 1)
    to, source = first * ghost_width, first * row
    dots(mem, at[k, S_ABOVE] + to, ghost_width, count, at[k + 1, S] + source, row, at[k, P], row, m, row)
    if c.rates_above:
        dots(mem, at[k, R_ABOVE] + to, ghost_width, count, at[k + 1, R] + source, row, at[k, P], row, m, row)
    return at[k, S_ABOVE], at[k, R_ABOVE]


@jit
def post_of_ghosts(mem, at, c, k, above, first, count):
    """MISMATCH_k = post of the ghosts of layer k, for `count` examples from the first on; above: see `imitated`."""
    width, (s_above, r_above) = at[k, GHOST_WIDTH], above
    for i in range(first * width, (first + count) * width, VECTOR_BYTES // mem.itemsize):
        g, rho_g = load(mem, at[k, G] + i), load(mem, at[k, RHO_G] + i)
        post = post_of_ghost(c.post_pg, g, rho_g, load(mem, s_above + i), load(mem, r_above + i))
        store(mem, at[k, MISMATCH] + i, post)


@jit
def scale(mem, start, rows, row, count, factor):
    """Multiply the first `count` of every row, whole vectors, by a number."""
    if factor == 1.0:
        return
    by = splat(mem, factor)
    for begin in range(start, start + rows * row, row):
        for i in range(begin, begin + count, VECTOR_BYTES // mem.itemsize):
            store(mem, i, load(mem, i) * by)


@jit
def learn_above(mem, at, c, step, share, post, pre):
    """(6) and (16) for W_2 … W_N; W_1 has its own form. post, pre: where the table has the factors."""
    for k in range(2, at.shape[0]):
        rows = at[k, UNITS]
        width = at[k - 1, WIDTH]
        first, count = columns(mem, c, at[k - 1, UNITS])
        eta = share * c.eta[k]
        W_k = at[k, W] + first
        d = at[k, post]
        d_row = at[k, WIDTH]
        r = at[k - 1, pre] + first
        if c.clip == np.inf:
            multiply(mem, W_k, width, rows, d, ONE, d_row, c.batch, r, width, count, step * eta, c.keep[0])
        else:
            rate = at[k, CLIPPED] + first
            multiply(mem, rate, width, rows, d, ONE, d_row, c.batch, r, width, count, eta, 0.0)
            scale(mem, W_k, rows, width, count, c.keep[0])
            for row in range(0, rows * width, width):
                add_clipped(mem, W_k + row, rate + row, count, step, c.clip)


@jit
def add_clipped(mem, out, rate, count, step, clip):
    """out += step · rate, rate clipped to ±clip elementwise."""
    step_v = splat(mem, step)
    high = splat(mem, clip)
    low = splat(mem, -clip)
    for i in range(0, count, VECTOR_BYTES // mem.itemsize):
        clipped = simd.minimum(simd.maximum(load(mem, rate + i), low), high)
        store(mem, out + i, simd.fma(step_v, clipped, load(mem, out + i)))
