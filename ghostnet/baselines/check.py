"""What a baseline learns from some examples, beside what backprop learns from the same loss on the same weights.

Both are gradients G_k of `ghostnet.baselines.methods`, without η, momentum, dropout, adversarial examples, clipping and
noise. Of one example G_k is δ_k r_{k-1}^T, and r is the same for both: δ_k ‖r_{k-1}‖ has the same inner products.
"""

from __future__ import annotations

import math
import os
from typing import TypeAlias

import numpy as np
import torch

from ghostnet.baselines import measures, methods
from ghostnet.baselines.learner import Learner
from ghostnet.baselines.mlps import load
from ghostnet.engines.tensors import own_precision
from ghostnet.gradients.check import examples
from ghostnet.gradients.likeness import Moments, concatenated, figures, moments, together
from ghostnet.gradients.report import GradientReport
from ghostnet.model.baseline import DIRECT

ByLayer: TypeAlias = dict[int, Moments]
_BLOCK = 200  # examples at a time, so that memory does not grow with their number


@own_precision()
def gradcheck(of: str | os.PathLike | Learner, x: np.ndarray, y: np.ndarray) -> GradientReport:
    """Compare what every run of a baseline would learn from examples with backprop.

    Args:
        of: a run directory, or a learner, which is not changed.
        x: inputs (n, n_0). y: targets (n, n_N).

    Returns:
        a report with `figures` of the update, and `alignment`; it has no causes and no phases.

    Raises:
        ConfigError: `of` is no run of a baseline, or x or y does not fit it. FileError: it can't be read.

    Examples:
        >>> _ = gn.baselines.train("DFA", exp, "run", data=data, learning_rate=1.0, progress=False)
        >>> report = gn.baselines.gradcheck("run", np.full((2, 4), 0.5), np.eye(2))
        >>> bool(report.find(layer=2)["cosine"] > 0.999)  # of the last layer, whose error is backprop's
        True
    """
    learner = of if isinstance(of, Learner) else load(of)
    e, b = learner.experiment, learner.baseline
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
    for start in range(0, len(x), _BLOCK):
        block = slice(start, start + _BLOCK)
        own, true, r = _deltas(learner, x[block], y[block])
        for run, k in each:
            below, size = r[k - 1][run], np.linalg.norm(r[k - 1][run], axis=1)[:, None]
            pair = own[k][run], true[k][run]
            each[run, k].append(moments(pair[0] * size, pair[1] * size, (below != 0).sum(1)))
            sums[run, k] = sums.get((run, k), 0) + np.stack([delta.T @ below for delta in pair])
    summed = [{k: moments(*sums[run, k][:, None]) for k in layers} for run in runs]
    return summed, [{k: concatenated(each[run, k]) for k in layers} for run in runs]


def _deltas(learner: Learner, x: np.ndarray, y: np.ndarray) -> tuple[list, list, list]:
    """δ_k by the method and by backprop, and r_k: lists over k of arrays (runs, n, n_k)."""
    runs = len(learner.experiment.seeds)
    inputs, targets = (torch.from_numpy(values).to(learner.device, learner.dtype) for values in (x, y))
    p = learner.forward(inputs.expand(runs, *inputs.shape))
    e = methods.output_error(p.u, targets, learner.baseline.loss)
    own, true = ([None, *_arrays(learner.credit(p, e, targets, method)[1:])] for method in (None, "BP"))
    return own, true, _arrays(p.r)


def _arrays(tensors: list[torch.Tensor]) -> list[np.ndarray]:
    return [tensor.double().cpu().numpy() for tensor in tensors]
