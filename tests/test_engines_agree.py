"""Engines step the same equations: each is held to the reference, to 1e-10 in float64 and 1e-4 in float32."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from builders import (
    OTHERS,
    STEPPING,
    TOLERANCE,
    TYPED_ENGINES,
    covering,
    distance,
    experiment,
    inputs,
    named,
    of,
    running,
    same_bits,
    simulator,
)

from ghostnet.engines import create
from ghostnet.errors import ConfigError
from ghostnet.model.checks import FEEDBACKS
from ghostnet.model.experiment import RULES, TRANSFERS
from ghostnet.model.models import MODELS

BY_DEPTH = {1: (20, 37, 10), 2: (20, 30, 25, 6), 3: (20, 12, 70, 9, 6)}
SEEDS = {1: (0,), 3: (0, 1, 5)}

each_engine = pytest.mark.parametrize("engine", OTHERS)
# For every law the cpu engine compiles its kernels anew, for seconds; test_laws.py has each law in float32.
ONE_TYPE_COMPILED = [pair for pair in itertools.product(OTHERS, TOLERANCE) if pair != ("cpu", "float32")]
UNBOUNDED = ("softplus", "relu", "leaky-relu")  # transfer functions
each_type = pytest.mark.parametrize("dtype", TOLERANCE)
each_model = pytest.mark.parametrize("model", MODELS)
each_feedback = pytest.mark.parametrize("feedback", FEEDBACKS)

_expected: dict = {}


def reference(e, x, y):
    """The reference's network after one and after all presentations, computed once for all engines and types."""
    key = (e, x.tobytes(), y.tobytes())
    if key not in _expected:
        steps = simulator(running(e))
        steps.present(x[0], y[0])
        first = of(steps.network)
        steps.run(x[1:], y[1:])
        _expected[key] = first, of(steps.network)
    return _expected[key]


def assert_agrees(engine, dtype, e, x, y):
    """The engine against the reference, after one presentation and after all of x."""
    tested = simulator(running(e), engine, dtype)
    start = of(tested.network)
    for presentations, expected in zip((slice(0, 1), slice(1, None)), reference(e, x, y), strict=True):
        tested.run(x[presentations], y[presentations])
        got = of(tested.network)
        assert got.keys() == expected.keys()
        off = {name: distance(got[name], expected[name]) for name in expected}
        assert max(off.values()) <= TOLERANCE[dtype], off
    still = {"B"} if e.feedback == "FA" else set()
    still |= set() if e.plasticity.rule("W_pg") else {"W_pg"}
    moved = {name: distance(expected[name], start[name]) for name in start}
    assert all((moved[name] < 1e-6) if name.partition("[")[0] in still else (moved[name] > 1e-4) for name in start), (
        moved
    )


@pytest.mark.parametrize(
    ("model", "engine", "dtype", "feedback", "rule", "depth", "batch", "runs"),
    covering(MODELS, OTHERS, TOLERANCE, FEEDBACKS, RULES, BY_DEPTH, [1, 7], SEEDS, strength=3),
)
def test_engines_agree_on_every_model(engine, dtype, model, feedback, depth, rule, batch, runs):
    e = experiment(model, BY_DEPTH[depth], feedback=feedback, rule=rule, batch=batch, seeds=SEEDS[runs])
    assert_agrees(engine, dtype, e, *inputs(e, 3))


# Each pair is kernels of its own, which evaluate any law in the same places; test_laws.py has every law on vectors.
BENT_AND_UNBOUNDED = [("sigmoid", "difference"), ("hard-sigmoid", "difference"), ("softplus", "derivative")]
LAWS = [
    (*typed, *pair)
    for typed in ONE_TYPE_COMPILED
    for pair in (BENT_AND_UNBOUNDED if typed[0] == "cpu" else itertools.product(TRANSFERS, RULES))
]


@pytest.mark.parametrize(("engine", "dtype", "transfer", "rule"), LAWS)
@each_model
def test_engines_agree_on_every_transfer_function(engine, dtype, model, rule, transfer):
    init = 0.1 if transfer in UNBOUNDED else 1.0  # far into the bends, but not where rates explode
    e = experiment(model, BY_DEPTH[2], transfer=transfer, rule=rule, init=init)
    assert_agrees(engine, dtype, e, *inputs(e, 3))


@each_engine
@each_type
@each_model
@each_feedback
@pytest.mark.parametrize(
    ("sizes", "batch"),
    [
        ((3, 1, 1), 2),
        ((1, 2, 3, 2), 3),
        ((32, 64, 16), 16),
        ((33, 65, 129, 17), 5),
        ((784, 20, 10), 2),
        ((9, 4), 3),
        ((20, 12, 4), 10),
        ((20, 300, 4), 9),  # panels of the hidden layer
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else str(value),
)
def test_engines_agree_on_every_shape(engine, dtype, model, feedback, sizes, batch):
    e = experiment(model, sizes, feedback=feedback, batch=batch, seeds=(3, 4), init=min(0.4, 4 / sizes[0]))
    assert_agrees(engine, dtype, e, *inputs(e, 2))


@each_engine
@each_type
@each_feedback
@pytest.mark.parametrize(("sizes", "batch"), [(BY_DEPTH[2], 1), (BY_DEPTH[2], 7), ((20, 300, 4), 3)])
@pytest.mark.parametrize("clip", [1e-3, 0.05, 0.3, 1e3])
def test_engines_agree_whether_or_not_the_clip_acts(engine, dtype, feedback, sizes, batch, clip):
    e = experiment("MA-prime", sizes, feedback=feedback, batch=batch, clip=clip)
    x, y = inputs(e, 3, lit=0.5)
    clipped, free = (reference(c, x, y)[1] for c in (e, e.replace(clip=1e9)))
    assert same_bits(clipped, free) == (clip == 1e3)
    assert_agrees(engine, dtype, e, x, y)


@each_engine
@each_type
@each_model
@pytest.mark.parametrize("lit", [0.2, 0.0], ids=["mostly dark", "all dark"])
@pytest.mark.parametrize("batch", [1, 7])
def test_engines_agree_on_dark_inputs_from_which_no_weight_learns(engine, dtype, model, lit, batch):
    e = experiment(model, BY_DEPTH[1], batch=batch, seeds=(3, 4))
    x, y = inputs(e, 3, lit=lit)
    x[..., ::3] = 0
    tested = simulator(running(e), engine, dtype)
    before = tested.network.weights.W[1]
    tested.run(x, y)
    for array, expected in zip(of(tested.network).values(), reference(e, x, y)[1].values(), strict=True):
        assert distance(array, expected) <= TOLERANCE[dtype]
    changed = (tested.network.weights.W[1] != before).any(axis=(0, 1))
    assert np.array_equal(changed, x.any(axis=(0, 1)))
    assert changed.any() == (lit > 0) and not changed.all()


@each_engine
@each_type
@each_model
@each_feedback
def test_every_run_may_have_its_own_input(engine, dtype, model, feedback):
    e = experiment(model, BY_DEPTH[2], feedback=feedback, seeds=SEEDS[3])
    x, y = inputs(e, 3, 3)
    assert_agrees(engine, dtype, e, x, y)
    together = simulator(running(e), engine, dtype)
    together.run(x, y)
    swapped = simulator(running(e), engine, dtype)
    swapped.run(x[:, ::-1], y[:, ::-1])
    a, b = together.network, swapped.network
    assert np.array_equal(a.state.s[1][1], b.state.s[1][1]) and not np.array_equal(a.state.s[1][0], b.state.s[1][0])


@pytest.mark.parametrize(("engine", "dtype"), STEPPING)
@each_model
@pytest.mark.parametrize("clip", [0.05, 1e3])
@pytest.mark.parametrize("batch", [1, 7])
def test_a_presentation_in_pieces_is_the_presentation_to_the_last_bit(engine, dtype, model, clip, batch):
    e = experiment(model, BY_DEPTH[2], batch=batch, seeds=(0, 1), **({"clip": clip} if model == "MA-prime" else {}))
    x, y = inputs(e, 2, 2, lit=0.6)
    network = running(e)
    try:
        whole, pieces = (create(engine, network, dtype, 2) for _ in range(2))
    except ConfigError as reason:
        pytest.skip(str(reason))
    assert whole.present(x, y) is None
    for one_x, one_y in zip(x, y, strict=True):
        pieces.begin(one_x, one_y)
        for phase, cuts in enumerate(((1, 6, 5), (3, 5))):
            for steps in cuts:
                pieces.advance(phase, steps)
                pieces.export()  # looking at it changes nothing
        pieces.finish()
    assert same_bits(named(whole.export()), named(pieces.export()))


@each_engine
@each_type
@each_model
def test_a_look_between_two_pieces_shows_the_weights_and_activities_as_they_are(engine, dtype, model):
    """Also what an engine puts off, such as the outer product of W_1, is there when it is looked at."""
    e = experiment(model, BY_DEPTH[2], clip=1e3 if model == "MA-prime" else None)
    x, y = (a[None] for a in inputs(e))
    try:
        engines = [create("reference", running(e), "float64", 1), create(engine, running(e), dtype, 1)]
    except ConfigError as reason:
        pytest.skip(str(reason))
    for one in engines:
        one.begin(x, y)
    for phase, steps in itertools.product((0, 1), (3, 4)):
        for one in engines:
            one.advance(phase, steps)
        expected, got = (named(one.export()) for one in engines)
        off = {name: distance(got[name], expected[name]) for name in expected}
        assert max(off.values()) <= TOLERANCE[dtype], (phase, off)


@pytest.mark.parametrize(("engine", "dtype"), TYPED_ENGINES)
@each_model
def test_a_divergence_leaves_every_run_as_it_was_before_that_presentation(engine, dtype, model):
    e = experiment(model, BY_DEPTH[2], seeds=(0, 1, 2))
    x, y = inputs(e, 4, 3)
    until = simulator(running(e), engine, dtype)
    until.run(x[:2], y[:2])
    x[2, 1, 3, 4] = np.nan  # a simulator would not let it pass
    tested = simulator(running(e), engine, dtype)
    assert tested._engine.present(x, y) == (1, 2, 1)
    got, expected = of(tested.network), of(until.network)
    assert same_bits(got, expected)
