"""Fixed points, the spectrum around them, and the advice that follows from it."""

from __future__ import annotations

import numpy as np
import pytest
from builders import STILL, acting, distance, euler, examples, experiment, inputs, mirrored, named, quick, running

import ghostnet as gn
from ghostnet import Network, build
from ghostnet.gradients.fixedpoint import fixed_point
from ghostnet.gradients.presented import alone, present
from ghostnet.gradients.settling import settling
from ghostnet.model.equations import State, feedforward, step


@pytest.mark.parametrize("beta", [0.0, 0.1, 5.0])
@pytest.mark.parametrize("model", ["MA", "MB"])
def test_fixed_points_are_where_long_stepping_ends(model, beta):
    e = quick(model, (12, 9, 7, 5), beta=max(beta, 0.1))
    network = running(e)
    x, y = inputs(e, 1)
    still, c = STILL, network.constants
    stepped = euler(network.weights, network.state, x, y, beta, c._replace(dt=0.003), still, 600)[1]
    found = named((network.weights, fixed_point(network.weights, x, y, beta, c)))
    assert max(distance(found[n], a) for n, a in named((network.weights, stepped)).items()) < 1e-9


@pytest.mark.parametrize("phase", [0, 1])
@pytest.mark.parametrize("model", ["MA", "MB"])
@pytest.mark.parametrize("sizes", [(12, 9, 5), (12, 6, 7, 5)])
def test_settling_advice_is_the_spectrum_of_an_euler_step(sizes, model, phase):
    """Of its derivative in s, g and W^gp; directions of W^gp that cancel nothing never decay and don't count."""
    e = quick(model, sizes, batch=1, beta=1.0, free_steps=2000)
    (x, y), network = examples(e, 1), alone(build(e), 0, np.arange(1))
    shown = present(network, x, y)
    at = shown.ends[phase]
    plastic = acting("W_gp") if model == "MB" and phase == 0 else STILL
    moving = [*at.state.s[1:], *at.state.g[1:], *(at.weights.W_gp[1:] if plastic else [])]
    ends, N = np.cumsum([a.size for a in moving]), e.depth

    def stepped(flat):
        parts = [v.reshape(a.shape) for v, a in zip(np.split(flat, ends[:-1]), moving, strict=True)]
        z, w = State([None, *parts[:N]], [None, *parts[N : 2 * N - 1]]), at.weights
        w = w._replace(W_gp=[None, *parts[2 * N - 1 :]]) if plastic else w
        w, z = step(w, z, x[None], y[None], e.beta * phase, at.constants, plastic)
        new = [*z.s[1:], *z.g[1:], *(w.W_gp[1:] if plastic else [])]
        return np.concatenate([a.ravel() for a in new])

    here = np.concatenate([a.ravel() for a in moving])
    derivative = np.array([stepped(here + h) - stepped(here - h) for h in 1e-5 * np.eye(len(here))]).T / 2e-5
    factors = np.linalg.eigvals(derivative)
    factors = factors[np.abs(factors - 1) > 1e-3]
    rates = (factors - 1) / e.dt
    advice = settling(at, phase)
    assert advice.slowest == pytest.approx(-1 / rates.real.max(), rel=1e-3)
    assert advice.stable_dt == pytest.approx((-2 * rates.real / np.abs(rates) ** 2).min(), rel=1e-3)
    assert np.abs(factors).max() ** advice.steps <= 1e-3 < np.abs(factors).max() ** (advice.steps - 2)


def test_stepping_is_stable_below_the_largest_stable_dt_and_not_above():
    e = quick("MA", beta=20.0, batch=1, free_steps=400, clamped_steps=1)
    network, (x, y) = mirrored(e), examples(e, 1)
    rest = fixed_point(network.weights, x[None], y[None], e.beta, network.constants)
    limit = settling(Network(e, network.weights, rest), 1).stable_dt
    still = STILL
    for factor, settles in ((0.97, True), (1.03, False)):
        c = network.constants._replace(dt=factor * limit)
        z = State([None, *(s + 1e-6 for s in rest.s[1:])], rest.g)
        end = euler(network.weights, z, x[None], y[None], e.beta, c, still, 600)[1]
        assert (np.abs(end.s[2] - rest.s[2]).max() < 1e-6) == settles


def test_arpack_and_all_eigenvalues_give_the_same_advice(monkeypatch):
    e = quick("MB", (12, 60, 9))
    network, (x, y) = running(e), examples(e, 1)
    shown = present(alone(network, 0, np.arange(1)), x, y)
    by_arpack = settling(shown.free, 0)
    monkeypatch.setattr("ghostnet.gradients.settling._DENSE", 10_000)
    assert by_arpack[1:3] == pytest.approx(settling(shown.free, 0)[1:3], rel=1e-3)


def test_where_there_is_no_stable_fixed_point_the_report_says_so_and_keeps_its_figures():
    e = experiment("MB", (20, 60, 60, 6), feedback="FA", init=3.0, free_steps=100, seeds=(0, 1))
    report = gn.gradcheck(build(e), *examples(e, 2))
    assert "no fixed point" in report.no_causes[1] and "no fixed point" in report.verdict(1)
    assert "not told apart" in report.text(1) and "not stable" in report.text(1)
    assert report.find(run=1)["relative_error"] > 1 and not report.parts(run=1)


def test_the_free_phase_of_a_check_ends_at_the_mlp(task):
    e = quick("MB", free_steps=600)
    network, (x, y) = alone(running(e), 0, np.arange(4)), examples(e, 4)
    u = feedforward(network.weights.W, x[None], e.transfer)
    for s, u_k in zip(present(network, x, y).free.state.s[1:], u[1:], strict=True):
        assert distance(s, u_k) < 1e-6
