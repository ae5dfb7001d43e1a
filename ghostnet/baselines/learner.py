"""An MLP that learns by one of the methods: gradients of a batch, and the step they make."""

from __future__ import annotations

import numpy as np
import torch

from ghostnet.baselines import boltzmann, contrastive, methods, privacy
from ghostnet.baselines.descent import Descent
from ghostnet.baselines.draws import BaselineStream, Noise, feedback_bound, require_states, weights
from ghostnet.baselines.methods import Product, mean
from ghostnet.baselines.rates import learning_rates
from ghostnet.model.baseline import CONTRASTIVE, Baseline
from ghostnet.model.equations import Layers
from ghostnet.model.experiment import Experiment
from ghostnet.model.network import room
from ghostnet.model.typed import require

_BLOCK = 500  # examples at a time in predictions: their inputs and hidden rates stay in cache
_DRAWS = "draws."


class Learner:
    """Weights, optimiser and draws of every run of an experiment.

    Attributes:
        W, bias, B: lists over k of tensors, shapes in `ghostnet.baselines.methods`, changed in place by `step`; bias
            is None where there are none. CD's images have biases, too, in slot 0.
    """

    def __init__(self, experiment: Experiment, baseline: Baseline, dtype: str = "float32", device: str = "cpu"):
        self.experiment, self.baseline = experiment, baseline
        self.dtype = getattr(torch, dtype)
        self.device = device
        self.transfer = baseline.transfer or experiment.transfer
        with room(experiment, 16):  # drawn in float64, kept in the type asked for with its gradient
            self.W, self.B = map(self._tensors, weights(experiment, baseline))
        biases = [None, *(W.new_zeros(len(W), 1, W.shape[1]) for W in self.W[1:])]
        self.bias: Layers | None = biases if baseline.bias else None
        if baseline.method == "CD":
            self._require_machine()
            biases[0] = self.W[1].new_zeros(len(self.W[1]), 1, experiment.sizes[0])
        require(
            baseline.frozen < len(self.W) - 1, f"frozen = {baseline.frozen}: none of {len(self.W) - 1} W_k would learn"
        )
        self._learning = range(1 + baseline.frozen, len(self.W))  # the k of W_k
        self._biased = [*[0][: baseline.method == "CD"], *self._learning]
        self._descent = Descent(self._groups(), baseline, experiment.epochs)
        used = {
            BaselineStream.DROPOUT: baseline.dropout,
            BaselineStream.INVERSE: baseline.method in ("DTP", "WM"),
            BaselineStream.MAGNITUDE: baseline.method == "brSF",
            BaselineStream.PRIVACY: baseline.noise or baseline.target_epsilon,
            BaselineStream.GIBBS: baseline.method == "CD",
        }
        self._streams = tuple(filter(used.get, used))
        self.begin(0)

    def _require_machine(self) -> None:
        sizes = self.experiment.sizes
        one = "CD trains a Boltzmann machine of one layer of binary hidden units"
        require(len(sizes) == 3, f"sizes = {sizes}: {one}; expected three sizes, such as 784 500 10")
        require(self.transfer == "sigmoid", f"transfer = {self.transfer}: {one}; expected sigmoid")

    def _tensors(self, arrays: Layers) -> Layers:
        return [None, *map(self._tensor, arrays[1:])]

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device, self.dtype)

    def _groups(self) -> list[dict]:
        """What learns: the parameters of `_products`, then those of `_feedback_products`, with their rates."""
        b = self.baseline
        rates = (0.0, *learning_rates(self.experiment, b))
        groups = [{"params": self.W[k], "lr": rates[k]} for k in self._learning]
        if self.bias:
            groups += [{"params": self.bias[k], "lr": rates[max(k, 1)], "weight_decay": 0.0} for k in self._biased]
        if b.method == "KP":
            groups += [{"params": self.B[k - 1], "lr": rates[k]} for k in self._learning if k > 1]
        if b.method in ("DTP", "WM"):
            kept, learned = (0.0, self.B[1:-1]) if b.method == "DTP" else (1.0, self.B[1:])
            groups += [{"params": B, "lr": b.feedback_rate, "weight_decay": kept} for B in learned]
        return groups

    def begin(self, epoch: int) -> None:
        """Start the random streams of an epoch, and take its rates."""
        self._descent.begin(epoch)
        self._draws = {stream: Noise(self.experiment.seeds, stream, epoch) for stream in self._streams}

    def state(self) -> dict[str, np.ndarray]:
        """What the next step depends on: B, W and biases where there are any (else W is in a Network), what the
        optimizer has accumulated, "name.parameter", and where the random streams are."""
        found = {name: values.cpu().numpy() for name, values in self._kept().items()}
        found |= self._descent.state()
        return found | {f"{_DRAWS}{stream.name}": draws.state() for stream, draws in self._draws.items()}

    def _kept(self) -> dict[str, torch.Tensor]:
        """The tensors that are in `state`, "name.layer"."""
        lists = (
            {"B": self.B}
            | ({"bias": self.bias} if self.bias else {})
            | ({"W": self.W} if self.baseline.modular else {})
        )
        return {f"{n}.{k}": layer for n, layers in lists.items() for k, layer in enumerate(layers) if layer is not None}

    def require_fit(self, state: dict[str, np.ndarray]) -> None:
        """Raise ValueError unless these arrays are what `state` gives, before the first step or after it."""
        b = self.baseline
        first = {name: tuple(values.shape) for name, values in self._kept().items()}
        first |= {f"{_DRAWS}{stream.name}": draws.state().shape for stream, draws in self._draws.items()}
        later = self._descent.shapes()
        found = {name: values.shape for name, values in state.items()}
        drawn = {name for name in found if name.startswith(_DRAWS)}
        floats = all(values.dtype.kind == "f" for name, values in state.items() if name not in drawn)
        if found not in (first, first | later) or not floats:
            raise ValueError(f"its arrays {found} are not those of {b.method} with {b.optimizer}")
        for name in drawn:
            require_states(state[name])

    def restore(self, W: Layers | None, state: dict[str, np.ndarray], epoch: int) -> None:
        """Be in an epoch as the learner was whose `state` this is, and W, unless that is in `state`."""
        self.begin(epoch)
        for own, values in zip(self.W[1:], W[1:] if W else (), strict=W is not None):
            own.copy_(torch.from_numpy(values))
        kept = self._kept()
        for name, own in kept.items():
            own.copy_(torch.from_numpy(state[name]))
        for stream, draws in self._draws.items():
            draws.restore(state[f"{_DRAWS}{stream.name}"])
        self._descent.restore({n: v for n, v in state.items() if n not in kept and not n.startswith(_DRAWS)})

    def step(self, x: torch.Tensor, y: torch.Tensor, present: torch.Tensor | None = None) -> torch.Tensor | None:
        """Learn from one batch, x (runs, batch, n_0), y (runs, batch, n_N).

        Args:
            present: (runs, batch), 1 for examples and 0 for padding; private learning only.

        Returns:
            u_N before, (runs, batch, n_N); adversarial examples come after the others. None of CD.
        """
        if self.baseline.method in CONTRASTIVE:
            phases = self.phases(x, y)
            self._descent.along(contrastive.products(phases, self._learning, self._biased if self.bias else ()))
            return phases.u
        if self.baseline.adversarial:
            x, y = torch.cat([x, self._adversarial(x, y)], 1), torch.cat([y, y], 1)
        rows = None if present is None else present.sum(-1).int().tolist()
        p = self.forward(x, self._masks(x, rows))
        delta = self.credit(p, methods.output_error(p.u, y, self.baseline.loss), y)
        products, feedback = self._products(delta, p.r), self._feedback_products(delta, p.r, rows)
        if self.baseline.clip is None:
            self._descent.along(products + feedback)
        else:
            self._descent.step(self._privately(products, feedback, present))
        if self.baseline.method == "brSF":
            self._draw_magnitudes()
        return p.u

    def forward(self, x: torch.Tensor, masks: list | None = None) -> methods.Pass:
        """x (runs, batch, n_0) through the network."""
        return methods.forward(self.W, x, self.transfer, masks, self.bias)

    def phases(self, x: torch.Tensor, y: torch.Tensor) -> contrastive.Phases:
        """Both phases of CHL and CD, of a batch."""
        b = self.baseline
        if b.method == "CHL":
            return contrastive.hebbian(self.W, self.bias, x, y, self.transfer, b.loss, b.feedback_gain)
        draws, (images, units, _) = self._draws[BaselineStream.GIBBS], self.experiment.sizes
        numbers = (self._tensor(draws.uniform((x.shape[1], units + images + 1))) for _ in range(b.gibbs_steps))
        return boltzmann.phases(self.W, self.bias, x, y, [u.split((units, images, 1), -1) for u in numbers])

    def _products(self, delta: Layers, r: Layers) -> list[Product]:
        """Whose means are the gradients of the W_k, and then of the biases."""
        products: list[Product] = [(delta[k], r[k - 1]) for k in self._learning]
        if self.bias:
            ones = r[0].new_ones(r[0].shape[:2]).unsqueeze(-1)
            products += [(ones, delta[k]) for k in self._learning]
        return products

    def credit(self, p: methods.Pass, e: torch.Tensor, y: torch.Tensor, method: str | None = None) -> Layers:
        """δ_k of a forward pass by the baseline's method, or by another on the same weights."""
        b = self.baseline
        return methods.credit(method or b.method, self.W, self.B, p, e, y, b.target_step)

    def outputs(self, x: torch.Tensor) -> torch.Tensor:
        """u_N (runs, n, n_N) of inputs (n, n_0) that all runs share, without dropout; of CHL, in its free phase."""
        return torch.cat([self._outputs(block.to(self.dtype)[None]) for block in x.split(_BLOCK)], 1)

    def _outputs(self, x: torch.Tensor) -> torch.Tensor:
        b = self.baseline
        if b.method == "CD":
            return boltzmann.class_scores(self.W, self.bias, x)
        if b.method == "CHL":
            return contrastive.settled(self.W, self.bias, x, self.transfer, b.loss, b.feedback_gain)[1]
        return self.forward(x).u

    def _adversarial(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Fast-gradient-sign examples (Goodfellow et al. 2015): x + ε sign ∂C/∂x in [0, 1], or as far as x goes.

        The attack is on the network, whoever taught it: its gradient is the true one for every method.
        """
        p = self.forward(x)
        delta = self.credit(p, methods.output_error(p.u, y, self.baseline.loss), y, "BP")
        least, greatest = x.aminmax()
        moved = x + self.baseline.adversarial * (delta[1] @ self.W[1]).sign()
        return moved.clamp_(least.clamp(max=0), greatest.clamp(min=1))

    def _masks(self, x: torch.Tensor, rows: list[int] | None) -> list | None:
        """Dropout's factors of hidden units: 0, or 1 / (1 - dropout); drawn for the first `rows` of each run."""
        if not self.baseline.dropout:
            return None
        keep, draws = 1 - self.baseline.dropout, self._draws[BaselineStream.DROPOUT]
        shapes = ((x.shape[1], units) for units in self.experiment.sizes[1:-1])
        return [None, *(self._tensor(draws.uniform(shape, rows) < keep) / keep for shape in shapes)]

    def _feedback_products(self, delta: Layers, r: Layers, rows: list[int] | None) -> list[Product]:
        """Whose means are the gradients of the B_k that learn; noise of DTP is drawn for the first `rows` of each run.

        WM's is no example's: there is a batch of it, whatever was sampled.
        """
        b = self.baseline
        if b.method == "KP":
            return [(r[k - 1], delta[k]) for k in self._learning if k > 1]
        if b.method not in ("DTP", "WM"):
            return []
        scale, draws = b.feedback_noise, self._draws[BaselineStream.INVERSE]
        mirrors = b.method == "WM"
        count, drawn = (self.experiment.batch, None) if mirrors and rows else (r[0].shape[1], rows)
        shapes = ((count, a.shape[2]) for a in r[1:])
        noise = [None, *(scale * self._tensor(draws.normal(shape, drawn)) for shape in shapes)]
        if mirrors:
            return methods.mirror_products(self.W, noise, scale, self.transfer, self.bias)
        return methods.inverse_products(self.W, self.B, r, noise, self.transfer, self.bias)

    def _draw_magnitudes(self) -> None:
        """New ones for the next batch."""
        draws = self._draws[BaselineStream.MAGNITUDE]
        for B in self.B[1:]:
            bound = feedback_bound(self.experiment, self.baseline, B.shape[2])
            B.copy_(bound * self._tensor(draws.uniform(tuple(B.shape[1:]))))

    def _privately(
        self, products: list[Product], feedback: list[Product], present: torch.Tensor | None
    ) -> list[torch.Tensor]:
        """What W_k, biases and the B_k that learn descend along, private. Of the B_k only DTP's learn from examples
        beyond what W_k do: KP's take the private gradients of the W_k, WM's have noise alone to learn from.
        """
        b = self.baseline
        clip = b.clip or 0.0
        if b.method == "DTP":
            return self._private(products + feedback, clip, present)
        private = self._private(products, clip, present)
        if b.method == "KP":
            return private + [private[i].mT for i, k in enumerate(self._learning) if k > 1]
        return private + list(map(mean, feedback))

    def _private(self, products: list[Product], clip: float, present: torch.Tensor | None) -> list[torch.Tensor]:
        b = self.baseline
        sums = privacy.clipped_sums(products, clip, present)
        if b.noise:
            draws = self._draws[BaselineStream.PRIVACY]
            for total in sums:
                total += b.noise * clip * self._tensor(draws.normal(total.shape[1:]))
        return [total / self.experiment.batch for total in sums]
