"""What a record promises: the network is not touched, and a row is what the equations say at its time."""

from __future__ import annotations

import numpy as np
import pytest
from builders import distance, euler, experiment, inputs, of, refusal, running, same_bits, tiny

from ghostnet import ConfigError, DivergenceError, FileError, Recorder, Simulator, build, open_trace, train
from ghostnet.model.equations import errors, rates
from ghostnet.model.models import MODELS
from ghostnet.traces import recording

SIZES = (20, 30, 25, 6)
ALL = dict(variables=("s", "r", "g", "e", "drive"), weights=("W", "B", "W_pg", "W_gp"))
KINDS = [("cpu", "float32"), ("cpu", "float64"), ("reference", "float64"), ("torch", "float64")]

each_model = pytest.mark.parametrize("model", MODELS)
each_engine = pytest.mark.parametrize(("engine", "dtype"), KINDS)


@each_engine
@each_model
@pytest.mark.parametrize(
    "what", [dict(variables=("s",)), ALL, ALL | dict(every=7, weights_at=(1, 5, 12, 20))], ids=["s", "all", "some"]
)
def test_a_recorded_presentation_leaves_the_network_as_an_unrecorded_one(engine, dtype, model, what):
    e = experiment(model, SIZES, seeds=(0, 4))
    x, y = inputs(e)
    recorded, plain = (Simulator(running(e), engine, dtype) for _ in range(2))
    for _ in range(2):
        recorded.record(x, y, **what)
        plain.present(x, y)
    assert same_bits(of(recorded.network), of(plain.network)) and recorded.presentations == plain.presentations == 2


@each_model
@pytest.mark.parametrize("feedback", ["TF", "FA"])
@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("engine", ["cpu", "torch"])
def test_every_row_of_an_engine_is_that_of_the_reference(engine, model, feedback, every):
    e = experiment(model, SIZES, seeds=(0, 4), feedback=feedback)
    x, y = inputs(e)
    ours, page = (
        Simulator(running(e), kind, "float64").record(x, y, every=every, weights_at=(3, 12, 20), **ALL)
        for kind in (engine, "reference")
    )
    assert ours.sizes == page.sizes and len(ours.data_vars) == 25 - 2 * 1
    for name in page.data_vars:
        assert distance(ours[name].to_numpy(), page[name].to_numpy()) < 1e-10, name


@each_model
def test_a_row_is_the_state_after_its_step_and_what_follows_from_it(model):
    e = experiment(model, SIZES)
    network, (x, y) = running(e), inputs(e)
    trace = Simulator(network, "cpu", "float64").record(x, y, **ALL)
    assert np.array_equal(trace.step, np.arange(1, 21)) and np.allclose(trace.time, trace.step * e.dt, rtol=1e-15)
    assert np.array_equal(trace.phase, [0] * e.free_steps + [1] * e.clamped_steps)
    assert np.array_equal(trace.label[7, 0], y.argmax(-1))
    w, z, c = network.weights, network.state, network.constants
    for step in range(20):
        phase = int(step >= e.free_steps)
        beta = e.beta * phase
        w, z = euler(w, z, x[None], y[None], beta, c, e.acting(phase), 1)
        r, rho_g = rates(z, x[None], c)
        expected = {"s": z.s, "g": z.g, "r": r, "e": errors(w, z, r, rho_g, y[None], beta, c)}
        for symbol, k in (("s", 1), ("s", 3), ("g", 2), ("r", 2), ("e", 1), ("e", 3)):
            got = trace[f"{symbol}_{k}"][step].to_numpy()
            assert np.allclose(got, expected[symbol][k], rtol=1e-10, atol=1e-12), (symbol, k, step)
        drive = r[1] @ w.W[2].mT
        assert np.allclose(trace.drive_2[step], drive, rtol=1e-10)


@each_engine
def test_fewer_rows_units_examples_and_runs_are_those_of_the_whole_record(engine, dtype):
    e = experiment("MA", SIZES, seeds=(0, 4, 2))
    x, y = inputs(e)
    whole, part = Simulator(running(e), engine, dtype), Simulator(running(e), engine, dtype)
    everything = whole.record(x, y, **ALL)
    units = {"unit_1": [7, 3, 4], "ghost_2": slice(1, 3), "unit_0": slice(2, None, 5)}
    some = part.record(x, y, units=units, every=5, runs=[2, 0], examples=slice(1, 7, 2), **ALL)
    assert some.step.to_numpy().tolist() == [5, 10, 12, 17, 20]  # the last of each phase has a row
    chosen = {"run": [2, 0], "example": [1, 3, 5], "unit_1": [7, 3, 4], "ghost_2": [1, 2], "unit_0": [2, 7, 12, 17]}
    for name in everything.data_vars:
        rows = {"time": [4, 9, 11, 16, 19]} if "time" in everything[name].dims else {}
        expected = everything[name].isel({a: i for a, i in (chosen | rows).items() if a in everything[name].dims})
        assert np.array_equal(some[name], expected), name


@each_engine
@each_model
def test_without_learning_the_network_stays_as_it_was_and_the_rows_are_the_same(engine, dtype, model):
    e = experiment(model, SIZES)
    x, y = inputs(e)
    tested, learning = Simulator(running(e), engine, dtype), Simulator(running(e), engine, dtype)
    before = of(tested.network)
    given_up, kept = tested.record(x, y, learn=False, **ALL), learning.record(x, y, **ALL)
    assert same_bits(of(tested.network), before) and tested.presentations == 0
    assert all(np.array_equal(given_up[name], kept[name]) for name in kept.data_vars)


@pytest.mark.parametrize("small", [40_000, 150_000])
def test_a_record_does_not_depend_on_how_it_is_cut(monkeypatch, tmp_path, small):
    e = experiment("MB", SIZES, seeds=(0, 1))
    xs, ys = inputs(e, 5)
    whole, cut = (Simulator(running(e)) for _ in range(2))
    with whole.recording(Recorder(("s", "e")), tmp_path / "whole.h5"):
        whole.run(xs, ys)
    monkeypatch.setattr(recording, "SEGMENT_BYTES", small)
    with cut.recording(Recorder(("s", "e")), tmp_path / "cut.h5") as files:
        for i in range(0, 5, 2):
            cut.run(xs[i : i + 2], ys[i : i + 2])
    assert len(files.paths) > 2 and same_bits(of(whole.network), of(cut.network))
    one, many = open_trace(tmp_path / "whole.h5"), open_trace(tmp_path / "cut.h5")
    assert one.sizes["time"] == 100 and one.drop_attrs().equals(many.drop_attrs())


@pytest.mark.parametrize("weights", [(), ("W_2",)])
def test_only_the_presentations_asked_for_are_recorded(tmp_path, weights):
    e = experiment("MB", SIZES)
    xs, ys = inputs(e, 9)
    tested, plain = Simulator(build(e)), Simulator(build(e))
    plain.run(xs, ys)
    with tested.recording(Recorder(("s",), presentations=slice(2, 8, 3), weights=weights), tmp_path / "t.h5"):
        tested.run(xs[:4], ys[:4])
        tested.run(xs[4:], ys[4:])
    trace = open_trace(tmp_path / "t.h5")
    assert sorted(set(trace.presentation.to_numpy().tolist())) == [2, 5]
    assert np.array_equal(trace.step[[0, 19, 20]], [41, 60, 101]) and same_bits(of(tested.network), of(plain.network))
    assert np.array_equal(trace.label[::20, 0], ys[[2, 5]].argmax(-1))


@pytest.mark.parametrize("weights", [(), ("W_2",)])
def test_a_divergence_while_recording_leaves_the_network_as_before_that_presentation(tmp_path, weights):
    e = experiment("MB", SIZES, seeds=(0, 1), eta=(1e5,) * 3)  # activities grow to bounds by and by
    xs, ys = inputs(e, 6)
    tested, plain = Simulator(running(e)), Simulator(running(e))
    with pytest.raises(DivergenceError):
        plain.run(xs, ys)
    with tested.recording(Recorder(weights=weights), tmp_path / "t.h5"), pytest.raises(DivergenceError):
        tested.run(xs, ys)
    assert 0 < tested.presentations == plain.presentations and same_bits(of(tested.network), of(plain.network))
    assert open_trace(tmp_path / "t.h5").sizes["time"] == tested.presentations * 20


def test_training_recorded_is_training_unrecorded_with_its_examples_named(task, tmp_path):
    e = tiny(task, "MA", epochs=3, seeds=(0, 1))
    plain = train(e).network
    record = Recorder(("e_1", "s_2"), every=10, from_epoch=3)
    recorded = train(e, tmp_path / "run", record=record).network
    assert same_bits(of(plain), of(recorded))
    trace = open_trace(tmp_path / "run" / "traces" / "presentation-0.h5")
    assert set(trace.epoch.to_numpy().tolist()) == {3}
    assert sorted(set(trace.presentation.to_numpy().tolist())) == list(range(16, 24))
    for run in (0, 1):  # every example once; classes are those of conftest.task
        shown = trace.example_index[::8, run].to_numpy().ravel()
        assert sorted(shown.tolist()) == list(range(80))
        assert np.array_equal(trace.label[::8, run].to_numpy().ravel(), shown % 4)


@pytest.mark.parametrize("engine", ["cpu", "reference", "equilibrium"])
def test_the_flight_recorder_keeps_the_steps_up_to_the_explosion(task, tmp_path, engine):
    e = tiny(task, eta=(1e9, 1e9))
    with pytest.raises(DivergenceError) as caught:
        train(e, tmp_path / "run", engine=engine)
    path = tmp_path / "run" / "traces" / "diverged.h5"
    assert str(caught.value).endswith(f"its last steps are in {path}")
    trace = open_trace(path)
    beyond = [np.abs(trace[f"s_{k}"]).max(trace[f"s_{k}"].dims[1:]).to_numpy() > 1e6 for k in (1, 2)]
    first = np.flatnonzero(beyond[0] | beyond[1])
    assert {"s_1", "r_1", "g_1", "e_1", "e_2"} <= set(trace.data_vars) and trace.epoch[0] == 1
    assert len(first) == 0 or first[0] >= trace.sizes["time"] - 6
    assert len(first) or engine == "equilibrium"


REFUSED = [
    (dict(variables=("q",)), "unknown variable 'q'"),
    (dict(variables=("g_3",)), "unknown variable 'g_3'"),
    (dict(variables=()), "expected at least one"),
    (dict(every=0), "every = 0"),
    (dict(units=[6]), "units of unit_3 = [6]: expected different places from 0 to 5"),
    (dict(units=slice(40, 50)), "expected different places"),
    (dict(units={"unit_9": [0]}), "unknown axis of units 'unit_9'"),
    (dict(runs=[1]), "runs = [1]"),
    (dict(examples=[0, 0]), "examples = [0, 0]"),
    (dict(weights=("W_4",)), "unknown variable 'W_4'"),
    (dict(weights=("W",), weights_at=(21,)), "weights_at = 21: expected an integer from 1 to 20"),
    (dict(presentations=slice(-1, None)), "presentations"),
]


@pytest.mark.parametrize(("what", "text"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_an_impossible_record_is_refused_before_anything_is_stepped(what, text):
    e = experiment("MB", SIZES)
    tested = Simulator(build(e))
    assert text in refusal(ConfigError, tested.record, *inputs(e), **what)
    assert tested.presentations == 0


def test_what_has_no_time_course_is_not_recorded():
    tested = Simulator(build(experiment("MB", SIZES)), "equilibrium")
    assert "no time course" in refusal(ConfigError, tested.record, *inputs(tested.experiment))


def test_what_could_not_be_written_is_as_if_it_had_not_been_presented(tmp_path, monkeypatch):
    e = experiment("MB", SIZES)
    xs, ys = inputs(e, 6)
    tested, plain = Simulator(running(e)), Simulator(running(e))
    plain.run(xs[:2], ys[:2])
    monkeypatch.setattr(recording, "SEGMENT_BYTES", 100_000)
    with pytest.raises(FileError), tested.recording(Recorder(), tmp_path / "later" / "t.h5"):
        tested.run(xs[:2], ys[:2])  # fits
        with pytest.raises(FileError):
            tested.run(xs[2:], ys[2:])
        assert tested.presentations == 2 and same_bits(of(tested.network), of(plain.network))


def test_a_record_in_memory_that_takes_long_is_that_of_a_quick_one(monkeypatch):
    e = experiment("MB", SIZES)
    x, y = inputs(e)
    quick = Simulator(running(e), "reference").record(x, y, weights=("W_2",), weights_at=(3, 7, 13, 20))
    monkeypatch.setattr(recording, "SEGMENT_SECONDS", -1.0)
    slow = Simulator(running(e), "reference").record(x, y, weights=("W_2",), weights_at=(3, 7, 13, 20))
    assert slow.equals(quick)
