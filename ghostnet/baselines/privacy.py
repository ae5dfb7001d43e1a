"""Differentially private learning (Abadi et al. 2016, arXiv:1607.00133): clip every example, add noise, count ε.

An example's gradient of W_k is the outer product δ_k r_{k-1}^T whatever the method, and that of a bias is δ_k, so its
norm is √(Σ_k ‖δ_k‖² (‖r_{k-1}‖² + 1)), without the 1 where there are no biases: exact, without forming the gradient.
The guarantee holds for FA and DFA as for BP: fixed feedback weights know nothing of the data, and those of the
sign-symmetric methods and of IFA only what weights know that are private already.

A step's sum of clipped gradients gets noise of deviation noise · clip and is divided by the expected batch. Batches are
Poisson samples, every example with probability batch / train_examples, because the accountant's theorem is about these.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch

from ghostnet.baselines.draws import BaselineStream
from ghostnet.baselines.methods import Product
from ghostnet.errors import ConfigError
from ghostnet.model.experiment import Experiment
from ghostnet.model.network import generator


def norms(products: Sequence[Product]) -> torch.Tensor:
    """Norm of every example's gradient over all parameters, (runs, batch)."""
    squares = [left.square().sum(-1) * right.square().sum(-1) for left, right in products]
    return functools.reduce(torch.add, squares).sqrt()


def clipped_sums(products: Sequence[Product], clip: float, present: torch.Tensor | None = None) -> list[torch.Tensor]:
    """Σ over the batch of left right^T of every parameter, each example's scaled to a norm of at most `clip`.

    Args:
        present: (runs, batch), 0 where an example is padding that must not count.
    """
    factor = (clip / norms(products).clamp_min(torch.finfo(products[0][0].dtype).tiny)).clamp_max(1)
    if present is not None:
        factor = factor * present
    return [(factor[..., None] * left).mT @ right for left, right in products]


def poisson_batches(e: Experiment, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """An epoch of Poisson samples: indices (steps, runs, longest) padded with 0, and 1 where they count."""
    steps, count = e.presentations_per_epoch, _examples(e)
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


def _examples(e: Experiment) -> int:
    """How many a batch is sampled from."""
    if e.train_examples is None:
        raise ConfigError("train_examples: left out, so examples have no probability; give a number")
    return e.train_examples


def epsilon(e: Experiment, noise: float, delta: float, epochs: int) -> float:
    """ε spent after so many epochs, by Opacus's Rényi accountant; infinite without noise.

    Raises:
        ConfigError: Opacus is not installed.
    """
    if epochs == 0:
        return 0.0
    if noise == 0:
        return math.inf
    try:
        from opacus.accountants import RDPAccountant
    except ImportError as error:
        raise ConfigError("noise: counting ε needs Opacus; install the extra [dp]") from error
    accountant = RDPAccountant()
    accountant.history = [(noise, e.batch / _examples(e), epochs * e.presentations_per_epoch)]
    return float(accountant.get_epsilon(delta))
