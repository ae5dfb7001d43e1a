"""Where a sweep's workers or scheduler fail: one line, and the same call goes on."""

from __future__ import annotations

import concurrent.futures as cf
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from builders import refusal, sweep_settings
from pebble import ProcessExpired

from ghostnet import ConfigError, FileError, sweep
from ghostnet.sweep import Sweep, execution, pools

ROOT = Path(__file__).parents[1]
UNGUARDED = """
import sys
print("begun", flush=True)
from ghostnet import sweep
plan = sweep.Sweep({"preset": "mb-100-tf", "epochs": 0})
try:
    sweep.run(plan, "out", workers=1, progress=False)
except Exception as error:
    print(f"{type(error).__name__}: {error}")
sys.exit(0)
"""


def test_a_script_that_starts_its_sweep_when_imported_is_told_what_to_add(tmp_path):
    (tmp_path / "script.py").write_text(UNGUARDED)
    command, environment = [sys.executable, "script.py"], os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == "" and done.stdout.count("begun") <= 3
    (line,) = (line for line in done.stdout.splitlines() if line != "begun")
    assert line.startswith("ConfigError: ") and """under `if __name__ == "__main__":`""" in line


def test_workers_that_end_as_they_begin_end_the_sweep(task, tmp_path, monkeypatch):
    monkeypatch.setattr(pools, "_begin_worker", Ending(0))
    before = set(multiprocessing.active_children())
    text = refusal(ConfigError, sweep.run, one_task(task), tmp_path, workers=2, progress=False)
    assert "end as they begin" in text and set(multiprocessing.active_children()) <= before


class Ending:
    """A worker's beginning that ends it."""

    def __init__(self, code: int):
        self.code = code

    def __call__(self) -> None:
        os._exit(self.code)


def one_task(task) -> Sweep:
    return Sweep(sweep_settings(task, feedback="TF", engine="reference", epochs=0))


class Broken(cf.Future):
    """What becomes of a job that ends in an error."""

    def __init__(self, error: BaseException | None):
        super().__init__()
        self.set_exception(error) if error else self.cancel()


def test_an_error_of_many_lines_is_one_line(task):
    job = tuple(one_task(task).tasks)
    (outcome,) = execution._ends(job, Broken(ValueError("two\nlines\u2028and more")), last=False)
    assert outcome.status == "failed" and outcome.text == "ValueError: two lines and more"
    assert execution._ends(job, Broken(ProcessExpired("died")), last=False) == []


def test_workers_that_are_all_gone_end_the_sweep_in_one_line(task):
    error = cf.process.BrokenProcessPool("All workers expired")
    assert "same command goes on" in refusal(
        FileError, execution._ends, one_task(task).tasks, Broken(error), last=False
    )


@pytest.mark.parametrize("error", [OSError, ValueError, TypeError, RuntimeError])
def test_a_scheduler_that_is_not_reached_is_one_line(monkeypatch, error):
    distributed = pytest.importorskip("distributed")

    def refused(*given, **options):
        raise error("two\nlines")

    monkeypatch.setattr(distributed, "Client", refused)
    with pytest.raises(FileError, match=r"scheduler = a b:1: not reached \(two lines\); start one"):
        pools.dask(print, "a\nb:1", None).__enter__()


def test_a_scheduler_that_dies_is_one_line_and_what_it_left_goes_on(task, tmp_path, monkeypatch, capfd):
    pytest.importorskip("distributed")
    address, plan, out = tmp_path / "scheduler.json", one_task(task), tmp_path / "out"
    dask = [sys.executable, "-W", "ignore", "-m", "dask", "scheduler", "--scheduler-file", str(address)]
    local = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    process = subprocess.Popen([*dask, *local], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait = cf.wait

    def killing(*given):
        process.kill()
        return wait(*given)

    try:
        while not address.exists():
            time.sleep(0.05)
        scheduler = json.loads(address.read_text())["address"]
        with monkeypatch.context() as patch:
            patch.setattr(execution.cf, "wait", killing)
            text = refusal(FileError, sweep.run, plan, out, scheduler=scheduler, progress=False)
    finally:
        process.kill()
        process.wait()
    assert text.startswith(f"scheduler = {scheduler}: ") and "the same command goes on" in text
    assert capfd.readouterr().err == ""
    (one,) = plan.tasks
    assert execution.perform(one, out, 1).status == "complete"
