"""Differentially private learning (Abadi et al. 2016, arXiv:1607.00133): sample a batch, clip every example, add noise.

An example's gradient of W_k is the outer product δ_k r_{k-1}^T whatever the method, and that of a bias is δ_k, so its
norm is √(Σ_k ‖δ_k‖² (‖r_{k-1}‖² + 1)), without the 1 where there are no biases: exact, without forming the gradient.
DTP's inverses learn from the example too, by outer products as well, which are clipped with the others. The guarantee
holds for all methods as for BP: fixed feedback weights know nothing of the data, and those of IFA, WM, KP and the
sign-symmetric methods only what weights and their private updates know.

A step's sum of clipped gradients gets noise of deviation noise · clip and is divided by the expected batch. Batches are
Poisson samples, every example with probability batch / train_examples, because the accountant's theorem is about these
(`accounting` counts ε).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch

from ghostnet.baselines.accounting import examples
from ghostnet.baselines.draws import BaselineStream
from ghostnet.baselines.methods import Product
from ghostnet.model.baseline import Baseline
from ghostnet.model.experiment import Experiment
from ghostnet.model.network import generator
from ghostnet.model.order import presentation_order


def norms(products: Sequence[Product]) -> torch.Tensor:
    """Norm of every example's gradient over all parameters, (runs, batch)."""
    squares = [left.square().sum(-1) * right.square().sum(-1) for left, right in products]
    return functools.reduce(torch.add, squares).sqrt()


def clipped_sums(products: Sequence[Product], clip: float, present: torch.Tensor | None = None) -> list[torch.Tensor]:
    """Σ over the batch of left right^T of every parameter, each example's scaled to a norm of at most `clip`.

    Args:
        present: (runs, batch), 0 where an example is padding that must not count.
    """
    factor = factors(norms(products), clip)
    if present is not None:
        factor = factor * present
    return [(factor[..., None] * left).mT @ right for left, right in products]


def factors(norms: torch.Tensor, clip: float) -> torch.Tensor:
    """What gradients of these norms are multiplied by, to have one of at most `clip`."""
    return (clip / norms.clamp_min(torch.finfo(norms.dtype).tiny)).clamp_max(1)


def batches(e: Experiment, b: Baseline, epoch: int) -> tuple[np.ndarray, np.ndarray | None]:
    """An epoch's batches: indices (steps, runs, batch) of examples, and 1 where they count; None where all do."""
    if b.clip is None or b.sampling == "shuffled":
        return presentation_order(e, epoch), None
    return poisson_batches(e, epoch)


def poisson_batches(e: Experiment, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """An epoch of Poisson samples: indices (steps, runs, longest) padded with 0, and 1 where they count."""
    steps, count = e.presentations_per_epoch, examples(e)
    rate = e.batch / count
    streams = [generator(seed, BaselineStream.SAMPLE, epoch) for seed in e.seeds]
    drawn = [[np.flatnonzero(g.random(count) < rate) for g in streams] for _ in range(steps)]
    longest = max(len(sample) for step in drawn for sample in step)
    shown = np.zeros((steps, len(e.seeds), longest), int)
    present = np.zeros(shown.shape, np.float32)
    for step, samples in enumerate(drawn):
        for run, sample in enumerate(samples):
            shown[step, run, : len(sample)], present[step, run, : len(sample)] = sample, 1
    return shown, present
