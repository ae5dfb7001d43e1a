"""Laws of the plasticity rules (4)-(6), (15), (16): what each lowers, what it may change, and by how much."""

from __future__ import annotations

import numpy as np
import pytest
from builders import (
    STEPPING,
    STILL,
    TYPED_ENGINES,
    acting,
    euler,
    experiment,
    inputs,
    of,
    running,
    simulator,
    with_rule,
)

from ghostnet import build
from ghostnet.engines import create
from ghostnet.model.equations import errors, feedforward, rates, step, transfer
from ghostnet.model.models import MODELS

SIZES = (8, 7, 6, 4)


def free_phase_residuals(e, plastic, residual, blocks):
    """residual(w, z, errors) after the activities have settled, and after each further block of 100 plastic steps."""
    network, (x, y) = running(e), inputs(e, 1)
    c = network.constants
    w, z = euler(network.weights, network.state, x, y, 0.0, c, STILL, 300)
    found = []
    for _ in range(blocks + 1):
        found.append(residual(z, errors(w, z, *rates(z, x, c), y, 0.0, c)))
        w, z = euler(w, z, x, y, 0.0, c, plastic, 100)
    return np.array(found)


def test_rule_4_makes_ghosts_imitate_the_units_above():
    e = experiment("MA", SIZES, dt=0.005, batch=3, eta_ghost=(2.0, 2.0))
    residuals = free_phase_residuals(
        e,
        acting("W_pg"),
        lambda z, _: [np.linalg.norm(z.s[k + 1] - z.g[k]) for k in (1, 2)],
        blocks=6,
    )
    assert (np.diff(residuals, axis=0) < 0).all()
    assert (residuals[-1] < 0.2 * residuals[0]).all()


@pytest.mark.parametrize(
    ("model", "rate"), [pytest.param("MA", 2.0, id="rule 5"), pytest.param("MB", 2.0, id="rule 15")]
)
@pytest.mark.parametrize("feedback", ["TF", "FA"])
def test_rules_5_and_15_cancel_the_feedback(model, rate, feedback):
    e = experiment(model, SIZES, feedback=feedback, dt=0.005, batch=3, eta_ghost=(rate, rate))
    residuals = free_phase_residuals(
        e,
        acting("W_gp"),
        lambda _, error: [np.linalg.norm(error[k]) for k in (1, 2)],
        blocks=6,
    )
    assert (np.diff(residuals, axis=0) < 0).all()
    assert (residuals[-1] < 0.2 * residuals[0]).all()


@pytest.mark.parametrize("model", MODELS)
def test_rules_6_and_16_lower_the_loss_with_every_presentation(model):
    e = experiment(model, SIZES, free_steps=200, clamped_steps=40, batch=5)
    learner, (x, y) = simulator(build(e)), inputs(e)
    losses = []
    for _ in range(8):
        r_N = transfer(feedforward(learner.network.weights.W, x[None], e.transfer)[-1], e.transfer)
        losses.append(0.5 * np.sum((y - r_N) ** 2))
        learner.present(x, y)
    assert (np.diff(losses) < 0).all()
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("engine", "dtype"), TYPED_ENGINES)
def test_transposed_feedback_is_the_transpose_and_random_feedback_stays(model, engine, dtype):
    for feedback in ("TF", "FA"):
        e = experiment(model, SIZES, feedback=feedback)
        learner = simulator(build(e), engine, dtype)
        before = learner.network.weights
        for x, y in zip(*inputs(e, 3), strict=True):
            learner.present(x, y)
            w = learner.network.weights
            for k in (1, 2):
                kept = w.W[k + 1].mT if feedback == "TF" else before.B[k]
                assert np.array_equal(w.B[k], kept)
                assert not np.array_equal(w.W[k + 1], before.W[k + 1])
    assert not np.array_equal(before.B[1], before.W[2].mT)  # FA's is drawn, not transposed


@pytest.mark.parametrize("model", ["MA", "MA-prime"])
def test_transposed_feedback_is_the_transpose_at_every_step(model):
    e = experiment(model, SIZES)
    network, (x, y) = running(e), inputs(e, 1)
    w, z = network.weights, network.state
    for _ in range(10):
        previous = w
        w, z = step(w, z, x, y, e.beta, network.constants, acting("W", "W_pg", "W_gp"))
        assert all(np.array_equal(w.B[k], w.W[k + 1].mT) for k in (1, 2))
        assert not np.array_equal(w.B[1], previous.B[1])


@pytest.mark.parametrize("model", MODELS)
def test_each_phase_changes_the_matrices_its_row_of_the_table_names_and_no_other(model):
    e = experiment(model, SIZES, feedback="FA")
    engine, (x, y) = create("reference", running(e), "float64", 1), inputs(e, 1)
    engine.begin(x, y)
    table = {"MA": (["W_gp", "W_pg"], ["W"], []), "MB": (["W_gp"], [], ["W"]), "mixed": (["W_gp", "W_pg"], [], ["W"])}
    always = ["W", "W_gp", "W_pg"]
    expected = table.get(model, (always, always, []))
    for phase, wanted in zip((0, 1, "end"), expected, strict=True):
        before = engine.export()[0]
        engine.finish() if phase == "end" else engine.advance(phase, 2)
        after = engine.export()[0]
        changed = {
            name for name in before._fields if not np.array_equal(*(getattr(w, name)[1] for w in (before, after)))
        }
        assert changed == set(wanted), phase


def test_every_batch_lane_of_MB_owns_the_lateral_weights_it_learned():
    e = experiment("MB", SIZES)
    lone = experiment("MB", SIZES, batch=1, clamped_steps=1, eta=(0.0,) * 3)
    network, (x, y) = running(e.replace(eta=(0.0,) * 3, clamped_steps=1)), inputs(e)
    together = simulator(network)
    together.present(x, y)
    for b in range(e.batch):
        one = running(lone)
        for k in (1, 2):
            one.weights.W_gp[k] = network.weights.W_gp[k][:, b : b + 1]
            one.state.g[k] = network.state.g[k][:, b : b + 1]
        one.state.s[1:] = [s[:, b : b + 1] for s in network.state.s[1:]]
        alone = simulator(one)
        alone.present(x[b : b + 1], y[b : b + 1])
        for k in (1, 2):
            got, expected = alone.network.weights.W_gp[k][:, 0], together.network.weights.W_gp[k][:, b]
            assert np.abs(got - expected).max() < 1e-13


@pytest.mark.parametrize(("clip", "active"), [(0.05, True), (1e3, False)])
def test_a_step_never_moves_a_clipped_weight_by_more_than_clip_times_dt(clip, active):
    e = experiment("MA-prime", SIZES, clip=clip, eta=(2.0,) * 3)
    network, (x, y) = running(e), inputs(e, 1)
    plastic = acting("W", "W_pg", "W_gp")
    args = (network.weights, network.state, x, y, e.beta)
    clipped, _ = step(*args, network.constants, plastic)
    free, _ = step(*args, with_rule(network.constants, "W", clip=None), plastic)
    for k in (1, 2, 3):
        moved, wanted = (w.W[k] - network.weights.W[k] for w in (clipped, free))
        assert np.abs(moved).max() <= clip * e.dt * (1 + 1e-9)
        assert np.abs(moved - np.clip(wanted, -clip * e.dt, clip * e.dt)).max() < 1e-15
        assert (np.abs(wanted).max() > clip * e.dt) == active


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("engine", "dtype"), STEPPING)
def test_without_learning_rates_no_weight_moves(model, engine, dtype):
    e = experiment(model, SIZES, eta=(0.0,) * 3, eta_ghost=(0.0,) * 2, eta_imitation=(0.0,) * 2 * (model == "mixed"))
    network = running(e)
    tired = simulator(network, engine, dtype)
    before = of(tired.network)
    tired.run(*inputs(e, 2))
    after = of(tired.network)
    for name in before:
        assert np.array_equal(before[name], after[name]) == (name[0] not in "sg"), name
