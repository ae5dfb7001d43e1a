"""What the theory says of learning: with perfect cancellation and weak nudging the local rules are backprop."""

from __future__ import annotations

import numpy as np
import pytest
from builders import STILL, acting, distance, euler, experiment, inputs, order, running, updated_once, with_rule
from scipy.special import expit

from ghostnet import build
from ghostnet.model import names
from ghostnet.model.equations import State, errors, feedforward, rates, step
from ghostnet.model.experiment import RULES
from ghostnet.model.laws import derivative, difference

DEPTHS = [(8, 7, 4), (8, 7, 6, 4), (8, 7, 6, 5, 4), (8, 7, 6, 5, 5, 4)]
BETAS = (1e-2, 1e-3, 1e-4)
FUNCTIONS = {  # ρ and ρ' by their definitions
    "sigmoid": (expit, lambda u: expit(u) * expit(-u)),
    "tanh": (np.tanh, lambda u: np.cosh(u) ** -2.0),
}


def backward(w, x, y, transfer):
    """The backward pass of the MLP with feedback B: δ_k (the error of ρ(u_k)) and the steepest descent of C in W_k."""
    rho, slope = FUNCTIONS[transfer]
    u, r = [None], [x]
    for W in w.W[1:]:
        u.append(np.einsum("rij,rbj->rbi", W, r[-1]))
        r.append(rho(u[-1]))
    delta = [None] * (len(u) - 1) + [y - r[-1]]
    for k in range(len(u) - 2, 0, -1):
        delta[k] = np.einsum("rij,rbj->rbi", w.B[k], slope(u[k + 1]) * delta[k + 1])
    local = [None, *(slope(u[k]) * delta[k] for k in range(1, len(u)))]
    return delta, [None, *(np.einsum("rbi,rbj->rij", local[k], r[k - 1]) for k in range(1, len(u)))]


def cancelling(e, x):
    """A network of MA at the fixed point of its free phase, with W^gp = B and W^pg = W above: e_k = 0 for hidden k."""
    network = build(e)
    w = network.weights
    hidden = range(1, e.depth)
    w = w._replace(W_gp=[None, *(w.B[k] for k in hidden)], W_pg=[None, *(w.W[k + 1] for k in hidden)])
    u = feedforward(w.W, x, e.transfer)
    return (
        w,
        State(u, [None, *u[2:]]),
        with_rule(network.constants, "W", rate=[None] + [1.0] * e.depth)._replace(dt=e.tau / 2),
    )


def clamped(w, z, x, y, beta, c):
    """The fixed point of the weakly clamped phase."""
    return euler(w, z, x, y, beta, c, STILL, 300)[1]


@pytest.mark.parametrize("transfer", FUNCTIONS)
@pytest.mark.parametrize("feedback", ["TF", "FA"])
@pytest.mark.parametrize("sizes", DEPTHS)
def test_the_error_terms_of_MA_become_the_backpropagated_ones_with_weak_nudging(sizes, feedback, transfer):
    e = experiment("MA", sizes, feedback=feedback, transfer=transfer, batch=3, init=0.6)
    x, y = inputs(e, 1)
    w, z, c = cancelling(e, x)
    delta, _ = backward(w, x, y, transfer)
    off = []
    for beta in BETAS:
        nudged = clamped(w, z, x, y, beta, c)
        error = errors(w, nudged, *rates(nudged, x, c), y, beta, c)
        off.append([distance(error[k] / beta, delta[k]) for k in range(1, e.depth + 1)])
    for by_beta in zip(*off, strict=True):
        assert order(BETAS, by_beta) == pytest.approx(1, abs=0.1)
        assert by_beta[-1] < 1e-3


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("feedback", ["TF", "FA"])
@pytest.mark.parametrize("sizes", DEPTHS)
def test_the_weight_update_becomes_the_gradient_with_weak_nudging(sizes, feedback, rule):
    """(6) and (16) with TF: backprop's update; with FA: that of feedback alignment."""
    e = experiment("MA", sizes, feedback=feedback, rule=rule, batch=3, init=0.6)
    x, y = inputs(e, 1)
    w, z, c = cancelling(e, x)
    _, descent = backward(w, x, y, e.transfer)
    off = []
    for beta in BETAS:
        updated = updated_once(w, clamped(w, z, x, y, beta, c), x, y, beta, c)
        off.append([distance((updated.W[k] - w.W[k]) / beta, descent[k]) for k in range(1, e.depth + 1)])
    for by_beta in zip(*off, strict=True):
        assert order(BETAS, by_beta) == pytest.approx(1, abs=0.1)
        assert by_beta[-1] < 1e-3


@pytest.mark.parametrize("transfer", FUNCTIONS)
@pytest.mark.parametrize("sizes", DEPTHS)
def test_the_backward_pass_of_these_tests_is_that_of_autograd(sizes, transfer):
    import torch

    e = experiment("MA", sizes, transfer=transfer, init=0.6)
    w, (x, y) = build(e).weights, inputs(e, 1)
    W = [torch.tensor(a, requires_grad=True) for a in w.W[1:]]
    r = torch.as_tensor(x)
    for matrix in W:
        r = getattr(torch, transfer)(r @ matrix.mT)
    (0.5 * (torch.as_tensor(y) - r) ** 2).sum().backward()
    for matrix, descent in zip(W, backward(w, x, y, transfer)[1][1:], strict=True):
        assert distance(-matrix.grad.numpy(), descent) < 1e-12


def test_random_feedback_changes_the_hidden_update_and_leaves_the_output_update():
    e = experiment("MA", (8, 7, 6, 4), batch=3, init=0.6)
    x, y = inputs(e, 1)
    updates = []
    for feedback in ("TF", "FA"):
        w, z, c = cancelling(e.replace(feedback=feedback), x)
        updated = updated_once(w, clamped(w, z, x, y, 1e-6, c), x, y, 1e-6, c)
        updates.append([None, *((updated.W[k] - w.W[k]) / 1e-6 for k in (1, 2, 3))])
    by_transpose, by_alignment = updates
    assert distance(by_alignment[3], by_transpose[3]) < 1e-4
    assert min(distance(by_alignment[k], by_transpose[k]) for k in (1, 2)) > 0.3


@pytest.mark.parametrize("model", ["MA", "MB"])
@pytest.mark.parametrize("rule", RULES)
def test_rule_6_is_rule_16_integrated_over_a_step(model, rule):
    e = experiment(model, (8, 7, 6, 4), rule=rule)
    network, (x, y) = running(e), inputs(e, 1)
    args = (network.weights, network.state, x, y, e.beta, network.constants)
    integrated = step(*args, acting("W"))[0]
    once = updated_once(*args)
    for before, a, b in zip(network.weights.W[1:], integrated.W[1:], once.W[1:], strict=True):
        assert distance(a - before, e.dt * (b - before)) < 1e-11


@pytest.mark.parametrize("transfer", FUNCTIONS)
def test_difference_and_derivative_form_agree_to_first_order_in_the_error(transfer):
    law, draw = names.transfer(transfer), np.random.default_rng(0)
    s, direction = draw.normal(size=50), draw.normal(size=50)
    scales, off = (1e-1, 1e-2, 1e-3), []
    for scale in scales:
        e, r = scale * direction, law.rho(s)
        forms = difference(r, law.rho(s - e)), derivative(e, law.slope(s, r))
        off.append(np.abs(forms[0] - forms[1]).max())
    assert order(scales, off) == pytest.approx(2, abs=0.1)
    assert off[-1] < 1e-5


@pytest.mark.parametrize("feedback", ["TF", "FA"])
@pytest.mark.parametrize("sizes", DEPTHS[:2])
def test_the_first_hidden_error_of_MB_passes_through_the_resolvent_and_is_not_backprops(sizes, feedback):
    """e_1 → (I - M)^{-1} B_1 ρ'(s_2) e_2, where M = B_1 ρ'(s_2) W_2 ρ'(s_1) - W^gp_1 ρ'(g_1) W^pg_1 ρ'(s_1)."""
    e = experiment("MB", sizes, feedback=feedback, dt=0.005, batch=2, init=0.8, eta_ghost=(60.0,) * (len(sizes) - 2))
    network, (x, y) = running(e), inputs(e, 1)
    c = network.constants
    w, z = euler(network.weights, network.state, x, y, 0.0, c, acting("W_gp"), 800)
    slope = FUNCTIONS["sigmoid"][1]
    delta, off = backward(w, x, y, "sigmoid")[0], []
    for beta in BETAS:
        nudged = clamped(w, z, x, y, beta, c)
        error = errors(w, nudged, *rates(nudged, x, c), y, beta, c)
        first = []
        for b in range(e.batch):
            s_1, s_2, g_1 = (slope(a[0, b]) for a in (z.s[1], z.s[2], z.g[1]))
            M = w.B[1][0] * s_2 @ w.W[2][0] * s_1 - w.W_gp[1][0, b] * g_1 @ w.W_pg[1][0] * s_1
            first.append(np.linalg.solve(np.eye(len(M)) - M, w.B[1][0] @ (s_2 * error[2][0, b])))
        off.append(distance(error[1][0], np.array(first)))
    assert order(BETAS, off) == pytest.approx(1, abs=0.1)
    assert off[-1] < 1e-3 < 1e-2 < distance(error[1] / BETAS[-1], delta[1])
