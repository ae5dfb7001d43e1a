"""A baseline without a rate of its own learns, whatever the batch, momentum, loss and transfer function."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from builders import command, tiny
from torch.nn import functional

import ghostnet as gn
from ghostnet import data
from ghostnet.baselines import Baseline, methods
from ghostnet.baselines.learner import Learner
from ghostnet.baselines.rates import learning_rates
from ghostnet.engines.evaluation import warn_at_chance
from ghostnet.engines.tensors import Images
from ghostnet.model.baseline import LOSSES, TRANSFERS

PRESETS = ("mb-100-tf", "ma-100-tf")


@pytest.fixture(scope="module")
def digits() -> Iterator[Images]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as trainings have it: the products are small
    yield Images(data.load())
    torch.set_num_threads(threads)


def loss(W: list, x, y, transfer: str, function: str) -> torch.Tensor:
    """The mean loss, by torch's own functions."""
    u = methods.forward(W, x, transfer).u[0]
    return {
        "mse": lambda: 0.5 * (y[0] - u.sigmoid()).square().sum(-1).mean(),
        "cross-entropy": lambda: functional.cross_entropy(u, y[0]),
        "binary-cross-entropy": lambda: functional.binary_cross_entropy_with_logits(u, y[0]) * u.shape[1],
    }[function]()


def curvature(net: Learner, k: int, x, y) -> float:
    """The largest eigenvalue of the loss's second derivative in W_k, by power iteration."""
    W = list(net.W)
    W[k] = W[k].clone().requires_grad_()
    value = loss(W, x, y, net.transfer, net.baseline.loss)
    (slope,) = torch.autograd.grad(value, W[k], create_graph=True)
    v = torch.ones_like(slope)
    for _ in range(10):
        (v,) = torch.autograd.grad(slope, W[k], v / v.norm(), retain_graph=True)
    return float(v.norm())


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("function", "transfer"), list(itertools.product(LOSSES, TRANSFERS)))
def test_the_largest_default_rate_is_about_what_descent_is_stable_at_or_less(digits, preset, function, transfer):
    e = gn.preset(preset, batch=10_000)
    net = Learner(e, Baseline(method="BP", loss=function, transfer=transfer))
    batch = digits.batch(torch.arange(200)[None], net.dtype)
    for k, rate in enumerate(learning_rates(e, net.baseline), start=1):
        assert rate * curvature(net, k, *batch) < 2.5


@pytest.mark.parametrize("preset", [*PRESETS, "mb-100-fa", "mb-300-300-tf", "ma-500-500-fa"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_rate_grows_with_the_batch_no_further_than_a_network_bears(preset, momentum):
    b = Baseline(method="DFA", momentum=momentum)
    small, *others = (
        np.array(learning_rates(gn.preset(preset, batch=batch), b)) for batch in (1, 10, 100, 10_000, 55_000)
    )
    for batch, rates in zip((10, 100, 10_000, 55_000), others, strict=True):
        assert (small * (1 - 1e-12) <= rates).all() and (rates <= small * batch * (1 + 1e-12)).all()
    assert np.array_equal(others[-1], others[-2])
    mild = np.array(learning_rates(gn.preset(preset, batch=55_000), Baseline(method="DFA")))
    assert others[-1] == pytest.approx(mild * (1 - momentum) / (1 + momentum))


def test_the_rates_that_worked_in_batches_of_ten_are_left_as_they_are():
    assert learning_rates(gn.preset("mb-500-tf", batch=10), Baseline(method="BP")) == pytest.approx((4, 0.04))
    assert learning_rates(gn.preset("mb-500-fa", batch=10), Baseline(method="FA")) == pytest.approx((8, 0.2))


def trained(digits: Images, preset: str, examples: int, **settings) -> float:
    """Accuracy on 2,000 test images after so many examples."""
    e = gn.preset(preset, batch=settings.pop("batch"))
    net = Learner(e, Baseline(**settings))
    for shown in torch.arange(examples).split(e.batch):
        net.step(*digits.batch(shown[None], net.dtype))
    images, labels = (part[:2000] for part in digits.test)
    return float((net.outputs(images.float() / 255).argmax(-1)[0] == labels).float().mean())


@pytest.mark.parametrize("preset", ["mb-100-fa", "ma-100-tf"])
@pytest.mark.parametrize(
    ("settings", "examples", "least"),
    [
        ({"method": "BP", "batch": 1}, 1000, 0.3),
        ({"method": "DFA", "batch": 100}, 20_000, 0.6),
        ({"method": "BP", "batch": 1000, "loss": "cross-entropy"}, 50_000, 0.7),
        ({"method": "BP", "batch": 100, "momentum": 0.9, "transfer": "tanh"}, 20_000, 0.6),
        ({"method": "FA", "batch": 100, "momentum": 0.9, "loss": "binary-cross-entropy"}, 20_000, 0.6),
        ({"method": "DFA", "batch": 10, "optimizer": "rmsprop", "momentum": 0.9, "transfer": "relu"}, 5_000, 0.7),
    ],
)
def test_digits_are_learned_without_a_rate_given(digits, preset, settings, examples, least):
    assert trained(digits, preset, examples, **settings) > least


def rows(train: list[float], test: list[float], epoch: int = 3) -> list[dict]:
    zero = [{"epoch": 0, "seed": seed, "train_accuracy": 0.1, "test_accuracy": 0.1} for seed in range(len(train))]
    return zero * (epoch > 0) + [
        {"epoch": epoch, "seed": seed, "train_accuracy": a, "test_accuracy": b}
        for seed, (a, b) in enumerate(zip(train, test, strict=True))
    ]


@pytest.mark.parametrize(
    ("metrics", "named"),
    [
        (rows([0.1124, 0.9, 0.098], [0.1135, 0.9, 0.098]), "seed 0, 2: at chance after epoch 3"),  # 1 and 9
        (rows([0.9], [0.1]), ""),  # learned by heart
        (rows([0.2], [0.2]), ""),
        (rows([0.1], [0.1], epoch=0), ""),
    ],
)
def test_only_a_run_that_has_learned_nothing_is_at_chance(digits, caplog, metrics, named):
    warn_at_chance(metrics, {"train": digits.train, "test": digits.test})
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * bool(named)
    assert named in caplog.text


def at_chance(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if "at chance" in record.getMessage()]


@pytest.mark.parametrize("epochs", [0, 1])
def test_every_way_of_training_says_so_at_its_end(task, tmp_path, capsys, caplog, epochs):
    still = tiny(task, epochs=epochs, eta=(0.0, 0.0), seeds=(0, 3))
    gn.train(still, engine="reference")
    gn.baselines.train("FA", still, tmp_path / "run", learning_rate=0.0)
    gn.resume(tmp_path / "run")
    how = {"architecture": "two-blocks", "loss": "cross-entropy", "learning_rate": 0.0}
    gn.baselines.train("BP", gn.baselines.mlp((16, 4), batch=4, data=task, train_examples=80, epochs=epochs), **how)
    said = at_chance(caplog)
    assert len(said) == 4 * epochs and all(len(text.splitlines()) == 1 for text in said)
    assert [text.split(":")[0] for text in said] == ["seed 0, 3", "seed 0, 3", "seed 0, 3", "seed 0"][: len(said)]
    code, out, _ = command(capsys, "info", tmp_path / "run")
    assert code == 0 and f"epoch {epochs}" in out


def test_a_run_that_learns_does_not(task, caplog):
    gn.train(tiny(task, epochs=2), engine="reference")
    gn.baselines.train("DFA", tiny(task, epochs=2, batch=4), learning_rate=2.0)
    assert at_chance(caplog) == []
