"""Private learning of torch modules: convolutional baselines and converted modules clip each example, and no more."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from builders import convertible, distance, images
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import ghostnet as gn
from ghostnet import baselines, data
from ghostnet.baselines import Baseline, accounting, perexample, privacy
from ghostnet.baselines.cnn import CNN
from ghostnet.baselines.conversion import METHODS, convert
from ghostnet.baselines.direct import Projected
from ghostnet.model.baseline import BaselineRun

EXACT = 1e-12
APART = [method for method in METHODS if method not in ("wm", "ifa", "dtp")]  # with a gradient of one example
each_method = pytest.mark.parametrize("method", ["bp", *APART])


def loss(net: nn.Module, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mean over examples; DRTP has to be told their targets, as large as their share."""
    projected = any(isinstance(layer, Projected) for layer in net.modules())
    targets = {"targets": torch.eye(4, dtype=x.dtype)[labels] / len(x)} if projected else {}
    return functional.cross_entropy(net(x, **targets), labels)


@pytest.fixture
def same_magnitudes(monkeypatch):
    """What BRSF draws at every pass is the same at all of them."""
    monkeypatch.setattr(torch, "rand_like", lambda W: torch.full_like(W, 0.4))


def single_gradients(net: nn.Module, x: torch.Tensor, labels: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    """Of every example alone, by name."""
    names, parameters = zip(*net.named_parameters(), strict=True)
    of = (torch.autograd.grad(loss(net, x[i : i + 1], labels[i : i + 1]), parameters) for i in range(len(x)))
    return [dict(zip(names, gradients, strict=True)) for gradients in of]


def clipped(each: list[dict], clip: float | None = None) -> tuple[dict, float]:
    """Σ of gradients clipped, and the clip, the median of the norms if none is given; KP's B counts for nothing."""
    counted = [[g for name, g in gradients.items() if "feedback" not in name] for gradients in each]
    norms = [math.sqrt(sum(float(g.square().sum()) for g in gradients)) for gradients in counted]
    clip = clip or float(np.median(norms))
    factors = [min(1, clip / norm) for norm in norms]
    return {name: sum(f * g[name] for f, g in zip(factors, each, strict=True)) for name in each[0]}, clip


@each_method
@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_what_is_clipped_is_every_example_alone(kind, method, same_magnitudes, monkeypatch):
    monkeypatch.setattr(perexample, "_APART", 2)  # of five
    net, (x, labels) = convert(convertible(kind), method), images()
    wanted, clip = clipped(single_gradients(net, x, labels))
    sums, losses = perexample.clipped_sums(net, list(net.parameters()), loss, x, labels, clip)
    assert max(distance(a.numpy(), b.numpy()) for a, b in zip(sums, wanted.values(), strict=True)) <= EXACT
    assert float(losses.mean()) == pytest.approx(loss(net, x, labels).item(), rel=1e-12)


def test_only_what_learns_counts():
    net, (x, labels) = convert(convertible("cnn"), "fa"), images()
    learning = list(net.parameters())[2:]
    each = [dict(list(gradients.items())[2:]) for gradients in single_gradients(net, x, labels)]
    wanted, clip = clipped(each)
    sums, _ = perexample.clipped_sums(net, learning, loss, x, labels, clip)
    assert max(distance(a.numpy(), b.numpy()) for a, b in zip(sums, wanted.values(), strict=True)) <= EXACT


@each_method
@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_opacus_has_the_gradient_of_every_example_alone(kind, method, same_magnitudes):
    pytest.importorskip("opacus")
    net, (x, labels) = convert(convertible(kind), method), images()
    each = single_gradients(net, x, labels)
    with warnings.catch_warnings(action="ignore"):
        private = gn.torch.for_opacus(net)
        loss(private, x, labels).backward()
    for name, parameter in net.named_parameters():
        wanted = torch.stack([gradients[name] for gradients in each])
        assert distance(parameter.grad_sample.numpy(), wanted.numpy()) <= EXACT


@pytest.mark.filterwarnings("ignore")  # of Opacus, on random numbers, hooks and samples of no example
@each_method
def test_opacus_engine_trains_a_converted_module_whatever_it_samples(method):
    opacus = pytest.importorskip("opacus")
    net, (x, labels) = convert(convertible("cnn"), method), images()
    loss(net, x, labels)  # direct feedback is drawn
    loader = DataLoader(TensorDataset(x.repeat(8, 1, 1, 1), labels.repeat(8)), batch_size=2)
    private = gn.torch.for_opacus(net)
    torch.manual_seed(0)
    private, optimizer, loader = opacus.PrivacyEngine().make_private(
        module=private, optimizer=torch.optim.SGD(private.parameters(), 0.1), data_loader=loader,
        noise_multiplier=0.1, max_grad_norm=1.0,
    )  # fmt: skip
    sizes = []
    for _ in range(2):
        for images_, labels_ in loader:
            sizes.append(len(images_))
            optimizer.zero_grad()
            loss(private, images_, labels_).backward()
            optimizer.step()
    assert 0 in sizes and all(p.isfinite().all() for p in net.parameters())


def network(task, method: str, **settings) -> CNN:
    """A convolutional baseline without dropout, float64."""
    e = baselines.mlp((16, 4), data=task, batch=8, train_examples=80, seeds=(0, 1))
    how = dict(architecture="three-convolutions", loss="cross-entropy", learning_rate=1.0)
    return CNN(BaselineRun(e, Baseline(method=method, **how, **settings)), data.load(task), "float64", 1)


def moved(cnn: CNN, run: int) -> dict[str, torch.Tensor]:
    """What a step of rate 1 takes from the parameters."""
    before = {name: p.detach().clone() for name, p in cnn.modules[run].named_parameters()}
    cnn.present(1, 0, 1)
    return {name: before[name] - p.detach() for name, p in cnn.modules[run].named_parameters()}


@pytest.mark.parametrize("sampling", ["poisson", "shuffled"])
@pytest.mark.parametrize("method", ["BP", "FA", "DFA", "DRTP", "uSF"])
def test_without_noise_a_step_is_the_sum_of_single_examples_clipped_over_the_expected_batch(task, method, sampling):
    cnn = network(task, method, clip=0.3, sampling=sampling)
    shown, present = privacy.batches(cnn.experiment, cnn.baseline, 1)
    some = slice(None) if present is None else present[0, 1] == 1
    picked = torch.from_numpy(shown[0, 1][some])
    x, labels = (part[picked] for part in cnn._images.train)
    each = single_gradients(cnn.modules[1], x.double() / 255, labels)
    wanted, _ = clipped(each, 0.3)
    assert min(float(torch.stack([g.norm() for g in one.values()]).norm()) for one in each) > 0.3  # the clip acts
    found = moved(cnn, 1)
    assert max(distance(found[name].numpy(), wanted[name].numpy() / 8) for name in found) <= EXACT


def test_the_noise_has_deviation_noise_times_clip_over_the_expected_batch(task):
    quiet, loud = (moved(network(task, "DFA", clip=0.5, noise=noise), 0) for noise in (0.0, 2.0))
    drawn = torch.cat([8 * (loud[name] - quiet[name]).flatten() for name in quiet]).numpy()
    count = len(drawn)
    assert abs(drawn.var() - 1) < 5 * math.sqrt(2 / count) and abs(drawn.mean()) < 5 / math.sqrt(count)


@pytest.mark.parametrize("architecture", ["two-blocks", "three-convolutions"])
def test_a_private_convolutional_run_learns_and_says_what_it_spent(task, architecture):
    pytest.importorskip("opacus")
    e = baselines.mlp((16, 4), data=task, batch=8, epochs=8, train_examples=80)
    how = dict(architecture=architecture, loss="cross-entropy", learning_rate=0.5, clip=1.0, noise=0.3)
    rows = baselines.train("DFA", e, progress=False, **how).metrics
    assert rows[-1]["test_accuracy"] > 0.6  # chance: 0.25
    b = Baseline(method="DFA", clip=1.0, noise=0.3)
    assert [row["epsilon"] for row in rows] == [accounting.epsilon(e, b, epoch) for epoch in range(9)]
    assert {(row["noise"], row["delta"]) for row in rows} == {(0.3, 1e-5)}


def test_samples_of_no_example_are_noise_alone(task):
    e = baselines.mlp((16, 4), data=task, batch=1, epochs=1, train_examples=40)
    assert 0 in privacy.poisson_batches(e, 1)[1].sum(-1)
    how = dict(architecture="two-blocks", loss="cross-entropy", learning_rate=0.1, clip=1.0)
    (module,) = baselines.train("FA", e, progress=False, **how).network
    assert all(p.isfinite().all() for p in module.parameters())
