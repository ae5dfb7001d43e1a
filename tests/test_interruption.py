"""A hangup, of a closed terminal or a dropped ssh, stops a run as SIGTERM does: with a checkpoint, resumable."""

from __future__ import annotations

import json
import os
import signal

import pytest
from builders import assert_same_end, command, tiny

from ghostnet import Stopped, baselines, resume, sweep, train
from ghostnet.baselines.learner import Learner
from ghostnet.host.interruption import Interruption
from ghostnet.runs.store import RunDirectory
from ghostnet.simulator import Simulator


@pytest.fixture
def unheard():
    """Signals that Interruption left to those who were there before."""
    got = []
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, frame: got.append(number)) for number in numbers}
    yield got
    for number, handler in before.items():
        signal.signal(number, handler)


def send(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


def after(monkeypatch, owner: type, method: str, calls: int, *numbers: int) -> None:
    """Send this process signals at the `calls`-th call of a method from now."""
    original, left = getattr(owner, method), [calls]

    def counting(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            send(*numbers)
        return original(*arguments, **options)

    monkeypatch.setattr(owner, method, counting)


@pytest.mark.parametrize("hangups", [1, 3])
def test_a_hangup_stops_a_run_with_exit_code_75_and_it_goes_on_to_the_same_bits(
    task, tmp_path, monkeypatch, capsys, unheard, hangups
):
    e, out = tiny(task, epochs=1, train_examples=20), tmp_path / "run"
    (tmp_path / "e.toml").write_text(e.to_toml(), encoding="utf-8")
    with monkeypatch.context() as patch:
        after(patch, Simulator, "run_examples", 2, *[signal.SIGHUP] * hangups)
        code, _, err = command(
            capsys, "train", "--config", tmp_path / "e.toml", "--engine", "reference", "--out", out, "--quiet"
        )
    assert code == 75 and "stopped by SIGHUP; go on with: ghostnet resume" in err and not unheard
    assert json.loads((out / "status.json").read_bytes())["status"] == "stopped"
    assert_same_end(resume(out), out, train(e, engine="reference"))


def test_a_hangup_stops_a_baseline(task, tmp_path, monkeypatch, unheard):
    after(monkeypatch, Learner, "step", 2, signal.SIGHUP)
    with pytest.raises(Stopped, match="SIGHUP"):
        baselines.train("BP", tiny(task, batch=10), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "status.json").read_bytes())["status"] == "stopped" and not unheard


def test_a_hangup_stops_a_sweep(task, tmp_path, monkeypatch, unheard):
    (tmp_path / "s.toml").write_text('preset = "mb-100"\nfeedback = "TF"\n', encoding="utf-8")

    monkeypatch.setattr(sweep.execution, "_outcomes", lambda *arguments: send(signal.SIGHUP) or iter(()))
    with pytest.raises(Stopped, match="stopped by SIGHUP; the same command goes on"):
        sweep.run(sweep.read(tmp_path / "s.toml"), tmp_path / "out", progress=False)
    assert not unheard


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
@pytest.mark.parametrize("baseline", [True, False])
def test_no_signal_keeps_a_stopped_run_from_saying_so(task, tmp_path, monkeypatch, unheard, number, baseline):
    status = RunDirectory.status

    def interrupted(self, state, **details):
        if state == "stopped":
            send(number)
        status(self, state, **details)

    monkeypatch.setattr(RunDirectory, "status", interrupted)
    after(monkeypatch, Learner if baseline else Simulator, "step" if baseline else "run_examples", 2, signal.SIGHUP)
    with pytest.raises(Stopped):
        if baseline:
            baselines.train("BP", tiny(task, batch=10), tmp_path / "run")
        else:
            train(tiny(task), tmp_path / "run", engine="reference")
    assert json.loads((tmp_path / "run" / "status.json").read_bytes())["status"] == "stopped" and not unheard


def test_a_hangup_that_is_ignored_stays_so(task, tmp_path, monkeypatch, unheard):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    after(monkeypatch, Simulator, "run_examples", 2, signal.SIGHUP)
    train(tiny(task, epochs=1), tmp_path / "run", engine="reference")
    assert json.loads((tmp_path / "run" / "status.json").read_bytes())["status"] == "complete"


@pytest.mark.parametrize(
    ("numbers", "noted", "passed_on"),
    [
        ((signal.SIGHUP, signal.SIGHUP), signal.SIGHUP, []),  # the terminal's, and its shell's
        ((signal.SIGHUP, signal.SIGTERM), signal.SIGHUP, []),  # a session that is ended
        ((signal.SIGTERM, signal.SIGHUP), signal.SIGTERM, []),  # a service manager's
        ((signal.SIGTERM, signal.SIGTERM), signal.SIGTERM, [signal.SIGTERM]),  # somebody is in a hurry
        ((signal.SIGHUP, signal.SIGINT, signal.SIGINT), signal.SIGHUP, [signal.SIGINT]),
    ],
)
def test_a_second_request_is_at_once_but_a_hangup_is_none(unheard, numbers, noted, passed_on):
    with Interruption() as interruption:
        send(*numbers)
    assert (interruption.requested, unheard) == (noted, passed_on)
    send(signal.SIGHUP, signal.SIGTERM)
    assert unheard == [*passed_on, signal.SIGHUP, signal.SIGTERM]  # afterwards all is as before
