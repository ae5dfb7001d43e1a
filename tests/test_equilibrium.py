"""The equilibrium engine finds what long phases of the stepping engines settle to."""

from __future__ import annotations

import numpy as np
import pytest
from builders import distance, experiment, inputs, named, of, refusal, running, same_bits

from ghostnet import ConfigError, Network, Simulator, build
from ghostnet.engines import create
from ghostnet.model.equations import errors, feedforward, rates

LONG = 4000
SIZES = {1: (20, 37, 10), 2: (20, 30, 25, 6), 3: (20, 12, 70, 9, 6)}
TIGHT = {"settle_tol": 1e-12, "max_sweeps": 50}

each_feedback = pytest.mark.parametrize("feedback", ("TF", "FA"))
each_depth = pytest.mark.parametrize("depth", SIZES)


def long_phases(depth: int, feedback: str, **changes):
    return experiment("MB", SIZES[depth], feedback=feedback, dt=0.005, beta=0.1, batch=2, seeds=(0, 1), **changes)


def engine_pair(network: Network):
    return create("cpu", network, "float64", 1), create("equilibrium", network, "float64", 1, **TIGHT)


@each_feedback
@each_depth
def test_the_free_phase_is_the_mlp_with_its_feedback_cancelled(depth, feedback):
    e = long_phases(depth, feedback)
    network = running(e)
    x, y = inputs(e, 2)
    engine = create("equilibrium", network, "float64", 1)
    engine.begin(x, y)
    engine.advance(0, 1)
    weights, state = engine.export()
    r, rho_g = rates(state, x, network.constants)
    e_k = errors(weights, state, r, rho_g, y, 0.0, network.constants)
    for k, u_k in enumerate(feedforward(network.weights.W, x, e.transfer)[1:], start=1):
        assert distance(state.s[k], u_k) < 1e-12
        assert np.abs(e_k[k]).max() < 1e-12


@each_feedback
@each_depth
def test_free_states_agree_with_long_stepping(depth, feedback):
    e = long_phases(depth, feedback)
    x, y = inputs(e, 2)
    stepped, direct = engine_pair(running(e))
    for engine in (stepped, direct):
        engine.begin(x, y)
        engine.advance(0, LONG)
    for s, s_direct in zip(stepped.export()[1].s[1:], direct.export()[1].s[1:], strict=True):
        assert distance(s_direct, s) < 1e-6


@each_feedback
@each_depth
@pytest.mark.parametrize("rule", ("difference", "derivative"))
def test_from_the_same_fast_weights_clamped_states_errors_and_update_agree(depth, feedback, rule):
    e = long_phases(depth, feedback, rule=rule)
    x, y = inputs(e, 2)
    free, _ = engine_pair(running(e))
    free.begin(x, y)
    free.advance(0, LONG)
    start = Network(e, *free.export())
    stepped, direct = engine_pair(start)
    found = []
    for engine in (stepped, direct):
        engine.begin(x, y)
        engine.advance(1, LONG)
        weights, state = engine.export()
        e_k = errors(weights, state, *rates(state, x, start.constants), y, e.beta, start.constants)
        engine.finish()
        update = [new - old for new, old in zip(engine.export()[0].W[1:], start.weights.W[1:], strict=True)]
        found.append([*state.s[1:], *e_k[1:], *update])
    assert max(distance(a, b) for a, b in zip(found[1], found[0], strict=True)) < 1e-6


def test_float32_agrees_with_float64():
    e = long_phases(2, "TF")
    x, y = inputs(e, 20)
    ends = []
    for dtype in ("float32", "float64"):
        simulator = Simulator(running(e), "equilibrium", dtype, max_sweeps=50)
        simulator.run(x, y)
        ends.append(of(simulator.network))
    assert max(distance(ends[0][name], ends[1][name]) for name in ends[0]) < 1e-3


def test_pieces_are_presentations_and_threads_change_nothing():
    e = long_phases(1, "TF")
    x, y = inputs(e, 1, 2)
    engines = [create("equilibrium", running(e), "float32", threads) for threads in (1, 2, 1)]
    for engine in engines[:2]:
        assert engine.present(x, y) is None
    engines[2].begin(x[0], y[0])
    for phase in (0, 1):
        engines[2].advance(phase, 1)
    engines[2].finish()
    states = [named(engine.export()) for engine in engines]
    assert same_bits(states[0], states[1]) and same_bits(states[0], states[2])


def test_states_pass_between_engines():
    e = long_phases(1, "TF", clamped_steps=LONG)
    x, y = inputs(e, 2)
    direct = create("equilibrium", running(e), "float64", 1, **TIGHT)
    direct.begin(x, y)
    for phase in (0, 1):
        direct.advance(phase, 1)
    before = direct.export()
    stepped = create("cpu", Network(e, *before), "float64", 1)
    stepped.begin(x, y)
    stepped.advance(1, 100)
    assert max(distance(a, b) for a, b in zip(stepped.export()[1].s[1:], before[1].s[1:], strict=True)) < 1e-9


@pytest.mark.parametrize("model", ("MA", "MA-prime"))
def test_models_whose_weights_move_during_phases_are_refused_with_the_reason(model):
    text = refusal(ConfigError, Simulator, build(experiment(model)), "equilibrium")
    assert "equilibrium" in text and model in text and "cpu" in text


def both_clamped(e, **options) -> tuple:
    """The equilibrium engine, and the distance of all it ends with from the steps of the same clamped phase."""
    x, y = inputs(e, e.batch)
    direct = create("equilibrium", running(e), "float64", 1, **options)
    direct.begin(x, y)
    direct.advance(0, e.free_steps)
    stepped = create("cpu", Network(e, *direct.export()), "float64", 1)
    stepped.begin(x, y)
    for engine in (direct, stepped):
        engine.advance(1, e.clamped_steps)
        engine.finish()
    ends = [named(engine.export()) for engine in (direct, stepped)]
    return direct, max(distance(ends[0][name], ends[1][name]) for name in ends[0])


@each_feedback
@each_depth
def test_a_clamped_phase_that_sweeps_do_not_settle_is_stepped(depth, feedback):
    direct, off = both_clamped(long_phases(depth, feedback, clamped_steps=7), settle_tol=1e-300, max_sweeps=3)
    assert direct.sweeps[:, 0].tolist() == [1, 1] and off < 1e-12


@pytest.mark.parametrize(("name", "value"), [("settle_tol", 0.0), ("settle_tol", float("nan")), ("max_sweeps", 0)])
def test_an_impossible_setting_is_named(name, value):
    with pytest.raises(ConfigError, match=f"^{name} = {value}: expected "):
        Simulator(running(experiment("MB", (20, 30, 6))), "equilibrium", **{name: value})


def test_so_is_one_whose_fixed_point_is_not_stable():
    direct, off = both_clamped(experiment("MB", (20, 60, 60, 6), feedback="FA", init=3.0, batch=1), max_sweeps=2000)
    assert direct.sweeps[:, 0].min() == 1 and off < 1e-12


def test_the_histogram_counts_every_clamped_phase():
    e = long_phases(2, "FA")
    x, y = inputs(e, 5, 2)
    engine = create("equilibrium", running(e), "float32", 1)
    engine.present(x, y)
    assert engine.sweeps.sum(axis=1).tolist() == [5, 5]
