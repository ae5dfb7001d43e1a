"""What a baseline learns from some examples, beside what backprop learns from the same loss on the same weights.

Both are gradients G_k of `ghostnet.baselines.methods`, without η, momentum, dropout, adversarial examples, clipping and
noise. Of one example G_k is δ_k r_{k-1}^T, and r is the same for both: δ_k ‖r_{k-1}‖ has the same inner products. CHL
has no δ, so its G_k is made whole.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import torch

from ghostnet.baselines import contrastive, measures, methods
from ghostnet.baselines.learner import Learner
from ghostnet.baselines.mlps import load
from ghostnet.engines.tensors import own_precision
from ghostnet.gradients.check import examples
from ghostnet.gradients.likeness import Moments, concatenated, figures, moments, together
from ghostnet.gradients.report import GradientReport
from ghostnet.model.baseline import DIRECT
from ghostnet.model.typed import require

ByLayer: TypeAlias = dict[int, Moments]
Compared: TypeAlias = tuple[int, int, Moments, np.ndarray]  # run, k, and Σ of both gradients
_BLOCK, _WHOLE = 200, 10  # examples at a time, so that memory does not grow with their number; where G_k are whole


@own_precision()
def gradcheck(of: str | os.PathLike | Learner, x: np.ndarray, y: np.ndarray) -> GradientReport:
    """Compare what every run of a baseline would learn from examples with backprop.

    Args:
        of: a run directory, or a learner, which is not changed.
        x: inputs (n, n_0). y: targets (n, n_N).

    Returns:
        a report with `figures` of the update, and `alignment`; it has no causes and no phases.

    Raises:
        ConfigError: `of` is no run of a baseline, or of CD, or x or y does not fit it. FileError: it can't be read.

    Examples:
        >>> _ = gn.baselines.train("DFA", exp, "run", data=data, learning_rate=1.0, progress=False)
        >>> report = gn.baselines.gradcheck("run", np.full((2, 4), 0.5), np.eye(2))
        >>> bool(report.find(layer=2)["cosine"] > 0.999)  # of the last layer, whose error is backprop's
        True
    """
    learner = of if isinstance(of, Learner) else load(of)
    e, b = learner.experiment, learner.baseline
    require(b.method != "CD", "CD learns how images and labels go together, and not what backprop does: no gradcheck")
    x, y = examples(e, x, y)
    report = GradientReport(e, len(x), f"{b.method}, {b.loss},", direct=b.method in DIRECT)
    summed, each = _moments(learner, x, y)
    layers = range(1, e.depth + 1)
    for run, seed in enumerate(e.seeds):
        pairs: list[tuple[int | str, Moments, Moments]] = [(k, summed[run][k], each[run][k]) for k in layers]
        pairs.append(("all", together(list(summed[run].values())), together(list(each[run].values()))))
        for layer, one, many in pairs:
            row = {"run": run, "seed": seed, "quantity": "update", "against": "backprop", "layer": layer}
            report.figures += [row | {"over": over} | values for over, values in figures(one, many).items()]
    for name, angles in measures.alignments(learner).items():
        for run, seed in enumerate(e.seeds):
            row = {"run": run, "seed": seed, "layer": int(name.partition("_")[2])}
            report.alignment.append(row | {"cosine": math.cos(math.radians(angles[run])), "angle": angles[run]})
    return report


def _moments(learner: Learner, x: np.ndarray, y: np.ndarray) -> tuple[list[ByLayer], list[ByLayer]]:
    """Per run {k: moments} of the summed update, and of every example's."""
    runs, layers = range(len(learner.experiment.seeds)), range(1, learner.experiment.depth + 1)
    sums: dict[tuple[int, int], np.ndarray] = {}
    each: dict[tuple[int, int], list[Moments]] = {(run, k): [] for run in runs for k in layers}
    size, compared = (_WHOLE, _of_phases) if learner.baseline.method == "CHL" else (_BLOCK, _of_errors)
    for start in range(0, len(x), size):
        inputs, targets = (
            torch.from_numpy(values[start : start + size]).to(learner.device, learner.dtype).expand(len(runs), -1, -1)
            for values in (x, y)
        )
        for run, k, found, total in compared(learner, inputs, targets):
            each[run, k].append(found)
            sums[run, k] = sums.get((run, k), 0) + total
    summed = [{k: moments(*sums[run, k][:, None]) for k in layers} for run in runs]
    return summed, [{k: concatenated(each[run, k]) for k in layers} for run in runs]


def _of_errors(learner: Learner, x: torch.Tensor, y: torch.Tensor) -> Iterator[Compared]:
    """Of a method that has δ_k, its own and backprop's."""
    p = learner.forward(x)
    e = methods.output_error(p.u, y, learner.baseline.loss)
    own, true = (list(map(_array, learner.credit(p, e, y, method)[1:])) for method in (None, "BP"))
    for k, (deltas, r) in enumerate(zip(zip(own, true, strict=True), map(_array, p.r), strict=True), start=1):
        for run, below in enumerate(r):
            length, pair = np.linalg.norm(below, axis=1)[:, None], [delta[run] for delta in deltas]
            found = moments(pair[0] * length, pair[1] * length, (below != 0).sum(1))
            yield run, k, found, np.stack([delta.T @ below for delta in pair])


def _of_phases(learner: Learner, x: torch.Tensor, y: torch.Tensor) -> Iterator[Compared]:
    """Of CHL: every example's own gradient and backprop's."""
    p = learner.forward(x)
    true = learner.credit(p, methods.output_error(p.u, y, learner.baseline.loss), y, "BP")
    apart = [contrastive.gradients(learner.phases(x[:, [i]], y[:, [i]])) for i in range(x.shape[1])]
    for k in range(1, len(true)):
        own = _array(torch.stack([gradient[k] for gradient in apart], 1))
        whole = _array(true[k])[..., None] * _array(p.r[k - 1])[..., None, :]
        for run, pair in enumerate(zip(own, whole, strict=True)):
            yield run, k, moments(*pair), np.stack([gradients.sum(0) for gradients in pair])


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.double().cpu().numpy()
