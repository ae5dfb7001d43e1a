"""The plastic weights: the rules of a model, (4), (5), (6), (15) and (16) among them, and exact short cuts for W_1."""

from __future__ import annotations

import numpy as np

from ghostnet.engines.cpu import simd
from ghostnet.engines.cpu.compiled import NONE, ONE, inline, jit
from ghostnet.engines.cpu.currents import clear_padding, fits_one_sweep
from ghostnet.engines.cpu.products import clear, dots, multiply, outer
from ghostnet.engines.cpu.simd import VECTOR_BYTES, load, splat, store
from ghostnet.engines.cpu.slots import (
    CLIPPED,
    D_SUM,
    DRIVE,
    FADE,
    GHOST_WIDTH,
    GHOSTS,
    GRAM,
    MISMATCH,
    NOWHERE,
    R_ABOVE,
    RHO_G,
    S_ABOVE,
    UNITS,
    W_GP,
    W_PG,
    WIDTH,
    D,
    E,
    G,
    P,
    R,
    S,
    W,
)
from ghostnet.engines.cpu.vectorlaws import post_of_ghost, post_of_unit


@jit
def drive_input(mem, at, c, lit, lit_count):
    """W_1 x, over the lit pixels of each example: constant while W_1 is."""
    lanes = VECTOR_BYTES // mem.itemsize
    width, units = at[1, WIDTH], at[1, UNITS]
    for b in range(c.batch):
        x, drive = at[0, R] + b * at[0, WIDTH], at[1, DRIVE] + b * width
        j = 0
        while j + 3 * lanes < units:
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
        while j < units:
            u_0 = splat(mem, 0.0)
            for t in range(lit_count[b]):
                i = lit[b, t]
                u_0 = simd.fma(splat(mem, mem[x + i]), load(mem, at[1, W] + i * width + j), u_0)
            store(mem, drive + j, u_0)
            j += lanes


@jit
def signals(mem, at, c):
    """The postsynaptic factor of W_k's rule for every k: of (6) and (16) in the paper's models."""
    for k in range(1, at.shape[0]):
        post_of_layer(mem, at, c, k, c.post)


@jit
def post_of_layer(mem, at, c, k, post):
    """D_k = post of the units of layer k."""
    s = at[k, S]
    r = at[k, R]
    e = at[k, E]
    d = at[k, D]
    width = at[k, WIDTH]
    for i in range(0, c.batch * width, VECTOR_BYTES // mem.itemsize):
        store(mem, d + i, post_of_unit(post, c.rho, c.slope, load(mem, s + i), load(mem, r + i), load(mem, e + i)))
    clear_padding(mem, d, c.batch, at[k, UNITS], width)


@inline
def learn_ghosts(mem, at, c, W_pg_acts, W_gp_acts):
    """(4), (5) and (15) for every hidden layer, less what `currents` has done in its one sweep."""
    for k in range(1, at.shape[0] - 1):
        if W_gp_acts and not (c.plain_gp and fits_one_sweep(at, c, k)):
            learn_W_gp(mem, at, c, k)
        if W_pg_acts:
            learn_W_pg(mem, at, c, k)


@inline
def learn_W_gp(mem, at, c, k):
    """(5), or (15) where every example owns its W^gp."""
    W_gp = at[k, W_GP]
    rho_g = at[k, RHO_G]
    width = at[k, WIDTH]
    ghost_width = at[k, GHOST_WIDTH]
    m = at[k, GHOSTS]
    step = c.dt * c.eta_gp[k]
    factor = at[k, E]
    if not c.plain_gp:
        post_of_layer(mem, at, c, k, c.post_gp)
        factor = at[k, D]
        scale(mem, W_gp, (c.batch if c.owned else 1) * m * width, c.keep[2])
    if c.owned:
        for b in range(c.batch):
            outer(mem, W_gp + b * m * width, width, m, rho_g + b * ghost_width, factor + b * width, width, step)  # (15)
    else:
        multiply(mem, W_gp, width, m, rho_g, ONE, ghost_width, c.batch, factor, width, width, step, 1.0)  # (5)


@inline
def learn_W_pg(mem, at, c, k):
    """(4), (4')."""
    width = at[k, WIDTH]
    ghost_width = at[k, GHOST_WIDTH]
    m = at[k, GHOSTS]
    post_of_ghosts(mem, at, c, k, imitated(mem, at, c, k), 0, c.batch)
    step, keep = c.dt * c.eta_pg[k], c.keep[1]
    multiply(
        mem, at[k, W_PG], width, m, at[k, MISMATCH], ONE, ghost_width, c.batch, at[k, R], width, width, step, keep
    )  # (4)


@inline
def imitated(mem, at, c, k):
    """Where the activities and rates are that the ghosts of layer k imitate: of their partners, or mixtures of them."""
    if at[k, P] == NOWHERE:
        return at[k + 1, S], at[k + 1, R]
    row = at[k + 1, WIDTH]
    ghost_width = at[k, GHOST_WIDTH]
    m = at[k, GHOSTS]
    dots(mem, at[k, S_ABOVE], ghost_width, c.batch, at[k + 1, S], row, at[k, P], row, m, row)
    if c.rates_above:
        dots(mem, at[k, R_ABOVE], ghost_width, c.batch, at[k + 1, R], row, at[k, P], row, m, row)
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
def scale(mem, start, count, factor):
    """Multiply a block of whole vectors by a number."""
    if factor == 1.0:
        return
    by = splat(mem, factor)
    for i in range(start, start + count, VECTOR_BYTES // mem.itemsize):
        store(mem, i, load(mem, i) * by)


@jit
def learn_above(mem, at, c, step, share, post, pre):
    """(6) and (16) for W_2 … W_N; W_1 has its own form. post, pre: the columns of the factors."""
    for k in range(2, at.shape[0]):
        rows = at[k, UNITS]
        width = at[k - 1, WIDTH]
        eta = share * c.eta[k]
        W_k = at[k, W]
        d = at[k, post]
        d_row = at[k, WIDTH]
        r = at[k - 1, pre]
        if c.clip == np.inf:
            multiply(mem, W_k, width, rows, d, ONE, d_row, c.batch, r, width, width, step * eta, c.keep[0])
        else:
            multiply(mem, at[k, CLIPPED], width, rows, d, ONE, d_row, c.batch, r, width, width, eta, 0.0)
            scale(mem, W_k, rows * width, c.keep[0])
            add_clipped(mem, W_k, at[k, CLIPPED], rows * width, step, c.clip)


@jit
def add_clipped(mem, out, rate, count, step, clip):
    """out += step · rate, rate clipped to ±clip elementwise."""
    step_v = splat(mem, step)
    high = splat(mem, clip)
    low = splat(mem, -clip)
    for i in range(0, count, VECTOR_BYTES // mem.itemsize):
        clipped = simd.minimum(simd.maximum(load(mem, rate + i), low), high)
        store(mem, out + i, simd.fma(step_v, clipped, load(mem, out + i)))


@jit
def exceeds_clip(mem, at, c, share, d):
    """Whether some |dW_1/dt| might: |dW_ij/dt| <= η_1 Σ_b |d_bi|, since 0 <= x <= 1."""
    if c.clip == np.inf:
        return False
    for i in range(at[1, UNITS]):
        bound = 0.0
        for b in range(c.batch):
            bound += abs(mem[d + b * at[1, WIDTH] + i])
        if abs(share) * c.eta[1] * bound > c.clip:
            return True
    return False


@jit
def learn_input(mem, at, c, lit, lit_count, d, step):
    """W_1 += step η_1 Σ_b d_b x_b^T, over the lit pixels of each example."""
    width, W_1 = at[1, WIDTH], at[1, W]
    for b in range(c.batch):
        for t in range(lit_count[b]):
            i = lit[b, t]
            x = splat(mem, step * c.eta[1] * mem[at[0, R] + b * at[0, WIDTH] + i])
            for j in range(0, at[1, UNITS], VECTOR_BYTES // mem.itemsize):
                w = W_1 + i * width + j
                store(mem, w, simd.fma(x, load(mem, d + b * width + j), load(mem, w)))


@jit
def learn_input_clipped(mem, at, c, d, step, share):
    """(6) and (16) for W_1, elementwise clipped: dW_1/dt is formed pixel by pixel."""
    width, row = at[1, WIDTH], at[1, CLIPPED]
    for i in range(at[0, UNITS]):
        x = at[0, R] + i
        multiply(mem, row, width, ONE, x, NONE, at[0, WIDTH], c.batch, d, width, width, share * c.eta[1], 0.0)
        add_clipped(mem, at[1, W] + i * width, row, width, step, c.clip)


@inline
def gram_row(mem, c):
    """Row length of x x^T."""
    lanes = VECTOR_BYTES // mem.itemsize
    return (c.batch + lanes - 1) // lanes * lanes


@jit
def learn_once(mem, at, c, d, share, lit, lit_count):
    """(16) for W_1; d: where its postsynaptic factor is."""
    scale(mem, at[1, W], at[0, UNITS] * at[1, WIDTH], c.keep[0])
    if exceeds_clip(mem, at, c, share, d):
        learn_input_clipped(mem, at, c, d, 1.0, share)
    else:
        learn_input(mem, at, c, lit, lit_count, d, share)


@inline
def learn_first(mem, at, c, share, lit, lit_count):
    """(6) for W_1 while x stands still: u_1 += η_1 dt (x x^T) d keeps W_1 x current, and Σ d waits for `settle`, as
    does the decay."""
    if exceeds_clip(mem, at, c, share, at[1, D]):
        settle(mem, at, c, lit, lit_count)
        scale(mem, at[1, W], at[0, UNITS] * at[1, WIDTH], c.keep[0])
        learn_input_clipped(mem, at, c, at[1, D], c.dt, share)
        drive_input(mem, at, c, lit, lit_count)
        return
    width, batch = at[1, WIDTH], c.batch
    scale(mem, at[1, D_SUM], batch * width, c.keep[0])
    mem[at[0, FADE]] *= c.keep[0]
    by = splat(mem, share)
    for i in range(0, batch * width, VECTOR_BYTES // mem.itemsize):
        store(mem, at[1, D_SUM] + i, simd.fma(by, load(mem, at[1, D] + i), load(mem, at[1, D_SUM] + i)))
    multiply(
        mem,
        at[1, DRIVE],
        width,
        batch,
        at[0, GRAM],
        gram_row(mem, c),
        ONE,
        batch,
        at[1, D],
        width,
        width,
        c.dt * share * c.eta[1],
        c.keep[0],
    )


@jit
def settle(mem, at, c, lit, lit_count):
    """Make the changes of W_1 that `learn_first` has put off."""
    scale(mem, at[1, W], at[0, UNITS] * at[1, WIDTH], mem[at[0, FADE]])
    mem[at[0, FADE]] = 1.0
    learn_input(mem, at, c, lit, lit_count, at[1, D_SUM], c.dt)
    clear(mem, at[1, D_SUM], c.batch * at[1, WIDTH])
