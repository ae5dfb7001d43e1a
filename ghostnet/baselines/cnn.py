"""Convolutional networks beside the MLPs: two architectures for square grey images, and the loop that trains one."""

from __future__ import annotations

import copy
import functools
import math
import time

import torch
from torch import nn
from torch.nn import functional

from ghostnet import data
from ghostnet.baselines.conversion import convert
from ghostnet.baselines.draws import BaselineStream
from ghostnet.engines.evaluation import score_columns, scored_parts, warn_at_chance
from ghostnet.engines.tensors import Images, own_precision, scale, score
from ghostnet.errors import ConfigError, DivergenceError
from ghostnet.model.experiment import require_known
from ghostnet.model.network import Stream, generator


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


@own_precision()
def fit(
    module: nn.Module,
    method: str,
    dataset: data.Dataset,
    *,
    epochs: int,
    batch: int,
    learning_rate: float,
    momentum: float = 0.0,
    train_examples: int | None = None,
    seed: int = 0,
) -> list[dict]:
    """Train `module` from seeded weights by BP, FA or DFA on softmax cross-entropy, in the ghost units' order.

    W -= learning_rate · mean gradient over the batch, float32, plain SGD with momentum. torch's own generator is used
    (dropout), seeded, and left as it was. Of the training examples the first `train_examples` are taken, or all.

    Returns:
        rows with the columns of metrics.csv (`ghostnet.Training`); `module` itself is not changed.

    Raises:
        ConfigError: unknown method, a module that can't be converted, or more examples than there are.
        DivergenceError: the loss became non-finite.
    """
    require_known([str(method).upper()], ("BP", "FA", "DFA"), "method")
    train_examples = len(dataset.train_images) if train_examples is None else train_examples
    if not 1 <= batch <= train_examples <= len(dataset.train_images):
        raise ConfigError(f"batch = {batch}, train_examples = {train_examples}: {len(dataset.train_images)} to be had")
    net = copy.deepcopy(module) if method.upper() == "BP" else convert(module, method, dataset.classes, seed)
    _initialise(net.float(), seed)
    optimizer = torch.optim.SGD(net.parameters(), learning_rate, momentum)
    everything = Images(dataset)
    parts = scored_parts(everything.train, everything.test, train_examples)
    rows, seconds = [], 0.0
    with torch.random.fork_rng(devices=[]):
        for epoch in range(epochs + 1):
            if epoch:
                start = time.perf_counter()
                torch.manual_seed(int(generator(seed, BaselineStream.DROPOUT, epoch).integers(2**63)))
                order = generator(seed, Stream.ORDER, epoch).permutation(train_examples)
                _epoch(net, optimizer, *parts["train"], torch.from_numpy(order), batch, epoch)
                seconds += time.perf_counter() - start
            rows.append(_row(net, parts, seed, epoch, seconds))
    warn_at_chance(rows, parts)
    return rows


def _initialise(net: nn.Module, seed: int) -> None:
    """Weights uniform in ±1/√(inputs of a unit), biases 0; the same for every method."""
    with torch.no_grad():
        for index, parameter in enumerate(net.parameters()):
            bound = 1 / math.sqrt(parameter[0].numel()) if parameter.ndim > 1 else 0.0
            draw = generator(seed, BaselineStream.MODULE, index)
            parameter.copy_(torch.from_numpy(draw.uniform(-bound, bound, tuple(parameter.shape))))


def _epoch(net, optimizer, images, labels, order: torch.Tensor, batch: int, epoch: int) -> None:
    net.train()
    for shown in order.split(batch):
        if len(shown) < batch:
            break
        loss = functional.cross_entropy(net(scale(images[shown], torch.float32)), labels[shown])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if not math.isfinite(loss.item()):
        rate = optimizer.param_groups[0]["lr"]
        raise DivergenceError(f"epoch {epoch}: the loss is not finite; try learning_rate = {rate / 4:g}")


@torch.no_grad()
def _row(net: nn.Module, parts: dict, seed: int, epoch: int, seconds: float) -> dict:
    """One row of metrics.csv; MSE is that of the softmax."""
    net.eval()
    softmax = functools.partial(torch.softmax, dim=-1)
    scores = {name: score(lambda x: net(x)[None], softmax, *part, torch.float32) for name, part in parts.items()}
    return {"run": 0, "seed": seed, "epoch": epoch} | score_columns(scores, 0) | {"seconds": round(seconds, 3)}
