"""Sweeps: each task on its own, and what they have given together."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from builders import TINY, of, refusal, same_bits, sweep_settings, table, tiny

import ghostnet as gn
from ghostnet import ConfigError, FileError, sweep
from ghostnet.cli.main import main
from ghostnet.host.cpus import available_cpus
from ghostnet.runs import checkpoint
from ghostnet.sweep import Sweep
from ghostnet.sweep.task import Outcome, perform


def test_a_task_done_again_does_nothing_and_a_stopped_one_goes_on(task, tmp_path, monkeypatch):
    (one,) = Sweep(sweep_settings(task, feedback="TF")).tasks
    assert perform(one, tmp_path, 1) == Outcome("seed=0", "complete")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / one.name).rglob("*") if path.name != ".lock"}
    assert perform(one, tmp_path, 1) == Outcome("seed=0", "complete")
    assert before == {path: path.stat().st_mtime_ns for path in before}
    (tmp_path / one.name / "status.json").write_text('{"status": "running", "epoch": 1}')
    (tmp_path / one.name / "checkpoints" / "epoch-0002.h5").unlink()
    assert perform(one, tmp_path, 1) == Outcome("seed=0", "complete")
    assert same_bits(of(checkpoint.newest(tmp_path / one.name)), of(gn.train(one.experiment).network))


def test_a_task_killed_before_its_first_status_begins_anew(task, tmp_path):
    (one,) = Sweep(sweep_settings(task, feedback="TF")).tasks
    path = tmp_path / one.name
    path.mkdir()
    for name in (".lock", "config.toml", ".unfinished-provenance.json.xyz"):
        (path / name).write_text("half")
    assert perform(one, tmp_path, 1).status == "complete"


def test_a_directory_with_another_experiment_is_not_taken_for_this_one(task, tmp_path):
    plan = sweep_settings(task, feedback="TF", epochs=0)
    sweep.run(Sweep(plan), tmp_path, workers=1, progress=False)
    for name, had, asked in (("beta", 0.1, 0.3), ("engine", "cpu", "reference"), ("dtype", "float32", "float64")):
        (other,) = sweep.run(Sweep(plan | {name: asked}), tmp_path, workers=1, progress=False)
        assert other.status == "failed" and f"holds a run with {name} = {had}, not {asked}" in other.text


def test_one_that_diverges_and_one_that_fails_leave_the_others_alone(task, tmp_path, capsys):
    entries = [
        {"name": "fine"},
        {"name": "explodes", "eta": [1e9, 1e9]},
        {"name": "lost", "data": str(tmp_path / "nowhere")},
    ]
    file = tmp_path / "sweep.toml"
    file.write_text(Sweep(sweep_settings(task, feedback="TF"), {}, entries).to_toml())
    out = tmp_path / "out"
    assert main(["sweep", str(file), "--out", str(out), "--workers", "2", "--quiet"]) == 3
    printed = capsys.readouterr()
    assert "2 of 3 not complete; explodes,seed=0: epoch 1: diverged" in printed.err
    assert [line.split()[:3] for line in printed.out.splitlines()[1:]] == [
        ["fine", "1", "complete"], ["explodes", "1", "diverged"], ["lost", "1", "not"]
    ]  # fmt: skip
    results = gn.load_sweep(out)
    assert results.status.sel(seed=0).values.tolist() == ["complete", "diverged", "not run"]
    assert np.isnan(results.test_accuracy.sel(experiment="explodes")).all()
    fine = table(out / "fine,seed=0")
    assert results.test_accuracy.sel(experiment="fine", seed=0).values.tolist() == [
        float(row["test_accuracy"]) for row in fine
    ]
    again = sweep.run(sweep.read(file), out, workers=1, progress=False)
    assert [outcome.status for outcome in again] == ["complete", "diverged", "failed"]


def test_a_dataset_has_the_grid_as_its_dimensions(task, tmp_path):
    plan = Sweep(sweep_settings(task, epochs=1, seeds=[3, 1]), {"feedback": ["TF", "FA"], "beta": [0.1, 0.2]})
    for one in plan.tasks[:-1]:
        perform(one, tmp_path, 1)
    (tmp_path / "sweep.toml").write_text(plan.to_toml())
    results = gn.load_sweep(tmp_path)
    assert dict(results.sizes) == {"feedback": 2, "beta": 2, "seed": 2, "epoch": 2}
    place = {"feedback": "FA", "beta": 0.1, "seed": 1}
    rows = table(tmp_path / results.directory.sel(place).item())
    assert results.train_mse.sel(place).values.tolist() == [float(row["train_mse"]) for row in rows]
    assert results.status.sel(feedback="FA", beta=0.2, seed=1).item() == "not run"


def test_a_task_that_another_process_works_on_is_left_to_it(task, tmp_path):
    (one,) = Sweep(sweep_settings(task, feedback="TF")).tasks
    code = "import sys, filelock as f; l = f.FileLock(sys.argv[1]); l.acquire(); print('held', flush=True); input()"
    path = tmp_path / one.name
    path.mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", code, path / ".lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    outcome = perform(one, tmp_path, 1)
    holder.communicate("\n")
    assert outcome.status == "in use" and "another process is at work on it" in outcome.text


def test_a_worker_gets_no_more_cpus_than_slurm_gives(monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert available_cpus() == 1
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "100000")
    assert available_cpus() == len(os.sched_getaffinity(0))


REFUSED = [
    ({"workers": 0}, ConfigError, "workers = 0"),
    ({"threads": 0}, ConfigError, "threads = 0"),
    ({"workers": 1.5}, ConfigError, "workers = 1.5"),
    ({"threads": "two"}, ConfigError, "threads = 'two'"),
    ({"workers": 10**9}, ConfigError, "workers = 1000000000"),
    ({"workers": 2, "scheduler": "tcp://127.0.0.1:1"}, ConfigError, "not both"),
    ({"scheduler": "nonsense://here"}, FileError, "not reached"),
]


@pytest.mark.parametrize(("options", "error", "text"), REFUSED)
def test_wrong_use_is_one_line(task, tmp_path, options, error, text):
    if "reached" in text:
        pytest.importorskip("distributed")
    assert text in refusal(error, sweep.run, Sweep(sweep_settings(task, feedback="TF")), tmp_path, **options)


def test_the_models_of_the_settings_are_those_of_the_other_tests(task):
    assert {Sweep(sweep_settings(task, model, feedback="TF")).tasks[0].experiment for model in TINY} == {
        tiny(task, model) for model in TINY
    }
