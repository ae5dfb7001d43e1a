"""A restricted Boltzmann machine of image and label that classifies, and contrastive divergence, which trains it.

    E(x, h, y) = -h^T W_1 x - y^T W_2 h - b_0^T x - b_1^T h - b_2^T y,   h binary, y one-hot, P(x, h, y) ∝ exp -E
    P(h_j = 1 | x, y) = σ(W_1 x + W_2^T y + b_1)_j,   P(x_i = 1 | h) = σ(W_1^T h + b_0)_i
    P(y | h) = softmax(W_2 h + b_2),   P(y | x) = softmax(u),   u = b_2 + Σ_j softplus(W_1 x + W_2^T y + b_1)_j
                                                       Larochelle & Bengio 2008, doi:10.1145/1390156.1390224
    CD-n  + an example x, y, and r_1 = P(h = 1 | x, y); pixels between 0 and 1 count as they are
          - from there n times: draw h, from that x and y; then r_1 of these
                                                       Hinton 2002, doi:10.1162/089976602760128018
          G_k = mean of (r⁻_k r⁻_{k-1}^T - r⁺_k r⁺_{k-1}^T), r_0 = x, r_2 = y; as n → ∞, minus the gradient of
          log P(x, y)

W_1 (h, x) and W_2 (y, h) have the shapes of an MLP's. What is learned is how images and labels go together: no error of
the outputs is sent anywhere, and there is no gradient of backprop's on this network to compare with.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ghostnet.baselines.contrastive import Phases


def hidden(W: list, bias: list | None, x: Tensor, y: Tensor) -> Tensor:
    """P(h = 1 | x, y), (runs, batch, n_1)."""
    return torch.sigmoid(_biased(x @ W[1].mT + y @ W[2], bias, 1))


def phases(W: list, bias: list | None, x: Tensor, y: Tensor, draws: list[tuple[Tensor, Tensor, Tensor]]) -> Phases:
    """Of a batch, x (runs, batch, n_0), y (runs, batch, n_2), and what a chain of Gibbs sampling makes of it.

    Args:
        draws: of every step numbers uniform in [0, 1): of h (runs, batch, n_1), x (…, n_0) and y (…, 1).
    """
    held = [x, hidden(W, bias, x, y), y]
    r = held[1]
    for of_h, of_x, of_y in draws:
        h = (of_h < r).to(r.dtype)
        x = (of_x < torch.sigmoid(_biased(h @ W[1], bias, 0))).to(r.dtype)
        y = _drawn(torch.softmax(_biased(h @ W[2].mT, bias, 2), -1), of_y)
        r = hidden(W, bias, x, y)
    return Phases([x, r, y], held, [1.0, 1.0, 1.0], None)


def _drawn(p: Tensor, uniform: Tensor) -> Tensor:
    """One-hot, of probabilities (…, n)."""
    label = (p.cumsum(-1) <= uniform).sum(-1).clamp_max(p.shape[-1] - 1)
    return functional.one_hot(label, p.shape[-1]).to(p.dtype)


def class_scores(W: list, bias: list | None, x: Tensor) -> Tensor:
    """u (runs, n, n_2) of images (…, n, n_0): minus the free energy of each class, but for what all classes share."""
    driven = _biased(x @ W[1].mT, bias, 1).unsqueeze(-2) + W[2].unsqueeze(-3)  # (runs, n, n_2, n_1)
    return _biased(functional.softplus(driven).sum(-1), bias, 2)


def _biased(u: Tensor, bias: list | None, k: int) -> Tensor:
    return u if bias is None else u + bias[k]


class JointRBM(nn.Module):
    """One run's machine: images (…, n_0) to u (…, n_2), whose softmax is P(y | x).

    Attributes:
        W_1, W_2, b_0, b_1, b_2: see above; without biases, the b are None.
    """

    def __init__(self, W: list[Tensor], bias: list[Tensor] | None):
        super().__init__()
        for k, values in enumerate(W, start=1):
            self.register_parameter(f"W_{k}", nn.Parameter(values.clone()))
        for k in range(3):
            self.register_parameter(f"b_{k}", nn.Parameter(bias[k].clone()) if bias else None)

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.b_0 is None else [self.b_0, self.b_1, self.b_2]
        return class_scores([None, self.W_1, self.W_2], bias, x)
