"""How gradients change parameters: torch's optimizers, with a schedule of rates; SGD without forming a gradient.

The gradient of a matrix here is the mean over the batch of outer products left right^T, such as δ_k r_{k-1}^T. SGD adds
them to the matrix where it stands, or to its momentum: the same sums, a third of the memory traffic.

Weight decay λ is that of the optimizer: λ W is added to the gradient; AdamW takes η λ W from W beside its step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from ghostnet.baselines.methods import Product, mean
from ghostnet.model.baseline import Baseline

_ACCUMULATED = {  # by torch's optimizers, beside the momentum
    "sgd": (),
    "rmsprop": ("step", "square_avg"),
    "adam": ("step", "exp_avg", "exp_avg_sq"),
    "adamw": ("step", "exp_avg", "exp_avg_sq"),
}


def rate_factor(b: Baseline, epoch: int, epochs: int) -> float:
    """What the rates of an epoch are multiplied by: torch's StepLR and CosineAnnealingLR, stepped after every epoch."""
    done = max(epoch - 1, 0)
    if b.lr_schedule == "step":
        return b.lr_step_factor ** (done // b.lr_step_epochs)
    return (1 + math.cos(math.pi * done / max(epochs, 1))) / 2 if b.lr_schedule == "cosine" else 1.0


class Descent:
    """An optimizer of a baseline.

    Args:
        groups: torch's: a parameter each, with its rate "lr", and its "weight_decay" where that is not the baseline's.
        epochs: of the whole training.
    """

    def __init__(self, groups: list[dict], b: Baseline, epochs: int):
        self._baseline = b
        self._epochs = epochs
        self._rates = [group["lr"] for group in groups]
        self._optimizer = self._make([group | {"params": [group["params"]]} for group in groups])
        self._parameters: list[torch.Tensor] = [group["params"] for group in groups]
        self._in_place = b.optimizer == "sgd"

    def _make(self, groups: list[dict]) -> torch.optim.Optimizer:
        b = self._baseline
        if b.optimizer in ("adam", "adamw"):
            kind = torch.optim.Adam if b.optimizer == "adam" else torch.optim.AdamW
            return kind(groups, weight_decay=b.weight_decay)
        moving = torch.optim.SGD if b.optimizer == "sgd" else torch.optim.RMSprop
        return moving(groups, momentum=b.momentum, weight_decay=b.weight_decay)

    def begin(self, epoch: int) -> None:
        """Take the rates of an epoch."""
        factor = rate_factor(self._baseline, epoch, self._epochs)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    def along(self, products: Sequence[Product]) -> None:
        """A step along the mean of each parameter's products."""
        if not self._in_place:
            self.step(list(map(mean, products)))
            return
        for group, (left, right) in zip(self._optimizer.param_groups, products, strict=True):
            rate, decay = group["lr"], group["weight_decay"]
            (parameter,) = group["params"]
            if self._baseline.momentum:
                moving = self._momentum_of(parameter)
                moving.baddbmm_(left.mT, right, beta=self._baseline.momentum, alpha=1 / left.shape[-2])
                if decay:
                    moving.add_(parameter, alpha=decay)
                parameter.add_(moving, alpha=-rate)
            else:
                parameter.baddbmm_(left.mT, right, beta=1 - rate * decay, alpha=-rate / left.shape[-2])

    def _momentum_of(self, parameter: torch.Tensor) -> torch.Tensor:
        """Where torch's optimizer keeps it."""
        kept = self._optimizer.state[parameter]
        if "momentum_buffer" not in kept:
            kept["momentum_buffer"] = torch.zeros_like(parameter)
        return kept["momentum_buffer"]

    def step(self, gradients: Sequence[torch.Tensor] | None = None) -> None:
        """A step along these gradients, or those that autograd has left; which are gone afterwards."""
        if gradients is not None:
            for parameter, gradient in zip(self._parameters, gradients, strict=True):
                parameter.grad = gradient
        self._optimizer.step()
        self._optimizer.zero_grad()

    def state(self) -> dict[str, np.ndarray]:
        """What the optimizer has accumulated, "name.parameter"."""
        found = self._optimizer.state_dict()["state"]
        return {
            f"{name}.{index}": np.asarray(value.cpu())
            for index, values in found.items() for name, value in values.items() if value is not None
        }  # fmt: skip

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the arrays of `state`, once there was a step."""
        b = self._baseline
        kinds = _ACCUMULATED[b.optimizer] + ("momentum_buffer",) * bool(b.momentum)
        parameters = list(enumerate(self._parameters))
        return {f"{kind}.{i}": () if kind == "step" else tuple(p.shape) for kind in kinds for i, p in parameters}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Have accumulated these arrays."""
        accumulated: dict[int, dict] = {}
        for name, values in state.items():
            kind, _, index = name.partition(".")
            accumulated.setdefault(int(index), {})[kind] = torch.from_numpy(np.array(values))
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": accumulated, "param_groups": groups})
