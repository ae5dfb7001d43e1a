"""Convolutional networks beside the MLPs: two architectures for square images, as the training loop sees them."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ghostnet.baselines import accounting, measures, methods, perexample, privacy
from ghostnet.baselines.architectures import of_rows
from ghostnet.baselines.conversion import convert
from ghostnet.baselines.descent import Descent
from ghostnet.baselines.draws import BaselineStream
from ghostnet.baselines.layers import KINDS, Aligned
from ghostnet.baselines.rates import learning_rates
from ghostnet.data import Dataset
from ghostnet.engines.evaluation import Score, loss_columns, scored_parts
from ghostnet.engines.tensors import Images, one_hot, scale, score, working
from ghostnet.errors import DivergenceError
from ghostnet.model.baseline import BaselineRun
from ghostnet.model.network import generator
from ghostnet.model.typed import require
from ghostnet.runs.checkpoint import Checkpoint

_MEASURED = 200  # examples, the first of the training set, whose gradient is compared with backprop's
_MOVED, _OPTIMIZER = "moved", "optimizer."  # in a checkpoint


class CNN:
    """Every run of a convolutional baseline, from seeded weights: see `ghostnet.runs.loop.Trainable`.

    By BP or a method of `convert` on softmax cross-entropy, along the mean gradient over the batch. torch's own
    generator is used (dropout, feedback that is drawn, the noise of privacy), seeded, and left as it was. W_k is the
    k-th layer's weight.

    Attributes:
        modules: one per seed.
    """

    compiles = False

    def __init__(self, run: BaselineRun, dataset: Dataset, dtype: str, threads: int):
        e, b = run.experiment, run.baseline
        self.experiment = e
        self.baseline = b
        self.dtype = dtype
        self._threads = threads
        self._dtype, self._images = getattr(torch, dtype), Images(dataset)
        self._twin = self._plain()  # takes the weights of a module, to have backprop's gradient
        self.modules = [self._module(seed) for seed in e.seeds]
        groups = [self._groups(module) for module in self.modules]
        self._learning = [[group["params"] for group in own] for own in groups]
        self._descents = [Descent([g | {"params": g["params"].data} for g in own], b, e.epochs) for own in groups]
        self._moved = np.zeros((len(e.seeds), len(self._weights())))  # ‖ΔW_k‖ / ‖W_k‖ of the last update
        self._batches = functools.lru_cache(1)(functools.partial(privacy.batches, e, b))
        self._states = [torch.get_rng_state() for _ in e.seeds]  # of torch's generator; an epoch begins with others

    def _plain(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            return of_rows(self.baseline.architecture, self.experiment.sizes).to(self._dtype)

    def _module(self, seed: int) -> nn.Module:
        pixels, *_, classes = self.experiment.sizes
        method, plain = self.baseline.method, self._plain()
        x, label = torch.zeros(1, pixels, dtype=self._dtype), torch.zeros(1, dtype=torch.int64)
        with torch.random.fork_rng(devices=[]):
            module = plain if method == "BP" else convert(plain, method, classes, seed)
            _initialise(module, seed)
            self._outputs(module.eval(), x, label)  # direct feedback is drawn when it is known what is to learn
        return module

    def _groups(self, module: nn.Module) -> list[dict]:
        """What learns, with its rates: weights and biases, and B of the layers that hand an error down, if it does."""
        b = self.baseline
        (rate, *_) = learning_rates(self.experiment, b)
        layers = list(enumerate(_layers(module)))
        of = f"{len(layers)} W_k would learn"
        require(b.frozen < len(layers), f"frozen = {b.frozen}: none of {of}")
        still = {id(parameter) for k, layer in layers if k < b.frozen for parameter in layer.parameters(False)}
        groups = [
            {"params": parameter, "lr": rate} | ({"weight_decay": 0.0} if parameter.ndim < 2 else {})
            for _, parameter in _plain_parameters(module)
            if id(parameter) not in still
        ]
        if b.method == "KP":
            groups += [{"params": layer.feedback, "lr": rate} for k, layer in layers if k >= max(b.frozen, 1)]
        if b.method == "WM":
            own = {"lr": b.feedback_rate, "weight_decay": 0.0}
            groups += [{"params": layer.feedback} | own for _, layer in layers[1:]]
        return groups

    @property
    def network(self) -> list[nn.Module]:
        return self.modules

    def during(self) -> AbstractContextManager:
        return working(self._threads)

    def present(self, epoch: int, start: int, stop: int) -> None:
        ends = stop == self.experiment.presentations_per_epoch
        self._show(epoch, start, stop - ends)
        if ends:
            before = self._weights()
            self._show(epoch, stop - 1, stop)
            self._moved = measures.movement(before, self._weights())

    def _show(self, epoch: int, start: int, stop: int) -> None:
        if start == stop:
            return
        shown, present = self._batches(epoch)
        for run, seed in enumerate(self.experiment.seeds):
            with self._generator(run):
                if start == 0:
                    torch.manual_seed(self.seed_of_epoch(run, epoch))
                    self._descents[run].begin(epoch)
                counting = [...] * (stop - start) if present is None else present[start:stop, run] == 1
                batches = [batch[some] for batch, some in zip(shown[start:stop, run], counting, strict=True)]
                loss = self._learn(run, [torch.from_numpy(batch) for batch in batches])
            if not math.isfinite(loss):
                smaller = f"{learning_rates(self.experiment, self.baseline)[0] / 4:g}"
                raise DivergenceError(f"seed {seed} diverged: the loss is not finite; try learning_rate = {smaller}")

    def seed_of_epoch(self, run: int, epoch: int) -> int:
        """Where torch's generator begins, from which dropout and feedback are drawn."""
        return int(generator(self.experiment.seeds[run], BaselineStream.DROPOUT, epoch).integers(2**63))

    @contextlib.contextmanager
    def _generator(self, run: int) -> Iterator[None]:
        """torch's generator as the run left it, and then as others did."""
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._states[run])
            yield
            self._states[run] = torch.get_rng_state()

    def _learn(self, run: int, batches: list[torch.Tensor]) -> float:
        """Steps on batches of examples; returns the last loss."""
        module, learned = self.modules[run].train(), self._gradient if self.baseline.clip is None else self._private
        images, labels = self._images.train
        for batch in batches:
            gradients, loss = learned(run, module, scale(images[batch], self._dtype), labels[batch])
            self._descents[run].step(gradients)
        return loss.item()

    def _gradient(
        self, run: int, module: nn.Module, x: torch.Tensor, labels: torch.Tensor
    ) -> tuple[Sequence[torch.Tensor], torch.Tensor]:
        loss = self._loss(module, x, labels)
        return torch.autograd.grad(loss, self._learning[run]), loss

    def _private(
        self, run: int, module: nn.Module, x: torch.Tensor, labels: torch.Tensor
    ) -> tuple[Sequence[torch.Tensor], torch.Tensor]:
        """The noisy mean of clipped gradients; of no example, the loss is 0."""
        b = self.baseline
        clip = b.clip or 0.0
        sums, losses = perexample.clipped_sums(module, self._learning[run], self._loss, x, labels, clip)
        noisy = (total + b.noise * clip * torch.randn_like(total) for total in sums)
        return [total / self.experiment.batch for total in noisy], losses.sum() / max(len(losses), 1)

    def _loss(self, module: nn.Module, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The mean loss of examples."""
        return functional.cross_entropy(self._outputs(module, x, labels), labels)

    def _outputs(self, module: nn.Module, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self.baseline.method != "DRTP" or module is self._twin:
            return module(x)
        y = one_hot(labels, self._images.classes, self._dtype) / len(labels)  # as large as the gradient of a mean
        return module(x, targets=y)

    def _weights(self) -> list[torch.Tensor]:
        """W_k of all runs, a copy: (runs, …) each."""
        each = [[layer.weight.detach() for layer in _layers(module)] for module in self.modules]
        return [torch.stack(layer) for layer in zip(*each, strict=True)]

    @torch.no_grad()
    def evaluate(self, epoch: int) -> tuple[dict[str, Score], list[dict]]:
        """The squared error is that of the softmax."""

        def outputs(x: torch.Tensor) -> torch.Tensor:
            return torch.stack([module.eval()(x) for module in self.modules])

        def softmax(u: torch.Tensor) -> torch.Tensor:
            return torch.softmax(u, -1)

        parts = scored_parts(self._images.train, self._images.test, self.experiment.train_examples)
        loss = functools.partial(methods.losses, loss="cross-entropy")
        scores = {name: score(outputs, softmax, x, labels, self._dtype, loss) for name, (x, labels) in parts.items()}
        measured = self._beside_backprop(epoch, *parts["train"]) | measures.norms([None, *self._weights()])
        measured |= measures.update_ratios(self._moved)
        spent = accounting.columns(self.experiment, self.baseline, epoch)
        runs = range(len(self.modules))
        return scores, [loss_columns(scores, run) | measures.row(measured, run) | spent for run in runs]

    @torch.enable_grad()
    def _beside_backprop(self, epoch: int, images: torch.Tensor, labels: torch.Tensor) -> dict[str, list[float]]:
        """Every run's angles; feedback that is drawn at every pass is drawn apart from what training draws."""
        x, wanted = scale(images[:_MEASURED], self._dtype), labels[:_MEASURED]
        rows = []
        for module, seed in zip(self.modules, self.experiment.seeds, strict=True):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(generator(seed, BaselineStream.MAGNITUDE, epoch).integers(2**63)))
                rows.append(self._angles(module.eval(), x, wanted) | _alignments(_layers(module)))
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _angles(self, module: nn.Module, x: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
        """See `measures.angles`; without dropout, over a few examples."""
        state = module.state_dict()
        self._twin.load_state_dict({name: state[name] for name in self._twin.state_dict()})
        nets = module, self._twin.eval()
        found = (
            torch.autograd.grad(self._loss(net, x, labels), [layer.weight for layer in _layers(net)]) for net in nets
        )
        pairs = list(zip(*found, strict=True))
        return {f"angle_{k}": _angle(own, true) for k, (own, true) in enumerate(pairs[:-1], start=1)}

    def state(self) -> tuple[None, dict[str, np.ndarray]]:
        found = [
            {f"module.{name}": values.numpy() for name, values in module.state_dict().items()}
            | {f"{_OPTIMIZER}{name}": values for name, values in descent.state().items()}
            | {"generator": state.numpy(), _MOVED: moved}
            for module, descent, state, moved in zip(
                self.modules, self._descents, self._states, self._moved, strict=True
            )
        ]
        return None, {name: np.stack([values[name] for values in found]) for name in found[0]}

    def require_fit(self, found: Checkpoint) -> None:
        """Raise ValueError where a checkpoint can't be put back."""
        _, now = self.state()
        shapes = self._descents[0].shapes()
        first = {name: values.shape for name, values in now.items() if not name.startswith(_OPTIMIZER)}
        later = {f"{_OPTIMIZER}{name}": (len(self.modules), *shape) for name, shape in shapes.items()}
        given = {name: values.shape for name, values in found.extra.items()}
        typed = all(found.extra[name].dtype == now[name].dtype for name in first if name in given)
        if given not in (first, first | later) or not typed:
            raise ValueError(f"its arrays are not those of {self.baseline.architecture} by {self.baseline.method}")
        try:
            for state in found.extra["generator"]:
                torch.Generator().set_state(torch.from_numpy(state))
        except RuntimeError as error:
            raise ValueError("the state of torch's generator is none") from error

    def restore(self, found: Checkpoint) -> None:
        """Be as it was when that checkpoint was made."""
        for run, (module, descent) in enumerate(zip(self.modules, self._descents, strict=True)):
            values = {name: np.array(array[run]) for name, array in found.extra.items()}
            module.load_state_dict({n: torch.from_numpy(v) for n, v in _under("module.", values).items()})
            descent.begin(found.epoch + 1)
            descent.restore(_under(_OPTIMIZER, values))
            self._states[run] = torch.from_numpy(values["generator"])
        self._moved = found.extra[_MOVED]


def _under(prefix: str, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Those whose names begin so, without it."""
    return {name.removeprefix(prefix): array for name, array in values.items() if name.startswith(prefix)}


def _layers(net: nn.Module) -> list[Any]:
    """Those with weights, in their order."""
    return [layer for layer in net.modules() if isinstance(layer, KINDS)]


def _alignments(layers: list[Any]) -> dict[str, float]:
    """Angle in degrees between W_{k+1} and what stands in its place on the way down to layer k, of FA and its kin."""
    handing = {k: layer for k, layer in enumerate(layers) if k and isinstance(layer, Aligned)}
    return {f"alignment_{k}": _angle(layer.downward(), layer.weight.detach()) for k, layer in handing.items()}


def _angle(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(measures.angle(a[None], b[None]))


def _initialise(net: nn.Module, seed: int) -> None:
    """Weights uniform in ±1/√(inputs of a unit), biases 0, scales of normalisation 1; the same for every method."""
    with torch.no_grad():
        for index, (name, parameter) in enumerate(_plain_parameters(net)):
            if parameter.ndim > 1:
                bound, draw = 1 / math.sqrt(parameter[0].numel()), generator(seed, BaselineStream.MODULE, index)
                parameter.copy_(torch.from_numpy(draw.uniform(-bound, bound, tuple(parameter.shape))))
            elif name.endswith("bias"):
                parameter.zero_()


def _plain_parameters(net: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Those that the network has without a method: all but feedback that learns."""
    return [(name, parameter) for name, parameter in net.named_parameters() if not name.endswith(".feedback")]
