"""What a sweep promises, on eight short experiments (MB and MA, two sizes, two seeds; a minute of one CPU in all).

python sims/check_sweep.py kill     a local worker killed -9 in the midst, then a Dask worker: the same bits
python sims/check_sweep.py speed    two workers against one after another, in turn; needs two quiet CPUs
python sims/check_sweep.py          both; 6 minutes on 2 CPUs
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import ghostnet as gn
from ghostnet.files.provenance import cpu_name
from ghostnet.runs import checkpoint

EIGHT = gn.sweep.Sweep(
    {"seeds": [0, 1], "train_examples": 20_000},
    {},
    [
        {"preset": "mb-100-tf", "epochs": 10},
        {"preset": "mb-300-fa", "epochs": 5},
        {"preset": "ma-100-tf", "epochs": 3},
        {"preset": "ma-100-fa", "epochs": 3},
    ],
)


def when_under_way(folder: Path, act: Callable[[], None]) -> threading.Thread:
    """Call `act` once two tasks have finished an epoch, from another thread."""

    def watch() -> None:
        while sum(json.loads(p.read_bytes())["epoch"] >= 1 for p in folder.glob("*/status.json")) < 2:
            time.sleep(0.05)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def same(a: Path, b: Path) -> bool:
    """Whether two sweeps ended with the same weights, activities and metrics, seconds aside."""
    for task in EIGHT.tasks:
        ends = [checkpoint.latest(folder / task.name) for folder in (a, b)]
        rows = [[{**row, "seconds": None} for row in end.metrics] for end in ends]
        arrays = [
            [v for group in (end.network.weights, end.network.state) for vs in group for v in vs[1:]] for end in ends
        ]
        if rows[0] != rows[1] or not all(np.array_equal(x, y) for x, y in zip(*arrays, strict=True)):
            return False
    return True


def report(what: str, outcomes: list, folder: Path, undisturbed: Path) -> None:
    complete = sum(outcome.status == "complete" for outcome in outcomes)
    print(f"{what}: {complete} of 8 complete, bit-identical: {same(folder, undisturbed)}", flush=True)


def local(folder: Path, undisturbed: Path) -> None:
    """Kill one of two processes of this machine."""
    killer = when_under_way(folder, lambda: os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL))
    outcomes = gn.sweep.run(EIGHT, folder, workers=2, progress=False)
    assert not killer.is_alive()
    report("local worker killed", outcomes, folder, undisturbed)


def dask(folder: Path, undisturbed: Path) -> None:
    """Kill one of two workers of a Dask cluster on this machine."""
    where = ["--scheduler-file", str(folder.parent / "scheduler.json"), "--host", "127.0.0.1", "--no-dashboard"]
    command = [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    worker = [*command, "worker", *where, "--nthreads", "1", "--no-nanny", "--local-directory", str(folder.parent)]
    processes = [subprocess.Popen([*command, "scheduler", *where, "--port", "0"], **quiet)]
    processes += [subprocess.Popen(worker, **quiet) for _ in range(2)]
    try:
        while not (folder.parent / "scheduler.json").exists():
            time.sleep(0.1)
        address = json.loads((folder.parent / "scheduler.json").read_bytes())["address"]
        killer = when_under_way(folder, processes[-1].kill)
        outcomes = gn.sweep.run(EIGHT, folder, scheduler=address, progress=False)
        assert not killer.is_alive()
    finally:
        for process in processes:
            process.kill()
            process.wait()
    report("Dask worker killed", outcomes, folder, undisturbed)


def seconds(folder: Path, workers: int) -> float:
    start = time.perf_counter()
    gn.sweep.run(EIGHT, folder, workers=workers, progress=False)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("kill", "speed"))
    what = parser.parse_args().what
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        print(f"one after another: {seconds(folder / 'one', 1):.1f} s, compiling included", flush=True)
        if what != "speed":
            local(folder / "local", folder / "one")
            dask(folder / "dask", folder / "one")
        if what != "kill":
            ratios = []
            for i in range(3):
                one, two = seconds(folder / f"one-{i}", 1), seconds(folder / f"two-{i}", 2)
                ratios.append(one / two)
                print(
                    f"one after another {one:.1f} s, two workers {two:.1f} s: {one / two:.2f} times faster", flush=True
                )
            print(f"median {statistics.median(ratios):.2f} times ({cpu_name()})")


if __name__ == "__main__":
    main()
