"""Backprop through the MLP u_k = W_k ρ(u_{k-1}) that the free phase settles to: our own pass, and autograd's.

    C = ½ ‖y - ρ(u_N)‖², or another cost
    δ_N = -∂C/∂ρ(u_N),  δ_k = B_k (ρ'(u_{k+1}) ⊙ δ_{k+1})        δ_k = -∂C/∂ρ(u_k) where B_k = W_{k+1}^T
    local_k = ρ'(u_k) ⊙ δ_k,  descent in W_k: Σ local_k r_{k-1}^T

With a B of its own it is feedback alignment (Lillicrap et al. 2016) on the same MLP.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ghostnet.model import names
from ghostnet.model.equations import feedforward, output_error, transfer, transfer_slope


class Backward(NamedTuple):
    """Lists over k: rates r[k] (…, batch, n_k) with r[0] = x, delta[k] and local[k] likewise."""

    r: list
    delta: list
    local: list

    def gradient(self, k: int) -> np.ndarray:
        """The steepest descent of C in W_k, summed over the batch: (…, n_k, n_{k-1})."""
        return self.local[k].mT @ self.r[k - 1]


def transposed(W: list) -> list:
    """The feedback of backprop, B_k = W_{k+1}^T for hidden k."""
    return [None, *(W_above.mT for W_above in W[2:])]


def backward(W: list, B: list, x: np.ndarray, y: np.ndarray, rho: str, cost: str = "quadratic") -> Backward:
    """Errors and gradients of the MLP with feedback B; x (…, batch, n_0), y (…, batch, n_N)."""
    u = feedforward(W, x, rho)
    r = [x, *(transfer(u_k, rho) for u_k in u[1:])]
    delta = [None] * (len(W) - 1) + [output_error(y, u[-1], r[-1], cost)]
    local = [None, *(transfer_slope(u_k, rho) for u_k in u[1:])]
    for k in range(len(W) - 1, 0, -1):
        local[k] = local[k] * delta[k]
        if k > 1:
            delta[k - 1] = local[k] @ B[k - 1].mT
    return Backward(r, delta, local)


def autograd(W: list, x: np.ndarray, y: np.ndarray, rho: str, cost: str = "quadratic") -> list:
    """What torch's autograd says `backward(...).gradient(k)` is for B_k = W_{k+1}^T: a list over k, float64."""
    import torch  # takes seconds to load, and only this needs it

    from ghostnet.engines.tensors import own_precision

    with own_precision():
        leaves = [torch.tensor(np.asarray(W_k, np.float64), requires_grad=True) for W_k in W[1:]]
        outputs = feedforward([None, *leaves], torch.as_tensor(np.asarray(x, np.float64)), rho)[-1]
        C = names.cost(cost).value(torch.as_tensor(np.asarray(y, np.float64)), transfer(outputs, rho)).sum()
        return [None, *(-gradient.numpy() for gradient in torch.autograd.grad(C, leaves))]


def autograd_difference(W: list, x: np.ndarray, y: np.ndarray, rho: str, cost: str = "quadratic") -> float:
    """Largest relative difference ‖own - autograd‖ / ‖autograd‖ of any layer's gradient, absolute where it is 0."""
    own, theirs = backward(W, transposed(W), x, y, rho, cost), autograd(W, x, y, rho, cost)
    norm = np.linalg.norm
    return max(float(norm(own.gradient(k) - theirs[k]) / (norm(theirs[k]) or 1)) for k in range(1, len(W)))
