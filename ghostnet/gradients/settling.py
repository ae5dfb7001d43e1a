"""How fast a network settles: the dynamics linearised at a fixed point, and what they say of dt and numbers of steps.

The perturbations of one example's s_k and g_k, and in the free phase of a network with fast W^gp also of the
cancelled feedback c_k = W^gp_k ρ(g_k), obey τ dv/dt = A v:

    τ ds_k/dt = -s_k + W_k ρ'(s_{k-1}) s_{k-1} + e_k,   e_k = B_k ρ'(s_{k+1}) s_{k+1} - W^gp_k ρ'(g_k) g_k - c_k
    τ dg_k/dt = -g_k + W^pg_k ρ'(s_k) s_k,              e_N = -β ρ'(s_N) s_N
    τ dc_k/dt = τ η^g_k ‖ρ(g_k)‖² e_k                   (15), along the one direction of W^gp that matters

With λ the eigenvalues of A: the slowest time constant is -τ / max Re λ, the largest stable Euler step is
min -2 τ Re λ / |λ|², and n steps leave max |1 + dt λ / τ|^n of a perturbation (more for a while, where A is far from
normal: deep networks). A is never formed; the eigenvalues with the largest real part and the largest modulus come from
power iteration's better sister, Arnoldi's (ARPACK).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ghostnet.model.equations import transfer, transfer_slope
from ghostnet.model.network import Network

_DENSE = 120  # up to so many unknowns every eigenvalue is computed
RESIDUAL = 1e-3  # the share of a perturbation that may be left at the end of a phase


class Settling(NamedTuple):
    """Of one phase: slowest time constant in s (inf where it does not settle), largest stable dt in s, and the steps
    that leave RESIDUAL of a perturbation at the experiment's dt (inf where it is not stable)."""

    phase: str
    slowest: float
    stable_dt: float
    steps: float


def settling(net: Network, phase: int, residual: float = RESIDUAL, dt: float | None = None) -> Settling:
    """Of the first example of the first run of a network at (or near) the end of that phase."""
    e, name = net.experiment, net.experiment.phases[phase].name
    eigenvalues = _extreme_eigenvalues(*_linear(net, phase))
    if not eigenvalues.real.max() < 0:
        return Settling(name, math.inf, 0.0, math.inf)
    stable_dt = e.tau * float((-2 * eigenvalues.real / np.abs(eigenvalues) ** 2).min())
    left = float(np.abs(1 + (dt or e.dt) / e.tau * eigenvalues).max())
    steps = math.inf if left >= 1 else 1 if left == 0 else math.ceil(math.log(residual) / math.log(left))
    return Settling(name, -e.tau / float(eigenvalues.real.max()), stable_dt, steps)


def _linear(net: Network, phase: int) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """(v -> A v, number of unknowns) for the first example of the first run."""
    e = net.experiment
    c = net.constants
    w = net.weights
    N, hidden = e.depth, range(1, e.depth)
    s, g = ([None, *(a[0, 0] for a in group[1:])] for group in net.state)
    slope, ghost_slope = ([None, *(transfer_slope(a, c.transfer) for a in group[1:])] for group in (s, g))
    own = [None, *(a[0, 0] if a.ndim == 4 else a[0] for a in w.W_gp[1:])]
    fast = e.plasticity.owned and "W_gp" in e.acting(phase)
    rate = c.rules["W_gp"].rate if fast else [0.0] * N
    gain = [None, *(e.tau * rate[k] * float(np.sum(transfer(g[k], c.transfer) ** 2)) for k in hidden)]
    beta = e.beta * e.phases[phase].nudge
    sizes = [*e.sizes[1:], *e.ghosts, *(e.sizes[1:-1] if fast else ())]
    ends = np.cumsum(sizes)

    def derivative(v: np.ndarray) -> np.ndarray:
        parts = np.split(np.asarray(v).ravel(), ends[:-1])
        ds = [None, *parts[:N]]
        dg = [None, *parts[N : 2 * N - 1]]
        dc = [None, *parts[2 * N - 1 :]]
        dr = [None, *(slope[k] * ds[k] for k in range(1, N + 1))]
        de = [None, *(w.B[k][0] @ dr[k + 1] - own[k] @ (ghost_slope[k] * dg[k]) for k in hidden), -beta * dr[N]]
        if fast:
            de = [None, *(de[k] - dc[k] for k in hidden), de[N]]
        out = [de[k] - ds[k] + (w.W[k][0] @ dr[k - 1] if k > 1 else 0) for k in range(1, N + 1)]
        out += [w.W_pg[k][0] @ dr[k] - dg[k] for k in hidden]
        return np.concatenate(out + [gain[k] * de[k] for k in hidden] * fast)

    return derivative, int(ends[-1])


def _extreme_eigenvalues(derivative: Callable[[np.ndarray], np.ndarray], count: int) -> np.ndarray:
    """Those with the largest real part and the largest modulus; all of a small system."""
    if count <= _DENSE:
        return np.linalg.eigvals(np.array([derivative(v) for v in np.eye(count)]).T)
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

    operator, found = LinearOperator((count, count), derivative, dtype=float), []
    start = np.random.default_rng(0).normal(size=count)
    for which in ("LR", "LM"):
        try:
            found.append(eigs(operator, 4, which=which, v0=start, ncv=40, tol=1e-4, return_eigenvectors=False))
        except ArpackNoConvergence as error:
            found.append(error.eigenvalues)
    return np.concatenate(found) if sum(map(len, found)) else np.array([-1.0])
