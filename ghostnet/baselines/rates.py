"""Learning rates where none are given: the ghost units' own steps, no longer than backprop bears.

At weak nudging (6) and (16) change W_k by -β η_k times the gradient, summed over the batch, and (6) does so for
clamped_steps · dt. Of the mean gradient that rate grows with the batch, until it is beyond what descent is stable at.
It ends there, at 2 / λ_k, with λ_k an estimate of the largest curvature of C in W_k in the initial network,

    λ_k = max curvature of C in u_N · Π_{j>k} ‖W_j‖² max f'² · ‖r_{k-1}‖²

where ‖W_j‖ = init / √3 · (√n_j + √n_{j-1}) is the norm of a uniform matrix, ‖r_{k-1}‖² = n_{k-1} / 4 for hidden units
that are half active (or 2 f(0)² each, of unbounded f, where that is more), and n_0 / 10 for pixels (MNIST has 0.11,
Fashion-MNIST 0.21). On MNIST the true one is 0.03 to 1.2 times as large.

With momentum m a gradient acts 1 / (1 - m) times, so η_k is (1 - m) times as large; and what m carries on overshoots,
which logistic outputs do not come back from soon, so the largest rate is another 1 + m times smaller.

RMSprop and Adam divide every gradient by its own size and move each weight by about η_k: 1 / (4 n_{k-1}) changes no
u_k by more than ¼ a step.
"""

from __future__ import annotations

import math

from ghostnet.model import names
from ghostnet.model.baseline import Baseline
from ghostnet.model.experiment import Experiment
from ghostnet.model.typed import require

_CURVATURE = {"mse": 1 / 16, "cross-entropy": 1 / 4, "binary-cross-entropy": 1 / 4}  # of C in an output's u_N, largest


def learning_rates(e: Experiment, b: Baseline) -> tuple[float, ...]:
    """η of W_1 … W_N: those that the baseline was given, or the default ones.

    Raises:
        ConfigError: neither one nor N are given, or none is and the experiment has no η_k to start from.
    """
    given = b.learning_rate
    if given is None:
        return _default(e, b)
    require(len(given) in (1, e.depth), f"learning_rate has {len(given)} values: expected 1, or {e.depth}, one per W_k")
    return given * e.depth if len(given) == 1 else given


def _default(e: Experiment, b: Baseline) -> tuple[float, ...]:
    if b.optimizer != "sgd":
        own = [1 / (4 * units) for units in e.sizes[:-1]]
    else:
        require(any(e.eta), "learning_rate: this experiment has no rates of its own; give one, or one per W_k")
        duration = 1.0 if e.plasticity.once else e.clamped_steps * e.dt
        steps = [e.beta * rate * duration * e.batch for rate in e.eta]
        own = [min(step, top / (1 + b.momentum)) for step, top in zip(steps, _stable(e, b), strict=True)]
    return tuple((1 - b.momentum) * rate for rate in own)


def _stable(e: Experiment, b: Baseline) -> list[float]:
    """2 / λ_k for k = 1 … N."""
    n = e.sizes
    law = names.transfer(b.transfer or e.transfer)
    curvature = _CURVATURE[b.loss]
    tops = []
    active = max(0.25, 2 * float(law.rho(0.0)) ** 2) if math.isinf(law.bounds[1]) else 0.25  # mean square of a rate
    for k in range(e.depth, 0, -1):
        tops.append(2 / (curvature * n[k - 1] * (active if k > 1 else 0.1)))
        init = e.init if b.weights == "experiment" else 1 / math.sqrt(n[k - 1])  # of zero weights: what they grow to
        curvature *= (law.steepest * init / math.sqrt(3) * (math.sqrt(n[k]) + math.sqrt(n[k - 1]))) ** 2
    return tops[::-1]
