"""MB's two fixed points, found directly: the compiled half of the equilibrium engine.

Nothing slow moves during a presentation of MB, and both phases last many time constants, so what it learns depends on
the ends of the phases only (derivation: docs/equilibrium.md).

    free      e_k = 0, s_k = u_k = W_k ρ(u_{k-1}), g_k = W^pg_k r_k, and W^gp_k changes by the least that cancels
              the feedback: W^gp_k += (B_k r_{k+1} - W^gp_k ρ(g_k)) ρ(g_k)^T / ‖ρ(g_k)‖²
    clamped   s_k = W_k r_{k-1} + e_k with β on: sweeps from the output down until no s_k moves by more than `tol`
"""

from __future__ import annotations

import numpy as np

from ghostnet.engines.compiled import entry, jit
from ghostnet.engines.currents import rates, rho, rho_slope
from ghostnet.engines.kernels import begin, diverged_layer, finish
from ghostnet.engines.products import clear, dots, expand, outer
from ghostnet.engines.simd import VECTOR_BYTES, largest, load, maximum, splat, store
from ghostnet.engines.slots import (
    DRIVE,
    GHOST_WIDTH,
    GHOSTS,
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

NEWTON_STEPS = 4  # of the scalar output equations; they start within β of the solution


@jit
def settle_free(mem, at, c):
    """End of the free phase."""
    N = at.shape[0] - 1
    for b in range(c.batch):
        for k in range(1, N + 1):
            feedforward(mem, at, c, k, b)
            copy(mem, at[k, S] + b * at[k, WIDTH], at[k, DRIVE] + b * at[k, WIDTH], at[k, WIDTH])
            rate(mem, at, c, k, b)
        for k in range(1, N):
            m, width, rho_g = at[k, GHOSTS], at[k, WIDTH], at[k, RHO_G] + b * at[k, GHOST_WIDTH]
            hidden_error(mem, at, c, k, b)
            square = 0.0
            for j in range(m):
                square += mem[rho_g + j] ** 2
            own, e = at[k, W_GP] + b * m * width, at[k, E] + b * width
            if square > 0.0:
                outer(mem, own, width, m, rho_g, e, width, 1.0 / square)


@jit
def settle_clamped(mem, at, c, tol, max_sweeps, damping):
    """End of the clamped phase, from the state as it is. Returns how many sweeps it took and the change in the last."""
    change, sweeps = np.inf, 0
    while sweeps < max_sweeps and not change <= tol:
        change = 0.0
        for b in range(c.batch):
            change = max(change, sweep(mem, at, c, b, damping))
        sweeps += 1
    return sweeps, change


@jit
def sweep(mem, at, c, b, damping):
    """Each layer once, from the output down: s_k moves by 1 - damping of the way. Returns the largest change."""
    N = at.shape[0] - 1
    feedforward(mem, at, c, N, b)
    change = nudge(mem, at, c, b, damping)
    rate(mem, at, c, N, b)
    for k in range(N - 1, 0, -1):
        feedforward(mem, at, c, k, b)
        hidden_error(mem, at, c, k, b)
        s, u, e = at[k, S] + b * at[k, WIDTH], at[k, DRIVE] + b * at[k, WIDTH], at[k, E] + b * at[k, WIDTH]
        change = max(change, move(mem, s, u, e, at[k, WIDTH], damping))
        rate(mem, at, c, k, b)
    return change


@jit
def feedforward(mem, at, c, k, b):
    """W_k r_{k-1}; that of layer 1 is known since the presentation began."""
    if k > 1:
        width = at[k - 1, WIDTH]
        r = at[k - 1, R] + b * width
        dots(mem, at[k, DRIVE] + b * at[k, WIDTH], 0, 1, r, 0, at[k, W], width, at[k, UNITS], width)


@jit
def rate(mem, at, c, k, b):
    """r_k = ρ(s_k)."""
    width = at[k, WIDTH]
    rates(mem, at[k, S] + b * width, at[k, R] + b * width, 1, at[k, UNITS], width, c.transfer)


@jit
def hidden_error(mem, at, c, k, b):
    """g_k = W^pg_k r_k at rest, then e_k = B_k r_{k+1} - W^gp_k ρ(g_k) (2)."""
    width, m, ghost_width = at[k, WIDTH], at[k, GHOSTS], at[k, GHOST_WIDTH]
    e, g, rho_g = at[k, E] + b * width, at[k, G] + b * ghost_width, at[k, RHO_G] + b * ghost_width
    dots(mem, g, 0, 1, at[k, R] + b * width, 0, at[k, W_PG], width, m, width)
    rates(mem, g, rho_g, 1, m, ghost_width, c.transfer)
    clear(mem, e, width)
    expand(mem, e, at[k + 1, R] + b * at[k + 1, WIDTH], at[k + 1, UNITS], at[k, B], width, width, 1.0)
    expand(mem, e, rho_g, m, at[k, W_GP] + b * m * width, width, width, -1.0)


@jit
def nudge(mem, at, c, b, damping):
    """s_N towards the solution of s = v + β (y - ρ(s)), v = W_N r_{N-1}, by Newton. Returns the largest change."""
    N = at.shape[0] - 1
    row, one, beta = b * at[N, WIDTH], splat(mem, 1.0), splat(mem, c.beta)
    s, v, e, y = at[N, S] + row, at[N, DRIVE] + row, at[N, E] + row, at[N, TARGET] + row
    for i in range(0, at[N, WIDTH], VECTOR_BYTES // mem.itemsize):
        s_i = load(mem, s + i)
        for _ in range(NEWTON_STEPS):
            r_i = rho(mem, s_i, c.transfer)
            slope = one + beta * rho_slope(mem, s_i, r_i, c.transfer)
            s_i = s_i - (s_i - load(mem, v + i) - beta * (load(mem, y + i) - r_i)) / slope
        store(mem, e + i, s_i - load(mem, v + i))
    return move(mem, s, v, e, at[N, WIDTH], damping)


@jit
def move(mem, s, u, e, width, damping):
    """s += (1 - damping) (u + e - s). Returns the largest change."""
    share, zero = splat(mem, 1.0 - damping), splat(mem, 0.0)
    greatest = zero
    for i in range(0, width, VECTOR_BYTES // mem.itemsize):
        s_i = load(mem, s + i)
        change = share * (load(mem, u + i) + load(mem, e + i) - s_i)
        store(mem, s + i, s_i + change)
        greatest = maximum(greatest, maximum(change, zero - change))
    return largest(mem, greatest)


@jit
def copy(mem, target, source, count):
    """Copy whole vectors."""
    for i in range(0, count, VECTOR_BYTES // mem.itemsize):
        store(mem, target + i, load(mem, source + i))


@jit
def settle_surely(mem, at, c, tol, max_sweeps, histogram):
    """`settle_clamped`; where plain sweeps don't settle, damped ones from the free state. Returns whether it did."""
    sweeps, change = settle_clamped(mem, at, c, tol, max_sweeps, 0.0)
    histogram[min(sweeps, len(histogram) - 1)] += 1
    if change <= tol:
        return True
    for damping in (0.5, 0.9):
        settle_free(mem, at, c)  # its ghosts cancel already: back to the free state
        _, change = settle_clamped(mem, at, c, tol, int(max_sweeps / (1.0 - damping) ** 2), damping)
        if change <= tol:
            return True
    settle_free(mem, at, c)
    return False


@entry
def advance(mem, at, c, phase, tol, max_sweeps, histogram, lit, lit_count):
    """Go to the end of one phase (0: free, 1: weakly clamped). Returns whether it settled; if not, it is as it was."""
    if phase == 0:
        settle_free(mem, at, c)
        return True
    return settle_surely(mem, at, c, tol, max_sweeps, histogram)


@entry
def present(mem, at, c, tol, max_sweeps, xs, ys, histogram, lit, lit_count):
    """Presentations xs (presentations, batch, n_0), ys in turn.

    Returns (how many went well, diverged layer or 0, whether the clamped phase settled).
    """
    for p in range(xs.shape[0]):
        begin(mem, at, c, xs[p], ys[p], lit, lit_count)
        settle_free(mem, at, c)
        settled = settle_surely(mem, at, c, tol, max_sweeps, histogram)
        layer = diverged_layer(mem, at, c)
        if layer or not settled:
            return p, max(layer, 1), settled
        finish(mem, at, c, lit, lit_count)
    return xs.shape[0], 0, True
