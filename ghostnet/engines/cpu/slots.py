"""The flat array of the compiled kernels: which blocks it has, and the constants that go with it.

Everything a network holds lives in `mem`; the table `at` says where (`at[k, S]` is the offset of s_k). Rows are padded
with zeros to whole vectors (`WIDTH`). Matrices are stored so that the vector axis is the layer below: W_k and W^pg_k
as the paper writes them, B_k and W^gp_k transposed (so that B_k *is* W_{k+1} under TF), W_1 transposed (so that a zero
pixel skips a row). Rates of padding are kept at zero, hence every sum over units may run over whole vectors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ghostnet.engines.cpu.vectorlaws import Law

COLUMN_COUNT = 22
# Columns of the layout table. Row k: layer k, as far as it has such a block.
(UNITS, WIDTH, S, R, E, D, DRIVE, GHOSTS, GHOST_WIDTH, G, RHO_G, GHOST_DRIVE, MISMATCH, W, B, W_PG, W_GP,
 TARGET, GRAM, D_SUM, CLIPPED, TURN) = range(COLUMN_COUNT)  # fmt: skip


class Settings(NamedTuple):
    """The constants of one network, and its row of the model table."""

    batch: int
    dt: float
    dt_tau: float
    beta: float
    eta: np.ndarray  # over k
    eta_ghost: np.ndarray
    clip: float  # inf where the model does not clip
    rho: Law  # ρ and ρ'
    slope: Law
    error: Law  # the cost's -∂C/∂r_N, and its derivative by s_N
    error_slope: Law
    derivative: bool
    fast_gp: bool
    once: bool  # (16) instead of (6)
    plastic: np.ndarray  # bool (phase, matrix), matrices in the order W, W_pg, W_gp
