"""Laws as data: one text each, the same values wherever it runs, and a user's own as good as those built in."""

from __future__ import annotations

import math
import subprocess
import sys

import numba
import numpy as np
import pytest
import torch
from builders import (
    TOLERANCE,
    distance,
    experiment,
    inputs,
    mirrored,
    of,
    order,
    refusal,
    running,
    same_bits,
)

import ghostnet as gn
from ghostnet import ConfigError, Simulator, primitives
from ghostnet.engines.cpu import cache, vectormath
from ghostnet.engines.cpu.compiled import jit
from ghostnet.engines.cpu.emit import VECTOR_BYTES
from ghostnet.engines.cpu.simd import load, store
from ghostnet.engines.cpu.vectorlaws import Law, evaluate
from ghostnet.engines.torch import tensorlaws
from ghostnet.gradients.backward import autograd
from ghostnet.gradients.fixedpoint import fixed_point
from ghostnet.model.equations import post, see
from ghostnet.model.laws import COSTS, TRANSFERS, identity, squared_error_descent, squared_error_slope
from ghostnet.model.names import transfer
from ghostnet.primitives import abs, exp, log1p, maximum, minimum, sigmoid, sqrt, tanh, where

STEEPNESS = 2.0


def steep(s):
    return sigmoid(STEEPNESS * s)


def steep_slope(s, r):
    return STEEPNESS * r * (1 - r)


own = gn.Transfer(steep, steep_slope)


def absolute(y, r):
    return sqrt(0.01 + (y - r) * (y - r))


def absolute_error(y, s, r):
    return (y - r) / sqrt(0.01 + (y - r) * (y - r))


def absolute_slope(y, s, r, d):
    square = 0.01 + (y - r) * (y - r)
    return -0.01 * d / (square * sqrt(square))


robust = gn.Cost(absolute, absolute_error, absolute_slope)


def everything(s):
    """Every primitive, operator and comparison in one law."""
    inner = where((s > 0.5) | (s <= -0.5), sqrt(abs(s)), minimum(s, 0.25) - maximum(-s, 0.125) / 3)
    return inner + where((s >= 1) & (s < 2), 1, exp(-s * s)) + log1p(s * s) * tanh(s) - sigmoid(s) + where(s == 0, 2, 0)


@jit
def _everywhere(mem, law, count):
    for i in range(0, count, VECTOR_BYTES // mem.itemsize):
        store(mem, i, evaluate(law, load(mem, i)))


@numba.njit
def kernel(mem, law, count):
    _everywhere(mem, law, count)


def on_vectors(law, s: np.ndarray) -> np.ndarray:
    """The law's values as the cpu engine's kernels compute them, of which there is one for all laws."""
    padded = np.zeros(-(-len(s) // 64) * 64 + 16, s.dtype)
    aligned = padded[-padded.ctypes.data % 64 // s.itemsize :][: len(padded) - 16]
    aligned[: len(s)] = s
    kernel(aligned, Law(law), len(aligned))
    return aligned[: len(s)].copy()


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_law_has_the_same_values_on_floats_arrays_tensors_and_vectors(dtype):
    s = np.linspace(-4, 4, 641).astype(dtype)
    expected = np.array([everything(float(x)) for x in s])
    tolerance = 1e-14 if dtype == "float64" else 1e-6
    for values in (everything(s), everything(torch.from_numpy(s)).numpy(), on_vectors(everything, s)):
        assert distance(values.astype(np.float64), expected) <= tolerance
    out = torch.empty(len(s), dtype=getattr(torch, dtype))
    assert distance(tensorlaws.put(everything, torch.from_numpy(s), out=out).numpy(), expected) <= tolerance


@pytest.mark.parametrize("name", [name for name in primitives.__all__ if name in ("exp", "log1p", "tanh", "sigmoid")])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_elementary_functions_of_vectors_are_those_of_numpy(name, dtype):
    s = np.concatenate([np.linspace(-80, 80, 4001), np.geomspace(1e-30, 80, 400), -np.geomspace(1e-30, 80, 400)])
    s = s[(s > -1) & (s != 0)] if name == "log1p" else s
    s = s.astype(dtype)
    found, expected = on_vectors(getattr(primitives, name), s), getattr(primitives, name)(s.astype(np.float64))
    off = np.abs(found - expected) / (np.abs(expected) if name in ("exp", "log1p") else 1)
    assert off.max() < 4 * np.finfo(dtype).eps
    assert set(vectormath.OWN) == set(tensorlaws.OWN) == set(primitives.__all__)


def as_laws_of_s(t: gn.Transfer, cost: gn.Cost) -> list:
    """The four laws, each as a law of the activity alone."""
    rho, slope, error, error_slope = t.rho, t.slope, cost.error, cost.slope
    return [
        rho,
        lambda s: slope(s, rho(s)),
        lambda s: error(0.3, s, rho(s)),
        lambda s: error_slope(0.3, s, rho(s), slope(s, rho(s))),
    ]


@pytest.mark.parametrize(("dtype", "within"), [("float32", 1e-5), ("float64", 1e-13)])
@pytest.mark.parametrize(("t", "cost"), [(t, "quadratic") for t in TRANSFERS] + [("sigmoid", "cross-entropy")])
def test_the_laws_built_in_have_the_same_values_on_vectors(t, cost, dtype, within):
    s = np.linspace(-6, 6, 640)  # at no bend
    for law in as_laws_of_s(TRANSFERS[t], COSTS[cost]):
        assert distance(on_vectors(law, s.astype(dtype)), law(s) + 0 * s) <= within


def test_what_no_finite_number_goes_into_comes_out_as_ieee_says():
    special = np.array([np.nan, np.inf, -np.inf, -1.0, -2.0])
    with np.errstate(all="ignore"):
        for law in (exp, log1p):
            assert np.array_equal(on_vectors(law, special), law(special), equal_nan=True)


def assert_runs_alike(e: gn.Experiment, engine: str, dtype: str, **options) -> None:
    """An engine does what the reference does."""
    x, y = inputs(e, 3)
    tested, reference = Simulator(running(e), engine, dtype, **options), Simulator(running(e), "reference")
    tested.run(x, y), reference.run(x, y)
    got, expected = of(tested.network), of(reference.network)
    assert max(distance(got[name], expected[name]) for name in expected) <= TOLERANCE[dtype]


COMPILED_ONCE = [("cpu", "float64"), ("torch", "float64"), ("torch", "float32")]  # the cpu engine takes seconds to


OWN = [(*typed, rule) for typed in COMPILED_ONCE for rule in ("difference", "derivative")]


@pytest.mark.parametrize(("engine", "dtype", "rule"), [one for one in OWN if one != ("cpu", "float64", "difference")])
def test_laws_of_ones_own_run_on_every_engine(engine, dtype, rule):
    for model in ("MA", "MB"):
        assert_runs_alike(experiment(model, transfer=own, cost=robust, rule=rule, beta=0.2), engine, dtype)


def test_kernels_with_a_law_of_ones_own_are_not_kept():
    for law, kept in ((TRANSFERS["tanh"].rho, True), (steep, False)):
        argument = numba.typeof(Law(law))
        assert cache._only_built_in((numba.int64, argument, numba.types.Tuple((numba.int64, argument)))) == kept


def test_two_laws_of_one_name_are_two_laws():
    def other(s):
        return sigmoid(3 * s)

    def other_slope(s, r):
        return 3 * r * (1 - r)

    other.__name__ = "steep"
    assert identity(other) != identity(steep)
    s = np.linspace(-2, 2, 9)
    for law in (steep, other, steep):  # by one kernel, compiled for each
        assert distance(on_vectors(law, s), law(s)) < 1e-14
    e = experiment("MB")
    transfers = own, gn.Transfer(other, other_slope)
    networks = [Simulator(running(e.replace(transfer=t)), "torch", "float64") for t in transfers]
    for tested in networks:
        tested.run(*inputs(e, 1))
    assert not same_bits(of(networks[0].network), of(networks[1].network))


def test_numbers_that_a_law_takes_from_outside_belong_to_it():
    def law(steepness):
        def rho(s):
            return sigmoid(steepness * s)

        return rho

    assert identity(law(2.0)) != identity(law(3.0)) and identity(law(2.0)) == identity(law(2.0))
    s = np.linspace(-2, 2, 9)
    assert distance(on_vectors(law(3.0), s), law(3.0)(s)) < 1e-14


def steeper(steepness: float) -> gn.Transfer:
    """A law from a factory: each has the names and the text of all others."""

    def rho(s):
        return sigmoid(steepness * s)

    def slope(s, r):
        return steepness * r * (1 - r)

    return gn.Transfer(rho, slope)


def test_experiments_keep_the_laws_that_they_were_given_whatever_is_given_later():
    experiments = [experiment(transfer=steeper(a)) for a in (1.5, 2.5, 1.5)]
    assert [float(transfer(e.transfer).rho(1.0)) for e in experiments] == [float(sigmoid(a)) for a in (1.5, 2.5, 1.5)]
    assert experiments[0] == experiments[2] != experiments[1]


def test_laws_of_one_text_that_compute_something_else_are_told_apart():
    def with_default(a):
        def rho(s, a=a):
            return a * s

        return rho

    def of(primitive):
        def rho(s):
            return primitive(s)

        return rho

    assert identity(of(tanh)) != identity(of(sigmoid)) and identity(of(tanh)) == identity(of(tanh))
    on_one_line = (lambda s: sigmoid(s), lambda s: sigmoid(s) + 1, lambda s: sigmoid(s) + 2)
    assert len({identity(law) for law in on_one_line}) == 3
    assert identity(with_default(1.0)) != identity(with_default(2.0))
    assert steeper(1.0).describe()["sha256"] != steeper(2.0).describe()["sha256"]


def test_a_built_in_law_given_as_an_object_is_its_name():
    assert experiment(transfer=TRANSFERS["tanh"]).transfer == "tanh"
    assert experiment(transfer=own).transfer == "test_laws:own" and transfer("test_laws:own") is own


@pytest.mark.parametrize(("engine", "dtype"), COMPILED_ONCE)
def test_engines_agree_on_the_cross_entropy(engine, dtype):
    for model in ("MA", "MB"):
        assert_runs_alike(experiment(model, cost="cross-entropy", beta=0.2), engine, dtype)


def test_only_a_plain_difference_takes_the_short_cut_of_one():
    found = {name: tensorlaws.is_difference(cost.error) for name, cost in COSTS.items()}
    assert found == {"quadratic": True, "cross-entropy": False} and not tensorlaws.is_difference(absolute_error)


@pytest.mark.parametrize("changes", [{"transfer": own, "cost": robust}, {"cost": "cross-entropy"}], ids=["own", "not"])
def test_laws_settle_at_equilibrium(changes):
    phases = dict(beta=0.1, free_steps=400, clamped_steps=200)
    e = experiment("MB", init=0.1, batch=1, eta_ghost=(20.0,), **phases, **changes)
    stepped, direct = Simulator(gn.build(e), "cpu", "float64"), Simulator(gn.build(e), "equilibrium", "float64")
    x, y = inputs(e, 1)
    stepped.run(x, y), direct.run(x, y)
    for k in (1, 2):
        assert distance(direct.network.weights.W[k], stepped.network.weights.W[k]) < 1e-4


def test_a_comparison_may_be_the_first_thing_that_torch_computes():
    code = (
        "import torch; from ghostnet.engines.torch import tensorlaws; from ghostnet.model import laws; "
        "tensorlaws.of(laws.hard_sigmoid_slope, torch.ones(3), torch.ones(3))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


PAIRS = [("quadratic", name) for name in (*TRANSFERS, own)] + [(robust, own), ("cross-entropy", "sigmoid")]


@pytest.mark.parametrize(("cost", "transfer"), PAIRS, ids=lambda law: law if isinstance(law, str) else "own")
def test_exact_ghosts_learn_the_gradient_of_autograd_up_to_the_nudge(cost, transfer):
    """For every cost and transfer function, the update of MA with W^gp = B and W^pg = W above is off by O(β)."""
    e = experiment("MA", (8, 7, 6, 4), cost=cost, transfer=transfer, batch=3, init=0.6, dt=0.005)
    network, (x, y) = mirrored(e), inputs(e)
    W, betas, off = [None, *(w[0] for w in network.weights.W[1:])], (1e-2, 1e-3, 1e-4), []
    wanted = autograd(W, x, y, e.transfer, e.cost)
    for beta in betas:
        z = fixed_point(network.weights, x[None], y[None], beta, network.constants)
        now = see(network.weights, z, x[None], y[None], beta, network.constants)
        signal = (post("W", k, now, network.constants)[0] for k in (1, 2, 3))
        update = [d.T @ now.r[k][0] / beta for k, d in enumerate(signal)]
        off.append(max(distance(u, w) for u, w in zip(update, wanted[1:], strict=True)))
    assert order(betas, off) == pytest.approx(1, abs=0.1) and off[-1] < 0.01


def test_the_laws_built_in_are_what_they_ask_of_others():
    for law in (*TRANSFERS.values(), *COSTS.values()):
        law.check()


def wrong_slope(s, r):
    return r * (1 - r)


def unknown_function(s):
    return np.tanh(s)


def misspelt(s):
    return sigmiod(s)  # noqa: F821


def gap(s):
    return log1p(s)


@pytest.mark.parametrize(
    ("rho", "slope", "text"),
    [
        (steep, wrong_slope, "slope wrong_slope of transfer steep: "),
        (unknown_function, wrong_slope, "unknown_function: np is neither a number nor a function made of primitives"),
        (misspelt, wrong_slope, "misspelt: sigmiod is not defined in its module"),
        (gap, wrong_slope, "slope wrong_slope of transfer gap: "),
        (math.tanh, wrong_slope, "expected a law as a Python function"),
        (3, wrong_slope, "3: expected a law as a Python function"),
    ],
)
def test_what_is_no_law_or_has_a_wrong_slope_is_refused_by_name(rho, slope, text):
    assert text in refusal(ConfigError, gn.Transfer, rho, slope)


@pytest.mark.parametrize(
    ("laws", "text"),
    [
        ((absolute, squared_error_descent, absolute_slope), "error squared_error_descent of cost absolute: "),
        ((absolute, absolute_error, squared_error_slope), "slope squared_error_slope of cost absolute: "),
        ((absolute, unknown_function, absolute_slope), "np is neither a number nor a function"),
    ],
)
def test_a_cost_with_a_wrong_derivative_is_refused_by_name(laws, text):
    assert text in refusal(ConfigError, gn.Cost, *laws)


def test_a_cost_made_for_another_transfer_function_is_refused():
    text = refusal(ConfigError, experiment, cost="cross-entropy", transfer="tanh")
    assert "cost = cross-entropy: made for transfer = sigmoid, not tanh" in text
