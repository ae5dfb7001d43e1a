"""The flat array of the compiled kernels: which blocks it has, and the constants that go with it.

Everything a network holds lives in `mem`; a table `at` says where (`at[k, S]` is the offset of s_k): one for each panel
of the hidden layer, with the blocks of all other units that are its thread's (`shares`). PART and GHOST_PART are what a
layer sends, W_{k+1} r_k and W^pg_k r_k: parts of the drives where there are panels, and without them the drives.

Rows are padded with zeros to whole vectors (`WIDTH`). Matrices are stored so that the vector axis is the layer below:
W_k and W^pg_k as the paper writes them, B_k and W^gp_k transposed (so that B_k *is* W_{k+1} under TF), W_1 transposed
(so that a zero pixel skips a row). Rates of padding are kept at zero, hence every sum over units may run over whole
vectors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ghostnet.engines.cpu.team import Team
from ghostnet.engines.cpu.vectorlaws import Law

# Numbers for columns, not a record with names: to LLVM a record's integers could be anything, so it reads them again
# after every store of a float, and kernels took 1.6 times as long.
COLUMN_COUNT = 33
# Columns of the layout table. Row k: layer k, as far as it has such a block.
(UNITS, WIDTH, S, R, E, D, DRIVE, GHOSTS, GHOST_WIDTH, G, RHO_G, GHOST_DRIVE, MISMATCH, W, B, W_PG, W_GP,
 TARGET, GRAM, D_SUM, CLIPPED, TURN, P, S_ABOVE, R_ABOVE, S_FREE, G_FREE, D_MEAN, R_MEAN, FADE, D_GP,
 PART, GHOST_PART) = range(COLUMN_COUNT)  # fmt: skip
NOWHERE = -1  # in a column: there is no such block


class Settings(NamedTuple):
    """The constants of one network, and its model: phases, and rules for W, W_pg and W_gp."""

    batch: int
    dt: float
    dt_tau: float
    beta: np.ndarray  # over phases: β times the nudge
    share: np.ndarray  # over phases: what the learning signal counts for
    acting: np.ndarray  # bool (phase, matrix), matrices in the order W, W_pg, W_gp
    eta: np.ndarray  # over k, of W
    eta_pg: np.ndarray
    eta_gp: np.ndarray
    keep: np.ndarray  # over matrices: 1 - λ dt, or 1 - λ where the rule acts once
    clip: float  # of W's rule; inf where it does not clip
    rho: Law  # ρ and ρ'
    slope: Law
    error: Law  # the cost's -∂C/∂r_N, and its derivative by s_N
    error_slope: Law
    post: Law  # of W's rule
    post_pg: Law
    post_gp: Law
    plain_gp: bool  # W_gp's post is e, and it does not decay
    rates_above: bool  # W_pg's post asks for r_above
    owned: bool  # every example owns its W_gp
    once: bool  # W learns at the end (16), not in phases (6)
    collects: bool  # W learns from the ends of other phases than the last
    panels: int | None  # of the hidden layer; None where threads share examples
    team: Team | None  # whom this thread steps the network with
