"""The fixed points of (2), (3) with the weights held still, for any model: where a long phase ends.

    s_k = W_k r_{k-1} + e_k,   g_k = W^pg_k r_k,   e_k as in (2)

found by sweeps from the output down, each layer taking the newest rates beside it. The output equation
s_N = v - β ∂C/∂ρ(s_N) is scalar per unit and solved at each sweep, so that a strong nudge does no harm.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ghostnet.errors import DivergenceError
from ghostnet.model.equations import (
    Constants,
    State,
    Weights,
    cancelled,
    feedforward,
    output_error,
    output_error_slope,
    transfer,
)  # fmt: skip

TOLERANCE = 1e-13  # largest change of any s_k in the last sweep, relative to the largest |s_k|
SWEEPS = 200


def fixed_point(w: Weights, x: np.ndarray, y: np.ndarray, beta: float, c: Constants) -> State:
    """The activities at rest for x (runs, batch, n_0), y (runs, batch, n_N) and nudge β; float64.

    Raises:
        DivergenceError: neither plain nor damped sweeps settle.
    """
    u = feedforward(w.W, x, c.transfer)
    with np.errstate(over="ignore", invalid="ignore"):
        for damping in (0.0, 0.5, 0.9):
            s = list(u)
            for _ in range(int(SWEEPS / (1 - damping))):
                change = _sweep(w, s, u[1], y, beta, c, damping)
                if change <= TOLERANCE * max(1.0, *(np.abs(s_k).max() for s_k in s[1:])):
                    return State(s, _ghosts(w, s, c))
                if not np.isfinite(change):
                    break
    raise DivergenceError(
        f"no fixed point found at beta = {beta:g}: neither plain nor damped sweeps settle; try a smaller beta or init"
    )


def _ghosts(w: Weights, s: list, c: Constants) -> list:
    return [None, *(transfer(s[k], c.transfer) @ w.W_pg[k].mT for k in range(1, len(s) - 1))]


def _sweep(w: Weights, s: list, drive: np.ndarray, y: np.ndarray, beta: float, c: Constants, damping: float) -> float:
    """Each layer of `s` once, in place; returns the largest change. `drive` is W_1 x, which stays."""
    N, largest = len(s) - 1, 0.0
    for k in range(N, 0, -1):
        v = drive if k == 1 else transfer(s[k - 1], c.transfer) @ w.W[k].mT
        if k == N:
            new = _nudged(v, y, beta, c)
        else:
            rho_g = transfer(transfer(s[k], c.transfer) @ w.W_pg[k].mT, c.transfer)
            new = v + transfer(s[k + 1], c.transfer) @ w.B[k].mT - cancelled(w.W_gp[k], rho_g)
        change = (1 - damping) * (new - s[k])
        s[k] = s[k] + change
        largest = max(largest, float(np.abs(change).max()))  # a NaN is lost by max, but not by the next sweeps
        if not np.isfinite(change).all():
            return np.nan
    return largest


def _nudged(v: np.ndarray, y: np.ndarray, beta: float, c: Constants) -> np.ndarray:
    """The solution of s = v - β ∂C/∂ρ(s): Newton, kept within a bracket, which is there as the error falls with s."""

    def excess(s: np.ndarray) -> np.ndarray:
        return s - v - beta * output_error(y, s, transfer(s, c.transfer), c.cost)

    low, high = (_beyond(excess, v, sign * abs(beta) * (1 + np.abs(y))) for sign in (-1, 1))
    s = v
    for _ in range(60):
        off = excess(s)
        if np.abs(off).max() <= 1e-15 * (1 + np.abs(v).max()):
            break
        low, high = np.where(off < 0, s, low), np.where(off > 0, s, high)
        newton = s - off / (1 - beta * output_error_slope(y, s, c.cost, c.transfer))
        s = np.where((newton >= low) & (newton <= high), newton, 0.5 * (low + high))
    return s


def _beyond(excess: Callable[[np.ndarray], np.ndarray], v: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Where the excess has the sign of `reach`, from v on in steps that double."""
    for _ in range(60):
        s = v + reach
        short = excess(s) * np.sign(reach) < 0
        if not short.any():
            break
        reach = np.where(short, 2 * reach, reach)
    return v + reach
