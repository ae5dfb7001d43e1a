"""What a sweep shows where there is little to show: its tasks' errors, and tables of what there is."""

from __future__ import annotations

import json

import pytest
from builders import command, refusal, sweep_settings

import ghostnet as gn
from ghostnet import FileError
from ghostnet.sweep import Sweep
from ghostnet.sweep.progress import SweepProgress
from ghostnet.sweep.results import table
from ghostnet.sweep.task import Outcome, perform

GRIDS = {
    "no grid": ({}, []),
    "a grid": ({"beta": [0.1, 0.2]}, []),
    "a list": ({}, [{"name": "a"}, {"name": "b"}]),
    "both": ({"beta": [0.1, 0.2]}, [{"name": "a"}]),
}


def written(folder, plan: Sweep) -> Sweep:
    (folder / "sweep.toml").write_text(plan.to_toml())
    return plan


@pytest.fixture
def trained(task, tmp_path):
    """A sweep's directory with one complete task, and the task."""
    plan = written(tmp_path, Sweep(sweep_settings(task, feedback="TF", engine="reference", epochs=0)))
    assert perform(plan.tasks[0], tmp_path, 1).status == "complete"
    return tmp_path, plan.tasks[0]


@pytest.mark.parametrize(("grid", "listed"), [GRIDS["no grid"], GRIDS["both"]])
def test_where_all_fail_the_first_ones_error_is_shown(capsys, tmp_path, grid, listed):
    settings = sweep_settings(str(tmp_path / "nowhere"), feedback="TF", engine="reference")
    plan = Sweep(settings, grid, listed)
    file, out = tmp_path / "wrong.toml", tmp_path / "out"
    file.write_text(plan.to_toml())
    code, printed, err = command(capsys, "sweep", file, "--out", out, "--workers", 1, "--quiet")
    count = len(plan.tasks)
    assert code == 74 and len(err.splitlines()) == 1
    assert f"{count} of {count} not complete; {plan.tasks[0].name}: unknown data set" in err and "nowhere" in err
    assert [line.split()[-3:] for line in printed.splitlines()[1:]] == [["1", "not", "run"]] * count


@pytest.mark.parametrize(("grid", "listed"), GRIDS.values(), ids=GRIDS)
def test_a_sweep_that_has_no_results_yet_is_a_dataset_without_epochs(task, tmp_path, grid, listed):
    plan = written(tmp_path, Sweep(sweep_settings(task, feedback="TF"), grid, listed))
    results = gn.load_sweep(tmp_path)
    assert results.sizes["epoch"] == 0 and results.epoch.dtype.kind == "i"
    for name in ("train_accuracy", "test_accuracy", "train_mse", "test_mse", "seconds"):
        assert results[name].dims == (*plan.tasks[0].at, "epoch")
    assert set(results.status.values.flat) == {"not run"} and "not run" in table(tmp_path)


def test_a_complete_run_whose_metrics_are_gone_has_no_accuracies(trained):
    folder, one = trained
    assert len(table(folder).splitlines()[1].split()) > 2
    (folder / one.name / "metrics.csv").unlink()
    assert table(folder).splitlines()[1].split() == ["1", "complete"]


@pytest.mark.parametrize(
    "content",
    [
        b"run,seed\n0,0\n",
        b"run,seed,epoch\n0,0,\n",
        b"run,seed,epoch\n0,0,1.5\n",
        b"epoch\n" + b"9" * 30 + b"\n",
        b"epoch\nx\n",
        b"\xff",
    ],
)
def test_metrics_that_are_none_are_refused_by_their_file(trained, content):
    folder, one = trained
    path = folder / one.name / "metrics.csv"
    path.write_bytes(content)
    assert refusal(FileError, gn.load_sweep, folder).startswith(f"{path}: damaged")


DAMAGED = [
    {"status": "stopped", "epoch": "x"}, {"status": "stopped", "epoch": None}, {"status": ["complete"]},
    {"status": "stopped", "epoch": -(10**9)}, {"status": "stopped", "epoch": float("nan"), "presentation": []},
]  # fmt: skip


@pytest.mark.parametrize("state", DAMAGED, ids=str)
def test_a_damaged_status_is_its_tasks_failure_not_the_sweeps(trained, state):
    folder, one = trained
    (folder / one.name / "status.json").write_text(json.dumps(state))
    with SweepProgress([one], folder, {}, shown=False) as progress:
        progress.look()
        progress.ended(Outcome(one.name, "failed", "two\nlines", 1))
    gn.load_sweep(folder)
    assert table(folder)
