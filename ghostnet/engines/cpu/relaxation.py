"""The fixed points of MB and of the mixed model, found directly: the compiled half of the equilibrium engine.

Nothing slow moves W during a presentation, so what it learns depends on the ends of the phases only, and nearly always
these are fixed points (derivation, and where they are not: docs/equilibrium.md).

    free      e_k = 0, s_k = u_k = W_k ρ(u_{k-1}), g_k = W^pg_k r_k, and W^gp_k changes by the least that cancels
              the feedback: W^gp_k += (B_k r_{k+1} - W^gp_k ρ(g_k)) ρ(g_k)^T / ‖ρ(g_k)‖²
              mixed, before: W^pg_k += μ (P_k u_{k+1} - g_k) r_k^T / ‖r_k‖², as far as (4') goes in the phase's time T,
              μ = 1 - exp(-η^pg_k ‖r_k‖² T)
    clamped   s_k = W_k r_{k-1} + e_k with β on: sweeps from the output down until no s_k moves by more than `tol`;
              where `max_sweeps` are not enough, the phase's Euler steps
"""

from __future__ import annotations

import numpy as np

from ghostnet.engines.cpu.compiled import NONE, ONE, entry, jit
from ghostnet.engines.cpu.currents import rates
from ghostnet.engines.cpu.emit import VECTOR_BYTES
from ghostnet.engines.cpu.kernels import advance_phase, begin_presentation, diverged_layer, finish_presentation
from ghostnet.engines.cpu.phases import enter
from ghostnet.engines.cpu.plasticity import imitated, post_of_ghosts
from ghostnet.engines.cpu.products import clear, copy, dots, expand, outer
from ghostnet.engines.cpu.simd import largest, load, maximum, splat, store
from ghostnet.engines.cpu.slots import (
    DRIVE,
    GHOST_WIDTH,
    GHOSTS,
    MISMATCH,
    RHO_G,
    TARGET,
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
)  # fmt: skip
from ghostnet.engines.cpu.vectorlaws import evaluate

NEWTON_STEPS = 4  # of the scalar output equations; they start within β of the solution


@jit
def rest(mem, at, c):
    """Every s_k = u_k and g_k = W^pg_k r_k: the activities at the end of the free phase; and the e_k these give."""
    N = at.shape[0] - 1
    for b in range(c.batch):
        for k in range(1, N + 1):
            feedforward(mem, at, c, k, b)
            copy(mem, at[k, S] + b * at[k, WIDTH], at[k, DRIVE] + b * at[k, WIDTH], at[k, WIDTH])
            rate(mem, at, c, k, b)
        for k in range(1, N):
            hidden_error(mem, at, c, k, b)


@jit
def imitate(mem, at, c, duration):
    """(4') over a free phase of that many seconds, example by example, from the activities at its end."""
    for k in range(1, at.shape[0] - 1):
        width = at[k, WIDTH]
        ghost_width = at[k, GHOST_WIDTH]
        m = at[k, GHOSTS]
        above = imitated(mem, at, c, k)
        for b in range(c.batch):
            r = at[k, R] + b * width
            dots(mem, at[k, G] + b * ghost_width, NONE, ONE, r, NONE, at[k, W_PG], width, m, width)
            square = 0.0
            for i in range(at[k, UNITS]):
                square += mem[r + i] ** 2
            if square > 0.0:
                post_of_ghosts(mem, at, c, k, above, b, 1)
                far = -np.expm1(-c.eta_pg[k] * square * duration) / square
                outer(mem, at[k, W_PG], width, m, at[k, MISMATCH] + b * ghost_width, r, width, far)


@jit
def settle_free(mem, at, c, steps):
    """End of the free phase, which has so many Euler steps."""
    rest(mem, at, c)
    if c.acting[0, 1]:
        imitate(mem, at, c, steps * c.dt)
        rest(mem, at, c)
    for b in range(c.batch):
        for k in range(1, at.shape[0] - 1):
            m = at[k, GHOSTS]
            width = at[k, WIDTH]
            rho_g = at[k, RHO_G] + b * at[k, GHOST_WIDTH]
            square = 0.0
            for j in range(m):
                square += mem[rho_g + j] ** 2
            own, e = at[k, W_GP] + b * m * width, at[k, E] + b * width
            if square > 0.0:
                outer(mem, own, width, m, rho_g, e, width, 1.0 / square)


@jit
def settle_clamped(mem, tables, c, phase, tol, max_sweeps, steps, histogram, lit, lit_count):
    """End of a nudged phase, from the end of the free phase. `histogram` counts the sweeps, at 0 what was stepped.

    What takes many sweeps has directions in which the loop through the layer above nearly sustains itself. The Euler
    steps of the phase are not at rest there either, and the fixed point would be far beyond their end, or unstable.
    """
    at = tables[0]
    for n in range(1, max_sweeps + 1):
        change = 0.0
        for b in range(c.batch):
            change = max(change, sweep(mem, at, c, c.beta[phase], b))
        if change <= tol:
            histogram[n] += 1
            return
    histogram[0] += 1
    rest(mem, at, c)
    advance_phase(mem, tables, c, phase, steps, lit, lit_count)


@jit
def sweep(mem, at, c, beta, b):
    """Each layer once, from the output down. Returns the largest change."""
    N = at.shape[0] - 1
    feedforward(mem, at, c, N, b)
    change = nudge(mem, at, c, beta, b)
    rate(mem, at, c, N, b)
    for k in range(N - 1, 0, -1):
        feedforward(mem, at, c, k, b)
        hidden_error(mem, at, c, k, b)
        s = at[k, S] + b * at[k, WIDTH]
        u = at[k, DRIVE] + b * at[k, WIDTH]
        e = at[k, E] + b * at[k, WIDTH]
        change = max(change, move(mem, s, u, e, at[k, WIDTH]))
        rate(mem, at, c, k, b)
    return change


@jit
def feedforward(mem, at, c, k, b):
    """W_k r_{k-1}; that of layer 1 is known since the presentation began."""
    if k > 1:
        width = at[k - 1, WIDTH]
        r = at[k - 1, R] + b * width
        dots(mem, at[k, DRIVE] + b * at[k, WIDTH], NONE, ONE, r, NONE, at[k, W], width, at[k, UNITS], width)


@jit
def rate(mem, at, c, k, b):
    """r_k = ρ(s_k)."""
    width = at[k, WIDTH]
    rates(mem, at[k, S] + b * width, at[k, R] + b * width, 1, at[k, UNITS], width, c.rho)


@jit
def hidden_error(mem, at, c, k, b):
    """g_k = W^pg_k r_k at rest, then e_k = B_k r_{k+1} - W^gp_k ρ(g_k) (2)."""
    width = at[k, WIDTH]
    m = at[k, GHOSTS]
    ghost_width = at[k, GHOST_WIDTH]
    e = at[k, E] + b * width
    g = at[k, G] + b * ghost_width
    rho_g = at[k, RHO_G] + b * ghost_width
    dots(mem, g, NONE, ONE, at[k, R] + b * width, NONE, at[k, W_PG], width, m, width)
    rates(mem, g, rho_g, 1, m, ghost_width, c.rho)
    clear(mem, e, width)
    expand(mem, e, at[k + 1, R] + b * at[k + 1, WIDTH], at[k + 1, UNITS], at[k, B], width, width, 1.0)
    expand(mem, e, rho_g, m, at[k, W_GP] + b * m * width, width, width, -1.0)


@jit
def nudge(mem, at, c, strength, b):
    """s_N to the solution of s = v - β ∂C/∂ρ(s), v = W_N r_{N-1}, by Newton. Returns the largest change."""
    N = at.shape[0] - 1
    row = b * at[N, WIDTH]
    one = splat(mem, 1.0)
    beta = splat(mem, strength)
    s = at[N, S] + row
    v = at[N, DRIVE] + row
    e = at[N, E] + row
    y = at[N, TARGET] + row
    for i in range(0, at[N, WIDTH], VECTOR_BYTES // mem.itemsize):
        s_i = load(mem, s + i)
        for _ in range(NEWTON_STEPS):
            r_i = evaluate(c.rho, s_i)
            y_i, d_i = load(mem, y + i), evaluate(c.slope, s_i, r_i)
            slope = one - beta * evaluate(c.error_slope, y_i, s_i, r_i, d_i)
            s_i = s_i - (s_i - load(mem, v + i) - beta * evaluate(c.error, y_i, s_i, r_i)) / slope
        store(mem, e + i, s_i - load(mem, v + i))
    return move(mem, s, v, e, at[N, WIDTH])


@jit
def move(mem, s, u, e, width):
    """s = u + e. Returns the largest change."""
    zero = splat(mem, 0.0)
    greatest = zero
    for i in range(0, width, VECTOR_BYTES // mem.itemsize):
        s_i = load(mem, s + i)
        change = load(mem, u + i) + load(mem, e + i) - s_i
        store(mem, s + i, s_i + change)
        greatest = maximum(greatest, maximum(change, zero - change))
    return largest(mem, greatest)


@jit
def settle_phase(mem, tables, c, phase, steps, tol, max_sweeps, histogram, lit, lit_count):
    """Go to the end of a phase that has so many Euler steps."""
    enter(mem, tables, c, phase)
    if c.beta[phase] == 0.0:
        settle_free(mem, tables[0], c, steps)
    else:
        if phase > 0 and c.beta[phase - 1] != 0.0:
            rest(mem, tables[0], c)
        settle_clamped(mem, tables, c, phase, tol, max_sweeps, steps, histogram, lit, lit_count)


@entry
def advance(mem, tables, c, phase, steps, tol, max_sweeps, histogram, lit, lit_count):
    """See `settle_phase`."""
    settle_phase(mem, tables, c, phase, steps, tol, max_sweeps, histogram, lit, lit_count)


@entry
def present(mem, tables, c, steps, tol, max_sweeps, xs, ys, histogram, lit, lit_count):
    """Presentations xs (presentations, batch, n_0), ys in turn; returns (how many went well, diverged layer or 0).

    steps: Euler steps of each phase.
    """
    for p in range(xs.shape[0]):
        begin_presentation(mem, tables, c, xs[p], ys[p], lit, lit_count)
        for phase in range(steps.shape[0]):
            settle_phase(mem, tables, c, phase, steps[phase], tol, max_sweeps, histogram, lit, lit_count)
        layer = diverged_layer(mem, tables, c)
        if layer:
            return p, layer
        finish_presentation(mem, tables, c, lit, lit_count)
    return xs.shape[0], 0
