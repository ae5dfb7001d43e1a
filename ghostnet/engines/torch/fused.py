"""MB with one hidden layer on a GPU: all Euler steps of a phase in one Triton kernel.

Operation by operation a step of so small a network is launches and little else. During MB's phases nothing is plastic
but W^gp_1, of which every example owns one, so examples don't meet before (16): a program steps one of them, with its
activities and matrices in registers. Layers lie as in `ghostnet.engines.torch.blocks`: s_2 and g_1 are one vector z,
and so W_2 and W^pg_1 are one matrix, and B_1^T over W^gp_1^T another. TRITON_INTERPRET=1, set before Triton is
imported, runs it on the CPU.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ghostnet.engines.torch import tritonlaws
from ghostnet.engines.torch.ensemble import Ensemble
from ghostnet.engines.torch.tritonlaws import lowered
from ghostnet.model.experiment import Experiment
from ghostnet.model.laws import cancellation

_ELEMENTS_PER_WARP = 1024  # of 4 bytes, of each of the two matrices: 64 registers a thread, and as many to compute with
_MOST_WARPS = 16  # of 128 registers a thread: all that a multiprocessor has


def fits(ensemble: Ensemble) -> bool:
    """Whether the kernel can step these networks: their model, their depth, and their matrices in the registers."""
    rule = ensemble.rules.get("W_gp")
    suits = (
        ensemble.N == 2
        and ensemble.model.once
        and ensemble.model.owned
        and "W_pg" not in ensemble.rules
        and rule is not None
        and rule.post is cancellation
        and rule.decay == 0
        and all(tritonlaws.fits(law) for law in (ensemble.transfer.rho, ensemble.cost.error))
    )
    return suits and _warps(ensemble) <= _MOST_WARPS


def _warps(ensemble: Ensemble) -> int:
    rows, columns = _padded(ensemble.experiment)
    return max(1, rows * columns * ensemble.x.element_size() // 4 // _ELEMENTS_PER_WARP)


def _padded(e: Experiment) -> tuple[int, int]:
    """The shape that the matrices are padded to: Triton knows powers of two only."""
    return triton.next_power_of_2(e.sizes[2] + e.ghosts[0]), triton.next_power_of_2(e.sizes[1])


class Phases:
    """Advances an ensemble as `Ensemble.advance` does, a phase per launch.

    Args:
        experiments: one per run, as the ensemble was given them.
    """

    def __init__(self, ensemble: Ensemble, experiments: list[Experiment]):
        self.ensemble, self.experiment = ensemble, ensemble.experiment
        like = ensemble.x
        self.dt_tau = like.new_tensor([own.dt / own.tau for own in experiments])
        self.rate = like.new_tensor([own.dt * own.eta_ghost[0] for own in experiments])

    def advance(self, phase: int, steps: int) -> None:
        """Euler steps of one phase."""
        e, ensemble = self.experiment, self.ensemble
        ensemble.enter(phase)
        s, z = ensemble.lasting.z.whole[1:]
        down, (rows, columns) = ensemble.lasting.down[1], _padded(e)
        step_phase[(len(e.seeds) * e.batch,)](
            s, z, ensemble.currents.whole[1], ensemble.lasting.up[2], down, ensemble.lasting.V[1], ensemble.y,
            self.dt_tau, ensemble.strength, self.rate, steps, down.stride(0),
            batch=e.batch, n_1=e.sizes[1], n_2=e.sizes[2], m_1=e.ghosts[0], columns=columns, rows=rows,
            clamped=e.phases[phase].nudge != 0, learning="W_gp" in ensemble.acting[phase],
            rho=lowered(ensemble.transfer.rho), error=lowered(ensemble.cost.error),
            num_warps=_warps(ensemble), enable_fp_fusion=True,  # a·b + c as one operation, as elsewhere
        )  # fmt: skip


@triton.jit
def step_phase(
    s_at, z_at, u_at, up_at, down_at, V_at, y_at, dt_tau_at, beta_at, rate_at, steps, down_stride,
    batch: tl.constexpr, n_1: tl.constexpr, n_2: tl.constexpr, m_1: tl.constexpr,
    columns: tl.constexpr, rows: tl.constexpr, clamped: tl.constexpr, learning: tl.constexpr, rho: tl.constexpr,
    error: tl.constexpr,
):  # fmt: skip
    """`steps` of `equations.step` for one example of one run.

    Pointers to s_1, z = [s_2 | g_1], u = W_1 x, up = W_2 over W^pg_1, down = B_1^T (a run's `down_stride` behind the
    last one's), V = W^gp_1^T and y, of all runs and examples; to dt/τ, β and dt η^g, of all runs.
    """
    lane = tl.program_id(0).to(tl.int64)
    run = lane // batch
    i, j = tl.arange(0, columns), tl.arange(0, rows)
    unit, output, ghost = i < n_1, j < n_2, (j >= n_2) & (j < n_2 + m_1)
    element = j[:, None] * n_1 + i[None, :]
    V = V_at + lane * m_1 * n_1 + element - n_2 * n_1

    s = tl.load(s_at + lane * n_1 + i, unit, 0.0)
    u = tl.load(u_at + lane * n_1 + i, unit, 0.0)
    z = tl.load(z_at + lane * (n_2 + m_1) + j, output | ghost, 0.0)
    y = tl.load(y_at + lane * n_2 + j, output, 0.0)
    up = tl.load(up_at + run * (n_2 + m_1) * n_1 + element, (output | ghost)[:, None] & unit[None, :], 0.0)
    down = tl.load(down_at + run * down_stride + element, output[:, None] & unit[None, :], 0.0)
    down += tl.load(V, ghost[:, None] & unit[None, :], 0.0)
    dt_tau = tl.load(dt_tau_at + run)
    beta = tl.where(output, tl.load(beta_at + run), 0.0)
    rate = tl.where(ghost, tl.load(rate_at + run), 0.0)

    for _ in range(steps):
        r, q = rho(s), rho(z)
        e = tl.sum(tl.where(output, q, -q)[:, None] * down, 0)  # (2), hidden
        from_below = tl.sum(up * r[None, :], 1)
        if clamped:
            from_below += beta * tl.where(output, error(y, z, q), 0.0)  # (2), output
        if learning:
            down += (rate * q)[:, None] * e[None, :]  # (15)
        s += dt_tau * (u - s + e)  # (2)
        z += dt_tau * (from_below - z)  # (2), (3)

    tl.store(s_at + lane * n_1 + i, s, unit)
    tl.store(z_at + lane * (n_2 + m_1) + j, z, output | ghost)
    if learning:
        tl.store(V, down, ghost[:, None] & unit[None, :])
