"""The page of equations on batched tensors: all runs at once, in place, in few and large operations.

Exact short cuts: W_1 x once per presentation while W_1 stands still; while it moves, u_1 += η_1 dt (x x^T) d keeps it
current and Σ d waits for `finish`. Where the model clips, W_1 takes the direct form: whether the clip acts could be
known only by asking the device at every step. Where the batch's examples own their W^gp, `lanes` are runs · batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ghostnet.engines.torch.blocks import Blocks, Lasting
from ghostnet.engines.torch.factors import Factor, add_outer, factor
from ghostnet.engines.torch.tensorlaws import is_difference, on_tensors, post_of_unit, put
from ghostnet.model import names
from ghostnet.model.equations import Layers, State, Weights
from ghostnet.model.experiment import Experiment
from ghostnet.model.laws import cancellation
from ghostnet.model.lowering import arguments
from ghostnet.model.models import Rule, collects, shares
from ghostnet.model.network import Network


class Ensemble:
    """The runs of a network, stepped together. Lists over the paper's k, shapes as in `ghostnet.model.equations`.

    Args:
        network: weights and activities to copy.
        experiments: one per run: beta, dt and the learning rates may differ, nothing else.
        like: an empty tensor of the type and on the device to work in.

    Attributes:
        x, y: what is shown, (runs, batch, n_0) and (runs, batch, n_N); to be filled before `begin`.
        lasting: the activities and weights.
    """

    def __init__(self, network: Network, experiments: list[Experiment], like: Tensor):
        e = self.experiment = network.experiment
        self.constants = network.constants
        self.N = e.depth
        self.lasting = Lasting(network, like)
        self.transfer, self.cost = names.transfer(e.transfer), names.cost(e.cost)
        self.output_error, self.difference = on_tensors(self.cost.error), is_difference(self.cost.error)
        z = self.lasting.z
        R = network.runs
        n = e.sizes
        model = self.model = e.plasticity
        self.phases = e.phases
        self.shares = shares(e.phases)
        self.rules = self.constants.rules
        self.acting = [e.acting(phase) for phase in range(len(e.phases))]
        self.rho, self.E, self.D, self.currents, self.inflow = (z.new(e) for _ in range(5))
        self.x, self.y, self.beta_y = (like.new_zeros(R, e.batch, units) for units in (n[0], n[-1], n[-1]))
        self.r: Layers = [self.x, *self.rho.units[1:]]
        lanes = (R * e.batch, 1) if model.owned else (R, e.batch)
        by_lane: list[Layers] = [
            [None, *(rows.view(*lanes, rows.shape[-1]) for rows in layers)]
            for layers in (self.rho.ghosts[1:], self.E.units[1:-1], self.D.units[1:-1])
        ]
        self.rho_g_lanes, self.e_lanes, self.d_lanes = by_lane
        self.scaled: Layers = [None, *(like.new_zeros(ghosts.shape) for ghosts in z.ghosts[1:])]
        self.P: Layers = [None if P is None else like.new_tensor(P) for P in self.constants.P]
        self.gram: Tensor | None = None
        self.rate: Layers | None = None
        self.means: Means | None = None
        if self.rules["W"].clip is not None:
            self.rate = [None, *(torch.zeros_like(W) for W in self.lasting.W[1:])]
        elif not model.once:
            self.gram, self.d_sum = like.new_zeros(R, e.batch, e.batch), torch.zeros_like(z.units[1])
        if collects(self.phases):
            self.means = Means(z.flat.clone(), z.new(e), z.new(e))
        self.put_off = False  # whether Σ d waits for `finish`
        self._factors(experiments, lanes[0] // R, like)
        self.begin()

    def _factors(self, experiments: list[Experiment], per_run: int, like: Tensor) -> None:
        """The constants as factors, with dt where they are integrated over time and not clipped before."""
        e, once = self.experiment, self.model.once

        def factors(rates: list[Sequence[float]], repeat: int = 1) -> Layers:
            """Of (runs, k) rates, per k."""
            return [None, *(factor(rate, like, repeat) for rate in zip(*rates, strict=True))]

        def integrated(rule: Rule) -> list[Sequence[float]]:
            return [[own.dt * rate for rate in getattr(own, rule.rate)] for own in experiments]

        self.eta: dict[str, Layers] = {}
        self.keep: dict[str, Factor] = {}
        for rule in self.model.rules:
            as_it_is = rule.matrix == "W" and (once or self.rate is not None)
            rates = [getattr(own, rule.rate) for own in experiments] if as_it_is else integrated(rule)
            self.eta[rule.matrix] = factors(rates, per_run if rule.matrix == "W_gp" else 1)
            decay = self.rules[rule.matrix].decay
            left = [1 - decay * (1 if rule.once else own.dt) for own in experiments]
            self.keep[rule.matrix] = factor(left, like, per_run if rule.matrix == "W_gp" else 1)
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
            W_1 = self.lasting.W[1] * self.fade + (self.d_sum * self.eta["W"][1]).mT @ self.x
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
        return put(self.transfer.rho, u, out=torch.empty_like(u))

    def begin(self) -> None:
        """Show x and y: what does not change while they stand still."""
        self._drive()
        if self.gram is not None:
            torch.bmm(self.x, self.x.mT, out=self.gram).mul_(self.eta["W"][1])
            self.d_sum.zero_()
        self.put_off, self.phase = False, 0
        self.fade: Factor = 1.0  # what is left of W_1 after its decay
        self._nudge()

    def _drive(self) -> None:
        torch.bmm(self.x, self.lasting.W[1].mT, out=self.currents.whole[1])

    def _nudge(self) -> None:
        """β of the phase, and β y."""
        self.nudge = self.phases[self.phase].nudge
        self.strength = self.beta * self.nudge
        if self.nudge:
            torch.mul(self.y, self.strength, out=self.beta_y)
        else:
            self.E.units[self.N].zero_()

    def enter(self, phase: int) -> None:
        """Be in that phase: what ends and begins until there happens on the way."""
        while self.phase < phase:
            if self.means and not self.nudge:
                self.means.free.copy_(self.lasting.z.flat)
            elif self.means and self.model.once:
                self._leave()
            was, self.phase = self.nudge, self.phase + 1
            self._nudge()
            if self.means and was and self.nudge:
                self.lasting.z.flat.copy_(self.means.free)

    def _leave(self) -> None:
        """The end of a nudged phase: its learning signal; where it is not the only one, or not the last phase, kept."""
        self._rates_and_errors()
        self._signals()
        if self.means:
            nudged = [i for i, phase in enumerate(self.phases) if phase.nudge]
            if self.phase == nudged[0]:
                self.means.d.flat.zero_()
                self.means.r.flat.zero_()
            self.means.d.flat.add_(self.D.flat, alpha=self.shares[self.phase])
            self.means.r.flat.add_(self.rho.flat, alpha=1 / len(nudged))

    def advance(self, phase: int, steps: int) -> None:
        """Euler steps of one phase, as `equations.step`: everything is read at the current state, then all advance."""
        self.enter(phase)
        acting, share = self.acting[phase], self.shares[phase]
        self.put_off |= "W" in acting and self.gram is not None
        for _ in range(steps):
            self._rates_and_errors()
            self._learn_ghosts(acting)
            if "W" in acting:
                self._signals()
                for k in range(2, self.N + 1):
                    self._learn(k, self.D.units[k], self.r[k - 1], share)
            torch.add(self.currents.flat, self.E.flat, out=self.inflow.flat)
            self.lasting.z.flat.lerp_(self.inflow.flat, self.dt_tau)  # (2), (3)
            if "W" in acting:
                self._learn_first(share)

    def finish(self) -> None:
        """The updates made once, at the presentation's end."""
        W = self.lasting.W
        if self.gram is not None:
            add_outer(W[1], self.d_sum, self.x, self.eta["W"][1], self.d_sum, self.fade)
        elif self.model.once:
            if self.nudge:
                self._leave()
            d = self.D.units
            r = self.r
            share = self.shares[self.phase]
            if self.means:
                d = self.means.d.units
                r = [self.x, *self.means.r.units[1:]]
                share = 1.0
            for k in range(1, self.N + 1):
                self._learn(k, d[k], r[k - 1], share)  # (16)
        self.put_off = False

    def _rates_and_errors(self) -> None:
        """Rates, e_k (e_N where nudged) and what comes from below: W_k r_{k-1} and W^pg_{k-1} r_{k-1} for k > 1."""
        put(self.transfer.rho, self.lasting.z.flat, out=self.rho.flat)
        r = self.r
        e = self.E.units
        w = self.lasting
        if self.nudge:
            self._output_error()
        for k in range(1, self.N):
            torch.bmm(r[k + 1], w.down[k], out=e[k])
            self.e_lanes[k].baddbmm_(self.rho_g_lanes[k], w.V[k], alpha=-1)  # (2), hidden
            torch.bmm(r[k], w.up[k + 1].mT, out=self.currents.whole[k + 1])

    def _output_error(self) -> None:
        """e_N = -β ∂C/∂r_N (2)."""
        y = self.y
        r = self.r[self.N]
        e = self.E.units[self.N]
        if self.difference:
            torch.addcmul(self.beta_y, r, self.beta, value=-self.nudge, out=e)
        else:
            torch.mul(self.output_error(y, self.lasting.z.units[self.N], r), self.strength, out=e)

    def _learn_ghosts(self, acting: dict[str, float]) -> None:
        w, z = self.lasting, self.lasting.z
        for k in range(1, self.N):
            scaled, rho_g = self.scaled[k], self.rho_g_lanes[k]
            if "W_gp" in acting:
                eta = self.eta["W_gp"][k]
                keep = self.keep["W_gp"]
                post = self.e_lanes[k]
                if (law := self.rules["W_gp"].post) is not cancellation:
                    post, seen = self.d_lanes[k], (z.units[k], self.rho.units[k], self.E.units[k])
                    post_of_unit(law, self.transfer, *seen, out=self.D.units[k])
                add_outer(w.V[k], rho_g, post, eta, scaled.view(rho_g.shape), keep)  # (5), (15)
            if "W_pg" in acting:
                self._post_of_ghosts(k, scaled)
                add_outer(w.W_pg[k], scaled, self.r[k], self.eta["W_pg"][k], scaled, self.keep["W_pg"])  # (4)

    def _post_of_ghosts(self, k: int, out: Tensor) -> None:
        """The postsynaptic factor of W_pg_k's rule."""
        z, law = self.lasting.z, self.rules["W_pg"].post
        seen = {
            "g": z.ghosts[k],
            "rho_g": self.rho.ghosts[k],
            "s_above": z.units[k + 1],
            "r_above": self.rho.units[k + 1],
        }
        if self.P[k] is not None:
            above = (name for name in ("s_above", "r_above") if name in arguments(law))
            seen |= {name: torch.bmm(seen[name], self.P[k].mT) for name in above}
        put(law, *(seen[name] for name in arguments(law)), out=out)

    def _signals(self) -> None:
        """The postsynaptic factors d of W's rule, of all layers."""
        seen = self.lasting.z.flat, self.rho.flat, self.E.flat
        post_of_unit(self.rules["W"].post, self.transfer, *seen, out=self.D.flat)

    def _learn(self, k: int, d: Tensor, r: Tensor, share: float) -> None:
        """W_k += η_k Σ d_k r_{k-1}^T, in (6) times dt, clipped where the model clips."""
        W = self.lasting.W[k]
        keep = self.keep["W"]
        clip = self.rules["W"].clip
        eta = self.eta["W"][k] * share
        if self.rate is None or clip is None:
            add_outer(W, d, r, eta, d, keep)
            return
        rate = torch.bmm(d.mul_(eta).mT, r, out=self.rate[k]).clamp_(-clip, clip)
        W.mul_(keep).add_(rate if self.model.once else rate.mul_(self.dt))

    def _learn_first(self, share: float) -> None:
        """(6) for W_1, after the step that still takes the old W_1 x."""
        d, keep = self.D.units[1], self.keep["W"]
        if self.gram is None:
            self._learn(1, d, self.x, share)
            self._drive()
            return
        if isinstance(keep, Tensor):
            self.currents.whole[1].mul_(keep).baddbmm_(self.gram, d, alpha=share)
        else:
            self.currents.whole[1].baddbmm_(self.gram, d, beta=keep, alpha=share)
        self.d_sum.mul_(keep).add_(d, alpha=share)
        self.fade = self.fade * keep


class Means(NamedTuple):
    """What several nudged phases leave: where they start from, the sum of their learning signals and the mean rates."""

    free: Tensor
    d: Blocks
    r: Blocks
