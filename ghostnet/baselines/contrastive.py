"""Learning from the difference of two phases: the network by itself (-), and held to the answer (+).

    G_k = c_k · mean over the batch of (r⁻_k r⁻_{k-1}^T - r⁺_k r⁺_{k-1}^T),   of b_k: c_k · mean of (r⁻_k - r⁺_k)

    CHL   contrastive Hebbian learning with weak feedback γ          Xie & Seung 2003, doi:10.1162/089976603762552988
          -   r_k = f(W_k r_{k-1} + γ W_{k+1}^T r_{k+1} + b_k) for hidden k,  r_N = ŷ = output(W_N r_{N-1} + b_N)
          +   the same with r_N held at ŷ - e, which is y where e = ŷ - y (the cross-entropies), and near it under mse
          c_k = γ^{k-N}
    CD    contrastive divergence of a Boltzmann machine, c_k = 1: `ghostnet.baselines.boltzmann`

No f' and no error is sent: CHL's hidden units see the answer through γ W^T. As γ → 0, r⁻ becomes the forward pass and
G_k backprop's. c_k magnifies roundings, as much as γ^{k-N}: float64 is for small γ and many layers.

Phases are found layer by layer, from the inputs upwards and again, until nothing moves. That ends for every bounded f:
each layer takes the place where the energy that the whole network has is least (Hopfield 1984).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

import torch

from ghostnet.baselines import methods
from ghostnet.baselines.methods import Product, mean
from ghostnet.engines.torch import tensorlaws
from ghostnet.errors import DivergenceError
from ghostnet.model import names
from ghostnet.model.equations import Layers

_MOST = 1000  # sweeps


class Phases(NamedTuple):
    """The ends of both phases.

    Attributes:
        free, held: r⁻_k and r⁺_k (runs, batch, n_k), k = 0 … N. factors: c_k. u: u_N of the free phase, if that is
            how the network classifies.
    """

    free: list
    held: list
    factors: list[float]
    u: torch.Tensor | None


def hebbian(
    W: list, bias: list | None, x: torch.Tensor, y: torch.Tensor, transfer: str, loss: str, gain: float
) -> Phases:
    """CHL's phases of a batch, x (runs, batch, n_0), y (runs, batch, n_N).

    Args:
        gain: γ.

    Raises:
        DivergenceError: the activities don't come to rest.
    """
    free, u = settled(W, bias, x, transfer, loss, gain)
    target = free[-1] - methods.output_error(u, y, loss)
    held, _ = settled(W, bias, x, transfer, loss, gain, [*free[:-1], target])
    depth = len(W) - 1
    return Phases(free, held, [gain ** (k - depth) for k in range(depth + 1)], u)


def settled(
    W: list, bias: list | None, x: torch.Tensor, transfer: str, loss: str, gain: float, held: list | None = None
) -> tuple[list, torch.Tensor]:
    """r_0 … r_N at rest, and u_N.

    Args:
        held: where to begin, of which the outputs stay as they are; None: at the forward pass, and they are free.
    """
    f, last = functools.partial(tensorlaws.of, names.transfer(transfer).rho), len(W) - 1
    p = methods.forward(W, x, transfer, None, bias)
    u = p.u
    r: Layers = [*p.r, methods.output(u, loss)] if held is None else list(held)
    driven = methods.below(W, bias, 1, x)  # the same in every sweep
    least = 8 * torch.finfo(x.dtype).eps * max(1.0, *(float(a.abs().max()) for a in r[1:]))
    before = float("inf")
    for _ in range(_MOST):
        moved = torch.zeros((), dtype=x.dtype, device=x.device)
        for k in range(1, last + (held is None)):
            u = driven if k == 1 else methods.below(W, bias, k, r[k - 1])
            now = f(u + gain * (r[k + 1] @ W[k + 1])) if k < last else methods.output(u, loss)
            moved = torch.maximum(moved, (now - r[k]).abs().max())
            r[k] = now
        moves = float(moved)
        if moves <= least or before <= moves <= 100 * least:  # or roundings alone go on
            return r, u
        if not moves < float("inf"):
            break
        before = moves
    raise DivergenceError(f"CHL does not come to rest with these weights; try feedback_gain = {gain / 4:g}")


def products(phases: Phases, weights: Iterable[int], biases: Iterable[int]) -> list[Product]:
    """Whose means are the gradients of these W_k, and then of these b_k."""
    free, held, factors, _ = phases
    apart = [factor * (a - b) for factor, a, b in zip(factors, free, held, strict=True)]
    found = []
    for k in weights:
        # a b^T - a' b'^T = (a - a') b^T + a' (b - b')^T loses no digits; inputs that are held in both phases drop out
        parts = [(apart[k], free[k - 1])]
        if free[k - 1] is not held[k - 1]:
            parts.append((held[k], factors[k] * (free[k - 1] - held[k - 1])))
        left, right = (torch.cat(sides, 1) for sides in zip(*parts, strict=True))
        found.append((len(parts) * left, right))
    ones = free[0].new_ones((*apart[-1].shape[:2], 1))
    return found + [(ones, apart[k]) for k in biases]


def gradients(phases: Phases) -> list:
    """G_k; slot 0 is None."""
    return [None, *map(mean, products(phases, range(1, len(phases.free)), ()))]
