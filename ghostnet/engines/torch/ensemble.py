"""The page of equations on batched tensors: all runs at once, in place, in few and large operations.

Exact short cuts: W_1 x once per presentation while W_1 stands still; while it moves, u_1 += η_1 dt (x x^T) d keeps it
current and Σ d waits for `finish`. Where the model clips, W_1 takes the direct form: whether the clip acts could be
known only by asking the device at every step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ghostnet.engines.torch.blocks import Lasting
from ghostnet.engines.torch.tensorlaws import is_difference, on_tensors, put, signals
from ghostnet.model import names
from ghostnet.model.equations import Plastic, State, Weights
from ghostnet.model.experiment import Experiment
from ghostnet.model.models import CLAMPED
from ghostnet.model.network import Network


class Ensemble:
    """The runs of a network, stepped together. Lists over the paper's k, shapes as in `ghostnet.model.equations`.

    Args:
        network: weights and activities to copy.
        experiments: one per run: beta, dt, eta and eta_ghost may differ, nothing else.
        like: an empty tensor of the type and on the device to work in.

    Attributes:
        x, y: what is shown, (runs, batch, n_0) and (runs, batch, n_N); to be filled before `begin`.
        lasting: the activities and weights.
    """

    def __init__(self, network: Network, experiments: list[Experiment], like: Tensor):
        e = self.experiment = network.experiment
        self.constants, self.N, self.lasting = network.constants, e.depth, Lasting(network, like)
        self.transfer, self.cost = names.transfer(e.transfer), names.cost(e.cost)
        self.output_error, self.difference = on_tensors(self.cost.error), is_difference(self.cost.error)
        z, R, n = self.lasting.z, network.runs, e.sizes
        self.rho, self.E, self.D, self.currents, self.inflow = (z.new(e) for _ in range(5))
        self.x, self.y, self.beta_y = (like.new_zeros(R, e.batch, units) for units in (n[0], n[-1], n[-1]))
        self.r = [self.x, *self.rho.units[1:]]
        lanes = (R * e.batch, 1) if e.plasticity.fast_gp else (R, e.batch)
        self.rho_g_lanes, self.e_lanes = (
            [None, *(rows.view(*lanes, rows.shape[-1]) for rows in layers)]
            for layers in (self.rho.ghosts[1:], self.E.units[1:-1])
        )
        self.scaled = [None, *(like.new_zeros(ghosts.shape) for ghosts in z.ghosts[1:])]
        self.gram = self.rate = None
        if e.plasticity.clips:
            self.rate = [None, *(torch.zeros_like(W) for W in self.lasting.W[1:])]
        elif e.plasticity.W:
            self.gram, self.d_sum = like.new_zeros(R, e.batch, e.batch), torch.zeros_like(z.units[1])
        self.put_off = False  # whether Σ d waits for `finish`
        self._factors(experiments, lanes[0] // R, like)

    def _factors(self, experiments: list[Experiment], per_run: int, like: Tensor) -> None:
        """The constants as factors, with dt where they are integrated over time and not clipped before."""
        e, row = self.experiment, self.experiment.plasticity

        def factors(rates: list[tuple], repeat: int = 1) -> list:
            """Of (runs, k) rates, per k."""
            return [None, *(factor(rate, like, repeat) for rate in zip(*rates, strict=True))]

        ghost = [[own.dt * rate for rate in own.eta_ghost] for own in experiments]
        self.eta_ghost, self.eta_lanes = factors(ghost), factors(ghost, per_run)
        integrated = bool(row.W) and not row.clips
        self.eta = factors([[rate * (own.dt if integrated else 1) for rate in own.eta] for own in experiments])
        self.beta = like.new_tensor([own.beta for own in experiments]).view(-1, 1, 1)
        self.dt = factor([own.dt for own in experiments], like)
        self.dt_tau = factor([own.dt / own.tau for own in experiments], like)
        if isinstance(self.dt_tau, Tensor):  # one for every unit of every run
            every = self.lasting.z.new(e)
            for block in every.whole[1:]:
                block.copy_(self.dt_tau.expand_as(block))
            self.dt_tau = every.flat

    def get(self) -> tuple[Weights, State]:
        """Copies of the weights and activities as they are, float64."""
        weights, state = self.lasting.get()
        if self.put_off:
            W_1 = self.lasting.W[1] + (self.d_sum * self.eta[1]).mT @ self.x
            weights.W[1] = W_1.double().cpu().numpy()
        return weights, state

    def outputs(self, x: Tensor) -> Tensor:
        """u_N (runs, n, n_N) of the feedforward graph for inputs (n, n_0) of all runs; only between presentations."""
        u = x @ self.lasting.W[1].mT
        for W in self.lasting.W[2:]:
            u = self.rates(u) @ W.mT
        return u

    def rates(self, u: Tensor) -> Tensor:
        """ρ(u)."""
        found = torch.empty_like(u)
        return put(self.transfer.rho, u, out=found)

    def begin(self) -> None:
        """Show x and y: what does not change while they stand still."""
        self._drive()
        torch.mul(self.y, self.beta, out=self.beta_y)
        if self.gram is not None:
            torch.bmm(self.x, self.x.mT, out=self.gram).mul_(self.eta[1])
            self.d_sum.zero_()
        self.put_off = False

    def _drive(self) -> None:
        torch.bmm(self.x, self.lasting.W[1].mT, out=self.currents.whole[1])

    def advance(self, phase: str, steps: int) -> None:
        """Euler steps of one phase, as `equations.step`: everything is read at the current state, then all advance."""
        row, clamped = self.experiment.plasticity, phase == CLAMPED
        plastic = Plastic(W=phase in row.W, W_pg=phase in row.W_pg, W_gp=phase in row.W_gp)
        self.put_off |= plastic.W and self.gram is not None
        if not clamped:
            self.E.units[self.N].zero_()
        for _ in range(steps):
            self._rates_and_errors(clamped)
            self._learn_ghosts(plastic)
            if plastic.W:
                self._signals_and_learn_above()
            torch.add(self.currents.flat, self.E.flat, out=self.inflow.flat)
            self.lasting.z.flat.lerp_(self.inflow.flat, self.dt_tau)  # (2), (3)
            if plastic.W:
                self._learn_first()

    def finish(self) -> None:
        """The updates made once, at the presentation's end."""
        if self.gram is not None:
            add_outer(self.lasting.W[1], self.d_sum, self.x, self.eta[1], self.d_sum)
        elif not self.experiment.plasticity.W:
            self._rates_and_errors(clamped=True)
            self._signals_and_learn_above()
            self._learn(1)  # (16)
        self.put_off = False

    def _rates_and_errors(self, clamped: bool) -> None:
        """Rates, e_k (e_N where clamped) and what comes from below: W_k r_{k-1} and W^pg_{k-1} r_{k-1} for k > 1."""
        put(self.transfer.rho, self.lasting.z.flat, out=self.rho.flat)
        r, e, w = self.r, self.E.units, self.lasting
        if clamped:
            self._output_error()
        for k in range(1, self.N):
            torch.bmm(r[k + 1], w.down[k], out=e[k])
            self.e_lanes[k].baddbmm_(self.rho_g_lanes[k], w.V[k], alpha=-1)  # (2), hidden
            torch.bmm(r[k], w.up[k + 1].mT, out=self.currents.whole[k + 1])

    def _output_error(self) -> None:
        """e_N = -β ∂C/∂r_N (2)."""
        y, r, e = self.y, self.r[self.N], self.E.units[self.N]
        if self.difference:
            torch.addcmul(self.beta_y, r, self.beta, value=-1, out=e)
        else:
            torch.mul(self.output_error(y, self.lasting.z.units[self.N], r), self.beta, out=e)

    def _learn_ghosts(self, plastic: Plastic) -> None:
        w, z = self.lasting, self.lasting.z
        for k in range(1, self.N):
            scaled, rho_g = self.scaled[k], self.rho_g_lanes[k]
            if plastic.W_gp:
                add_outer(w.V[k], rho_g, self.e_lanes[k], self.eta_lanes[k], scaled.view(rho_g.shape))  # (5), (15)
            if plastic.W_pg:
                torch.sub(z.units[k + 1], z.ghosts[k], out=scaled)
                add_outer(w.W_pg[k], scaled, self.r[k], self.eta_ghost[k], scaled)  # (4)

    def _signals_and_learn_above(self) -> None:
        """The postsynaptic factors d of all layers; (6) or (16) for W_2 … W_N."""
        signals(self.lasting.z.flat, self.rho.flat, self.E.flat, self.transfer, self.constants.rule, out=self.D.flat)
        for k in range(2, self.N + 1):
            self._learn(k)

    def _learn(self, k: int) -> None:
        """W_k += η_k Σ d_k r_{k-1}^T, in (6) times dt, clipped where the model clips."""
        W, d, r = self.lasting.W[k], self.D.units[k], self.r[k - 1]
        if self.rate is None:
            add_outer(W, d, r, self.eta[k], d)
            return
        clip, rate = self.constants.clip, self.rate[k]
        torch.bmm(d.mul_(self.eta[k]).mT, r, out=rate).clamp_(-clip, clip)
        W.add_(rate.mul_(self.dt) if self.experiment.plasticity.W else rate)

    def _learn_first(self) -> None:
        """(6) for W_1, after the step that still takes the old W_1 x."""
        if self.gram is None:
            self._learn(1)
            self._drive()
        else:
            self.currents.whole[1].baddbmm_(self.gram, self.D.units[1])
            self.d_sum.add_(self.D.units[1])


def factor(values: list[float], like: Tensor, repeat: int = 1):
    """A number where all runs share it, else a tensor (runs · repeat, 1, 1)."""
    if len(set(values)) == 1:
        return values[0]
    return like.new_tensor(values).repeat_interleave(repeat).view(-1, 1, 1)


def add_outer(out: Tensor, a: Tensor, b: Tensor, rate, scaled: Tensor) -> None:
    """out += rate a^T b, summed over the batch; `scaled` takes rate · a where the runs have rates of their own."""
    if isinstance(rate, Tensor):
        a, rate = torch.mul(a, rate, out=scaled), 1
    out.baddbmm_(a.mT, b, alpha=rate)
