"""Private learning of MLPs: each example is clipped, noise has its variance, BP's clipped gradients are Opacus's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from builders import distance, found, learner, refusal, task_batch, tiny

from ghostnet import ConfigError, baselines
from ghostnet.baselines import Baseline, privacy
from ghostnet.model.baseline import CONTRASTIVE

EXACT = 1e-12

METHODS = [method for method in baselines.METHODS if method not in CONTRASTIVE]
SIZES = (16, 12, 9, 7, 4)
FOLLOWING = ("KP", "WM")  # B learns, but from no example of its own


def moved(net, before: list, run: int = 0) -> dict[str, np.ndarray]:
    """How far the parameters of a run have come from where they were."""
    return {name: (old - new)[run].numpy() for (name, new), (_, old) in zip(parameters(net), before, strict=True)}


def parameters(net) -> list[tuple[str, torch.Tensor]]:
    lists = {"W": net.W, "bias": net.bias or [], "B": net.B}
    return [(f"{name}{k}", values.clone()) for name, each in lists.items() for k, values in enumerate(each) if k]


def gradient_of(method: str, x, y, **settings) -> dict[str, np.ndarray]:
    """What a step of rate 1 on one example alone takes from every parameter, without privacy."""
    net = learner(method, SIZES, seeds=(0,), batch=1, **settings)
    before = parameters(net)
    net.step(x, y)
    return moved(net, before)


@pytest.mark.parametrize(("bias", "frozen"), [(False, 0), (True, 0), (True, 1)])
@pytest.mark.parametrize("method", METHODS)
def test_without_noise_a_step_is_the_mean_of_single_examples_clipped(method, bias, frozen):
    """DTP's B_k learn from the example, so they are clipped with the W_k; KP's take what the W_k take."""
    settings = dict(bias=bias, frozen=frozen, feedback_rate=1.0, feedback_noise=0.5 if method == "WM" else 0.0)
    net = learner(method, SIZES, seeds=(0,), **settings)
    x, y = task_batch(net)
    each = [gradient_of(method, x[:, i : i + 1], y[:, i : i + 1], **settings) for i in range(6)]
    own = [name for name in each[0] if not (name.startswith("B") and method in (*FOLLOWING, "brSF"))]
    norms = [math.sqrt(sum(np.square(example[name]).sum() for name in own)) for example in each]
    clip = float(np.median(norms))
    scaled = [min(1, clip / norm) for norm in norms]
    wanted = {name: sum(f * example[name] for f, example in zip(scaled, each, strict=True)) / 6 for name in own}
    if method == "KP":
        wanted |= {f"B{k - 1}": wanted[f"W{k}"].T for k in range(max(2, 1 + frozen), 5)}
    private = learner(method, SIZES, seeds=(0,), clip=clip, **settings)
    before = parameters(private)
    private.step(x, y)
    found = moved(private, before)
    assert max(np.abs(found[name] - wanted[name]).max() for name in wanted) <= EXACT * max(norms)


def test_kolen_pollacks_feedback_takes_the_noisy_gradient_of_the_weights():
    net = learner("KP", SIZES, clip=0.5, noise=3.0)
    before = [[a.clone() for a in each[1:]] for each in (net.W, net.B)]
    net.step(*task_batch(net))
    W, B = ([new - old for new, old in zip(each[1:], old, strict=True)]
            for each, old in zip((net.W, net.B), before, strict=True))  # fmt: skip
    assert max(distance(b.numpy(), w.mT.numpy()) for b, w in zip(B, W[1:], strict=True)) <= EXACT
    assert float(W[0].abs().mean()) > 0.1  # noise


@pytest.mark.parametrize("bias", [False, True])
def test_norms_are_those_of_the_gradients_written_out(bias):
    net = learner("DFA", SIZES, bias=bias)
    p, _, delta = found(net, *task_batch(net))
    products = net._products(delta, p.r)
    for i in range(6):
        written = [torch.outer(left[0, i], right[0, i]) for left, right in products]
        norm = math.sqrt(sum(float(a.square().sum()) for a in written))
        assert float(privacy.norms(products)[0, i]) == pytest.approx(norm, rel=1e-12)
        clip = 0.7 * norm
        alone = privacy.clipped_sums([(d[:, i : i + 1], r[:, i : i + 1]) for d, r in products], clip)
        assert math.sqrt(sum(float(a[0].square().sum()) for a in alone)) == pytest.approx(clip, rel=1e-12)


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


@pytest.mark.parametrize("method", METHODS)
def test_private_training_learns(task, method):
    e = tiny(task, epochs=4, batch=4, seeds=(0, 1))
    settings = dict(loss="cross-entropy", learning_rate=2.0, weights="fan-in", transfer="tanh", clip=1.0)
    rows = baselines.train(method, e, **settings).metrics
    assert rows[-1]["test_accuracy"] > 0.6  # chance: 0.25


DRAWING = [("DTP", {"feedback_noise": 0.5}), ("WM", {}), ("FA", {"dropout": 0.3}), ("KP", {"momentum": 0.5})]


@pytest.mark.parametrize(("method", "settings"), DRAWING)
def test_a_seed_draws_what_it_draws_alone_whatever_the_samples_of_others(task, method, settings):
    pytest.importorskip("opacus")
    how = dict(learning_rate=0.5, clip=1.0, noise=0.2, dtype="float64") | settings
    size = dict(data=task, batch=4, train_examples=80, init=0.5, epochs=1)
    experiments = [baselines.mlp(SIZES, seeds=seeds, **size) for seeds in ((5, 1), (1,))]
    assert len({privacy.poisson_batches(e, 1)[0].shape[-1] for e in experiments}) == 2
    both, alone = (baselines.train(method, e, **how) for e in experiments)
    assert max(distance(a[1], b[0]) for a, b in zip(both.network.weights.W[1:], alone.network.weights.W[1:],
                                                    strict=True)) <= EXACT  # fmt: skip


def test_samples_of_no_example_are_noise_alone(task):
    e = tiny(task, batch=1, epochs=1)
    assert 0 in privacy.poisson_batches(e, 1)[1].sum(-1)
    for method in METHODS:
        found = baselines.train(method, e, learning_rate=0.1, clip=1.0).network.weights.W[1:]
        assert all(np.isfinite(a).all() for a in found)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"noise": 1.0}, "noise = 1.0: noise without clipping protects nobody; give clip too"),
        ({"target_epsilon": 3.0}, "target_epsilon = 3.0: ε is without bound"),
        ({"target_epsilon": 0.0, "clip": 1.0}, "target_epsilon = 0.0: expected a positive number"),
        ({"target_epsilon": 3.0, "noise": 1.0, "clip": 1.0}, "noise = 1.0: target_epsilon = 3.0 finds the noise"),
        ({"clip": 0.0}, "clip = 0.0: expected a positive number"),
        ({"clip": 1.0, "delta": 0.0}, "delta = 0: with normal noise no ε is certain"),
        ({"clip": 1.0, "adversarial": 0.1}, "an example and its adversarial twin are one person's"),
        ({"sampling": "shuffled"}, "sampling = shuffled: is of privacy"),
        ({"sampling": "poison", "clip": 1.0}, "unknown sampling 'poison': did you mean 'poisson'?"),
        ({"accountant": "gdp", "clip": 1.0}, "unknown accountant 'gdp'"),
    ],
)
def test_private_settings_that_protect_nobody_are_refused(settings, text):
    assert text in refusal(ConfigError, Baseline, method="DFA", **settings)
