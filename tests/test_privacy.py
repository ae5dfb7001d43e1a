"""Private learning: norms are exact, noise has its variance, ε is Opacus's, and BP's clipped gradients are too."""

from __future__ import annotations

import itertools
import math
import sys

import numpy as np
import pytest
import torch
from builders import distance, found, learner, refusal, task_batch, tiny

from ghostnet import ConfigError, baselines
from ghostnet.baselines import privacy

EXACT = 1e-12

METHODS = ("BP", "FA", "DFA", "IFA", "DRTP", "frSF", "WM")


def of_each(products) -> list[list[torch.Tensor]]:
    """The gradients of every example of run 0, written out."""
    return [[torch.outer(left[0, i], right[0, i]) for left, right in products] for i in range(6)]


def norm(matrices) -> float:
    return math.sqrt(sum(float(a.square().sum()) for a in matrices))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_every_example_counts_with_at_most_the_clip(method, bias):
    net = learner(method, (16, 12, 9, 7, 4), bias=bias)
    p, _, delta = found(net, *task_batch(net))
    each = of_each(net._products(delta, p.r))
    norms = [norm(example) for example in each]
    assert np.allclose(privacy.norms(net._products(delta, p.r))[0], norms, rtol=1e-12)
    clip = float(np.median(norms))
    wanted = [
        sum(min(1, clip / size) * example[k] for size, example in zip(norms, each, strict=True))
        for k in range(len(each[0]))
    ]
    sums = privacy.clipped_sums(net._products(delta, p.r), clip)
    assert max(distance(a[0].numpy(), b.numpy()) for a, b in zip(sums, wanted, strict=True)) <= EXACT
    for i in range(len(each)):  # one at a time: the norm after clipping
        alone = privacy.clipped_sums([(d[:, i : i + 1], r[:, i : i + 1]) for d, r in net._products(delta, p.r)], clip)
        assert norm([a[0] for a in alone]) == pytest.approx(min(clip, norms[i]), rel=1e-6)


def test_padding_does_not_count():
    net = learner("FA")
    p, _, delta = found(net, *task_batch(net))
    present = torch.ones(2, 6).double()
    present[0, 4:] = 0
    products = net._products(delta, p.r)
    some = privacy.clipped_sums([(d[:, :4], r[:, :4]) for d, r in products], 0.1)
    padded = privacy.clipped_sums(products, 0.1, present)
    assert max(distance(a[0].numpy(), b[0].numpy()) for a, b in zip(padded, some, strict=True)) <= EXACT


def test_the_noise_has_deviation_noise_times_clip_over_the_expected_batch():
    net = learner("DFA", (64, 300, 4), seeds=(0,), noise=2.0, clip=0.5)
    x, y = task_batch(net)
    p, _, delta = found(net, x, y)
    products = net._products(delta, p.r)
    quiet, loud = privacy.clipped_sums(products, 0.5), net._private(products, 0.5, None)
    drawn = torch.cat([(6 * a - b).flatten() for a, b in zip(loud, quiet, strict=True)]).numpy()
    count = len(drawn)
    assert abs(drawn.var() - 1) < 5 * math.sqrt(2 / count) and abs(drawn.mean()) < 5 / math.sqrt(count)


def test_no_noise_and_a_wide_clip_is_plain_learning():
    plain, private = learner("FA"), learner("FA", clip=1e6)
    x, y = task_batch(plain)
    plain.step(x, y), private.step(x, y)
    assert max(distance(a.numpy(), b.numpy()) for a, b in zip(plain.W[1:], private.W[1:], strict=True)) <= EXACT


def test_batches_are_poisson_samples():
    e = baselines.mlp((16, 12, 9, 7, 4), batch=20, train_examples=2000, seeds=(0, 1))
    shown, present = privacy.poisson_batches(e, 1)
    assert shown.shape == present.shape and len(shown) == 100
    sizes = present.sum(-1)
    assert abs(sizes.mean() - 20) < 5 * math.sqrt(20 / 200) and 0.6 < sizes.var() / 20 < 1.5
    real = shown[0, 0][present[0, 0] == 1]
    assert len(set(real)) == len(real) and not np.array_equal(shown[:, 0], shown[:, 1])


def test_epsilon_is_opacus_engines():
    opacus = pytest.importorskip("opacus")
    e = baselines.mlp((16, 12, 9, 7, 4), batch=20, train_examples=1000)
    engine = opacus.accountants.create_accountant("rdp")
    for _ in range(3 * 50):
        engine.step(noise_multiplier=1.1, sample_rate=0.02)
    assert privacy.epsilon(e, 1.1, 1e-5, 3) == engine.get_epsilon(1e-5)
    assert privacy.epsilon(e, 1.1, 1e-5, 0) == 0 and privacy.epsilon(e, 0.0, 1e-5, 3) == math.inf


def test_backprops_clipped_gradients_are_opacus():
    opacus = pytest.importorskip("opacus")
    net = learner("BP", seeds=(0,), clip=0.05)
    x, y = task_batch(net)
    layers = [torch.nn.Linear(w.shape[2], w.shape[1], bias=False).double() for w in net.W[1:]]
    for layer, w in zip(layers, net.W[1:], strict=True):
        layer.weight.data.copy_(w[0])
    sigmoids = [torch.nn.Sigmoid() for _ in layers]
    module = torch.nn.Sequential(*(part for pair in zip(layers, sigmoids, strict=True) for part in pair))
    theirs = opacus.GradSampleModule(module, loss_reduction="sum")
    optimizer = opacus.optimizers.DPOptimizer(
        torch.optim.SGD(theirs.parameters(), 1.0), noise_multiplier=0.0, max_grad_norm=0.05, expected_batch_size=6
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # torch's on hooks of an input without gradient
        (0.5 * (y[0] - theirs(x[0])).square().sum()).backward()
    optimizer.pre_step()
    p, _, delta = found(net, x, y)
    ours = net._private(net._products(delta, p.r), 0.05, None)
    for own, parameter in zip(ours, theirs.parameters(), strict=True):
        assert distance(own[0].numpy(), parameter.grad.numpy()) < 2e-5  # Opacus divides by the norm plus 1e-6


@pytest.mark.parametrize("method", ["BP", "FA", "DFA"])
def test_private_training_learns_and_reports_what_it_spent(task, method):
    pytest.importorskip("opacus")
    e = tiny(task, epochs=4, batch=4, seeds=(0, 1))
    settings = dict(loss="cross-entropy", learning_rate=2.0, weights="fan-in", transfer="tanh", clip=1.0, noise=0.3)
    rows = baselines.train(method, e, **settings).metrics
    assert rows[-1]["test_accuracy"] > 0.6  # chance: 0.25
    spent = [row["epsilon"] for row in rows if row["run"] == 0]
    assert spent[0] == 0 and all(a < b for a, b in itertools.pairwise(spent))
    assert spent[-1] == privacy.epsilon(e, 0.3, 1e-5, 4)


def test_private_settings_that_protect_nobody_are_refused(task, monkeypatch):
    text = refusal(ConfigError, baselines.train, "DFA", tiny(task), noise=1.0)
    assert "noise without clipping" in text
    assert "privacy" in refusal(ConfigError, baselines.train, "DTP", tiny(task), noise=1.0, clip=1.0)
    monkeypatch.setitem(sys.modules, "opacus.accountants", None)
    text = refusal(ConfigError, baselines.train, "DFA", tiny(task), noise=1.0, clip=1.0)
    assert "install the extra [dp]" in text
