"""Convolutional networks beside the MLPs: two architectures for square grey images, as the training loop sees them."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ghostnet.baselines.conversion import convert
from ghostnet.baselines.draws import BaselineStream
from ghostnet.baselines.rates import learning_rates
from ghostnet.data import Dataset
from ghostnet.engines.evaluation import Score, scored_parts
from ghostnet.engines.tensors import Images, scale, score, working
from ghostnet.errors import DivergenceError
from ghostnet.model.baseline import BaselineRun
from ghostnet.model.network import generator
from ghostnet.model.order import presentation_order
from ghostnet.model.typed import require
from ghostnet.runs.checkpoint import Checkpoint


def two_blocks(side: int = 28, classes: int = 10) -> nn.Sequential:
    """Two blocks of convolution and max-pooling, dropout, a dense layer."""
    return nn.Sequential(
        nn.Unflatten(1, (1, side, side)),
        nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(32 * (side // 4) ** 2, classes),
    )  # fmt: skip


def three_convolutions(side: int = 28, classes: int = 10) -> nn.Sequential:
    """Three convolutions, tanh, pooled after the first two, and two dense layers."""
    return nn.Sequential(
        nn.Unflatten(1, (1, side, side)),
        nn.Conv2d(1, 16, 5, padding=2), nn.Tanh(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2), nn.Tanh(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1), nn.Tanh(),
        nn.Flatten(), nn.Linear(32 * (side // 4) ** 2, 128), nn.Tanh(), nn.Linear(128, classes),
    )  # fmt: skip


_ARCHITECTURES = {"two-blocks": two_blocks, "three-convolutions": three_convolutions}


class CNN:
    """Every run of a convolutional baseline, from seeded weights: see `ghostnet.runs.loop.Trainable`.

    By BP, FA or DFA on softmax cross-entropy, W -= learning_rate · mean gradient over the batch, plain SGD with
    momentum. torch's own generator is used (dropout), seeded, and left as it was.

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
        self.modules = [self._module(seed) for seed in e.seeds]
        self._rate = learning_rates(e, b)[0]
        self._optimizers = [torch.optim.SGD(module.parameters(), self._rate, b.momentum) for module in self.modules]
        self._order = functools.lru_cache(1)(functools.partial(presentation_order, e))
        self._states = [torch.get_rng_state() for _ in e.seeds]  # of torch's generator; an epoch begins with others

    def _module(self, seed: int) -> nn.Module:
        pixels, *_, classes = self.experiment.sizes
        side = math.isqrt(pixels)
        text = f"sizes = {self.experiment.sizes}: {self.baseline.architecture} takes square images of 4 x 4 or more"
        require(side * side == pixels and side >= 4, text)
        method = self.baseline.method
        with torch.random.fork_rng(devices=[]):
            plain = _ARCHITECTURES[self.baseline.architecture](side, classes)
            module = (plain if method == "BP" else convert(plain, method, classes, seed)).to(self._dtype)
        _initialise(module, seed)
        module.eval()(torch.zeros(1, pixels, dtype=self._dtype))  # DFA draws its B when it knows what is to learn
        return module

    @property
    def network(self) -> list[nn.Module]:
        return self.modules

    def during(self) -> AbstractContextManager:
        return working(self._threads)

    def present(self, epoch: int, start: int, stop: int) -> None:
        shown = torch.from_numpy(self._order(epoch)[start:stop])
        for run, seed in enumerate(self.experiment.seeds):
            with self._generator(run):
                if start == 0:
                    torch.manual_seed(int(generator(seed, BaselineStream.DROPOUT, epoch).integers(2**63)))
                loss = self._learn(run, shown[:, run])
            if not math.isfinite(loss):
                smaller = f"{self._rate / 4:g}"
                raise DivergenceError(f"seed {seed} diverged: the loss is not finite; try learning_rate = {smaller}")

    @contextlib.contextmanager
    def _generator(self, run: int) -> Iterator[None]:
        """torch's generator as the run left it, and then as others did."""
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._states[run])
            yield
            self._states[run] = torch.get_rng_state()

    def _learn(self, run: int, shown: torch.Tensor) -> float:
        """Steps on batches (steps, batch) of examples; returns the last loss."""
        module = self.modules[run].train()
        optimizer = self._optimizers[run]
        images, labels = self._images.train
        for batch in shown:
            loss = functional.cross_entropy(module(scale(images[batch], self._dtype)), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    @torch.no_grad()
    def evaluate(self, epoch: int) -> tuple[dict[str, Score], list[dict]]:
        """The squared error is that of the softmax."""

        def outputs(x: torch.Tensor) -> torch.Tensor:
            return torch.stack([module.eval()(x) for module in self.modules])

        def softmax(u: torch.Tensor) -> torch.Tensor:
            return torch.softmax(u, -1)

        parts = scored_parts(self._images.train, self._images.test, self.experiment.train_examples)
        scores = {name: score(outputs, softmax, x, labels, self._dtype) for name, (x, labels) in parts.items()}
        return scores, [{} for _ in self.modules]

    def state(self) -> tuple[None, dict[str, np.ndarray]]:
        found = [
            {f"module.{name}": values for name, values in module.state_dict().items()}
            | {f"momentum.{i}": s["momentum_buffer"] for i, s in optimizer.state_dict()["state"].items() if s}
            | {"generator": state}
            for module, optimizer, state in zip(self.modules, self._optimizers, self._states, strict=True)
        ]
        return None, {name: np.stack([values[name].numpy() for values in found]) for name in found[0]}

    def require_fit(self, found: Checkpoint) -> None:
        """Raise ValueError where a checkpoint can't be put back."""
        _, first = self.state()
        kinds = {name: (values.shape, values.dtype) for name, values in first.items()}
        moved = enumerate(self.modules[0].parameters()) if self.baseline.momentum else ()
        runs = len(self.modules)
        later = {f"momentum.{i}": ((runs, *p.shape), np.dtype(self.dtype)) for i, p in moved}
        if {name: (v.shape, v.dtype) for name, v in found.extra.items()} not in (kinds, kinds | later):
            raise ValueError(f"its arrays are not those of {self.baseline.architecture} by {self.baseline.method}")
        try:
            for state in found.extra["generator"]:
                torch.Generator().set_state(torch.from_numpy(state))
        except RuntimeError as error:
            raise ValueError("the state of torch's generator is none") from error

    def restore(self, found: Checkpoint) -> None:
        """Be as it was when that checkpoint was made."""
        for run, (module, optimizer) in enumerate(zip(self.modules, self._optimizers, strict=True)):
            values = {name: torch.from_numpy(np.array(array[run])) for name, array in found.extra.items()}
            named = {name.removeprefix("module."): v for name, v in values.items() if name.startswith("module.")}
            module.load_state_dict(named)
            momenta = {
                int(name.removeprefix("momentum.")): {"momentum_buffer": v}
                for name, v in values.items() if name.startswith("momentum.")
            }  # fmt: skip
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": momenta, "param_groups": groups})
            self._states[run] = values["generator"]


def _initialise(net: nn.Module, seed: int) -> None:
    """Weights uniform in ±1/√(inputs of a unit), biases 0; the same for every method."""
    with torch.no_grad():
        for index, parameter in enumerate(net.parameters()):
            bound = 1 / math.sqrt(parameter[0].numel()) if parameter.ndim > 1 else 0.0
            draw = generator(seed, BaselineStream.MODULE, index)
            parameter.copy_(torch.from_numpy(draw.uniform(-bound, bound, tuple(parameter.shape))))
