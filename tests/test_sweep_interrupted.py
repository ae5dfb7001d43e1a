"""Workers killed and sweeps stopped in the midst: the results are those of an undisturbed sweep."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from builders import of, same_bits, sweep_settings, table, without_seconds

from ghostnet import Stopped, sweep
from ghostnet.runs import checkpoint
from ghostnet.sweep import Sweep
from ghostnet.sweep.task import Outcome, perform, status


def four(task, **changes) -> Sweep:
    """Four experiments of some seconds each, by two workers: long enough to lose a worker in the midst of."""
    return Sweep(
        sweep_settings(task, engine="reference", epochs=8, seeds=[0, 1], **changes), {"feedback": ["TF", "FA"]}
    )


@pytest.fixture(scope="session")
def undisturbed(task, tmp_path_factory):
    """The directory in which the four were trained one after another, here."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for one in four(task).tasks:
        assert perform(one, folder, 1) == Outcome(one.name, "complete")
    return folder


def assert_same_results(task, folder, undisturbed):
    for one in four(task).tasks:
        a, b = folder / one.name, undisturbed / one.name
        assert status(a)["status"] == "complete"
        assert same_bits(of(checkpoint.newest(a)), of(checkpoint.newest(b)))
        assert without_seconds(table(a)) == without_seconds(table(b))


def states(folder) -> list[dict]:
    """What the status.json of every task begun says."""
    return [status(path.parent) for path in folder.glob("*/status.json")]


def when_under_way(folder, act) -> threading.Thread:
    """Call `act` once two tasks have finished an epoch and none is complete, from another thread."""

    def watch():
        while True:
            if sum(state["epoch"] >= 1 for state in states(folder)) >= 2:
                return act()
            time.sleep(0.02)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_a_worker_killed_in_the_midst_changes_nothing(task, tmp_path, undisturbed):
    def kill():
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    killer = when_under_way(tmp_path, kill)
    outcomes = sweep.run(four(task), tmp_path, workers=2, progress=False)
    assert not killer.is_alive()
    assert [outcome.status for outcome in outcomes] == ["complete"] * 4
    assert_same_results(task, tmp_path, undisturbed)


def interrupted(task, folder, number: signal.Signals) -> tuple[list[str], subprocess.Popen]:
    """The command of a sweep of the four to folder/out, and its process after such a signal in the midst."""
    file, out = folder / "four.toml", folder / "out"
    file.write_text(four(task).to_toml())
    command = [sys.executable, "-m", "ghostnet", "sweep", str(file), "--out", str(out), "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    when_under_way(out, lambda: process.send_signal(number)).join(timeout=120)
    return command, process


def assert_stopped_and_goes_on(command, task, out, undisturbed):
    ends = [state["status"] for state in states(out)]
    assert ends.count("stopped") == 2 and "running" not in ends
    assert subprocess.run(command, capture_output=True, timeout=300).returncode == 0
    assert_same_results(task, out, undisturbed)


def test_a_signal_stops_a_sweep_with_checkpoints_and_the_same_command_goes_on(task, tmp_path, undisturbed):
    command, process = interrupted(task, tmp_path, signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == Stopped.exit_code and "the same command goes on" in said
    assert_stopped_and_goes_on(command, task, tmp_path / "out", undisturbed)


def test_the_workers_of_a_killed_sweep_end_with_checkpoints(task, tmp_path, undisturbed):
    command, process = interrupted(task, tmp_path, signal.SIGKILL)
    process.communicate(timeout=120)  # until they have closed its standard error, which is theirs too
    assert_stopped_and_goes_on(command, task, tmp_path / "out", undisturbed)


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
        outcomes = sweep.run(four(task), out, scheduler=scheduler, progress=False)
        assert not killer.is_alive() and processes[-1].wait() == -signal.SIGKILL
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [outcome.status for outcome in outcomes] == ["complete"] * 4
    assert_same_results(task, out, undisturbed)
