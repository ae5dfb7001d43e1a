"""Runs with constants of their own: whatever looks at one of them takes its constants, not those of the experiment."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from builders import experiment, inputs, of, refusal, running, same_bits, tiny

from ghostnet import ConfigError, DivergenceError, Recorder, Simulator, open_trace, train
from ghostnet.engines import EXPLODED, create
from ghostnet.model.experiment import from_toml
from ghostnet.model.network import select
from ghostnet.runs import flight

SIZES = (20, 30, 6)


def diverged(tmp_path) -> tuple[Simulator, DivergenceError, tuple]:
    """An ensemble whose second run alone diverges, by its own constants, and and at what; see diverged.h5."""
    e = experiment("MB", SIZES, seeds=(4, 9))
    own = {"beta": [0.5, 0.4], "dt": [0.002, 0.004], "eta": [e.eta, (1e9, 1e9)]}
    tested = Simulator(running(e), "torch", "float64", per_run=own)
    x, y = inputs(e, 9, 2)
    with pytest.raises(DivergenceError) as caught:
        tested.run(x, y)
    at = tested.presentations
    assert caught.value.divergence.run == 1 and at > 0
    said = flight.write(tested, x[at], y[at], caught.value, tmp_path / "diverged.h5")
    assert str(tmp_path / "diverged.h5") in said
    return tested, caught.value, (x[at], y[at])


def test_the_last_steps_before_a_divergence_are_those_of_the_run_that_diverged(tmp_path):
    tested, _, (x, y) = diverged(tmp_path)
    trace, own = open_trace(tmp_path / "diverged.h5"), tested.experiment.replace(beta=0.4, dt=0.004, eta=(1e9, 1e9))
    alone = create("reference", select(tested.network, [1], own.replace(seeds=(9,))), "float64", 1)
    alone.begin(x[1:], y[1:])
    alone.advance(0, 1)
    assert trace.run.to_numpy().tolist() == [1] and np.allclose(trace.s_1[0, 0], alone.export()[1].s[1][0], rtol=1e-8)
    assert float(np.abs(trace.s_1).max()) > EXPLODED
    assert from_toml(trace.attrs["config_toml"]) == own and np.allclose(np.diff(trace.time), own.dt)


def test_the_advice_is_the_run_s_own(tmp_path):
    _, error, _ = diverged(tmp_path)
    assert "seed 9" in str(error) and "try dt = 0.002 or eta = 2.5e+08 2.5e+08" in str(error)


def test_gradient_figures_are_those_of_every_run_with_its_own_constants(task):
    e = tiny(task, epochs=0, seeds=(0, 1))
    own = {"beta": [0.05, 0.4], "dt": [0.005, 0.002], "eta_ghost": [(20.0,), (5.0,)]}
    how = dict(engine="torch", dtype="float64", progress=False, gradcheck_every=1, gradcheck_examples=5)
    together = train(e, per_run=own, **how).metrics
    for run, row in enumerate(together):
        constants = {name: values[run] for name, values in own.items()}
        (alone,) = train(e.replace(seeds=(run,), **constants), **how).metrics
        figures = [name for name in row if name.startswith("gradient_")]
        assert figures and all(row[name] == pytest.approx(alone[name], rel=1e-5) for name in figures)


def test_a_run_whose_gradient_check_diverges_leaves_those_of_the_others(task, caplog):
    e = tiny(task, epochs=0, seeds=(0, 1))
    own = {"eta_ghost": [(20.0,), (1e9,)]}
    with caplog.at_level(logging.WARNING, "ghostnet"):
        rows = train(e, engine="torch", per_run=own, progress=False, gradcheck_every=1, gradcheck_examples=5).metrics
    assert rows[0]["gradient_error_all"] is not None and rows[1]["gradient_error_all"] is None
    assert any("gradient check left out" in record.getMessage() for record in caplog.records)


def test_a_phase_that_ends_too_early_is_looked_for_with_the_constants_of_the_run(task, caplog):
    """With the experiment's dt, the free phase would seem too short by far."""
    e = tiny(task, dt=1e-5, epochs=0)
    with caplog.at_level(logging.WARNING, "ghostnet"):
        train(e, engine="torch", per_run={"dt": [0.005]}, progress=False)
    assert not caplog.records
    with caplog.at_level(logging.WARNING, "ghostnet"):
        train(e, engine="torch", progress=False)
    assert "free_steps" in caplog.text


def test_a_copy_of_an_ensemble_keeps_the_constants(tmp_path):
    tested, *_ = diverged(tmp_path)
    again = Simulator(tested.network, **tested.settings)
    x, y = inputs(tested.experiment)
    for simulator in (tested, again):
        with pytest.raises(DivergenceError):
            simulator.present(x, y)
    assert same_bits(of(again.network), of(tested.network)) and again.experiments == tested.experiments


def test_a_record_has_the_time_of_the_runs_recorded(tmp_path):
    e = experiment("MB", SIZES, seeds=(0, 1, 2))
    tested = Simulator(running(e), "torch", "float64", per_run={"dt": [0.002, 0.004, 0.004]})
    x, y = inputs(e)
    for runs, dt in (([0], 0.002), ([1, 2], 0.004)):
        trace = tested.record(x, y, learn=False, runs=runs)
        assert np.allclose(trace.time, dt * np.arange(1, 21))
        assert np.allclose(tested.record(x, y, learn=False, runs=runs, weights=("W_1",)).snapshot, [20 * dt])
    text = refusal(ConfigError, tested.record, x, y)
    assert "dt" in text and "no time axis in common" in text
    with pytest.raises(ConfigError, match="no time axis"), tested.recording(Recorder(), tmp_path / "t.h5"):
        pass


def test_settings_of_numpys_types_can_be_written_down(tmp_path):
    e = experiment("MB", SIZES, seeds=(0, 1))
    own = {"beta": np.array([0.1, 0.2]), "eta": np.full((2, 2), 0.5, np.float32)}
    tested = Simulator(running(e), "torch", threads=np.int64(1), per_run=own, fast_matmul=np.bool_(False))
    assert json.loads(json.dumps(tested.settings))["per_run"] == {"beta": [0.1, 0.2], "eta": [[0.5, 0.5], [0.5, 0.5]]}
    with tested.recording(Recorder(), tmp_path / "t.h5"):
        tested.present(*inputs(e))
