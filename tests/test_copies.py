"""Simulators, networks and what else is held in hand can be copied and pickled: a copy is another of the same."""

from __future__ import annotations

import copy
import pickle

import pytest
from builders import experiment, inputs, of, running, same_bits, tiny, two_runs

from ghostnet import DivergenceError, Experiment, Recorder, Simulator, train
from ghostnet.engines import ENGINES, create

SIZES = (20, 30, 6)
each_engine = pytest.mark.parametrize("engine", ENGINES)
each_copy = pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))],
    ids=["copy", "deep", "pickle"],
)


@each_engine
@each_copy
def test_a_copy_goes_on_as_the_original_and_neither_touches_the_other(engine, copied):
    original = two_runs(engine)
    x, y = inputs(original.experiment, 4)
    original.run(x[:2], y[:2])
    twin = copied(original)
    assert twin.settings == original.settings and twin.presentations == 2
    before = of(original.network)
    twin.run(x[2:], y[2:])
    assert same_bits(of(original.network), before)
    original.run(x[2:], y[2:])
    assert same_bits(of(original.network), of(twin.network)) and not same_bits(of(twin.network), before)


def test_a_copy_of_a_simulator_that_is_recorded_is_not_recorded(tmp_path):
    original = two_runs("reference")
    x, y = inputs(original.experiment)
    with original.recording(Recorder(), tmp_path / "t.h5", learn=False):
        twin = copy.deepcopy(original)
        twin.present(x, y)
    assert twin.presentations == 1 and list(tmp_path.iterdir()) == []


def test_an_engine_by_itself_is_not_copied_for_its_arrays_would_lose_their_place():
    with pytest.raises(TypeError, match="Simulator"):
        copy.deepcopy(create("cpu", running(experiment("MB", SIZES)), "float64", 1))


@each_copy
def test_what_is_given_and_returned_can_be_copied(copied, task):
    e = experiment("MB", SIZES, seeds=(0, 1))
    network, recorder = running(e), Recorder(("s", "e_1"), units={"unit_1": slice(8)}, presentations=slice(0, 9, 2))
    assert copied(e) == e and isinstance(copied(e), Experiment)
    assert same_bits(of(copied(network)), of(network)) and copied(network).experiment == e
    assert copied(recorder) == recorder
    trained = train(tiny(task, epochs=0), progress=False)
    assert copied(trained).metrics == trained.metrics
    assert same_bits(of(copied(trained).network), of(trained.network))


@each_copy
def test_a_copied_network_whose_weights_are_changed_is_stepped_with_the_new_ones_alone(copied):
    """Under TF, B is W_{k+1}^T: a copy of the network holds it as an array of its own."""
    e = experiment("MB", SIZES)
    whole, changed = running(e), copied(running(e))
    whole.weights.W[2][...] *= 1.5
    changed.weights.W[2] = changed.weights.W[2] * 1.5
    ends = []
    for network in (whole, changed):
        tested = Simulator(network, "cpu", "float64")
        tested.run(*inputs(e, 2))
        ends.append(of(tested.network))
    assert same_bits(*ends)


def test_divergence_travels_between_processes_with_its_place():
    e = experiment("MB", SIZES, eta=(1e9, 1e9), seeds=(4, 9))
    tested = Simulator(running(e), "reference")
    with pytest.raises(DivergenceError) as caught:
        tested.run(*inputs(e, 9))
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and again.divergence == caught.value.divergence
