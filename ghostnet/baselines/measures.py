"""What is measured of a baseline after every epoch: how well it classifies, and how far it is from backprop."""

from __future__ import annotations

import functools

import numpy as np
import torch

from ghostnet.baselines import contrastive, methods
from ghostnet.baselines.learner import Learner
from ghostnet.engines import tensors
from ghostnet.engines.evaluation import Score
from ghostnet.model.baseline import DIRECT
from ghostnet.model.equations import Layers


def score(learner: Learner, images: torch.Tensor, labels: torch.Tensor) -> Score:
    """Score on images (n, n_0) with labels (n,); the squared error is that of ŷ, which the loss defines."""
    output, loss = _of_loss(learner)
    return tensors.score(learner.outputs, output, images, labels, learner.dtype, loss)


def met(learner: Learner, u: list[torch.Tensor], labels: torch.Tensor) -> np.ndarray:
    """Examples, right answers, Σ (y - ŷ)² / n_N and Σ C of some steps, (4, runs).

    Args:
        u: u_N (runs, batch, n_N) of each step. labels: (steps, runs, batch).
    """
    right, squares, losses = (
        total.sum(0).cpu().numpy() for total in tensors.counted(torch.stack(u), labels, *_of_loss(learner))
    )
    return np.stack([np.full(len(right), labels[:, 0].numel()), right, squares / u[0].shape[-1], losses])


def _of_loss(learner: Learner) -> tuple[functools.partial, functools.partial]:
    """ŷ of u_N, and the loss of u_N and y."""
    output, loss = (functools.partial(of, loss=learner.baseline.loss) for of in (methods.output, methods.losses))
    return output, loss


def angles(learner: Learner, x: torch.Tensor, y: torch.Tensor) -> dict[str, list[float]]:
    """Angle in degrees between the method's mean gradient and backprop's, per hidden layer and run: {"angle_1": …}.

    x (n, n_0) and y (n, n_N) are shared by all runs; no dropout. An angle to a zero gradient is nan. Of CD: none, as it
    has another loss than its network's outputs have.
    """
    method = learner.baseline.method
    if method == "CD":
        return {}
    x = x.expand(len(learner.experiment.seeds), *x.shape)
    p = learner.forward(x)
    e = methods.output_error(p.u, y, learner.baseline.loss)
    true = methods.gradients(learner.credit(p, e, y, "BP"), p.r)
    if method == "CHL":
        own = contrastive.gradients(learner.phases(x, y.expand(len(x), *y.shape)))
    else:
        own = methods.gradients(learner.credit(p, e, y), p.r)
    hidden = range(1, len(learner.W) - 1)
    return {f"angle_{k}": angle(own[k], true[k]).tolist() for k in hidden}


def alignments(learner: Learner) -> dict[str, list[float]]:
    """Angle in degrees between what carries the error down to a hidden layer and what BP would use: {"alignment_1": …}.

    DFA, and IFA's only matrix B_1: B_k and (W_N … W_{k+1})^T. DTP: its inverses B_k, k < N-1, and W_{k+1}^T. Others:
    B_k, or what the sign-symmetric methods make of it, and W_{k+1}^T. BP, and DRTP, CHL and CD, where no error is sent:
    none.
    """
    method = learner.baseline.method
    W = learner.W
    B = learner.B
    some = {"BP": [], "DRTP": [], "CHL": [], "CD": [], "IFA": [1][: len(W) - 2], "DTP": range(1, len(W) - 2)}
    hidden = some.get(method, range(1, len(W) - 1))
    found = {}
    for k in hidden:
        carrier = methods.carrier(method, W, B, k)
        path = functools.reduce(lambda down, W_j: down @ W_j, reversed(W[k + 1 :])) if method in DIRECT else W[k + 1]
        found[f"alignment_{k}"] = angle(carrier, path.mT).tolist()
    return found


def norms(W: Layers) -> dict[str, list[float]]:
    """‖W_k‖ of every matrix and run, Frobenius: {"norm_W_1": …}."""
    return {f"norm_W_{k}": _norm(own).tolist() for k, own in enumerate(W) if k}


def update_ratios(moved: np.ndarray) -> dict[str, list[float]]:
    """What `movement` gave, by layer: {"update_ratio_1": …}."""
    return {f"update_ratio_{k}": ratios.tolist() for k, ratios in enumerate(moved.T, start=1)}


def row(measured: dict[str, list[float]], run: int) -> dict[str, float]:
    """One run's columns of metrics.csv."""
    return {name: float(f"{values[run]:.6g}") for name, values in measured.items()}


def movement(before: list, after: list) -> np.ndarray:
    """‖ΔW_k‖ / ‖W_k‖ of an update, (runs, N), from the matrices before and after it; 0 from zero."""
    sizes = [_norm(old) for old in before]
    moved = [_norm(new - old) for old, new in zip(before, after, strict=True)]
    ratios = [torch.where(size > 0, length / size, 0.0) for size, length in zip(sizes, moved, strict=True)]
    return torch.stack(ratios, 1).cpu().numpy()


def _norm(W: torch.Tensor) -> torch.Tensor:
    return W.flatten(1).norm(dim=1).double()


def angle(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Between arrays (runs, …) as vectors, in degrees, (runs,); nan where one is zero."""
    return torch.rad2deg(_cosine(a, b).acos())


def _cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Cosine between matrices (runs, n, m) as vectors, (runs,), in float64."""
    a, b = a.flatten(1).double(), b.flatten(1).double()
    a, b = a / a.abs().amax(1, keepdim=True), b / b.abs().amax(1, keepdim=True)  # deep gradients would underflow
    return ((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))).clamp(-1, 1)
