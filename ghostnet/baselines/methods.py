"""The page of equations of the baselines: an MLP, its losses, and how each method assigns credit.

    u_k = W_k r_{k-1} (+ b_k),  r_k = f(u_k) for hidden k,  r_0 = x,  ŷ = output(u_N); ghost units have no biases b_k
    e = δ_N = ∂C/∂u_N of one example's loss C:
        mse                    ŷ = σ(u_N)         C = ½ ‖y - ŷ‖²                           e = (ŷ - y) ŷ (1 - ŷ)
        cross-entropy          ŷ = softmax(u_N)   C = -Σ y log ŷ                           e = ŷ - y
        binary-cross-entropy   ŷ = σ(u_N)         C = -Σ (y log ŷ + (1 - y) log(1 - ŷ))    e = ŷ - y
    credit, hidden k:
        BP     δ_k = W_{k+1}^T δ_{k+1} ⊙ f'(u_k)
        FA     δ_k = B_k δ_{k+1} ⊙ f'(u_k)                      Lillicrap et al. 2016, doi:10.1038/ncomms13276
        DFA    δ_k = B_k e ⊙ f'(u_k)                            Nøkland 2016, arXiv:1609.01596
        IFA    δ_1 = B_1 e ⊙ f'(u_1),  δ_k = W_k δ_{k-1} ⊙ f'(u_k)   (the same)
        DRTP   δ_k = B_k y ⊙ f'(u_k), y one-hot                 Frenkel et al. 2021, doi:10.3389/fnins.2021.629892
        uSF, frSF, brSF   δ_k = (|B_k| ⊙ sign W_{k+1}^T) δ_{k+1} ⊙ f'(u_k)    Liao et al. 2016, arXiv:1510.05067, and
               Moskovitz et al. 2018, arXiv:1812.06488: |B_k| is the same everywhere (uniform), random and fixed, or
               drawn anew after every batch
        KP     as FA, and B_k learns with W_{k+1}: its gradient is G_{k+1}^T, with the same η and weight decay, which
               takes B_k to W_{k+1}^T                           Kolen-Pollack; Akrout et al. 2019, arXiv:1904.05391
        WM     as FA, and B_k mirrors W_{k+1}: B_k ← (1 - η_B) B_k + η_B / σ² mean of h r^T, h noise of deviation σ in
               layer k, r what it makes of layer k + 1 (f of that, and u_N itself)         (the same)
        DTP    δ_k = (r_k - t_k) ⊙ f'(u_k), the gradient of ½ ‖t_k - r_k‖² with the target t_k held:
               t_{N-1} = r_{N-1} - target_step W_N^T e,  t_k = r_k - g_k(r_{k+1}) + g_k(t_{k+1}),  g_k(r) = f(B_k r) a
               learned inverse                                  Lee et al. 2015, arXiv:1412.7525
    CHL and CD learn from two phases instead of an error: `ghostnet.baselines.contrastive`
    learning: W_k ← W_k - η G_k,  G_k = mean over the batch of δ_k r_{k-1}^T;  b_k ← b_k - η mean of δ_k

Sums over outputs, mean over examples: η means the same for every batch size. All δ are those of the weights before the
update; then all W_k and b_k (and the B_k that learn) change together. Other optimisers than plain SGD get the same G_k.

Tensors have the shapes of `ghostnet.model.equations`: r, δ (runs, batch, n_k), W[k] (runs, n_k, n_{k-1}), bias[k]
(runs, 1, n_k), B[k] (runs, n_k, n_{k+1}), or (runs, n_k, n_N) for DFA, IFA and DRTP; slot k of a list is layer k.
"""

from __future__ import annotations

import functools
from typing import NamedTuple, TypeAlias

import torch
from torch.nn import functional

from ghostnet.baselines.feedback import concordant
from ghostnet.engines.torch import tensorlaws
from ghostnet.model import names
from ghostnet.model.baseline import DIRECT, SIGNED
from ghostnet.model.equations import Layers

Product: TypeAlias = tuple[torch.Tensor, torch.Tensor]  # left (runs, batch, n), right (runs, batch, m)


class Pass(NamedTuple):
    """A forward pass: r[k] and slope[k] = ∂r_k/∂u_k for hidden k (dropout's mask in both), u the outputs' u_N."""

    r: list
    slope: list
    u: torch.Tensor
    transfer: str


def forward(W: list, x: torch.Tensor, transfer: str, masks: list | None = None, bias: list | None = None) -> Pass:
    """x (runs, batch, n_0) through the network; masks[k] multiplies r_k (dropout). Of one run, x serves all."""
    f = names.transfer(transfer)
    r: Layers = [x]
    slope: Layers = [None]
    for k in range(1, len(W) - 1):
        u = below(W, bias, k, r[-1])
        r.append(tensorlaws.of(f.rho, u))
        slope.append(tensorlaws.of(f.slope, u, r[-1]))
        if masks is not None:
            r[k], slope[k] = r[k] * masks[k], slope[k] * masks[k]
    return Pass(r, slope, below(W, bias, len(W) - 1, r[-1]), transfer)


def below(W: list, bias: list | None, k: int, r: torch.Tensor) -> torch.Tensor:
    """What arrives at layer k from below: W_k r_{k-1} + b_k."""
    return r @ W[k].mT if bias is None else (r @ W[k].mT).add_(bias[k])


def output(u: torch.Tensor, loss: str) -> torch.Tensor:
    """ŷ of the outputs' u_N."""
    return torch.softmax(u, -1) if loss == "cross-entropy" else torch.sigmoid(u)


def losses(u: torch.Tensor, y: torch.Tensor, loss: str) -> torch.Tensor:
    """C of every example, (…), from u_N and y (…, n_N)."""
    if loss == "mse":
        return 0.5 * (y - torch.sigmoid(u)).square().sum(-1)
    if loss == "cross-entropy":
        return -(y * torch.log_softmax(u, -1)).sum(-1)
    return (functional.softplus(u) - y * u).sum(-1)


def output_error(u: torch.Tensor, y: torch.Tensor, loss: str) -> torch.Tensor:
    """e = ∂C/∂u_N of every example."""
    guess = output(u, loss)
    return (guess - y) * guess * (1 - guess) if loss == "mse" else guess - y


def credit(method: str, W: list, B: list, p: Pass, e: torch.Tensor, y: torch.Tensor, target_step: float = 1.0) -> list:
    """δ_k for k = 1 … N by `method`; slot 0 is None. Only DRTP asks for y, and only DTP for its step."""
    if method == "DTP":
        return _target_propagation(W, B, p, e, target_step)
    delta: Layers = [None, *(None for _ in W[2:]), e]
    if method == "IFA":
        return _indirect(W, B, p, delta)
    for k in reversed(range(1, len(W) - 1)):
        signal = y if method == "DRTP" else e if method in DIRECT else delta[k + 1]
        delta[k] = signal @ carrier(method, W, B, k).mT * p.slope[k]
    return delta


def carrier(method: str, W: list, B: list, k: int) -> torch.Tensor:
    """The matrix (runs, n_k, …) that takes an error, or y, down to hidden layer k."""
    if method == "BP":
        return W[k + 1].mT
    return concordant(B[k], W[k + 1].mT) if method in SIGNED else B[k]


def _indirect(W: list, B: list, p: Pass, delta: list) -> list:
    for k in range(1, len(W) - 1):
        delta[k] = (delta[-1] @ B[1].mT if k == 1 else delta[k - 1] @ W[k].mT) * p.slope[k]
    return delta


def _target_propagation(W: list, B: list, p: Pass, e: torch.Tensor, step: float) -> list:
    f = functools.partial(tensorlaws.of, names.transfer(p.transfer).rho)
    delta, target = [None, *(None for _ in W[2:]), e], None
    for k in reversed(range(1, len(W) - 1)):
        r, above = p.r[k], p.r[min(k + 1, len(p.r) - 1)]
        target = r - step * (e @ W[-1]) if target is None else r - f(above @ B[k].mT) + f(target @ B[k].mT)
        delta[k] = (r - target) * p.slope[k]
    return delta


def gradients(delta: list, r: list) -> list:
    """G_k = mean over the batch of δ_k r_{k-1}^T; slot 0 is None."""
    return [None, *map(mean, zip(delta[1:], r, strict=True))]


def mean(product: Product) -> torch.Tensor:
    """The mean over the batch of left right^T, (runs, n, m)."""
    left, right = product
    return (left.mT @ right).div_(left.shape[-2])


def inverse_products(W: list, B: list, r: list, noise: list, transfer: str, bias: list | None = None) -> list[Product]:
    """DTP: left, right whose mean left right^T is the gradient by B_k of ½ ‖g_k(f(W_{k+1} h + b_{k+1})) - h‖²,
    h = r_k + noise_k, for k = 1 … N-2.
    """
    law = names.transfer(transfer)
    f = functools.partial(tensorlaws.of, law.rho)
    found = []
    for k in range(1, len(W) - 2):
        h = r[k] + noise[k]
        above = f(below(W, bias, k + 1, h))
        u = above @ B[k].mT
        back = f(u)
        found.append(((back - h) * tensorlaws.of(law.slope, u, back), above))
    return found


def mirror_products(W: list, noise: list, deviation: float, transfer: str, bias: list | None = None) -> list[Product]:
    """WM: left, right whose mean left right^T plus B_k is taken from B_k, η_B times, for k = 1 … N-1."""
    f = functools.partial(tensorlaws.of, names.transfer(transfer).rho)
    found = []
    for k in range(1, len(W) - 1):
        u = below(W, bias, k + 1, noise[k])
        found.append((noise[k] / -(deviation**2), u if k + 1 == len(W) - 1 else f(u)))
    return found
