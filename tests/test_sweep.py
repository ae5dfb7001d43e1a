"""Sweeps: what a file asks for is what is run; nothing that happens to one task or worker changes the results."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from small import distance, of, refusal, same_bits
from test_training import SETTINGS, table, tiny, without_seconds

import ghostnet as gn
from ghostnet import ConfigError, FileError, Stopped, checkpoint, sweep
from ghostnet.cli.main import main
from ghostnet.simulator import available_cpus
from ghostnet.sweep import Sweep
from ghostnet.sweep.ensembles import pack, perform_together
from ghostnet.sweep.task import Outcome, perform, status


def settings(task, model="MB", **changes) -> dict:
    """A tiny experiment as the settings of a sweep."""
    e = tiny(task, model)
    names = ("model", "sizes", "ghosts", "tau", "dt", "beta", "free_steps", "clamped_steps", "eta", "eta_ghost")
    names += ("init", "batch", "epochs", "data", "train_examples")
    fields = {name: getattr(e, name) for name in names}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()} | changes


def eight(task, **changes) -> Sweep:
    """Eight experiments of some seconds each: long enough to lose a worker in the midst of."""
    return Sweep(
        settings(task, engine="reference", epochs=8, seeds=[0, 1, 2, 3], **changes), {"feedback": ["TF", "FA"]}
    )


@pytest.fixture(scope="session")
def undisturbed(task, tmp_path_factory):
    """The directory in which the eight were trained one after another, here."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for one in eight(task).tasks:
        assert perform(one, folder, 1) == Outcome(one.name, "complete")
    return folder


def assert_same_results(task, folder, undisturbed):
    for one in eight(task).tasks:
        a, b = folder / one.name, undisturbed / one.name
        assert status(a)["status"] == "complete"
        assert same_bits(of(checkpoint.newest(a)), of(checkpoint.newest(b)))
        assert without_seconds(table(a)) == without_seconds(table(b))


def when_under_way(folder, act) -> threading.Thread:
    """Call `act` once two tasks have finished an epoch and none is complete, from another thread."""

    def watch():
        while True:
            states = [json.loads(path.read_text()) for path in folder.glob("*/status.json")]
            if sum(state["epoch"] >= 1 for state in states) >= 2:
                return act()
            time.sleep(0.02)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_a_sweep_is_every_combination_of_list_grid_and_seeds():
    plan = Sweep(
        {"epochs": 3, "seeds": [4, 5]},
        {"beta": [0.1, 0.2], "eta": [[4, 0.04], [8, 0.2]]},
        [{"preset": "mb-100-tf"}, {"preset": "mb-100-tf", "name": "small", "seeds": [9], "epochs": 1}],
    )
    names = [task.name for task in plan.tasks]
    assert len(names) == 2 * 2 * (2 + 1)
    assert names[0] == "mb-100-tf,beta=0.1,eta=4 0.04,seed=4" and names[-1] == "small,beta=0.2,eta=8 0.2,seed=9"
    first, last = plan.tasks[0], plan.tasks[-1]
    assert first.experiment == gn.preset("mb-100-tf", epochs=3, seeds=(4,), beta=0.1, eta=(4, 0.04))
    assert last.experiment.epochs == 1 and last.at == {"experiment": "small", "beta": 0.2, "eta": "8 0.2", "seed": 9}


def test_patterns_choose_tasks_in_their_order():
    plan = Sweep({"seeds": [0, 1]}, {}, [{"preset": "mb-100-tf"}, {"preset": "mb-100-fa"}, {"preset": "ma-100-tf"}])
    assert [task.name for task in plan.matching(["ma-*", "mb-*,seed=0"])] == [
        "mb-100-tf,seed=0", "mb-100-fa,seed=0", "ma-100-tf,seed=0", "ma-100-tf,seed=1"
    ]  # fmt: skip
    assert "only = mc-*: matches no task" in refusal(ConfigError, plan.matching, ["mb-*", "mc-*"])


def test_a_file_says_the_same_as_the_sweep(tmp_path):
    path = tmp_path / "sweep.toml"
    plan = Sweep({"preset": "mb-100-tf", "engine": "equilibrium"}, {"beta": [0.1, 0.2]}, [{"name": "a", "epochs": 2}])
    path.write_text(plan.to_toml())
    assert sweep.read(path) == plan
    assert plan.tasks[0].options == {"engine": "equilibrium"}


WRONG = [
    (({"presett": "mb-100-tf"},), "did you mean 'preset'?"),
    (({"preset": "mb-100-tf"}, {"betta": [1]}), "did you mean 'beta'?"),
    (({"preset": "mb-100-tf"}, {"seeds": [1]}), "unknown setting 'seeds'"),
    (({"preset": "mb-100-tf"}, {"beta": 0.1}), "grid: beta = 0.1: expected a list"),
    (({"preset": "mb-100-tf"}, {"beta": [-1.0]}), "beta = -1.0: expected a positive number"),
    (({}, {}, [{"epochs": 2}]), "expected a name or a preset"),
    (
        ({}, {}, [{"preset": "mb-100-tf"}, {"preset": "mb-100-tf"}]),
        "2 experiments would share the run directory mb-100-tf,seed=0",
    ),
    (({"preset": "mb-100-tf"}, {"beta": [0.1, 0.1]}), "would share the run directory"),
    (({},), "missing fields model"),
    (({"preset": "mb-100-tf"}, ["beta"]), "expected a table, [grid]"),
    (({"preset": "mb-100-tf"}, {}, {"name": "a"}), "each headed [[experiments]]"),
]


@pytest.mark.parametrize(("tables", "text"), WRONG)
def test_a_wrong_sweep_is_one_line(tables, text):
    assert text in refusal(ConfigError, Sweep, *tables)


def test_a_task_done_again_does_nothing_and_a_stopped_one_goes_on(task, tmp_path, monkeypatch):
    (one,) = Sweep(settings(task, feedback="TF")).tasks
    assert perform(one, tmp_path, 1) == Outcome("seed=0", "complete")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / one.name).rglob("*") if path.name != ".lock"}
    assert perform(one, tmp_path, 1) == Outcome("seed=0", "complete")
    assert before == {path: path.stat().st_mtime_ns for path in before}
    (tmp_path / one.name / "status.json").write_text('{"status": "running", "epoch": 1}')
    (tmp_path / one.name / "checkpoints" / "epoch-0002.h5").unlink()
    assert perform(one, tmp_path, 1) == Outcome("seed=0", "complete")
    assert same_bits(of(checkpoint.newest(tmp_path / one.name)), of(gn.train(one.experiment).network))


def test_a_task_killed_before_its_first_status_begins_anew(task, tmp_path):
    (one,) = Sweep(settings(task, feedback="TF")).tasks
    path = tmp_path / one.name
    path.mkdir()
    for name in (".lock", "config.toml", ".unfinished-provenance.json.xyz"):
        (path / name).write_text("half")
    assert perform(one, tmp_path, 1).status == "complete"


def test_a_directory_with_another_experiment_is_not_taken_for_this_one(task, tmp_path):
    plan = settings(task, feedback="TF", epochs=0)
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
    file.write_text(Sweep(settings(task, feedback="TF"), {}, entries).to_toml())
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
    plan = Sweep(settings(task, epochs=1, seeds=[3, 1]), {"feedback": ["TF", "FA"], "beta": [0.1, 0.2]})
    for one in plan.tasks[:-1]:
        perform(one, tmp_path, 1)
    (tmp_path / "sweep.toml").write_text(plan.to_toml())
    results = gn.load_sweep(tmp_path)
    assert dict(results.sizes) == {"feedback": 2, "beta": 2, "seed": 2, "epoch": 2}
    place = {"feedback": "FA", "beta": 0.1, "seed": 1}
    rows = table(tmp_path / results.directory.sel(place).item())
    assert results.train_mse.sel(place).values.tolist() == [float(row["train_mse"]) for row in rows]
    assert results.status.sel(feedback="FA", beta=0.2, seed=1).item() == "not run"


def test_a_worker_killed_in_the_midst_changes_nothing(task, tmp_path, undisturbed):
    def kill():
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    killer = when_under_way(tmp_path, kill)
    outcomes = sweep.run(eight(task), tmp_path, workers=2, progress=False)
    assert not killer.is_alive()
    assert [outcome.status for outcome in outcomes] == ["complete"] * 8
    assert_same_results(task, tmp_path, undisturbed)


def test_a_signal_stops_a_sweep_with_checkpoints_and_the_same_command_goes_on(task, tmp_path, undisturbed):
    file = tmp_path / "eight.toml"
    file.write_text(eight(task).to_toml())
    out = tmp_path / "out"
    command = [sys.executable, "-m", "ghostnet", "sweep", str(file), "--out", str(out), "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    when_under_way(out, lambda: process.send_signal(signal.SIGTERM)).join(timeout=120)
    _, said = process.communicate(timeout=120)
    assert process.returncode == Stopped.exit_code and "the same command goes on" in said
    states = [json.loads(path.read_text())["status"] for path in out.glob("*/status.json")]
    assert states.count("stopped") == 2 and "running" not in states
    assert subprocess.run(command, capture_output=True, timeout=300).returncode == 0
    assert_same_results(task, out, undisturbed)


def test_a_dask_worker_killed_in_the_midst_changes_nothing(task, tmp_path, undisturbed):
    pytest.importorskip("distributed")
    address, out = tmp_path / "scheduler.json", tmp_path / "out"
    dask = [sys.executable, "-W", "ignore", "-m", "dask"]
    where = ["--scheduler-file", str(address)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    local = ["--host", "127.0.0.1", "--no-dashboard"]
    processes = [subprocess.Popen([*dask, "scheduler", *where, *local, "--port", "0"], **quiet)]
    try:
        worker = [*dask, "worker", *where, *local, "--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path)]
        processes += [subprocess.Popen(worker, **quiet) for _ in range(2)]
        while not address.exists():
            time.sleep(0.1)
        killer = when_under_way(out, processes[-1].kill)
        scheduler = json.loads(address.read_text())["address"]
        outcomes = sweep.run(eight(task), out, scheduler=scheduler, progress=False)
        assert not killer.is_alive() and processes[-1].wait() == -signal.SIGKILL
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [outcome.status for outcome in outcomes] == ["complete"] * 8
    assert_same_results(task, out, undisturbed)


def test_packed_tasks_learn_what_they_learn_alone(task, tmp_path):
    base = settings(task, feedback="TF", engine="torch", dtype="float64", seeds=[0, 1], free_steps=20, clamped_steps=10)
    plan = Sweep(base, {"beta": [0.1, 0.2], "eta": [[8.0, 2.0], [4.0, 1.0]], "init": [0.5, 0.4]})
    assert [len(job) for job in pack(plan.tasks)] == [8, 8]
    assert not pack(Sweep(base | {"engine": "equilibrium"}).tasks)
    outcomes = sweep.run(plan, tmp_path / "packed", pack=True, workers=1, progress=False)
    assert [(outcome.name, outcome.status) for outcome in outcomes] == [(t.name, "complete") for t in plan.tasks]
    for one in plan.tasks[::5]:
        perform(one, tmp_path, 1)
        ours, alone = of(checkpoint.newest(tmp_path / "packed" / one.name)), of(checkpoint.newest(tmp_path / one.name))
        assert all(distance(ours[name], alone[name]) < 1e-10 for name in alone)
        kept, lone = table(tmp_path / "packed" / one.name), table(tmp_path / one.name)
        assert [(row["run"], row["seed"]) for row in kept] == [(row["run"], row["seed"]) for row in lone]
        np.testing.assert_allclose([float(r["test_mse"]) for r in kept], [float(r["test_mse"]) for r in lone], 1e-5)
    assert {path.name for path in (tmp_path / "packed").iterdir()} == {"sweep.toml", *(t.name for t in plan.tasks)}
    again = sweep.run(plan, tmp_path / "packed", pack=True, workers=1, progress=False)
    assert {outcome.status for outcome in again} == {"complete"}


def test_a_packed_task_that_diverges_leaves_the_ensemble_which_goes_on(task, tmp_path):
    plan = Sweep(
        settings(task, feedback="TF", engine="torch", dtype="float64"), {"eta": [[8.0, 2.0], [1e9, 1e9], [4.0, 1.0]]}
    )
    states = [outcome.status for outcome in perform_together(plan.tasks, tmp_path, 1)]
    assert sorted(states) == ["complete", "complete", "diverged"]
    assert [status(tmp_path / one.name)["status"] for one in plan.tasks] == ["complete", "diverged", "complete"]
    last = plan.tasks[-1]
    alone = gn.train(last.experiment, progress=False, **last.options).network
    ours = of(checkpoint.newest(tmp_path / last.name))
    assert all(distance(ours[name], array) < 1e-10 for name, array in of(alone).items())


def test_a_seed_twice_is_refused_outside_an_ensemble(task):
    assert "a seed twice gives the same network twice" in refusal(ConfigError, gn.train, tiny(task, seeds=(1, 2, 1)))


def test_a_task_that_another_process_works_on_is_left_to_it(task, tmp_path):
    (one,) = Sweep(settings(task, feedback="TF")).tasks
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
    ({"workers": 2, "scheduler": "tcp://127.0.0.1:1"}, ConfigError, "not both"),
    ({"scheduler": "nonsense://here"}, FileError, "not reached"),
]


@pytest.mark.parametrize(("options", "error", "text"), REFUSED)
def test_wrong_use_is_one_line(task, tmp_path, options, error, text):
    if "reached" in text:
        pytest.importorskip("distributed")
    assert text in refusal(error, sweep.run, Sweep(settings(task, feedback="TF")), tmp_path, **options)


def test_the_models_of_the_settings_are_those_of_the_other_tests(task):
    assert {Sweep(settings(task, model, feedback="TF")).tasks[0].experiment for model in SETTINGS} == {
        tiny(task, model) for model in SETTINGS
    }
