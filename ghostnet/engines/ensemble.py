"""The page of equations on batched tensors: all runs at once, in place, in few and large operations.

Layers are kept in blocks, so that what is read together lies together: block 1 is s_1, block k > 1 is [s_k | g_{k-1}],
because r_{k-1} drives both. One transfer function, one sum and one Euler step then serve all layers, and one product
gives W_k r_{k-1} and W^pg_{k-1} r_{k-1}. W^gp is kept transposed, (lanes, m_k, n_k), where a lane is what owns one: a
run, or in MB an example. Everything that lasts from one presentation to the next lies in the flat tensor `memory`.

Exact short cuts: W_1 x once per presentation while W_1 stands still; while it moves, u_1 += η_1 dt (x x^T) d keeps it
current and Σ d waits for `finish`. Where the model clips, W_1 takes the direct form: whether the clip acts could be
known only by asking the device at every step.
"""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from ghostnet.config import Experiment
from ghostnet.equations import Constants, Plastic, State, Weights
from ghostnet.models import CLAMPED
from ghostnet.network import Network

_ALIGN = 64  # elements: whole cache lines and whole vectors


def carve(shapes: list[tuple], dtype: torch.dtype, device: str) -> tuple[Tensor, list[Tensor]]:
    """A flat tensor of zeros and, in it, an aligned contiguous view of every shape."""
    sizes = [-(-math.prod(shape) // _ALIGN) * _ALIGN for shape in shapes]
    flat = torch.zeros(sum(sizes), dtype=dtype, device=device)
    parts = zip(flat.split(sizes), shapes, strict=True)
    return flat, [part[: math.prod(shape)].view(shape) for part, shape in parts]


class Ensemble:
    """The runs of a network, stepped together. Shapes as in `ghostnet.equations`; lists over the paper's k.

    Args:
        network: weights and activities to copy.
        experiments: one per run: beta, dt, eta and eta_ghost may differ, nothing else.
    """

    def __init__(self, network: Network, experiments: list[Experiment], dtype: torch.dtype, device: str):
        e = self.experiment = network.experiment
        self.constants, self.N, self.fast = network.constants, e.depth, e.plasticity.fast_gp
        self.lanes = (network.runs * e.batch, 1) if self.fast else (network.runs, e.batch)
        self._make_lasting(network.runs, dtype, device)
        self._make_passing(network.runs, dtype, device)
        self._make_factors(experiments, dtype, device)
        self.put(network)

    def _make_lasting(self, R: int, dtype: torch.dtype, device: str) -> None:
        """The state z in blocks, and the weights."""
        e, N, n, m = self.experiment, self.N, self.experiment.sizes, (0, *self.experiment.ghosts)
        hidden = range(1, N)
        self.blocks = [(R, e.batch, n[k] + m[k - 1]) for k in range(1, N + 1)]
        up = [(R, n[k] + m[k - 1], n[k - 1]) for k in range(1, N + 1)]
        gp = [(self.lanes[0], m[k], n[k]) for k in hidden]
        fixed = [] if self.constants.symmetric else [(R, n[k + 1], n[k]) for k in hidden]
        self.memory, views = carve([*self.blocks, *up, *gp, *fixed], dtype, device)
        views = iter(views)
        z, self.up, self.V, fixed = ([None, *islice(views, count)] for count in (N, N, N - 1, len(fixed)))
        self.W = [None, *(self.up[k][:, : n[k]] for k in range(1, N + 1))]
        self.W_pg = [None, *(self.up[k + 1][:, n[k + 1] :] for k in hidden)]
        self.down = [None, *self.W[2:]] if self.constants.symmetric else fixed  # B_k^T
        self.s, self.g = self._units(z), self._ghosts(z)

    def _make_passing(self, R: int, dtype: torch.dtype, device: str) -> None:
        """What a presentation needs and leaves behind."""
        e, n, m, N = self.experiment, self.experiment.sizes, (0, *self.experiment.ghosts), self.N
        (self.rho, rho), (self.U, self.u), (self.E, E), (self.D, D), (self.I, _) = (
            carve(self.blocks, dtype, device) for _ in range(5)
        )
        self.z = self.memory[: len(self.rho)]
        self.x, self.y, self.beta_y = (torch.zeros(R, e.batch, width, dtype=dtype, device=device)
                                       for width in (n[0], n[-1], n[-1]))  # fmt: skip
        self.u.insert(0, None)
        self.r, self.e, self.d = ([None, *views] for views in (rho, E, D))
        self.rho_g = self._ghosts(self.r)
        self.r, self.e, self.d = [self.x, *self._units(self.r)[1:]], self._units(self.e), self._units(self.d)
        self.e_lanes = [None, *(self.e[k].view(*self.lanes, n[k]) for k in range(1, N))]
        self.rho_g_lanes = [None, *(self.rho_g[k].view(*self.lanes, m[k]) for k in range(1, N))]
        self.scaled_g = [None, *(torch.zeros(R, e.batch, m[k], dtype=dtype, device=device) for k in range(1, N))]
        self.gram = self.d_sum = self.rate = None
        if e.plasticity.clips:
            self.rate = [None, *(torch.zeros_like(W) for W in self.W[1:])]
        elif e.plasticity.W:
            self.gram = torch.zeros(R, e.batch, e.batch, dtype=dtype, device=device)
            self.d_sum = torch.zeros(R, e.batch, n[1], dtype=dtype, device=device)

    def _units(self, blocks: list) -> list:
        """The pyramidal units in each block."""
        return [None, *(blocks[k][..., : self.experiment.sizes[k]] for k in range(1, self.N + 1))]

    def _ghosts(self, blocks: list) -> list:
        """The ghost units of each hidden layer, in the block above."""
        return [None, *(blocks[k + 1][..., self.experiment.sizes[k + 1] :] for k in range(1, self.N))]

    def _make_factors(self, experiments: list[Experiment], dtype: torch.dtype, device: str) -> None:
        """The constants as factors: a number where the runs share it, else a tensor (runs, 1, 1)."""

        def factor(of_run, repeat: int = 1):
            values = [of_run(e) for e in experiments for _ in range(repeat)]
            if len(set(values)) == 1:
                return values[0]
            return torch.tensor(values, dtype=dtype, device=device).view(-1, 1, 1)

        row, hidden = self.experiment.plasticity, range(self.N - 1)
        repeat = self.lanes[0] // len(experiments)
        self.beta = torch.tensor([e.beta for e in experiments], dtype=dtype, device=device).view(-1, 1, 1)
        self.dt = factor(lambda e: e.dt)
        self.dt_tau = self._flat(factor(lambda e: e.dt / e.tau))
        integrated = bool(row.W) and not row.clips  # then dt belongs to the factor
        self.eta = [None, *(factor(lambda e, k=k: e.eta[k] * (e.dt if integrated else 1)) for k in range(self.N))]
        self.eta_ghost = [None, *(factor(lambda e, k=k: e.dt * e.eta_ghost[k]) for k in hidden)]
        self.eta_lanes = [None, *(factor(lambda e, k=k: e.dt * e.eta_ghost[k], repeat) for k in hidden)]

    def _flat(self, factor):
        """A factor for whole flat tensors."""
        if not isinstance(factor, Tensor):
            return factor
        flat, views = carve(self.blocks, factor.dtype, factor.device)
        for view in views:
            view.copy_(factor.expand_as(view))
        return flat

    def put(self, network: Network) -> None:
        """Take over the weights and activities of a network."""

        def fill(tensors: list, arrays: list) -> None:
            for tensor, array in zip(tensors[1:], arrays[1:], strict=True):
                tensor.copy_(torch.tensor(array).view(tensor.shape))

        w, z = network.weights, network.state
        for tensors, arrays in ((self.s, z.s), (self.g, z.g), (self.W, w.W), (self.W_pg, w.W_pg)):
            fill(tensors, arrays)
        fill(self.V, [None, *(np.ascontiguousarray(W_gp.swapaxes(-1, -2)) for W_gp in w.W_gp[1:])])
        if not self.constants.symmetric:
            fill(self.down, [None, *(np.ascontiguousarray(B.swapaxes(-1, -2)) for B in w.B[1:])])

    def get(self) -> tuple[Weights, State]:
        """Copies of the weights and activities as they are, float64."""

        def arrays(tensors: list) -> list:
            return [None, *(tensor.cpu().numpy().astype(np.float64, order="C") for tensor in tensors[1:])]

        W, lanes = arrays(self.W), self.x.shape[:2] if self.fast else self.x.shape[:1]
        if self.d_sum is not None:
            W_1 = self.W[1] + (self.d_sum * self.eta[1]).mT @ self.x  # with what waits for `finish`
            W[1] = W_1.cpu().numpy().astype(np.float64)
        B = arrays([None, *(down.mT for down in self.down[1:])])
        W_gp = arrays([None, *(V.view(*lanes, *V.shape[1:]).mT for V in self.V[1:])])
        return Weights(W, B, arrays(self.W_pg), W_gp), State(arrays(self.s), arrays(self.g))

    def begin(self) -> None:
        """Show x and y: what does not change while they stand still."""
        torch.bmm(self.x, self.W[1].mT, out=self.u[1])
        torch.mul(self.y, self.beta, out=self.beta_y)
        if self.gram is not None:
            torch.bmm(self.x, self.x.mT, out=self.gram).mul_(self.eta[1])
            self.d_sum.zero_()

    def advance(self, phase: str, steps: int) -> None:
        """Euler steps of one phase, as `equations.step`."""
        row, clamped = self.experiment.plasticity, phase == CLAMPED
        plastic = Plastic(W=phase in row.W, W_pg=phase in row.W_pg, W_gp=phase in row.W_gp)
        if not clamped:
            self.e[self.N].zero_()
        for _ in range(steps):
            self._currents(clamped)
            self._learn_ghosts(plastic)
            if plastic.W:
                self._learn_above()
            torch.add(self.U, self.E, out=self.I)
            self.z.lerp_(self.I, self.dt_tau)  # (2), (3)
            if plastic.W:
                self._learn_first()

    def finish(self) -> None:
        """The updates made once, at the presentation's end."""
        if self.d_sum is not None:
            add_outer(self.W[1], self.d_sum, self.x, self.eta[1], self.d_sum)
            self.d_sum.zero_()
        elif not self.experiment.plasticity.W:
            self._currents(clamped=True)
            self._learn_above()
            self._learn(1)  # (16)

    def _currents(self, clamped: bool) -> None:
        """The rates, e_k (hidden k), e_N where it is clamped, and what drives s_k and g_{k-1} from below (k > 1)."""
        transfer(self.z, self.constants.transfer, out=self.rho)
        if clamped:
            error = self.e[self.N]
            torch.addcmul(self.beta_y, self.r[self.N], self.beta, value=-1, out=error)  # (2), output
        for k in range(1, self.N):
            torch.bmm(self.r[k + 1], self.down[k], out=self.e[k])
            self.e_lanes[k].baddbmm_(self.rho_g_lanes[k], self.V[k], alpha=-1)  # (2), hidden
            torch.bmm(self.r[k], self.up[k + 1].mT, out=self.u[k + 1])

    def _learn_ghosts(self, plastic: Plastic) -> None:
        for k in range(1, self.N):
            scaled = self.scaled_g[k]
            if plastic.W_gp:
                rho_g, lanes = self.rho_g_lanes[k], scaled.view(self.rho_g_lanes[k].shape)
                add_outer(self.V[k], rho_g, self.e_lanes[k], self.eta_lanes[k], lanes)  # (5), (15)
            if plastic.W_pg:
                torch.sub(self.s[k + 1], self.g[k], out=scaled)
                add_outer(self.W_pg[k], scaled, self.r[k], self.eta_ghost[k], scaled)  # (4)

    def _learn_above(self) -> None:
        """The signals of all layers, and (6) or (16) for W_2 … W_N."""
        signals(self.z, self.rho, self.E, self.constants, out=self.D)
        for k in range(2, self.N + 1):
            self._learn(k)

    def _learn(self, k: int) -> None:
        """W_k += η_k Σ d_k r_{k-1}^T, times dt in (6)."""
        d, r = self.d[k], self.r[k - 1]
        if self.rate is None:
            add_outer(self.W[k], d, r, self.eta[k], d)
            return
        clip, rate = self.constants.clip, self.rate[k]
        torch.bmm(d.mul_(self.eta[k]).mT, r, out=rate).clamp_(-clip, clip)
        self.W[k].add_(rate.mul_(self.dt) if self.experiment.plasticity.W else rate)

    def _learn_first(self) -> None:
        """(6) for W_1, once the activities have been stepped with the old one."""
        if self.gram is None:
            self._learn(1)
            torch.bmm(self.x, self.W[1].mT, out=self.u[1])
        else:
            self.u[1].baddbmm_(self.gram, self.d[1])
            self.d_sum.add_(self.d[1])


def transfer(s: Tensor, name: str, out: Tensor) -> None:
    """out = ρ(s); out may be s."""
    if name == "sigmoid":
        torch.sigmoid(s, out=out)
    elif name == "tanh":
        torch.tanh(s, out=out)
    else:
        torch.div(s, 6, out=out).add_(0.5).clamp_(0, 1)


def signals(s: Tensor, r: Tensor, e: Tensor, c: Constants, out: Tensor) -> None:
    """out = ρ(s) - ρ(s - e), or its first order ρ'(s) e: the postsynaptic factor of (6) and (16)."""
    if c.rule == "difference":
        transfer(torch.sub(s, e, out=out), c.transfer, out=out)
        torch.sub(r, out, out=out)
    elif c.transfer == "sigmoid":
        torch.mul(r, e, out=out)
        out.addcmul_(out, r, value=-1)
    elif c.transfer == "tanh":
        torch.mul(r, e, out=out)
        torch.addcmul(e, out, r, value=-1, out=out)
    else:
        torch.lt(torch.abs(s, out=out), 3, out=out)
        out.mul_(e).div_(6)


def add_outer(out: Tensor, a: Tensor, b: Tensor, factor, scaled: Tensor) -> None:
    """out += factor a^T b, summed over the batch; `scaled` takes a's place where the runs have factors of their own."""
    if isinstance(factor, Tensor):
        a, factor = torch.mul(a, factor, out=scaled), 1
    out.baddbmm_(a.mT, b, alpha=factor)
