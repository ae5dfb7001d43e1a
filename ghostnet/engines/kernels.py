"""The compiled twin of the page of equations: one network, stepped in one flat array.

Everything a network holds lives in `mem`; the table `at` says where (`at[k, S]` is the offset of s_k). Rows are padded
with zeros to whole vectors (`WIDTH`). Matrices are stored so that the vector axis is the layer below: W_k and W^pg_k
as the paper writes them, B_k and W^gp_k transposed (so that B_k *is* W_{k+1} under TF), W_1 transposed (so that a zero
pixel skips a row). Rates of padding are kept at zero, hence every sum over units may run over whole vectors.

Sums over units, the batch and the ghosts are all one of two products: `multiply` and `dots`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ghostnet.engines import simd
from ghostnet.engines.compiled import entry, jit
from ghostnet.engines.products import clear, dots, expand, expand_and_dots, multiply, outer
from ghostnet.engines.simd import VECTOR_BYTES, load, splat, store

COLUMN_COUNT = 21
# Columns of the layout table. Row k: layer k, as far as it has such a block.
(UNITS, WIDTH, S, R, E, D, DRIVE, GHOSTS, GHOST_WIDTH, G, RHO_G, GHOST_DRIVE, MISMATCH, W, B, W_PG, W_GP,
 TARGET, GRAM, D_SUM, CLIPPED) = range(COLUMN_COUNT)  # fmt: skip

SIGMOID, TANH, HARD_SIGMOID = range(3)
EXPLODED = 1e6  # an activity beyond this is called divergence


class Settings(NamedTuple):
    """The constants of one network, and its row of the model table."""

    batch: int
    dt: float
    dt_tau: float
    beta: float
    eta: np.ndarray  # over k
    eta_ghost: np.ndarray
    clip: float  # inf where the model does not clip
    transfer: int
    derivative: bool
    fast_gp: bool
    once: bool  # (16) instead of (6)
    plastic: np.ndarray  # bool (phase, matrix), matrices in the order W, W_pg, W_gp


@jit
def rho(mem, s, transfer):
    """ρ of one vector."""
    if transfer == SIGMOID:
        return simd.sigmoid(s)
    if transfer == TANH:
        return simd.fma(splat(mem, 2.0), simd.sigmoid(s + s), splat(mem, -1.0))
    linear = simd.fma(s, splat(mem, 1.0 / 6.0), splat(mem, 0.5))
    return simd.minimum(simd.maximum(linear, splat(mem, 0.0)), splat(mem, 1.0))


@jit
def rho_slope(mem, s, r, transfer):
    """ρ' of one vector, from s and r = ρ(s)."""
    if transfer == SIGMOID:
        return r - r * r
    if transfer == TANH:
        return splat(mem, 1.0) - r * r
    return simd.less(s * s, splat(mem, 9.0)) * splat(mem, 1.0 / 6.0)


@jit
def rates(mem, s, r, rows, units, width, transfer):
    """r = ρ(s), zero in the padding."""
    lanes = VECTOR_BYTES // mem.itemsize
    for i in range(0, rows * width, lanes):
        store(mem, r + i, rho(mem, load(mem, s + i), transfer))
    clear_padding(mem, r, rows, units, width)


@jit
def clear_padding(mem, start, rows, units, width):
    """Zero what lies beyond `units` in every row."""
    lanes = VECTOR_BYTES // mem.itemsize
    for last in range(units // lanes * lanes, width, lanes):
        for i in range(start + last, start + rows * width, width):
            store(mem, i, simd.first(load(mem, i), units - last))


@jit
def signals(mem, at, c):
    """ρ(s_k) - ρ(s_k - e_k), or ρ'(s_k) e_k, for every k: the postsynaptic factor of (6) and (16)."""
    lanes = VECTOR_BYTES // mem.itemsize
    for k in range(1, at.shape[0]):
        s, r, e, d, width = at[k, S], at[k, R], at[k, E], at[k, D], at[k, WIDTH]
        for i in range(0, c.batch * width, lanes):
            S_i, R_i, E_i = load(mem, s + i), load(mem, r + i), load(mem, e + i)
            if c.derivative:
                store(mem, d + i, rho_slope(mem, S_i, R_i, c.transfer) * E_i)
            else:
                store(mem, d + i, R_i - rho(mem, S_i - E_i, c.transfer))
        clear_padding(mem, d, c.batch, at[k, UNITS], width)


@jit
def all_rates(mem, at, c):
    """r_k and ρ(g_k) at the current state."""
    for k in range(1, at.shape[0]):
        rates(mem, at[k, S], at[k, R], c.batch, at[k, UNITS], at[k, WIDTH], c.transfer)
    for k in range(1, at.shape[0] - 1):
        rates(mem, at[k, G], at[k, RHO_G], c.batch, at[k, GHOSTS], at[k, GHOST_WIDTH], c.transfer)


@jit
def output_error(mem, at, c, beta):
    """e_N = β (y - r_N) (2)."""
    N, strength = at.shape[0] - 1, splat(mem, beta)
    for i in range(0, c.batch * at[N, WIDTH], VECTOR_BYTES // mem.itemsize):
        store(mem, at[N, E] + i, strength * (load(mem, at[N, TARGET] + i) - load(mem, at[N, R] + i)))


@jit
def currents(mem, at, c):
    """What hidden layers exchange with the layer above and with their ghosts, from the rates: e_k of (2), W_k r_{k-1}
    for k > 1, and W^pg_k r_k."""
    for k in range(1, at.shape[0] - 1):
        if c.batch == 1:
            currents_of_one(mem, at, c, k)
        else:
            currents_of_batch(mem, at, c, k)


@jit
def currents_of_one(mem, at, c, k):
    """`currents` of layer k for a batch of one."""
    width, n, m, e, r = at[k, WIDTH], at[k + 1, UNITS], at[k, GHOSTS], at[k, E], at[k, R]
    clear(mem, e, width)
    if at[k, B] == at[k + 1, W]:  # TF: one reading of W_{k+1} serves both directions
        expand_and_dots(mem, e, at[k + 1, R], at[k + 1, DRIVE], r, n, at[k, B], width, width)
    else:
        expand(mem, e, at[k + 1, R], n, at[k, B], width, width, 1.0)
        dots(mem, at[k + 1, DRIVE], 0, 1, r, 0, at[k + 1, W], width, n, width)
    expand(mem, e, at[k, RHO_G], m, at[k, W_GP], width, width, -1.0)
    dots(mem, at[k, GHOST_DRIVE], 0, 1, r, 0, at[k, W_PG], width, m, width)


@jit
def currents_of_batch(mem, at, c, k):
    """`currents` of layer k for a whole batch."""
    width, above, ghost_width = at[k, WIDTH], at[k + 1, WIDTH], at[k, GHOST_WIDTH]
    batch, n, m, e, r = c.batch, at[k + 1, UNITS], at[k, GHOSTS], at[k, E], at[k, R]
    rho_g, W_gp = at[k, RHO_G], at[k, W_GP]
    multiply(mem, e, width, batch, at[k + 1, R], above, 1, n, at[k, B], width, width, 1.0, 0.0)
    if c.fast_gp:
        for b in range(batch):
            expand(mem, e + b * width, rho_g + b * ghost_width, m, W_gp + b * m * width, width, width, -1.0)
    else:
        multiply(mem, e, width, batch, rho_g, ghost_width, 1, m, W_gp, width, width, -1.0, 1.0)
    dots(mem, at[k + 1, DRIVE], above, batch, r, width, at[k + 1, W], width, n, width)
    dots(mem, at[k, GHOST_DRIVE], ghost_width, batch, r, width, at[k, W_PG], width, m, width)


@jit
def learn_ghosts(mem, at, c, W_pg_plastic, W_gp_plastic):
    """(4), (5) and (15) for every hidden layer."""
    for k in range(1, at.shape[0] - 1):
        width, m, ghost_width, step = at[k, WIDTH], at[k, GHOSTS], at[k, GHOST_WIDTH], c.dt * c.eta_ghost[k]
        if W_gp_plastic and c.fast_gp:
            for b in range(c.batch):
                own, rho_g = at[k, W_GP] + b * m * width, at[k, RHO_G] + b * ghost_width
                outer(mem, own, width, m, rho_g, at[k, E] + b * width, width, step)  # (15)
        elif W_gp_plastic:
            multiply(
                mem,
                at[k, W_GP],
                width,
                m,
                at[k, RHO_G],
                1,
                ghost_width,
                c.batch,
                at[k, E],
                width,
                width,
                step,
                1.0,
            )  # (5)
        if W_pg_plastic:
            for i in range(0, c.batch * ghost_width, VECTOR_BYTES // mem.itemsize):
                store(mem, at[k, MISMATCH] + i, load(mem, at[k + 1, S] + i) - load(mem, at[k, G] + i))
            multiply(
                mem,
                at[k, W_PG],
                width,
                m,
                at[k, MISMATCH],
                1,
                ghost_width,
                c.batch,
                at[k, R],
                width,
                width,
                step,
                1.0,
            )  # (4)


@jit
def learn_above(mem, at, c, step):
    """(6) and (16) for W_2 … W_N; W_1 has its own form."""
    for k in range(2, at.shape[0]):
        rows, width, eta = at[k, UNITS], at[k - 1, WIDTH], c.eta[k]
        W_k, d, d_row, r = at[k, W], at[k, D], at[k, WIDTH], at[k - 1, R]
        if c.clip == np.inf:
            multiply(mem, W_k, width, rows, d, 1, d_row, c.batch, r, width, width, step * eta, 1.0)
        else:
            multiply(mem, at[k, CLIPPED], width, rows, d, 1, d_row, c.batch, r, width, width, eta, 0.0)
            add_clipped(mem, W_k, at[k, CLIPPED], rows * width, step, c.clip)


@jit
def add_clipped(mem, out, rate, count, step, clip):
    """out += step · rate, rate clipped to ±clip elementwise."""
    step_v, high, low = splat(mem, step), splat(mem, clip), splat(mem, -clip)
    for i in range(0, count, VECTOR_BYTES // mem.itemsize):
        clipped = simd.minimum(simd.maximum(load(mem, rate + i), low), high)
        store(mem, out + i, simd.fma(step_v, clipped, load(mem, out + i)))


@jit
def exceeds_clip(mem, at, c):
    """Whether some |dW_1/dt| might: |dW_ij/dt| <= η_1 Σ_b |d_bi|, since 0 <= x <= 1."""
    if c.clip == np.inf:
        return False
    for i in range(at[1, UNITS]):
        bound = 0.0
        for b in range(c.batch):
            bound += abs(mem[at[1, D] + b * at[1, WIDTH] + i])
        if c.eta[1] * bound > c.clip:
            return True
    return False


@jit
def learn_input_clipped(mem, at, c, step):
    """(6) and (16) for W_1, elementwise clipped: dW_1/dt is formed pixel by pixel."""
    width, row = at[1, WIDTH], at[1, CLIPPED]
    for i in range(at[0, UNITS]):
        x = at[0, R] + i
        multiply(mem, row, width, 1, x, 0, at[0, WIDTH], c.batch, at[1, D], width, width, c.eta[1], 0.0)
        add_clipped(mem, at[1, W] + i * width, row, width, step, c.clip)


@jit
def learn_input(mem, at, c, lit, lit_count, d, step):
    """W_1 += step η_1 Σ_b d_b x_b^T, over the lit pixels of each example."""
    width, W_1 = at[1, WIDTH], at[1, W]
    for b in range(c.batch):
        for t in range(lit_count[b]):
            i = lit[b, t]
            x = splat(mem, step * c.eta[1] * mem[at[0, R] + b * at[0, WIDTH] + i])
            for j in range(0, width, VECTOR_BYTES // mem.itemsize):
                w = W_1 + i * width + j
                store(mem, w, simd.fma(x, load(mem, d + b * width + j), load(mem, w)))


@jit
def drive_input(mem, at, c, lit, lit_count):
    """W_1 x, over the lit pixels of each example: constant while W_1 is."""
    lanes = VECTOR_BYTES // mem.itemsize
    width = at[1, WIDTH]
    for b in range(c.batch):
        x, drive = at[0, R] + b * at[0, WIDTH], at[1, DRIVE] + b * width
        j = 0
        while j + 4 * lanes <= width:
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
        while j < width:
            u_0 = splat(mem, 0.0)
            for t in range(lit_count[b]):
                i = lit[b, t]
                u_0 = simd.fma(splat(mem, mem[x + i]), load(mem, at[1, W] + i * width + j), u_0)
            store(mem, drive + j, u_0)
            j += lanes


@jit
def relax(mem, s, drive, e, count, dt_tau):
    """s += dt/τ (-s + drive + e); ghosts, which have no error term, give e < 0."""
    rate, lanes = splat(mem, dt_tau), VECTOR_BYTES // mem.itemsize
    for i in range(0, count, lanes):
        pull = load(mem, drive + i) - load(mem, s + i)
        if e >= 0:
            pull = pull + load(mem, e + i)
        store(mem, s + i, simd.fma(rate, pull, load(mem, s + i)))


@jit
def step(mem, at, c, beta, plastic, lit, lit_count):
    """One Euler step, as `equations.step`: everything is read at the current state, then all advance."""
    N = at.shape[0] - 1
    all_rates(mem, at, c)
    output_error(mem, at, c, beta)
    currents(mem, at, c)
    learn_ghosts(mem, at, c, plastic[1], plastic[2])
    if plastic[0]:
        signals(mem, at, c)
        learn_above(mem, at, c, c.dt)
    for k in range(1, N + 1):
        relax(mem, at[k, S], at[k, DRIVE], at[k, E], c.batch * at[k, WIDTH], c.dt_tau)  # (2)
    for k in range(1, N):
        relax(mem, at[k, G], at[k, GHOST_DRIVE], -1, c.batch * at[k, GHOST_WIDTH], c.dt_tau)  # (3)
    if plastic[0]:
        learn_first(mem, at, c, lit, lit_count)


@jit
def learn_first(mem, at, c, lit, lit_count):
    """(6) for W_1 while x stands still: u_1 += η_1 dt (x x^T) d keeps W_1 x current, and Σ d waits for `settle`."""
    if exceeds_clip(mem, at, c):
        settle(mem, at, c, lit, lit_count)
        learn_input_clipped(mem, at, c, c.dt)
        drive_input(mem, at, c, lit, lit_count)
        return
    width, batch = at[1, WIDTH], c.batch
    for i in range(0, batch * width, VECTOR_BYTES // mem.itemsize):
        store(mem, at[1, D_SUM] + i, load(mem, at[1, D_SUM] + i) + load(mem, at[1, D] + i))
    multiply(
        mem,
        at[1, DRIVE],
        width,
        batch,
        at[0, GRAM],
        batch,
        1,
        batch,
        at[1, D],
        width,
        width,
        c.dt * c.eta[1],
        1.0,
    )


@jit
def settle(mem, at, c, lit, lit_count):
    """Add the update of W_1 that `learn_first` has put off."""
    learn_input(mem, at, c, lit, lit_count, at[1, D_SUM], c.dt)
    clear(mem, at[1, D_SUM], c.batch * at[1, WIDTH])


@entry
def begin(mem, at, c, x, y, lit, lit_count):
    """Show x and y: copy them, list the lit pixels, compute W_1 x and, where W_1 moves within phases, x x^T."""
    N = at.shape[0] - 1
    for b in range(c.batch):
        count = 0
        for i in range(at[0, UNITS]):
            mem[at[0, R] + b * at[0, WIDTH] + i] = x[b, i]
            lit[b, count] = i
            count += x[b, i] != 0
        lit_count[b] = count
        for i in range(at[N, UNITS]):
            mem[at[N, TARGET] + b * at[N, WIDTH] + i] = y[b, i]
    drive_input(mem, at, c, lit, lit_count)
    if not c.once:
        r_0, width = at[0, R], at[0, WIDTH]
        dots(mem, at[0, GRAM], c.batch, c.batch, r_0, width, r_0, width, c.batch, width)


@entry
def advance(mem, at, c, phase, steps, lit, lit_count):
    """`steps` Euler steps of one phase (0: free, 1: weakly clamped)."""
    beta = c.beta if phase else 0.0
    plastic = (c.plastic[phase, 0], c.plastic[phase, 1], c.plastic[phase, 2])
    for _ in range(steps):
        step(mem, at, c, beta, plastic, lit, lit_count)


@entry
def finish(mem, at, c, lit, lit_count):
    """What happens once, at the end of the presentation."""
    if not c.once:
        settle(mem, at, c, lit, lit_count)
        return
    all_rates(mem, at, c)
    output_error(mem, at, c, c.beta)
    currents(mem, at, c)
    signals(mem, at, c)
    learn_above(mem, at, c, 1.0)  # (16)
    if exceeds_clip(mem, at, c):
        learn_input_clipped(mem, at, c, 1.0)
    else:
        learn_input(mem, at, c, lit, lit_count, at[1, D], 1.0)  # (16)


@jit
def diverged_layer(mem, at, c):
    """The lowest layer with a non-finite or exploding activity; 0 where there is none."""
    for k in range(1, at.shape[0]):
        for i in range(c.batch * at[k, WIDTH]):
            if not abs(mem[at[k, S] + i]) <= EXPLODED:
                return k
    return 0


@entry
def present(mem, at, c, free_steps, clamped_steps, xs, ys, lit, lit_count):
    """Presentations xs (presentations, batch, n_0), ys in turn; returns (how many went well, diverged layer or 0)."""
    for p in range(xs.shape[0]):
        begin(mem, at, c, xs[p], ys[p], lit, lit_count)
        advance(mem, at, c, 0, free_steps, lit, lit_count)
        advance(mem, at, c, 1, clamped_steps, lit, lit_count)
        finish(mem, at, c, lit, lit_count)
        layer = diverged_layer(mem, at, c)
        if layer:
            return p, layer
    return xs.shape[0], 0
