"""A baseline that was stopped or killed goes on as if it had never been."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
from builders import assert_same_end, refusal, tiny

from ghostnet import ConfigError, Recorder, Stopped, baselines, resume
from ghostnet.baselines import Baseline
from ghostnet.baselines.learner import Learner
from ghostnet.cli.main import main
from ghostnet.runs import checkpoint

RUNS = [
    ("BP", {}),
    ("DFA", {"optimizer": "rmsprop", "learning_rate": 0.01, "train_scores": "during"}),
    ("FA", {"optimizer": "rmsprop", "learning_rate": 0.01, "momentum": 0.9, "dropout": 0.2}),
    ("DTP", {"momentum": 0.9, "feedback_noise": 0.2}),
    ("frSF", {"momentum": 0.5, "adversarial": 0.1}),
    ("IFA", {"clip": 1.0, "noise": 0.5}),
    ("DTP", {"clip": 1.0, "target_epsilon": 9.0, "dropout": 0.2}),
    ("brSF", {"frozen": 1, "bias": True}),
    ("KP", {"momentum": 0.9, "weight_decay": 0.01}),
    ("WM", {"dropout": 0.1}),
    ("FA", {"bias": True, "optimizer": "adam", "learning_rate": 0.01, "weight_decay": 0.1, "lr_schedule": "cosine"}),
    ("DTP", {"bias": True, "optimizer": "adamw", "learning_rate": 0.01, "lr_schedule": "step", "lr_step_epochs": 2}),
]


def of_three_hidden_layers(task):
    rates = {"eta": (1, 1, 1, 1), "eta_ghost": (1, 1, 1)}
    return tiny(task, sizes=(16, 12, 9, 7, 4), ghosts=(3, 3, 3), epochs=4, batch=4, seeds=(3, 1), **rates)


def stop_in_step(monkeypatch, number):
    """Send this process a signal in the course of the `number`-th step from now."""
    step, left = Learner.step, [number]

    def counting(self, *batch):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, *batch)

    monkeypatch.setattr(Learner, "step", counting)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("method", "settings"), RUNS)
def test_a_stopped_baseline_goes_on_to_the_same_bits(task, tmp_path, monkeypatch, method, settings, dtype):
    if "clip" in settings:
        pytest.importorskip("opacus")
    e, settings = of_three_hidden_layers(task), {"learning_rate": 0.1, "dtype": dtype} | settings
    whole = baselines.train(method, e, **settings)
    for steps in (7, 47):  # of 80: in the first epoch and in the third
        out = tmp_path / str(steps)
        with monkeypatch.context() as patch:
            stop_in_step(patch, steps)
            with pytest.raises(Stopped, match="ghostnet resume"):
                baselines.train(method, e, out, **settings)
        status = json.loads((out / "status.json").read_text())
        assert status["status"] == "stopped" and status["epoch"] == (steps - 1) // 20
        assert (out / "checkpoints" / status["checkpoint"]).exists()
        assert_same_end(resume(out), out, whole)


def test_the_command_line_resumes_baselines_too(task, tmp_path, monkeypatch):
    e, out = of_three_hidden_layers(task), tmp_path / "run"
    whole = baselines.train("DFA", e, learning_rate=0.1)
    with monkeypatch.context() as patch:
        stop_in_step(patch, 30)
        with pytest.raises(Stopped):
            baselines.train("DFA", e, out, learning_rate=0.1)
    assert main(["resume", str(out), "--quiet"]) == 0
    found = checkpoint.newest(out)
    trained = whole.network.weights.W
    assert all(np.array_equal(a, b) for a, b in zip(found.weights.W[1:], trained[1:], strict=True))
    assert found.experiment == e


def test_without_hidden_layers_or_checkpoints_a_baseline_goes_on_too(task, tmp_path):
    e = tiny(task, "MA", sizes=(16, 4), ghosts=(), eta=(1,), eta_ghost=())
    whole = baselines.train("BP", e, tmp_path, learning_rate=0.1)
    newest = tmp_path / "checkpoints" / "epoch-0002.h5"
    newest.write_bytes(newest.read_bytes()[:-1])
    assert_same_end(resume(tmp_path), tmp_path, whole)
    for path in (tmp_path / "checkpoints").iterdir():
        path.unlink()
    assert_same_end(resume(tmp_path), tmp_path, whole)


def test_what_only_a_simulator_can_do_is_refused_for_a_baseline_in_one_line(task, tmp_path):
    baselines.train("BP", tiny(task, epochs=0), tmp_path, learning_rate=0.1)
    assert "record: a baseline has no" in refusal(ConfigError, resume, tmp_path, record=Recorder(("s",)))


@pytest.mark.parametrize(("method", "settings"), [run for run in RUNS if "clip" not in run[1]])
def test_a_baseline_goes_on_within_an_epoch(task, tmp_path, monkeypatch, method, settings):
    e, settings = of_three_hidden_layers(task), {"learning_rate": 0.1} | settings
    whole = baselines.train(method, e, **settings)
    stop_in_step(monkeypatch, 23)  # of 20 in an epoch
    with pytest.raises(Stopped):
        baselines.train(method, e, tmp_path, **settings)
    assert json.loads((tmp_path / "status.json").read_text())["presentation"] in range(3, 21)
    done, step = [], Learner.step
    monkeypatch.setattr(Learner, "step", lambda self, *batch: done.append(1) or step(self, *batch))
    assert_same_end(resume(tmp_path), tmp_path, whole)
    assert len(done) < 60  # less than three whole epochs


STREAMS = {
    "beyond its buffer": lambda states: states[:, 10].__setitem__(0, 5),
    "with half a number too many": lambda states: states[:, 11].__setitem__(0, 2),
}


@pytest.mark.parametrize("wrong", STREAMS)
def test_a_random_stream_that_none_is_in_is_passed_over(task, wrong):
    learner = Learner(tiny(task), Baseline(method="FA", dropout=0.2, learning_rate=0.1))
    state = learner.state()
    learner.require_fit(state)
    STREAMS[wrong](state["draws.DROPOUT"])
    with pytest.raises(ValueError, match="random stream"):
        learner.require_fit(state)


def test_a_directory_that_could_not_be_resumed_is_free(task, tmp_path):
    out = tmp_path / "run"
    baselines.train("BP", tiny(task, epochs=1), out)
    written = (out / "provenance.json").read_text()
    (out / "provenance.json").write_text(written.replace('"dtype"', '"type"'))
    with pytest.raises(ConfigError, match="lacks 'dtype'") as held:  # as a notebook holds the last error
        resume(out)
    (out / "provenance.json").write_text(written)
    assert resume(out).metrics and held
