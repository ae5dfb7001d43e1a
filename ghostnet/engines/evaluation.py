"""How well a network classifies: accuracy and squared error of the feedforward graph, as the paper measures MB."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ghostnet.data import one_hot, scale
from ghostnet.host import memory
from ghostnet.host.threads import one_blas_thread
from ghostnet.model.equations import Weights, feedforward, transfer

log = logging.getLogger("ghostnet")
_BLOCK = 1000  # examples at a time, so that memory does not grow with the data set


class Score(NamedTuple):
    """Per run, (runs,): the fraction classified correctly, the mean of (y - ρ(u_N))² over examples and outputs, and of
    a baseline the mean loss of an example.
    """

    accuracy: np.ndarray
    mse: np.ndarray
    loss: np.ndarray | None = None


def scored_parts(train: Sequence, test: Sequence, train_examples: int | None) -> dict[str, Sequence]:
    """What of a data set is scored: of each training array the first `train_examples`, or all; and the test."""
    return {"train": [values[:train_examples] for values in train], "test": test}


def score_columns(scores: dict[str, Score], run: int) -> dict[str, float]:
    """One run's columns of metrics.csv, from {"train": …, "test": …}."""
    accuracies = {f"{part}_accuracy": round(float(score.accuracy[run]), 6) for part, score in scores.items()}
    return accuracies | {f"{part}_mse": float(f"{score.mse[run]:.6g}") for part, score in scores.items()}


def loss_columns(scores: dict[str, Score], run: int) -> dict[str, float]:
    """One run's further columns of a baseline."""
    losses = {part: score.loss for part, score in scores.items() if score.loss is not None}
    return {f"{part}_loss": float(f"{loss[run]:.6g}") for part, loss in losses.items()}


def evaluate(
    weights: Weights, images: np.ndarray, labels: np.ndarray, rho: str, dtype: DTypeLike, threads: int
) -> Score:
    """Score the MLP u_k = W_k ρ(u_{k-1}) on images (n, n_0) with labels (n,); argmax of u_N is its answer.

    Raises ConfigError where there is too little memory.

    BLAS runs on one thread within each block, and blocks are added up in order: the score does not depend on `threads`.
    """
    W = [None, *(W_k.astype(dtype) for W_k in weights.W[1:])]
    classes = W[-1].shape[-2]

    def block(start: int) -> tuple[np.ndarray, np.ndarray]:
        some = slice(start, start + _BLOCK)
        u = feedforward(W, scale(images[some], dtype)[None], rho)[-1]
        errors = one_hot(labels[some], classes, dtype) - transfer(u, rho)
        right = (u.argmax(-1) == labels[some]).sum(-1)
        return right, np.square(errors).sum((-2, -1), dtype=np.float64)

    at_once, widest = min(threads, -(-len(images) // _BLOCK)), max(W_k[..., 0].size for W_k in W[1:])
    layer = _BLOCK * widest * W[1].itemsize  # of all runs; with its rates and what these take on the way, four times
    room = memory.room(4 * at_once * layer, f"scores, {at_once} blocks at once", "take fewer threads, units or seeds")
    with room, one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        blocks = zip(*pool.map(block, range(0, len(images), _BLOCK)), strict=True)
        right, squares = (functools.reduce(np.add, parts) for parts in blocks)
    return Score(right / len(images), squares / (len(images) * classes))


def warn_at_chance(metrics: Sequence[dict], parts: Mapping[str, Sequence]) -> None:
    """Log one line if, after training, a seed answers no better than who always gives the most frequent class.

    Both its accuracies, on the training and on the test examples, have to be within three standard deviations of that.

    Args:
        metrics: the rows of metrics.csv; none of an epoch above 0 means no training, and nothing to say.
        parts: what was scored, by `scored_parts`; labels come last in each.
    """
    last = [row for row in metrics if row["epoch"] == metrics[-1]["epoch"] > 0]
    chance = {part: _chance(np.asarray(values[-1])) for part, values in parts.items()}
    lost = [row for row in last if all(row[f"{part}_accuracy"] <= top for part, top in chance.items())]
    if lost:
        log.warning(
            "seed %s: at chance after epoch %d (test accuracy %s): it has learned nothing; "
            "try smaller learning rates, or more epochs",
            ", ".join(str(row["seed"]) for row in lost), last[0]["epoch"],
            ", ".join(f"{row['test_accuracy']:.1%}" for row in lost),
        )  # fmt: skip


def _chance(labels: np.ndarray) -> float:
    """The largest accuracy that always the same answer, and luck, would give on these labels."""
    share = np.bincount(labels).max() / len(labels)
    return float(share + 3 * np.sqrt(share * (1 - share) / len(labels)))
