"""A sweep before it is trained: its plan with core hours, and its script for Slurm."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from builders import command, refusal, sweep_settings

from ghostnet import ConfigError
from ghostnet.sweep import Sweep, cost, slurm
from ghostnet.sweep.task import perform, status


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(cost, "_TRIAL", 0.01)


def plan(task, **changes) -> Sweep:
    quick = {"feedback": "TF", "engine": "reference", "train_examples": 8, "epochs": 1, "seeds": [0, 1]}
    return Sweep(sweep_settings(task, **quick | changes), {"beta": [0.1, 0.2]})


def everything(folder) -> dict:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_dry_run_tells_what_is_left_and_writes_nothing(task, tmp_path, capsys):
    out, file = tmp_path / "out", tmp_path / "s.toml"
    for one in plan(task).tasks[:3]:
        perform(one, out, 1)
    file.write_text(plan(task).to_toml())
    before = everything(tmp_path)
    code, printed, err = command(capsys, "sweep", file, "--out", out, "--dry-run")
    assert (code, err, everything(tmp_path)) == (0, "", before)
    heading, first, second, _, total = printed.splitlines()
    assert heading.split() == ["beta", "runs", "epochs", "core", "hours", "left"]
    assert first.split() == ["0.1", "2", "complete", "1", "0"]
    assert second.split()[:-1] == ["0.2", "1", "complete,", "1", "not", "run", "1"]
    assert float(second.split()[-1]) > 0 and total.startswith("4 tasks, 3 finished; core hours left: ")
    file.write_text(plan(task, epochs=3).to_toml())
    printed = command(capsys, "sweep", file, "--out", out, "--dry-run", "--only", "*,seed=0")[1]
    assert "1 to lengthen  3" in printed and "2 tasks, 0 finished" in printed


def test_where_nothing_tells_the_core_hours_are_unknown(tmp_path, capsys):
    file = tmp_path / "s.toml"
    lost = {"preset": "mb-100-tf", "data": str(tmp_path / "nowhere"), "train_examples": 8}
    file.write_text(Sweep(lost).to_toml())
    code, printed, _ = command(capsys, "sweep", file, "--out", tmp_path / "out", "--dry-run")
    assert code == 0 and "core hours left: unknown" in printed and not (tmp_path / "out").exists()


def test_every_task_of_the_array_does_its_own_and_done_again_nothing_more(task, tmp_path, capsys):
    out, file = tmp_path / "a directory", tmp_path / "s.toml"
    file.write_text(plan(task).to_toml())
    perform(plan(task).tasks[1], out, 1)
    code, printed, err = command(capsys, "sweep", file, "--out", out, "--slurm")
    assert (code, err, printed) == (0, "", f"sbatch '{out / 'sweep.sbatch'}'\n")
    text = (out / "sweep.sbatch").read_text()
    assert "#SBATCH --array=0,2-3\n" in text and re.search(r"#SBATCH --time=\d\d:\d\d:00\n", text)

    def trained(number: int) -> subprocess.CompletedProcess:
        environment = os.environ | {"SLURM_ARRAY_TASK_ID": str(number)}
        how = {"env": environment, "capture_output": True, "text": True, "timeout": 120}
        return subprocess.run(["bash", out / "sweep.sbatch"], **how)

    done = trained(2)
    assert (done.returncode, done.stdout) == (0, "beta=0.2,seed=0: complete\n"), done.stderr
    assert [bool(status(out / one.name)) for one in plan(task).tasks] == [False, True, True, False]
    before = everything(out / "beta=0.2,seed=0")
    assert trained(2).returncode == 0 and everything(out / "beta=0.2,seed=0") == before
    assert trained(9).returncode == ConfigError.exit_code


def test_a_finished_sweep_has_no_script(task, tmp_path):
    (one,) = (few := Sweep(sweep_settings(task, feedback="TF", engine="reference", epochs=0))).tasks
    perform(one, tmp_path, 1)
    assert "all 1 tasks are finished" in refusal(ConfigError, slurm.write, few, tmp_path)
    assert not (tmp_path / "sweep.sbatch").exists()


@pytest.mark.parametrize(
    ("longest", "limit"), [(0, "24:00:00"), (60, "00:20:00"), (3600, "02:10:00"), (90 * 3600, "180:10:00")]
)
def test_the_limit_of_time_is_more_than_twice_the_longest_task(longest, limit):
    assert slurm._time(longest)[0] == limit
