"""Every method is its closed form, and no backprop, with biases and without."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from builders import by_autograd, distance, far, found, learner, task_batch

from ghostnet.baselines import METHODS, measures, methods
from ghostnet.baselines.draws import BaselineStream
from ghostnet.baselines.methods import mean
from ghostnet.model.baseline import CONTRASTIVE, LOSSES
from ghostnet.model.laws import TRANSFERS

EXACT = 1e-12
ONE, TWO, THREE = (16, 12, 4), (16, 12, 9, 4), (16, 12, 9, 7, 4)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("loss", "transfer"), list(itertools.product(LOSSES, TRANSFERS)))
def test_backprop_is_autograds(loss, transfer, bias):
    net = learner("BP", THREE, loss=loss, transfer=transfer, bias=bias)
    x, y = task_batch(net)
    p, _, delta = found(net, x, y)
    assert far(methods.gradients(delta, p.r), by_autograd(net, x, y)) <= EXACT


@pytest.mark.parametrize("sizes", [ONE, TWO, THREE])
def test_feedback_alignment_with_the_transpose_is_backprop(sizes):
    net = learner("FA", sizes)
    net.B[1:] = [w.mT.clone() for w in net.W[2:]]
    x, y = task_batch(net)
    assert far(found(net, x, y)[2], found(net, x, y, "BP")[2]) <= EXACT


def test_direct_feedback_with_the_product_of_transposes_is_backprop_in_a_linear_range():
    net = learner("DFA", THREE, transfer="relu")
    net.W[1:] = [w.abs() for w in net.W[1:]]  # every unit is on, so f' = 1
    net.B[1:] = [(net.W[4] @ net.W[3] @ net.W[2]).mT, (net.W[4] @ net.W[3]).mT, net.W[4].mT]
    x, y = task_batch(net)
    assert far(found(net, x, y)[2], found(net, x, y, "BP")[2]) <= EXACT
    assert all(np.allclose(values, 0, atol=1e-5) for values in measures.alignments(net).values())


def test_one_hidden_layer_makes_feedback_direct():
    fa, dfa = learner("FA", ONE), learner("DFA", ONE)
    assert torch.equal(fa.B[1], dfa.B[1])
    x, y = task_batch(fa)
    assert far(found(fa, x, y)[2], found(dfa, x, y)[2]) == 0


SENDING = [method for method in METHODS if method not in CONTRASTIVE]  # those two are in test_contrastive.py
APART = [m for m in SENDING if m not in ("brSF", "KP", "WM")]  # these begin as frSF and FA do


@pytest.mark.parametrize("pair", list(itertools.combinations(APART, 2)))
def test_no_method_is_another_in_disguise_at_two_hidden_layers(pair):
    a, b = (learner(method) for method in pair)
    x, y = task_batch(a)
    assert far(found(a, x, y)[2], found(b, x, y)[2]) > 0.1


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("method", SENDING)
def test_closed_forms_of_credit(method, bias):
    """δ of one example, written with vectors and diagonal matrices."""
    net = learner(method, THREE, seeds=(0,), batch=1, bias=bias, target_step=0.3)
    x, y = task_batch(net)
    p, e, delta = found(net, x, y)
    W, B = ([None, *(a[0] for a in group[1:])] for group in (net.W, net.B))
    r, e, y = [a[0, 0] for a in p.r], e[0, 0], y[0, 0]
    D = [None, *(torch.diag(a * (1 - a)) for a in r[1:])]
    g1, g2 = (lambda h, k=k: torch.sigmoid(B[k] @ h) for k in (1, 2))
    t3 = r[3] - 0.3 * W[4].T @ e
    S = [None, *(B[k].abs() * torch.sign(W[k + 1].T) for k in (1, 2, 3) if B[k].shape == W[k + 1].T.shape)]
    wanted = {
        "BP": lambda: (D[1] @ W[2].T @ D[2] @ W[3].T @ D[3] @ W[4].T @ e, D[2] @ W[3].T @ D[3] @ W[4].T @ e),
        "FA": lambda: (D[1] @ B[1] @ D[2] @ B[2] @ D[3] @ B[3] @ e, D[2] @ B[2] @ D[3] @ B[3] @ e),
        "DFA": lambda: (D[1] @ B[1] @ e, D[2] @ B[2] @ e),
        "DRTP": lambda: (D[1] @ B[1] @ y, D[2] @ B[2] @ y),
        "uSF": lambda: (D[1] @ S[1] @ D[2] @ S[2] @ D[3] @ S[3] @ e, D[2] @ S[2] @ D[3] @ S[3] @ e),
        "IFA": lambda: (D[1] @ B[1] @ e, D[2] @ W[2] @ D[1] @ B[1] @ e),
        "DTP": lambda: (D[1] @ (g1(r[2]) - g1(r[2] + g2(t3) - g2(r[3]))), D[2] @ (g2(r[3]) - g2(t3))),
    }
    wanted |= dict.fromkeys(("frSF", "brSF"), wanted["uSF"]) | dict.fromkeys(("KP", "WM"), wanted["FA"])
    wanted = wanted[method]()
    for k in (1, 2):
        assert distance(delta[k][0, 0].numpy(), wanted[k - 1].numpy()) <= EXACT


@pytest.mark.parametrize("bias", [False, True])
def test_target_propagation_descends_its_local_losses_and_those_of_its_inverses(bias):
    net = learner("DTP", THREE, transfer="tanh", bias=bias)
    b = net.bias or [0] * 5
    x, y = task_batch(net)
    p, _, delta = found(net, x, y)
    targets = {k: p.r[k] - delta[k] / p.slope[k] for k in (1, 2, 3)}
    W = [None, *(w.clone().requires_grad_() for w in net.W[1:])]
    rates = {k: torch.tanh(p.r[k - 1] @ W[k].mT + b[k]) for k in targets}
    local = sum(0.5 * (t - rates[k]).square().sum(-1).mean(1).sum() for k, t in targets.items())
    own = methods.gradients(delta, p.r)
    assert far(own[:4], [None, *torch.autograd.grad(local, W[1:4])]) <= EXACT

    noise = [
        None,
        *(0.1 * torch.from_numpy(np.random.default_rng(k).normal(size=a.shape)) for k, a in enumerate(p.r[1:])),
    ]
    B = [None, *(b.clone().requires_grad_() for b in net.B[1:])]
    noisy = [None, *(a + n for a, n in zip(p.r[1:], noise[1:], strict=True))]
    losses = (torch.tanh(torch.tanh(noisy[k] @ net.W[k + 1].mT + b[k + 1]) @ B[k].mT) - noisy[k] for k in (1, 2))
    total = sum(0.5 * a.square().sum(-1).mean(1).sum() for a in losses)
    inverse = [None, *map(mean, methods.inverse_products(net.W, net.B, p.r, noise, "tanh", net.bias))]
    assert far(inverse, [None, *torch.autograd.grad(total, B[1:3])]) <= EXACT


RATES = (0.5, 0.25, 0.125)


@pytest.mark.parametrize("frozen", [0, 1])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("method", SENDING)
def test_a_step_takes_the_mean_gradient_from_every_matrix_at_once(method, bias, frozen):
    net = learner(method, learning_rate=RATES, bias=bias, frozen=frozen)
    x, y = task_batch(net)
    p, _, delta = found(net, x, y)
    rates = [0.0 if k < frozen else rate for k, rate in enumerate(RATES)]
    wanted = [None, *(w - rate * d.mT @ below / 6 for w, rate, d, below in
                      zip(net.W[1:], rates, delta[1:], p.r, strict=True))]  # fmt: skip
    biases = [None, *(b - rate * d.mean(1, keepdim=True) for b, rate, d in
                      zip((net.bias or [None])[1:], rates, delta[1:], strict=False))]  # fmt: skip
    before = [b.clone() for b in net.B[1:]]
    net.step(x, y)
    assert far(net.W, wanted) <= EXACT
    assert not bias or far(net.bias, biases) <= EXACT
    still = {"DTP": [False, True], "brSF": [False, False], "KP": [False, False], "WM": [False, False]}
    assert [torch.equal(a, b) for a, b in zip(net.B[1:], before, strict=True)] == still.get(method, [True, True])


@pytest.mark.parametrize("bias", [False, True])
def test_kolen_pollacks_feedback_learns_as_the_weights_do_and_comes_to_their_transpose(bias):
    net = learner("KP", THREE, learning_rate=0.5, weight_decay=0.2, bias=bias)
    x, y = task_batch(net)
    p, _, delta = found(net, x, y)
    decayed = 1 - 0.5 * 0.2
    wanted = [None, *(decayed * b - 0.5 * r.mT @ d / 6 for b, r, d in
                      zip(net.B[1:], p.r[1:], delta[2:], strict=True))]  # fmt: skip
    apart = [float((net.B[k] - net.W[k + 1].mT).norm()) for k in (1, 2, 3)]
    net.step(x, y)
    assert far(net.B, wanted) <= EXACT
    for seed in range(9):
        net.step(*task_batch(net, seed))
    after = [float((net.B[k] - net.W[k + 1].mT).norm()) for k in (1, 2, 3)]
    assert after == pytest.approx([decayed**10 * a for a in apart], rel=1e-9)


@pytest.mark.parametrize("bias", [False, True])
def test_mirrors_learn_what_noise_makes_of_the_layer_above(bias):
    how = {"transfer": "tanh", "feedback_rate": 0.25, "feedback_noise": 0.5, "learning_rate": 0.0, "bias": bias}
    net, other = learner("WM", **how), learner("WM", **how)
    x, y = task_batch(net)
    net.step(x, y)
    draws = other._draws[BaselineStream.INVERSE]
    noise = [0.5 * torch.from_numpy(draws.normal((6, n))).double() for n in (12, 9, 4)]
    b = other.bias or [0] * 4
    above = torch.tanh(noise[0] @ other.W[2].mT + b[2]), noise[1] @ other.W[3].mT + b[3]
    wanted = [None, *(0.75 * B + 0.25 / 0.5**2 * h.mT @ a / 6 for B, h, a in
                      zip(other.B[1:], noise, above, strict=False))]  # fmt: skip
    assert far(net.B, wanted) <= EXACT


def test_a_mirror_comes_to_the_transpose():
    net = learner("WM", (16, 12, 9, 4), batch=200, learning_rate=0.0, feedback_rate=0.02, transfer="tanh")
    x, y = task_batch(net)
    for _ in range(300):
        net.step(x, y)
    assert max(max(angles) for angles in measures.alignments(net).values()) < 5


def test_magnitudes_of_sign_symmetric_feedback():
    flat, fixed, anew = (learner(method, feedback_init=0.3) for method in ("uSF", "frSF", "brSF"))
    for B in flat.B[1:]:
        assert np.allclose(B.numpy(), 0.3 / np.sqrt(3), rtol=EXACT)
    before = [None, *(B.clone() for B in anew.B[1:])]
    assert all(torch.equal(a, b) for a, b in zip(before[1:], fixed.B[1:], strict=True))
    anew.step(*task_batch(anew))
    assert far(anew.B, before) > 0.5
    assert all(0.2 < float(B.abs().max()) <= 0.3 for B in anew.B[1:])
    assert all(torch.equal(carrier.sign(), W.mT.sign()) for carrier, W in
               ((methods.carrier("brSF", anew.W, anew.B, k), anew.W[k + 1]) for k in (1, 2)))  # fmt: skip
