"""What survives a crash? Runs are killed at random instants and resumed; every file left under its name is verified.

    python sims/check_crash.py                 50 killed runs, 100 killed writers, signals: about 8 minutes
    python sims/check_crash.py --quick         a minute

Prints how many resumed runs end with the same bits as the uninterrupted one, how many files of killed writers open and
verify, and how long a run takes to stop on a signal.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ghostnet as gn
from ghostnet.errors import FileError
from ghostnet.runs import checkpoint

SMALL = dict(train_examples=2000, epochs=6)
RUNS = {
    "MB": gn.preset("mb-100-tf", seeds=(0, 1), **SMALL),
    "MA": gn.preset("ma-100-tf", seeds=(0, 1), free_steps=40, clamped_steps=40, **SMALL),
    "MA-prime": gn.preset("ma-prime-500-tf", sizes=(784, 50, 10), free_steps=40, clamped_steps=40, **SMALL),
}
WRITER = """
import sys
import ghostnet as gn
from ghostnet.runs import checkpoint
network, shown = gn.build(gn.preset("mb-500-tf")), 0
while True:
    shown += 1
    checkpoint.save(gn.store.Path(sys.argv[1]), checkpoint.Checkpoint(network, 0, shown), "float32")
"""


def command(*arguments) -> list[str]:
    return [sys.executable, "-m", "ghostnet.cli.main", *map(str, arguments), "--quiet"]


def outcome(run: Path) -> tuple:
    """Everything a run leaves that has to be the same: arrays as bytes, metrics less the seconds."""
    found = checkpoint.latest(run)
    arrays = [a.tobytes() for group in (*found.network.weights, *found.network.state) for a in group if a is not None]
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in found.metrics]
    return found.epoch, found.network.presentations, arrays, rows


def killed_runs(count: int, folder: Path) -> None:
    """Kill at an instant drawn evenly from the run's duration, resume to the end, compare."""
    draw, same, total = random.Random(0), 0, 0
    for name, experiment in RUNS.items():
        settings, whole = folder / f"{name}.toml", folder / f"{name}-whole"
        settings.write_text(experiment.to_toml(), encoding="utf-8")
        subprocess.run(command("train", "--config", settings, "--out", whole), check=True, stdout=subprocess.DEVNULL)
        start = time.monotonic()  # again: the first time, kernels may have been compiled
        subprocess.run(command("resume", whole), check=True, stdout=subprocess.DEVNULL)
        idle, expected = time.monotonic() - start, outcome(whole)
        duration = idle + expected[3][-1]["epoch"] * 0.1 + checkpoint.latest(whole).seconds
        for i in range(count // len(RUNS) + (list(RUNS).index(name) < count % len(RUNS))):
            run = folder / f"{name}-{i}"
            process = subprocess.Popen(command("train", "--config", settings, "--out", run), stdout=subprocess.DEVNULL)
            time.sleep(draw.uniform(0.5 * idle, duration))
            process.kill()
            process.wait()
            if not (run / "provenance.json").exists():  # killed before it had begun: nothing to resume
                shutil.rmtree(run, ignore_errors=True)
                subprocess.run(command("train", "--config", settings, "--out", run), stdout=subprocess.DEVNULL)
            else:
                subprocess.run(command("resume", run), check=True, stdout=subprocess.DEVNULL)
            same, total = same + (outcome(run) == expected), total + 1
            shutil.rmtree(run)
        print(f"{name:<9} killed and resumed: {same} of {total} so far end with the same bits", flush=True)


def killed_writers(count: int, folder: Path) -> None:
    """Kill a process that writes one checkpoint after the other; open all it has left."""
    draw, sound, damaged, unfinished = random.Random(1), 0, 0, 0
    for i in range(count):
        run = folder / f"writer-{i}"
        run.mkdir()
        process = subprocess.Popen([sys.executable, "-c", WRITER, run])
        while not list(run.glob("checkpoints/epoch-*")):
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.2))
        process.kill()
        process.wait()
        for path in run.glob("checkpoints/epoch-*"):
            try:
                checkpoint.load(path)
                sound += 1
            except FileError:
                damaged += 1
        unfinished += len(list(run.rglob(".unfinished-*")))
        shutil.rmtree(run)
    print(
        f"{count} killed writers: {sound} files open and verify, {damaged} don't; {unfinished} were just being written"
    )


def time_to_stop(folder: Path) -> None:
    """From a signal in the middle of an epoch to the end of the process."""
    for name in ("mb-500-tf", "ma-500-500-tf"):
        for number in (signal.SIGINT, signal.SIGTERM):
            run = folder / f"{name}-{number.name}"
            process = subprocess.Popen(command("train", name, "--out", run), stderr=subprocess.DEVNULL)
            while not (run / "metrics.csv").exists():
                time.sleep(0.1)
            time.sleep(3.0)
            start = time.monotonic()
            process.send_signal(number)
            code = process.wait()
            print(f"{name:<14} {number.name:<7} exit {code} after {time.monotonic() - start:.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as folder:
        killed_runs(6 if quick else 50, Path(folder))
        killed_writers(5 if quick else 100, Path(folder))
        time_to_stop(Path(folder))


if __name__ == "__main__":
    main()
