"""What a simulator promises: independent runs, the same bits however asked for, one line when it can't go on."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
from builders import (
    STEPPING,
    TOLERANCE,
    TYPED_ENGINES,
    distance,
    experiment,
    inputs,
    of,
    refusal,
    running,
    same_bits,
    simulator,
)

from ghostnet import ConfigError, DivergenceError, Simulator, build
from ghostnet.model.models import MODELS

SIZES = (20, 30, 25, 6)

each_engine = pytest.mark.parametrize(("engine", "dtype"), TYPED_ENGINES)
each_model = pytest.mark.parametrize("model", MODELS)


@each_engine
@each_model
def test_an_ensemble_of_seeds_is_its_single_runs(engine, dtype, model):
    e = experiment(model, SIZES, seeds=(3, 0, 8))
    x, y = inputs(e, 3)
    ensemble = simulator(build(e), engine, dtype)
    ensemble.run(x, y)
    together = of(ensemble.network)
    for run, seed in enumerate(e.seeds):
        single = simulator(build(e.replace(seeds=(seed,))), engine, dtype)
        single.run(x, y)
        alone, within = of(single.network), {name: array[run : run + 1] for name, array in together.items()}
        if engine in ("cpu", "equilibrium"):
            assert same_bits(alone, within)
        else:  # whose matrix products round by shape
            assert max(distance(alone[name], within[name]) for name in alone) <= TOLERANCE[dtype]


@each_engine
@each_model
def test_results_do_not_depend_on_threads(engine, dtype, model):
    e = experiment(model, SIZES, seeds=(0, 1, 2, 3, 4))
    results = []
    for threads in (1, 2, 9):
        tested = simulator(build(e), engine, dtype, threads=threads)
        tested.run(*inputs(e, 3))
        results.append(of(tested.network))
    assert same_bits(results[0], results[1]) and same_bits(results[0], results[2])


@each_engine
@each_model
def test_many_presentations_are_single_ones_in_turn_with_the_state_carried_over(engine, dtype, model):
    e = experiment(model, SIZES)
    x, y = inputs(e, 6)
    at_once, singly, in_two = (simulator(running(e), engine, dtype) for _ in range(3))
    at_once.run(x, y)
    for one_x, one_y in zip(x, y, strict=True):
        singly.present(one_x, one_y)
    in_two.run(x[:4], y[:4])
    in_two.run(x[4:], y[4:])
    assert same_bits(of(at_once.network), of(singly.network)) and same_bits(of(at_once.network), of(in_two.network))
    assert [one.presentations for one in (at_once, singly, in_two)] == [6, 6, 6] == [at_once.network.presentations] * 3
    at_rest = build(e)
    at_rest.weights.W_gp[1] *= 0.5  # the fast weights of MB are the state that even the equilibrium engine carries over
    other = simulator(at_rest, engine, dtype)
    other.run(x, y)
    assert not same_bits(of(other.network), of(at_once.network))


@each_engine
@each_model
def test_a_shared_input_is_the_same_input_for_every_run(engine, dtype, model):
    e = experiment(model, SIZES, seeds=(0, 1))
    x, y = inputs(e)
    shared, own = (simulator(build(e), engine, dtype) for _ in range(2))
    shared.present(x, y)
    own.present(np.stack([x, x]), np.stack([y, y]))
    assert same_bits(of(shared.network), of(own.network))


@each_engine
@each_model
def test_a_seed_gives_the_same_bits_again_and_another_seed_another_network(engine, dtype, model):
    e = experiment(model, SIZES, feedback="FA", seeds=(0, 1))
    results = []
    for _ in range(2):
        tested = simulator(build(e), engine, dtype)
        assert not any(np.array_equal(a[0], a[1]) for name, a in of(tested.network).items() if name[0] not in "sg")
        tested.run(*inputs(e, 2))
        results.append(of(tested.network))
    assert same_bits(*results)
    assert not any(np.array_equal(array[0], array[1]) for array in results[0].values())


@each_engine
@each_model
def test_a_network_taken_out_and_put_in_again_goes_on_to_the_last_bit(engine, dtype, model):
    e = experiment(model, SIZES, feedback="FA", seeds=(0, 1))
    x, y = inputs(e, 4)
    straight = simulator(running(e), engine, dtype)
    straight.run(x, y)
    first = simulator(running(e), engine, dtype)
    first.run(x[:2], y[:2])
    second = simulator(first.network, engine, dtype)
    assert second.network.presentations == 2 and same_bits(of(first.network), of(second.network))
    second.run(x[2:], y[2:])
    assert same_bits(of(straight.network), of(second.network)) and second.presentations == 4


@each_engine
@each_model
def test_the_network_that_was_put_in_and_every_one_taken_out_stay_as_they_were(engine, dtype, model):
    e = experiment(model, SIZES)
    network = running(e)
    untouched = copy.deepcopy(of(network))
    tested = simulator(network, engine, dtype)
    taken = tested.network
    as_taken = copy.deepcopy(of(taken))
    tested.run(*inputs(e, 2))
    assert same_bits(of(network), untouched) and same_bits(of(taken), as_taken)
    for array in of(taken).values():
        array[...] = np.nan
    assert all(np.isfinite(array).all() for array in of(tested.network).values())
    assert not same_bits(of(tested.network), as_taken)


@each_engine
def test_a_network_comes_out_in_float64_and_in_the_papers_shapes(engine, dtype):
    for model in MODELS:
        network = build(experiment(model, SIZES, seeds=(0, 1)))
        out = of(simulator(network, engine, dtype).network)
        assert {array.dtype for array in out.values()} == {np.dtype(np.float64)}
        assert {name: array.shape for name, array in out.items()} == {n: a.shape for n, a in of(network).items()}
    assert out["W[1]"].shape == (2, 30, 20) and out["B[1]"].shape == (2, 30, 25) and out["W_pg[1]"].shape == (2, 5, 30)
    assert out["W_gp[1]"].shape == (2, 7, 30, 5) and out["s[3]"].shape == (2, 7, 6) and out["g[1]"].shape == (2, 7, 5)


@each_engine
def test_inputs_may_be_of_any_layout_and_number_type(engine, dtype):
    e = experiment("MB", SIZES)
    x, y = inputs(e, 3)
    x = np.round(x)
    plain, odd = (simulator(build(e), engine, dtype) for _ in range(2))
    plain.run(x, y)
    strided = np.repeat(x, 2, axis=0)[::2].astype(np.uint8)
    odd.run(np.asfortranarray(strided), y.astype(bool).tolist())
    assert same_bits(of(plain.network), of(odd.network))


@each_engine
@pytest.mark.parametrize(
    ("x_shape", "y_shape", "got", "expected"),
    [
        ((2, 7, 19), (2, 7, 6), "x has shape (2, 7, 19)", "7, 20)"),
        ((2, 7, 20), (2, 7, 5), "y has shape (2, 7, 5)", "7, 6)"),
        ((2, 1, 20), (2, 7, 6), "x has shape (2, 1, 20)", "7, 20)"),
        ((2, 3, 7, 20), (2, 7, 6), "x has shape (2, 3, 7, 20)", "7, 20)"),
        ((7, 20), (7, 6), "x has shape (7, 20)", "7, 20)"),
        ((3, 7, 20), (2, 7, 6), "x has 3 presentations, y 2", "as many"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_with_both_shapes(engine, dtype, x_shape, y_shape, got, expected):
    e = experiment("MB", SIZES, seeds=(0, 1))
    tested = simulator(build(e), engine, dtype)
    before = of(tested.network)
    text = refusal(ConfigError, tested.run, np.zeros(x_shape), np.zeros(y_shape))
    assert got in text and expected in text
    assert tested.presentations == 0 and same_bits(of(tested.network), before)


@pytest.mark.parametrize(("engine", "dtype"), STEPPING)
@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("MA", {"eta": (1e9, 1e9, 1e9)}),
        ("MA", {"eta_ghost": (1e6, 1e6)}),
        ("MB", {"eta": (1e9, 1e9, 1e9)}),
        ("MB", {"eta_ghost": (1e6, 1e6)}),
        ("MA-prime", {"clip": 1e12, "eta": (1e9, 1e9, 1e9)}),
        ("MB", {"dt": 0.0199, "init": 1e6}),
    ],
)
def test_divergence_names_seed_presentation_layer_and_a_remedy(engine, dtype, model, changes):
    e = experiment(model, SIZES, seeds=(4, 9), **changes)
    tested = simulator(build(e), engine, dtype)
    text = refusal(DivergenceError, tested.run, *inputs(e, 20))
    seed, presentation, layer = map(
        int, re.match(r"diverged: seed (\d+), presentation (\d+), layer (\d+): ", text).groups()
    )
    assert seed in e.seeds and presentation == tested.presentations < 20 and 1 <= layer <= 3
    assert f"try dt = {e.dt / 2:g} or eta = " in text


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"engine": "Reference"}, "unknown engine 'Reference': did you mean 'reference'?"),
        ({"engine": "gpu"}, "unknown engine 'gpu'"),
        ({"engine": "cpu", "dtype": "float16"}, "unknown dtype 'float16'"),
        ({"engine": "cpu", "dtype": "single-precision"}, "unknown dtype 'single-precision'"),
        ({"engine": "reference", "dtype": "float32"}, "dtype = float32: the reference engine is float64 only"),
        ({"engine": "cpu", "threads": -1}, "threads = -1"),
    ],
)
def test_engines_types_and_threads_that_do_not_exist_are_refused_by_name(options, named):
    assert named in refusal(ConfigError, Simulator, build(experiment()), **options)
