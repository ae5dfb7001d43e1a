"""What an engine is given to hold: a network that fits its experiment, or one line that says where it does not."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from builders import examples, experiment, inputs, noise, of, refusal, running, same_bits

from ghostnet import ConfigError, GhostnetError, Network, Simulator, build, gradcheck, train
from ghostnet.model.equations import Weights

SIZES = (20, 30, 25, 6)


SPOILED = [  # symbol, k, what becomes of the array, the text
    ("W", 1, lambda a: a[:1, :1, :1], "W[1] has shape (1, 1, 1): expected (2, 30, 20)"),
    ("W", 2, lambda a: a.mT, "W[2] has shape (2, 30, 25): expected (2, 25, 30)"),
    ("W", 3, lambda a: a[0], "W[3] has shape (6, 25): expected (2, 6, 25)"),
    ("B", 1, lambda a: a[..., :1], "B[1] has shape (2, 30, 1): expected (2, 30, 25)"),
    ("W_pg", 2, lambda a: a[:, :1], "W_pg[2] has shape (2, 1, 25): expected (2, 3, 25)"),
    ("W_gp", 1, lambda a: a[:, 0], "W_gp[1] has shape (2, 30, 5): expected (2, 7, 30, 5)"),
    ("s", 1, lambda a: a[:, :1], "s[1] has shape (2, 1, 30): expected (2, 7, 30)"),
    ("g", 2, lambda a: 0.0, "g[2] has shape (): expected (2, 7, 3)"),
    ("W", 1, lambda a: a.astype(str), "W[1] holds <U32: expected numbers"),
    ("W", 2, lambda a: a + 0j, "W[2] holds complex128: expected numbers"),
    ("W_pg", 1, lambda a: None, "W_pg[1] holds object: expected numbers"),
    ("W", 2, lambda a: np.where(a == a[1, 3, 4], np.nan, a), "W[2][1, 3, 4] is nan: expected finite numbers"),
    ("s", 3, lambda a: np.where(a == a[1, 3, 4], -np.inf, a), "s[3][1, 3, 4] is -inf: expected finite numbers"),
    ("W", 1, lambda a: a * 1e40, "expected finite numbers from -3.40282e+38 to 3.40282e+38"),
]  # fmt: skip


@pytest.mark.parametrize("engine", ["cpu", "torch"])
@pytest.mark.parametrize(
    ("symbol", "k", "spoil", "text"), SPOILED, ids=lambda value: None if callable(value) else str(value)[:30]
)
def test_a_network_that_does_not_fit_its_experiment_is_refused_where_it_meets_an_engine(engine, symbol, k, spoil, text):
    network = running(experiment("MB", SIZES, seeds=(0, 1)))
    arrays = getattr(network.weights if symbol[0] in "WB" else network.state, symbol)
    arrays[k] = spoil(arrays[k])
    assert text in refusal(ConfigError, Simulator, network, engine)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda n: n.weights.W.pop(), "W has 3 slots: expected 4"),
        (lambda n: n.state.g.append(1), "g has 4 slots: expected 3"),
        (lambda n: setattr(n, "weights", n.weights._replace(W_gp=n.weights.W_gp[1])), "W_gp has 0 slots"),
        (lambda n: setattr(n, "weights", tuple(n.weights)), "expected a ghostnet.model.equations.Weights"),
        (lambda n: setattr(n, "state", None), "expected a ghostnet.model.equations.State"),
        (lambda n: setattr(n, "presentations", -1), "presentations = -1"),
        (lambda n: setattr(n, "presentations", 0.5), "presentations = 0.5"),
        (lambda n: setattr(n, "experiment", n.experiment.replace(batch=3)), "W_gp[1] has shape (1, 7, 30, 5)"),
        (lambda n: setattr(n, "experiment", n.experiment.replace(seeds=(1, 2))), "W[1] has shape (1, 30, 20)"),
    ],
)
def test_a_network_whose_parts_do_not_go_together_is_refused(change, text):
    network = running(experiment("MB", SIZES))
    change(network)
    assert text in refusal(ConfigError, Simulator, network, "reference")


ANYTHING = [
    None, "mb-500-tf", b"x", -1, 1.5, math.nan, 10**30, True, [], [1], {}, (), object(), np.zeros(3), np.array("x"),
    np.zeros((7, 9, 9)), np.array(None), np.datetime64("2020"), 1j, slice(None), len, {1}, range(3), np.int8(1),
    torch.zeros(3),
    np.ma.masked_array([1.0], [True]), experiment("MB", SIZES),
]  # fmt: skip


@pytest.mark.parametrize("value", ANYTHING, ids=lambda value: repr(value)[:20])
def test_whatever_is_given_in_the_place_of_something_else_is_taken_or_refused_in_one_line(value):
    e = experiment("MB", SIZES)
    network, (x, y), images = running(e), inputs(e), noise(e)
    tested = Simulator(network, "reference")
    calls = [
        lambda: build(value),
        lambda: tested.present(value, y),
        lambda: tested.run(x[None], value),
        lambda: tested.run_examples(images, value),
        lambda: tested.run_examples(value, np.zeros((1, 1, e.batch), int)),
        lambda: tested.evaluate(value),
        lambda: gradcheck(value, x, y),
        lambda: gradcheck(network, value, y),
        lambda: gradcheck(network, x, y, causes=False, dtype=value),
        lambda: train(e.replace(data="nowhere"), progress=False, record=value),
    ]
    calls += [
        lambda name=name: tested.record(x, y, **{name: value})
        for name in (
            "variables",
            "units",
            "every",
            "runs",
            "examples",
            "weights",
            "weights_at",
            "presentations",
            "from_epoch",
        )
    ]
    calls += [lambda name=name: Simulator(network, **{name: value}) for name in ("engine", "dtype", "threads")]
    calls += [lambda name=name: Simulator(network, "torch", **{name: value}) for name in ("device", "per_run")]
    calls += [lambda name=name: Simulator(spoiled(network, name, value), "reference") for name in vars(network)]
    for call in calls:
        try:
            call()
        except GhostnetError as error:
            assert len(str(error).splitlines()) == 1


def spoiled(network: Network, name: str, value) -> Network:
    """A network with something else for one of its attributes."""
    return Network(**(vars(network) | {name: value}))


@pytest.mark.parametrize("wrong", ["mb-500-tf", None, experiment("MB", SIZES)])
def test_what_is_no_network_is_refused(wrong):
    assert "expected what `ghostnet.build` gives" in refusal(ConfigError, Simulator, wrong, "reference")


def test_what_is_no_experiment_and_no_data_set_is_refused():
    assert "experiment is a str: expected an Experiment" in refusal(ConfigError, build, "mb-500-tf")
    tested = Simulator(build(experiment("MB", SIZES)), "reference")
    assert "data set is a str: expected what `ghostnet.dataset` gives" in refusal(ConfigError, tested.evaluate, "mnist")


@pytest.mark.parametrize("engine", ["cpu", "torch", "reference"])
def test_weights_of_any_number_type_and_layout_are_the_same_weights(engine):
    e = experiment("MB", SIZES, feedback="FA")
    plain, odd = running(e), running(e)
    for network in (plain, odd):
        for array in of(network).values():
            array[...] = np.round(array, 1).astype(np.float32)
    w = odd.weights
    odd.weights = Weights(
        [None, *(a[::-1].copy()[::-1] for a in w.W[1:])], [None, *(a.astype(np.float32) for a in w.B[1:])],
        tuple(w.W_pg), [None, *(np.flip(np.flip(a, -1).copy(), -1) for a in w.W_gp[1:])],
    )  # fmt: skip
    ends = []
    for network in (plain, odd):
        tested = Simulator(network, engine, "float64")
        tested.run(*inputs(e, 2))
        ends.append(of(tested.network))
    assert same_bits(*ends)


@pytest.mark.parametrize("engine", ["cpu", "torch", "reference"])
def test_under_TF_the_weights_decide_whatever_stands_in_B(engine):
    """A baseline's network, or one whose W was replaced, holds a B that is not W^T."""
    e = experiment("MB", SIZES)
    tied, loose = running(e), running(e)
    tied.weights.W[2][...] += 0.1
    loose.weights.W[2] = loose.weights.W[2] + 0.1
    ends = []
    for network in (tied, loose):
        untouched = copy.deepcopy(of(network))
        tested = Simulator(network, engine, "float64")
        tested.run(*inputs(e, 2))
        ends.append(of(tested.network))
        assert same_bits(of(network), untouched)
    assert same_bits(*ends)
    x, y = examples(e)
    assert gradcheck(tied, x, y, causes=False).text() == gradcheck(loose, x, y, causes=False).text()


def test_replaced_settings_leave_weights_and_activities_as_they_are_and_share_none():
    net = build(experiment("MB", SIZES, batch=7, seeds=(0, 1)))
    net.presentations = 3
    other = net.replace(beta=0.5)
    assert (other.experiment, other.presentations) == (net.experiment.replace(beta=0.5), 3)
    assert same_bits(of(other), of(net))
    other.weights.W_pg[1][:] = 0.0
    assert np.all(net.weights.W_pg[1] != 0)
    with pytest.raises(ConfigError, match=r"W_gp\[1\] has shape \(2, 7, 30, 5\): expected \(2, 8, 30, 5\)"):
        net.replace(batch=8)
