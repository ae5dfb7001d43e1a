"""Contrastive Hebbian learning is its closed form and comes to backprop; contrastive divergence, to the likelihood."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from builders import assert_same_end, distance, far, found, learner, order, refusal, task_batch, tiny

from ghostnet import ConfigError, DivergenceError, baselines, data, resume
from ghostnet.baselines import Baseline, contrastive, measures, methods
from ghostnet.baselines.draws import BaselineStream
from ghostnet.baselines.learner import Learner
from ghostnet.model.baseline import LOSSES

EXACT = 1e-12
ONE, THREE = (16, 12, 4), (16, 12, 9, 7, 4)
OUTPUT = {"cross-entropy": lambda u: np.exp(u) / np.exp(u).sum()} | dict.fromkeys(
    ("mse", "binary-cross-entropy"), lambda u: 1 / (1 + np.exp(-u))
)


def chl(sizes=THREE, gain=0.05, **settings) -> Learner:
    return learner("CHL", sizes, feedback_gain=gain, **settings)


def at_rest(net: Learner, x: np.ndarray, top: np.ndarray | None) -> list[np.ndarray]:
    """r_1 … r_N of one example of the first run, all units relaxed at once, as tanh has them."""
    W, gain, N = [None, *(w[0].numpy() for w in net.W[1:])], net.baseline.feedback_gain, len(net.W) - 1
    b = [None, *(v[0, 0].numpy() for v in net.bias[1:])] if net.bias else [0] * (N + 1)
    cuts = np.cumsum(net.experiment.sizes[1:])[:-1]

    def moves(flat: np.ndarray) -> np.ndarray:
        r = [x, *np.split(flat, cuts)]
        now = [np.tanh(W[k] @ r[k - 1] + gain * W[k + 1].T @ r[k + 1] + b[k]) for k in range(1, N)]
        now.append(OUTPUT[net.baseline.loss](W[N] @ r[N - 1] + b[N]) if top is None else top)
        return flat - np.concatenate(now)

    flat = np.full(sum(net.experiment.sizes[1:]), 0.2)
    for _ in range(1000):
        flat = flat - 0.3 * moves(flat)
    assert np.abs(moves(flat)).max() < 1e-15
    return np.split(flat, cuts)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_hebbian_updates_are_those_of_two_states_at_rest(loss, bias):
    """ΔW_k = η γ^{k-N} (r⁺_k r⁺_{k-1}^T - r⁻_k r⁻_{k-1}^T), both states found by another method."""
    net = chl(gain=0.5, loss=loss, transfer="tanh", bias=bias, seeds=(0,), batch=1, learning_rate=0.7)
    x, y = task_batch(net)
    image, wanted = x[0, 0].numpy(), y[0, 0].numpy()
    free = at_rest(net, image, None)
    e = (free[-1] - wanted) * (free[-1] * (1 - free[-1]) if loss == "mse" else 1)
    held = at_rest(net, image, free[-1] - e)
    below = [[image, *r] for r in (free, held)]
    before, biases = [w.clone() for w in net.W[1:]], [b.clone() for b in (net.bias or [None])[1:]]
    net.step(x, y)
    for k in range(1, 5):
        plus, minus = (np.outer(r[k - 1], below_[k - 1]) for r, below_ in ((held, below[1]), (free, below[0])))
        step = 0.7 * 0.5 ** (k - 4)
        assert distance((net.W[k] - before[k - 1])[0].numpy(), step * (plus - minus)) <= EXACT
        if bias:
            moved = (net.bias[k] - biases[k - 1])[0, 0].numpy()
            assert distance(moved, step * (held[k - 1] - free[k - 1])) <= EXACT


def test_a_linear_hidden_chain_is_held_where_its_linear_equations_are_solved():
    net = chl(gain=0.1, transfer="relu", loss="cross-entropy", seeds=(0,), batch=1)
    net.W[1:] = [0.3 * w.abs() for w in net.W[1:]]  # every unit is on: f(u) = u
    x, y = task_batch(net)
    phases = net.phases(x, y)
    W, top = [None, *(w[0].numpy() for w in net.W[1:])], y[0, 0].numpy()
    A = np.eye(28)
    ranges = [None, slice(0, 12), slice(12, 21), slice(21, 28)]
    for k in (2, 3):
        A[ranges[k], ranges[k - 1]], A[ranges[k - 1], ranges[k]] = -W[k], -0.1 * W[k].T
    rest = np.linalg.solve(A, np.concatenate([W[1] @ x[0, 0].numpy(), np.zeros(9), 0.1 * W[4].T @ top]))
    for k in (1, 2, 3):
        assert distance(phases.held[k][0, 0].numpy(), rest[ranges[k]]) <= EXACT


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_as_feedback_becomes_weak_hebbian_learning_becomes_backprop(loss, bias):
    """Xie & Seung's theorem: the difference is of the order of γ."""
    gains, errors = (0.08, 0.04, 0.02, 0.01), []
    for gain in gains:
        net = chl(gain=gain, loss=loss, transfer="tanh", bias=bias)
        x, y = task_batch(net)
        p, _, delta = found(net, x, y, "BP")
        true = methods.gradients(delta, p.r)
        errors.append(far(contrastive.gradients(net.phases(x, y)), true))
        assert max(measures.angles(net, x[0], y[0])["angle_1"]) < 200 * gain
    assert errors[-1] < 0.05
    assert order(gains, errors) == pytest.approx(1, abs=0.1)


def test_without_hidden_layers_hebbian_learning_is_the_delta_rule():
    net = chl((16, 4), loss="cross-entropy")
    x, y = task_batch(net)
    p, _, delta = found(net, x, y, "BP")
    assert far(contrastive.gradients(net.phases(x, y)), methods.gradients(delta, p.r)) <= EXACT


def test_units_that_do_not_come_to_rest_are_divergence():
    net = chl(gain=50.0, transfer="relu")
    assert "try feedback_gain = 12.5" in refusal(DivergenceError, net.step, *task_batch(net))


def machine(bias: bool, sizes=(3, 4, 2), **settings) -> Learner:
    return learner("CD", sizes, loss="cross-entropy", bias=bias, **settings)


def drawn_biases(net: Learner) -> Learner:
    if net.bias:
        net.bias[0].copy_(torch.tensor([0.3, -0.4, 0.2]).double())
    return net


def plain(net: Learner) -> tuple[list, list]:
    """W and biases of the first run, as arrays."""
    W = [None, *(w[0].numpy() for w in net.W[1:])]
    return W, [v[0, 0].numpy() for v in net.bias] if net.bias else [0 * W[1][0], 0 * W[1][:, 0], 0 * W[2][:, 0]]


def sigmoid(u):
    return 1 / (1 + np.exp(-u))


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("bias", [False, True])
def test_contrastive_divergence_of_given_draws(bias, steps):
    """One example, written with vectors; the numbers drawn are those of the learner's stream."""
    how = dict(seeds=(0,), batch=1, gibbs_steps=steps, learning_rate=0.5)
    net, other = (drawn_biases(machine(bias, **how)) for _ in range(2))
    W, (b0, b1, b2) = plain(other)
    stream = other._draws[BaselineStream.GIBBS]
    X, Y = torch.tensor([0.2, 1.0, 0.7]).double()[None, None], torch.tensor([0.0, 1.0]).double()[None, None]
    x, y = X[0, 0].numpy(), Y[0, 0].numpy()
    r = plus = sigmoid(W[1] @ x + W[2].T @ y + b1)
    for _ in range(steps):
        numbers = stream.uniform((1, 8))[0, 0]
        h = (numbers[:4] < r) * 1.0
        x = (numbers[4:7] < sigmoid(W[1].T @ h + b0)) * 1.0
        p = np.exp(W[2] @ h + b2) / np.exp(W[2] @ h + b2).sum()
        y = np.eye(2)[int(numbers[7] >= p[0])]
        r = sigmoid(W[1] @ x + W[2].T @ y + b1)
    net.step(X, Y)
    X, Y = X[0, 0].numpy(), Y[0, 0].numpy()
    assert distance(net.W[1][0].numpy(), W[1] + 0.5 * (np.outer(plus, X) - np.outer(r, x))) <= EXACT
    assert distance(net.W[2][0].numpy(), W[2] + 0.5 * (np.outer(Y, plus) - np.outer(y, r))) <= EXACT
    if bias:
        for found_, b, a, c in zip(net.bias, (b0, b1, b2), (X, plus, Y), (x, r, y), strict=True):
            assert distance(found_[0, 0].numpy(), b + 0.5 * (a - c)) <= EXACT


def likelihoods(W: list, bias: list) -> dict[tuple, torch.Tensor]:
    """log P(x, y) of every image of three binary pixels and label, by the sum over all states."""
    states = [torch.tensor(bits, dtype=torch.float64) for bits in itertools.product((0, 1), repeat=3)]
    units = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4))).double()
    labels = torch.eye(2).double()
    energies = {
        (i, c): -(units @ W[1] @ x + (units @ W[2].T) @ y + bias[0] @ x + units @ bias[1] + bias[2] @ y)
        for i, x in enumerate(states) for c, y in enumerate(labels)
    }  # fmt: skip
    free = {at: torch.logsumexp(-energy, 0) for at, energy in energies.items()}
    return {at: value - torch.logsumexp(torch.stack(list(free.values())), 0) for at, value in free.items()}


def test_contrastive_divergence_comes_to_the_gradient_of_the_likelihood():
    """By enumeration of all states of a small machine; the longer the chain, the nearer."""
    errors = []
    for steps in (1, 30):
        net = drawn_biases(machine(True, seeds=(0,), batch=1, gibbs_steps=steps))
        net.W[1:] = [2.5 * w for w in net.W[1:]]
        W = [None, *(w[0].clone().requires_grad_() for w in net.W[1:])]
        bias = [v[0, 0].clone().requires_grad_() for v in net.bias]
        likelihoods(W, bias)[5, 1].backward()  # of x = 1 0 1, y = 0 1
        x, y = torch.tensor([1.0, 0.0, 1.0]).double(), torch.tensor([0.0, 1.0]).double()
        phases = net.phases(x.expand(1, 20_000, 3), y.expand(1, 20_000, 2))
        own = [g[0] for g in map(methods.mean, contrastive.products(phases, (1, 2), (0, 1, 2)))]
        true = [*(-w.grad for w in W[1:]), *(-b.grad[None] for b in bias)]
        errors.append(max(float((a - b).abs().max()) for a, b in zip(own, true, strict=True)))
    assert errors[0] > 0.1 and errors[1] < 0.02  # 1/√20,000 = 0.007


@pytest.mark.parametrize("bias", [False, True])
def test_a_machine_classifies_by_the_probability_of_a_label(bias):
    net = drawn_biases(machine(bias, seeds=(0,)))
    W, b = ([None if v is None else torch.from_numpy(v) for v in group] for group in plain(net))
    joint = likelihoods(W, b)
    x = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3))).double()
    p = torch.softmax(net.outputs(x)[0], -1)
    for i in range(8):
        assert float(p[i, 1]) == pytest.approx(float(torch.sigmoid(joint[i, 1] - joint[i, 0])), abs=EXACT)


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("CHL", {}),
        ("CHL", {"bias": True, "optimizer": "adam", "learning_rate": 0.01, "train_scores": "during"}),
        ("CD", {"loss": "cross-entropy", "gibbs_steps": 2, "momentum": 0.5}),
        ("CD", {"loss": "cross-entropy", "bias": True, "frozen": 1}),
    ],
)
def test_a_run_goes_on_with_more_epochs_to_the_same_bits(task, tmp_path, method, settings):
    e, how = tiny(task, batch=4, epochs=3, seeds=(3, 1)), {"learning_rate": 0.1, "progress": False} | settings
    whole = baselines.train(method, e, **how)
    baselines.train(method, e.replace(epochs=2), tmp_path, **how)
    assert_same_end(resume(tmp_path, epochs=3, progress=False), tmp_path, whole)
    angled = [name for name in whole.metrics[-1] if name.startswith(("angle", "alignment"))]
    assert angled == (["angle_1"] if method == "CHL" else [])


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"method": "CHL", "dropout": 0.1}, "dropout = 0.1: CHL takes none"),
        ({"method": "CHL", "feedback_gain": 0.0}, "feedback_gain = 0: CHL's units would see no answer"),
        ({"method": "CD", "loss": "mse"}, "loss = mse: CD's classes have probabilities; give cross-entropy"),
        ({"method": "CD", "learning_rate": None}, "learning_rate: CD has none of its own"),
        ({"method": "CD", "clip": 1.0}, "clip = 1.0: CD takes none"),
        ({"method": "CD", "gibbs_steps": 0}, "gibbs_steps = 0"),
        ({"method": "CD", "train_scores": "during"}, "train_scores = during: CD classifies nothing"),
        ({"method": "CD", "transfer": "tanh"}, "transfer = tanh: CD trains a Boltzmann machine of one layer"),
    ],
)
def test_what_two_phases_do_not_do_is_refused_in_one_line(task, tmp_path, settings, text):
    how = {"loss": "cross-entropy", "learning_rate": 0.1} | settings
    how = {name: value for name, value in how.items() if value is not None}
    assert text in refusal(ConfigError, baselines.train, how.pop("method"), tiny(task), tmp_path / "run", **how)
    assert not (tmp_path / "run").exists()


def test_a_machine_has_one_hidden_layer_and_no_gradient_check():
    deep = baselines.mlp(THREE)
    b = Baseline(method="CD", loss="cross-entropy", learning_rate=0.1)
    assert "expected three sizes" in refusal(ConfigError, Learner, deep, b)
    x, y = np.zeros((1, 3)), np.eye(2)[:1]
    assert "no gradcheck" in refusal(ConfigError, baselines.gradcheck, machine(True), x, y)


def test_a_trained_machine_is_a_module_that_gives_what_was_scored(task):
    how = {"loss": "cross-entropy", "learning_rate": 0.1, "dtype": "float64", "progress": False}
    for bias in (False, True):
        trained = baselines.train("CD", tiny(task, batch=4, epochs=1, seeds=(3, 1)), bias=bias, **how)
        images, labels = data.load(task).part("test")
        x = torch.tensor(images).double() / 255
        for row, module in zip(trained.metrics[-2:], trained.network, strict=True):
            right = (module(x).argmax(-1).numpy() == labels).mean()
            assert row["test_accuracy"] == pytest.approx(right)
