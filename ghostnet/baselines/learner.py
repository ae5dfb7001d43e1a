"""An MLP that learns by one of the methods: gradients of a batch, and the step they make."""

from __future__ import annotations

import numpy as np
import torch

from ghostnet.baselines import methods, privacy
from ghostnet.baselines.draws import BaselineStream, Noise, require_states, weights
from ghostnet.baselines.rates import learning_rates
from ghostnet.model.baseline import Baseline
from ghostnet.model.equations import Layers
from ghostnet.model.experiment import Experiment
from ghostnet.model.network import room

_BLOCK = 1000  # examples at a time in predictions
_DRAWS = "draws."


class Learner:
    """Weights, optimiser and draws of every run of an experiment.

    Attributes:
        W, B: lists over k of tensors, shapes in `ghostnet.baselines.methods`. Changed in place by `step`.
    """

    def __init__(self, experiment: Experiment, baseline: Baseline, dtype: str = "float32"):
        self.experiment, self.baseline = experiment, baseline
        self.dtype = getattr(torch, dtype)
        self.transfer = baseline.transfer or experiment.transfer
        with room(experiment, 16):  # drawn in float64, kept in the type asked for with its gradient
            self.W, self.B = map(self._tensors, weights(experiment, baseline))
        self._optimizer = self._make_optimizer()
        used = {
            BaselineStream.DROPOUT: baseline.dropout,
            BaselineStream.INVERSE: baseline.method == "DTP",
            BaselineStream.PRIVACY: baseline.noise,
        }
        self._streams = tuple(filter(used.get, used))
        self.begin(0)

    def _tensors(self, arrays: Layers) -> Layers:
        return [None, *(torch.from_numpy(array).to(self.dtype) for array in arrays[1:])]

    def _make_optimizer(self) -> torch.optim.Optimizer:
        b = self.baseline
        kind = {"sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop}[b.optimizer]
        rates = learning_rates(self.experiment, b)
        groups = [{"params": [W], "lr": rate} for W, rate in zip(self.W[1:], rates, strict=True)]
        if b.method == "DTP" and len(self.W) > 3:
            groups.append({"params": self.B[1:-1], "lr": b.inverse_rate})
        return kind(groups, momentum=b.momentum)

    def begin(self, epoch: int) -> None:
        """Start the random streams of an epoch."""
        self._draws = {stream: Noise(self.experiment.seeds, stream, epoch) for stream in self._streams}

    def state(self) -> dict[str, np.ndarray]:
        """What the next step depends on beside W: B, what the optimizer has accumulated, "name.parameter", and where
        the random streams are."""
        found = {f"B.{k}": B.numpy() for k, B in enumerate(self.B) if B is not None}
        for index, values in self._optimizer.state_dict()["state"].items():
            found |= {f"{name}.{index}": np.asarray(value) for name, value in values.items() if value is not None}
        return found | {f"{_DRAWS}{stream.name}": draws.state() for stream, draws in self._draws.items()}

    def require_fit(self, state: dict[str, np.ndarray]) -> None:
        """Raise ValueError unless these arrays are what `state` gives, before the first step or after it."""
        b, parameters = self.baseline, [p for group in self._optimizer.param_groups for p in group["params"]]
        kinds = (("step", "square_avg") if b.optimizer == "rmsprop" else ()) + ("momentum_buffer",) * bool(b.momentum)
        first = {f"B.{k}": tuple(B.shape) for k, B in enumerate(self.B) if B is not None}
        first |= {f"{_DRAWS}{stream.name}": draws.state().shape for stream, draws in self._draws.items()}
        later = {
            f"{kind}.{i}": () if kind == "step" else tuple(p.shape) for kind in kinds for i, p in enumerate(parameters)
        }
        found = {name: values.shape for name, values in state.items()}
        drawn = {name for name in found if name.startswith(_DRAWS)}
        floats = all(values.dtype.kind == "f" for name, values in state.items() if name not in drawn)
        if found not in (first, first | later) or not floats:
            raise ValueError(f"its arrays {found} are not those of {b.method} with {b.optimizer}")
        for name in drawn:
            require_states(state[name])

    def restore(self, W: list, state: dict[str, np.ndarray]) -> None:
        """Be as the learner was whose W and `state` these are."""
        for own, values in zip(self.W[1:], W[1:], strict=True):
            own.copy_(torch.from_numpy(values))
        accumulated: dict[int, dict] = {}
        for name, values in state.items():
            kind, _, index = name.partition(".")
            if kind == "B":
                self.B[int(index)].copy_(torch.from_numpy(values))
            elif name.startswith(_DRAWS):
                self._draws[BaselineStream[index]].restore(values)
            else:
                accumulated.setdefault(int(index), {})[kind] = torch.from_numpy(values)
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": accumulated, "param_groups": groups})

    def step(self, x: torch.Tensor, y: torch.Tensor, present: torch.Tensor | None = None) -> None:
        """Learn from one batch, x (runs, batch, n_0), y (runs, batch, n_N).

        Args:
            present: (runs, batch), 1 for examples and 0 for padding; private learning only.
        """
        if self.baseline.adversarial:
            x, y = torch.cat([x, self._adversarial(x, y)], 1), torch.cat([y, y], 1)
        p = methods.forward(self.W, x, self.transfer, self._masks(x))
        delta = self.credit(p, methods.output_error(p.u, y, self.baseline.loss))
        clip = self.baseline.clip
        found = methods.gradients(delta, p.r) if clip is None else self._private(delta, p.r, clip, present)
        for parameter, gradient in zip(self.W[1:], found[1:], strict=True):
            parameter.grad = gradient
        if self.baseline.method == "DTP":
            self._learn_inverses(p.r)
        self._optimizer.step()

    def credit(self, p: methods.Pass, e: torch.Tensor, method: str | None = None) -> list:
        """δ_k of a forward pass by the baseline's method, or by another on the same weights."""
        return methods.credit(method or self.baseline.method, self.W, self.B, p, e, self.transfer)

    def outputs(self, x: torch.Tensor) -> torch.Tensor:
        """u_N (runs, n, n_N) of inputs (n, n_0) that all runs share, without dropout."""
        blocks = (methods.forward(self.W, block.to(self.dtype), self.transfer).u for block in x.split(_BLOCK))
        return torch.cat(list(blocks), 1)

    def _adversarial(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Fast-gradient-sign examples (Goodfellow et al. 2015): x + ε sign ∂C/∂x in [0, 1], or as far as x goes.

        The attack is on the network, whoever taught it: its gradient is the true one for every method.
        """
        p = methods.forward(self.W, x, self.transfer)
        delta = self.credit(p, methods.output_error(p.u, y, self.baseline.loss), "BP")
        least, greatest = x.aminmax()
        moved = x + self.baseline.adversarial * (delta[1] @ self.W[1]).sign()
        return moved.clamp_(least.clamp(max=0), greatest.clamp(min=1))

    def _masks(self, x: torch.Tensor) -> list | None:
        """Dropout's factors of hidden units: 0, or 1 / (1 - dropout)."""
        if not self.baseline.dropout:
            return None
        keep, draws = 1 - self.baseline.dropout, self._draws[BaselineStream.DROPOUT]
        shapes = ((x.shape[1], units) for units in self.experiment.sizes[1:-1])
        return [None, *(torch.from_numpy(draws.uniform(shape) < keep).to(self.dtype) / keep for shape in shapes)]

    def _learn_inverses(self, r: list) -> None:
        scale, draws = self.baseline.inverse_noise, self._draws[BaselineStream.INVERSE]
        noise = [None, *(scale * torch.from_numpy(draws.normal(a.shape[1:])).to(self.dtype) for a in r[1:])]
        found = methods.inverse_gradients(self.W, self.B, r, noise, self.transfer)
        for inverse, gradient in zip(self.B[1:-1], found[1:-1], strict=True):
            inverse.grad = gradient

    def _private(self, delta: list, r: list, clip: float, present: torch.Tensor | None) -> list:
        b = self.baseline
        sums = privacy.clipped_sums(delta, r, clip, present)
        if b.noise:
            draws = self._draws[BaselineStream.PRIVACY]
            for total in sums[1:]:
                total += b.noise * clip * torch.from_numpy(draws.normal(total.shape[1:])).to(self.dtype)
        return [None, *(total / self.experiment.batch for total in sums[1:])]
