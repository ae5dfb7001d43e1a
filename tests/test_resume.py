"""What a crash can't take: a run goes on as if it had never stopped; a damaged file is not taken for a sound one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from builders import STEPPING, assert_same_end, covering, of, refusal, same_bits, table, tiny

from ghostnet import ConfigError, FileError, Simulator, Stopped, resume, train
from ghostnet.runs import checkpoint

MODELS = ["MB", "MA", "MA-prime"]


def run_of(task, model, **changes):
    e = tiny(task, model[:2], **changes)
    return e.replace(model=model, clip=0.5) if model == "MA-prime" else e


def signal_after(monkeypatch, calls, number=signal.SIGTERM):
    """Send this process a signal during the `calls`-th chunk of presentations from now."""
    run, left = Simulator.run_examples, [calls]

    def counting(self, dataset, order):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), number)
        return run(self, dataset, order)

    monkeypatch.setattr(Simulator, "run_examples", counting)


@pytest.mark.parametrize(("engine_dtype", "model", "feedback"), covering(STEPPING, MODELS, ["TF", "FA"]))
def test_a_stopped_run_goes_on_to_the_same_bits_on_any_number_of_threads(
    task, tmp_path, monkeypatch, engine_dtype, model, feedback
):
    engine, dtype = engine_dtype
    e, how = run_of(task, model, feedback=feedback, seeds=(3, 1), epochs=3), {"engine": engine, "dtype": dtype}
    whole = train(e, **how)
    for calls in (2, 5):
        out = tmp_path / str(calls)
        with monkeypatch.context() as patch:
            signal_after(patch, calls)
            with pytest.raises(Stopped, match="ghostnet resume"):
                train(e, out, threads=1, **how)
        status = json.loads((out / "status.json").read_text())
        assert status["status"] == "stopped" and (out / "checkpoints" / status["checkpoint"]).exists()
        assert_same_end(resume(out, threads=2), out, whole)


def test_the_equilibrium_engine_goes_on_with_its_options(task, tmp_path, monkeypatch):
    e, options = run_of(task, "MB", epochs=2), {"settle_tol": 1e-9, "max_sweeps": 70}
    whole = train(e, engine="equilibrium", dtype="float64", **options)
    with monkeypatch.context() as patch:
        signal_after(patch, 3)
        with pytest.raises(Stopped):
            train(e, tmp_path, engine="equilibrium", dtype="float64", **options)
    assert json.loads((tmp_path / "provenance.json").read_text())["options"] == options
    assert_same_end(resume(tmp_path), tmp_path, whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_line_stops_on_a_signal_with_exit_75_and_resumes(task, tmp_path, number):
    e = run_of(task, "MB", epochs=100_000)
    (tmp_path / "e.toml").write_text(e.to_toml())
    process = ghostnet("train", "--config", tmp_path / "e.toml", "--out", tmp_path / "run")
    wait_for(tmp_path / "run" / "metrics.csv")
    process.send_signal(number)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 75 and f"stopped by {number.name}" in error and "ghostnet resume" in error
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "stopped"


@pytest.mark.parametrize("model", MODELS)
def test_a_killed_run_goes_on_to_the_same_bits(task, tmp_path, model):
    e = run_of(task, model, epochs=40, seeds=(0, 1))
    whole, out, draw = train(e), tmp_path / "run", random.Random(model)
    (tmp_path / "e.toml").write_text(e.to_toml())
    process = ghostnet("train", "--config", tmp_path / "e.toml", "--out", out)
    wait_for(out / "metrics.csv")
    time.sleep(draw.uniform(0, 0.3))
    process.kill()
    process.communicate()
    assert_same_end(resume(out), out, whole)
    assert not list(out.rglob(".unfinished-*"))


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(task, tmp_path, caplog):
    whole = train(run_of(task, "MA", epochs=2), tmp_path)
    newest = tmp_path / "checkpoints" / "epoch-0002.h5"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    assert str(newest) in refusal(FileError, checkpoint.load, newest)
    assert_same_end(resume(tmp_path), tmp_path, whole)
    assert "epoch-0002.h5" in caplog.text and "the one before" in caplog.text


def test_without_a_sound_checkpoint_a_run_begins_anew(task, tmp_path):
    whole = train(run_of(task, "MB"), tmp_path)
    for path in (tmp_path / "checkpoints").iterdir():
        path.write_bytes(b"")
    assert "no readable checkpoint" in refusal(FileError, checkpoint.newest, tmp_path)
    assert_same_end(resume(tmp_path), tmp_path, whole)


def test_the_newest_checkpoint_is_the_trained_network(task, tmp_path):
    trained = train(run_of(task, "MB"), tmp_path).network
    found = checkpoint.newest(tmp_path)
    assert same_bits(of(found), of(trained)) and found.presentations == trained.presentations
    assert found.experiment == trained.experiment


def test_a_directory_at_work_is_refused_to_others(task, tmp_path):
    (tmp_path / "e.toml").write_text(run_of(task, "MB", epochs=100_000).to_toml())
    process = ghostnet("train", "--config", tmp_path / "e.toml", "--out", tmp_path / "run")
    try:
        wait_for(tmp_path / "run" / "metrics.csv")
        assert "another process" in refusal(ConfigError, resume, tmp_path / "run")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("missing", ["config.toml", "provenance.json"])
def test_what_is_no_run_directory_is_refused_by_name(task, tmp_path, missing):
    train(run_of(task, "MB", epochs=0), tmp_path)
    (tmp_path / missing).unlink()
    assert missing in refusal(FileError, resume, tmp_path)


def ghostnet(*arguments):
    command = [sys.executable, "-m", "ghostnet.cli.main", *map(str, arguments), "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path, seconds=60):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} has not come"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_full_disk_is_one_line_and_exit_74_and_keeps_what_was_written(task, tmp_path):
    import resource

    (tmp_path / "e.toml").write_text(run_of(task, "MB").to_toml())
    command = [
        sys.executable,
        "-m",
        "ghostnet.cli.main",
        "train",
        "--config",
        tmp_path / "e.toml",
        "--out",
        tmp_path / "run",
    ]
    done = subprocess.run(
        [*command, "--quiet"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 74
    (line,) = done.stderr.splitlines()
    assert "epoch-0000.h5: can't be written" in line and "bytes needed" in line and "free" in line
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "failed"
    assert len(table(tmp_path / "run")) == 1 and not list(tmp_path.rglob(".unfinished-*"))
