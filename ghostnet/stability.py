"""Whether a fixed point of (2), (3) is stable: the linearised network."""

from __future__ import annotations

import numpy as np

from ghostnet.equations import Constants, State, Weights, transfer_slope


def jacobian(w: Weights, z: State, beta: float, c: Constants, run: int = 0, lane: int = 0) -> np.ndarray:
    """∂F/∂s for F_k(s) = W_k r_{k-1} + e_k, layers 1 … N stacked: (Σ n_k, Σ n_k); ghosts at rest.

    τ ds/dt = F(s) - s, so a fixed point is stable where every eigenvalue has a real part below 1.
    """
    N = len(w.W) - 1
    slope = [None, *(transfer_slope(s[run, lane], c.transfer) for s in z.s[1:])]
    ghost_slope = [None, *(transfer_slope(g[run, lane], c.transfer) for g in z.g[1:])]
    blocks = [[np.zeros((len(slope[k]), len(slope[j]))) for j in range(1, N + 1)] for k in range(1, N + 1)]
    for k in range(1, N + 1):
        if k > 1:
            blocks[k - 1][k - 2] = w.W[k][run] * slope[k - 1]
        if k < N:
            W_gp = w.W_gp[k][run, lane] if w.W_gp[k].ndim == 4 else w.W_gp[k][run]
            blocks[k - 1][k - 1] = -(W_gp * ghost_slope[k]) @ (w.W_pg[k][run] * slope[k])
            blocks[k - 1][k] = w.B[k][run] * slope[k + 1]
    blocks[-1][-1] = np.diag(-beta * slope[N])
    return np.block(blocks)


def spectral_radius(w: Weights, z: State, beta: float, c: Constants, run: int = 0) -> float:
    """Largest |eigenvalue| of the Jacobian over the examples of a run; inf where it is not finite."""
    J = [jacobian(w, z, beta, c, run, lane) for lane in range(z.s[1].shape[1])]
    if not np.isfinite(J).all():
        return np.inf
    return max(float(np.abs(np.linalg.eigvals(J_lane)).max()) for J_lane in J)
