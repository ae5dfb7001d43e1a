"""Rates, errors and drives, and the step of the activities: (2) and (3)."""

from __future__ import annotations

import numpy as np
from numba.extending import overload

from ghostnet.engines.cpu import simd, tiles
from ghostnet.engines.cpu.compiled import NONE, ONE, inline, jit
from ghostnet.engines.cpu.emit import VECTOR_BYTES
from ghostnet.engines.cpu.products import clear, dots, expand, expand_and_dots, multiply, whole_vectors
from ghostnet.engines.cpu.shares import examples, in_panels
from ghostnet.engines.cpu.simd import load, splat, store
from ghostnet.engines.cpu.slots import (
    DRIVE,
    GHOST_DRIVE,
    GHOST_PART,
    GHOST_WIDTH,
    GHOSTS,
    PART,
    RHO_G,
    TARGET,
    TURN,
    UNITS,
    W_GP,
    W_PG,
    WIDTH,
    B,
    E,
    G,
    R,
    S,
    W,
)
from ghostnet.engines.cpu.vectorlaws import evaluate


@jit
def rates(mem, s, r, rows, units, width, rho):
    """r = ρ(s); the padding of r stays zero."""
    lanes = VECTOR_BYTES // mem.itemsize
    whole = units // lanes * lanes
    for row in range(0, rows * width, width):
        for i in range(row, row + whole, lanes):
            store(mem, r + i, evaluate(rho, load(mem, s + i)))
        if whole < units:
            i = row + whole
            store(mem, r + i, simd.first(evaluate(rho, load(mem, s + i)), units - whole))


@jit
def clear_padding(mem, start, rows, units, width):
    """Zero what lies beyond `units` in every row."""
    lanes = VECTOR_BYTES // mem.itemsize
    for last in range(units // lanes * lanes, width, lanes):
        for i in range(start + last, start + rows * width, width):
            store(mem, i, simd.first(load(mem, i), units - last))


@inline
def rates_of_units(mem, at, c, k):
    """r_k at the current state."""
    first, count = examples(c, k)
    skip = first * at[k, WIDTH]
    rates(mem, at[k, S] + skip, at[k, R] + skip, count, at[k, UNITS], at[k, WIDTH], c.rho)


@inline
def rates_of_ghosts(mem, at, c, k):
    """ρ(g_k) at the current state."""
    first, count = examples(c, k + 1)
    skip = first * at[k, GHOST_WIDTH]
    rates(mem, at[k, G] + skip, at[k, RHO_G] + skip, count, at[k, GHOSTS], at[k, GHOST_WIDTH], c.rho)


@jit
def all_rates(mem, at, c):
    """r_k and ρ(g_k) at the current state."""
    for k in range(1, at.shape[0] - 1):
        rates_of_ghosts(mem, at, c, k)
    for k in range(1, at.shape[0]):
        rates_of_units(mem, at, c, k)


@jit
def output_error(mem, at, c, beta):
    """e_N = -β ∂C/∂r_N (2)."""
    N, strength = at.shape[0] - 1, splat(mem, beta)
    width = at[N, WIDTH]
    first, count = examples(c, N)
    for i in range(first * width, (first + count) * width, VECTOR_BYTES // mem.itemsize):
        y = load(mem, at[N, TARGET] + i)
        s = load(mem, at[N, S] + i)
        r = load(mem, at[N, R] + i)
        store(mem, at[N, E] + i, strength * evaluate(c.error, y, s, r))
    clear_padding(mem, at[N, E] + first * width, count, at[N, UNITS], width)


@inline
def fits_one_sweep(at, c, k):
    """Whether hidden layer k has the shape that `one_sweep` is made for."""
    return c.batch == 1 and at[k + 1, UNITS] == tiles.EXCHANGE[0] and at[k, GHOSTS] == tiles.EXCHANGE[1]


@jit
def currents(mem, at, c, W_gp_acts):
    """What hidden layers exchange with the layer above and with their ghosts, from the rates: e_k of (2), W_{k+1} r_k,
    and W^pg_k r_k. Where one sweep does it, (5), (15) as well."""
    for k in range(1, at.shape[0] - 1):
        currents_of_layer(mem, at, c, k, W_gp_acts)


@inline
def currents_of_layer(mem, at, c, k, W_gp_acts):
    """`currents` of layer k."""
    if fits_one_sweep(at, c, k):
        one_sweep(mem, at, c, k, W_gp_acts)
    elif c.batch == 1:
        currents_of_one(mem, at, c, k)
    else:
        currents_of_batch(mem, at, c, k)


@inline
def one_sweep(mem, at, c, k, W_gp_acts):
    """`currents` of layer k for a batch of one, with (5) or (15); back and forth as TURN says."""
    lanes = VECTOR_BYTES // mem.itemsize
    vectors = (at[k, UNITS] + lanes - 1) // lanes
    width = at[k, WIDTH]
    step = c.dt * c.eta_gp[k]
    e = at[k, E]
    r = at[k, R]
    above = at[k + 1, R]
    rho_g = at[k, RHO_G]
    v = at[k, W_GP]
    p = at[k, W_PG]
    w = at[k + 1, W]
    b = at[k, B]
    u, h = parts(mem, at, c, k, NONE)
    start, stride = (0, 1) if mem[at[0, TURN]] != 0.0 else (vectors - 1, -1)
    if b == w and W_gp_acts:
        tiles.exchange_shared_learning(mem, e, above, rho_g, r, w, b, v, p, width, step, u, h, start, stride, vectors)
    elif b == w:
        tiles.exchange_shared(mem, e, above, rho_g, r, w, b, v, p, width, step, u, h, start, stride, vectors)
    elif W_gp_acts:
        tiles.exchange_learning(mem, e, above, rho_g, r, w, b, v, p, width, step, u, h, start, stride, vectors)
    else:
        tiles.exchange(mem, e, above, rho_g, r, w, b, v, p, width, step, u, h, start, stride, vectors)


@inline
def currents_of_one(mem, at, c, k):
    """`currents` of layer k for a batch of one."""
    width = at[k, WIDTH]
    n = at[k + 1, UNITS]
    m = at[k, GHOSTS]
    e = at[k, E]
    r = at[k, R]
    part, ghost_part = parts(mem, at, c, k, NONE)
    clear(mem, e, width)
    if at[k, B] == at[k + 1, W]:  # TF: one reading of W_{k+1} serves both directions
        expand_and_dots(mem, e, at[k + 1, R], part, r, n, at[k, B], width, width)
    elif mem[at[0, TURN]] != 0.0:  # FA: a step begins with the matrix that the last one has left in the cache
        expand(mem, e, at[k + 1, R], n, at[k, B], width, width, 1.0)
        dots(mem, part, NONE, ONE, r, NONE, at[k + 1, W], width, n, width)
    else:
        dots(mem, part, NONE, ONE, r, NONE, at[k + 1, W], width, n, width)
        expand(mem, e, at[k + 1, R], n, at[k, B], width, width, 1.0)
    expand(mem, e, at[k, RHO_G], m, at[k, W_GP], width, width, -1.0)
    dots(mem, ghost_part, NONE, ONE, r, NONE, at[k, W_PG], width, m, width)


@inline
def currents_of_batch(mem, at, c, k):
    """`currents` of layer k for this thread's examples."""
    width, units = at[k, WIDTH], whole_vectors(mem, at[k, UNITS])
    above = at[k + 1, WIDTH]
    ghost_width = at[k, GHOST_WIDTH]
    n = at[k + 1, UNITS]
    m = at[k, GHOSTS]
    first, count = examples(c, k)
    part, ghost_part = parts(mem, at, c, k, first)
    e = at[k, E] + first * width
    r = at[k, R] + first * width
    r_above = at[k + 1, R] + first * above
    rho_g = at[k, RHO_G] + first * ghost_width
    multiply(mem, e, width, count, r_above, above, ONE, n, at[k, B], width, units, 1.0, 0.0)
    if c.owned:
        W_gp = at[k, W_GP] + first * m * width
        for b in range(count):
            expand(mem, e + b * width, rho_g + b * ghost_width, m, W_gp + b * m * width, width, width, -1.0)
    else:
        multiply(mem, e, width, count, rho_g, ghost_width, ONE, m, at[k, W_GP], width, units, -1.0, 1.0)
    dots(mem, part, above, count, r, width, at[k + 1, W], width, n, width)
    dots(mem, ghost_part, ghost_width, count, r, width, at[k, W_PG], width, m, width)


def sending_half(mem, at, c):
    """The first row, of the two halves of a panel's parts, of the half that this step writes: see `sum_panels`."""


@overload(sending_half)
def _sending_half(mem, at, c):
    if not in_panels(c):
        return lambda mem, at, c: NONE
    return lambda mem, at, c: np.int64(mem[at[0, TURN]]) * c.batch


@inline
def parts(mem, at, c, k, first):
    """Where W_{k+1} r_k and W^pg_k r_k of this step go, from this example on."""
    row = sending_half(mem, at, c) + first
    return at[k, PART] + row * at[k + 1, WIDTH], at[k, GHOST_PART] + row * at[k, GHOST_WIDTH]


@inline
def sum_panels(mem, tables, c):
    """W_2 r_1 and W^pg_1 r_1 from the parts of all panels, in their order.

    The next step's parts go to the other half: a thread that is ahead writes them while others still read these.
    """
    top = tables[0]
    half = sending_half(mem, top, c)
    add_parts(mem, tables, top[2, DRIVE], PART, half * top[2, WIDTH], c.batch * top[2, WIDTH])
    add_parts(mem, tables, top[1, GHOST_DRIVE], GHOST_PART, half * top[1, GHOST_WIDTH], c.batch * top[1, GHOST_WIDTH])
    mem[top[0, TURN]] = 1.0 - mem[top[0, TURN]]


@jit
def add_parts(mem, tables, to, column, skip, count):
    """The sum over panels of what they have at `column`, from `skip` on."""
    for i in range(0, count, VECTOR_BYTES // mem.itemsize):
        total = load(mem, tables[0, 1, column] + skip + i)
        for p in range(1, tables.shape[0]):
            total = total + load(mem, tables[p, 1, column] + skip + i)
        store(mem, to + i, total)


@jit
def relax(mem, s, drive, e, count, dt_tau):
    """s += dt/τ (-s + drive + e); ghosts, which have no error term, give e < 0."""
    rate, lanes = splat(mem, dt_tau), VECTOR_BYTES // mem.itemsize
    for i in range(0, count, lanes):
        pull = load(mem, drive + i) - load(mem, s + i)
        if e >= 0:
            pull = pull + load(mem, e + i)
        store(mem, s + i, simd.fma(rate, pull, load(mem, s + i)))


@inline
def relax_units(mem, at, c, k):
    """(2)."""
    first, count = examples(c, k)
    width = at[k, WIDTH]
    skip = first * width
    relax(mem, at[k, S] + skip, at[k, DRIVE] + skip, at[k, E] + skip, count * width, c.dt_tau)


@inline
def relax_ghosts(mem, at, c, k):
    """(3)."""
    first, count = examples(c, k + 1)
    width = at[k, GHOST_WIDTH]
    skip = first * width
    relax(mem, at[k, G] + skip, at[k, GHOST_DRIVE] + skip, -ONE, count * width, c.dt_tau)
