"""What recording costs, how large its files are, what damaged files do, and whether memory stays constant.

    python sims/bench_traces.py                  overhead, file sizes and 1,000 mutated files: a few minutes
    python sims/bench_traces.py overhead sizes   some parts: overhead, sizes, files, opening, mutations, memory
    python sims/bench_traces.py memory           ten minutes of recording, resident memory minute by minute
    python sims/bench_traces.py --quick          200 mutations; the memory run takes one minute, in steps of 6 s

Times on a shared machine drift: both sides are timed in turn and the ratio is the median of those of the pairs.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import ghostnet as gn
from ghostnet import data
from ghostnet.runs import checkpoint
from ghostnet.traces.files import TraceFiles
from ghostnet.traces.recording import Recording

PRESET, PRESENTATIONS = "mb-500-tf", 3
EVERYTHING = gn.Recorder(("s", "r", "g", "e", "drive"))
KINDS = {
    "every variable, every step": EVERYTHING,
    "s, r, g, e, every step": gn.Recorder(("s", "r", "g", "e")),
    "s and e, every step": gn.Recorder(),
    "s, every 10 steps": gn.Recorder(("s",), every=10),
}

MUTATE = """
import sys, numpy as np
from pathlib import Path
from ghostnet import FileError, open_trace
from ghostnet.runs import checkpoint
def arrays(path):
    found = checkpoint.load(path).network
    return [a.tobytes() for group in (*found.weights, *found.state) for a in group if a is not None]
def same(a, b):
    return a == b if isinstance(a, list) else a.identical(b)
read = {"trace": lambda path: open_trace(path).load(), "checkpoint": arrays}[sys.argv[5]]
whole, path = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
expected, draw, refused, wrong = read(sys.argv[1]), np.random.default_rng(int(sys.argv[4])), 0, 0
for i in range(int(sys.argv[3])):
    content = bytearray(whole)
    if i % 3 == 0:
        del content[int(draw.integers(len(content))):]
    else:
        reach = len(content) if i % 3 == 1 else 4096  # anywhere, or in the metadata at the front
        for at in draw.integers(reach, size=draw.integers(1, 9)):
            content[at] ^= int(draw.integers(1, 256))
    path.write_bytes(content)
    try:
        wrong += not same(read(path), expected)
    except FileError:
        refused += 1
print(refused, wrong)
"""


def inputs(experiment: gn.Experiment, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Training presentations (count, runs, batch, n), float32."""
    images, shape = data.load(), (count, len(experiment.seeds), experiment.batch)
    chosen = np.arange(np.prod(shape)).reshape(shape)
    x = data.scale(images.train_images[chosen], np.float32)
    return x, data.one_hot(images.train_labels[chosen], experiment.sizes[-1], np.float32)


def seconds(function, *arguments, repeats: int = 20) -> float:
    """The mean over a few calls in a row."""
    start = time.perf_counter()
    for _ in range(repeats):
        function(*arguments)
    return (time.perf_counter() - start) / repeats


def overhead(quick: bool) -> None:
    """Recording into memory that was allocated before, beside the simulation itself; files are the next part."""
    experiment = gn.preset(PRESET)
    xs, ys = inputs(experiment, PRESENTATIONS)
    steps = PRESENTATIONS * sum(experiment.steps)
    print(f"{PRESET}: {PRESENTATIONS} presentations, {steps} steps, one thread")
    for name, recorder in KINDS.items():
        plain, recorded = (gn.Simulator(gn.build(experiment), threads=1) for _ in range(2))
        capacity = PRESENTATIONS * sum(map(len, recorder.row_steps(experiment)))
        recording = Recording(recorder, experiment, np.float32, lambda segment: None, capacity=capacity)
        with recorded._recorded(recording):
            pairs = [(seconds(plain.run, xs, ys), seconds(recorded.run, xs, ys)) for _ in range(20 if quick else 100)]
        without, extra = np.median([a for a, _ in pairs]), np.median([b / a - 1 for a, b in pairs])
        print(f"  {name:28} simulation {1e3 * without:6.3f} ms   recording adds {extra:6.1%}")


def sizes(quick: bool) -> None:
    """Bytes of file for a second of model time, and the time that simulating, recording and writing take."""
    experiment, count = gn.preset(PRESET), 30
    xs, ys = inputs(experiment, count)
    span = count * sum(experiment.steps) * experiment.dt
    for name, recorder in KINDS.items():
        simulator = gn.Simulator(gn.build(experiment), threads=1)
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            with simulator.recording(recorder, Path(folder) / "t.h5") as files:
                simulator.run(xs, ys)
            passed, size = time.perf_counter() - start, sum(path.stat().st_size for path in files.paths)
        print(f"  {name:28} {size / span / 1e3:8.1f} kB and {1e3 * passed / span:6.1f} ms for a simulated second")


def files(quick: bool) -> None:
    """How many times longer presentations take that are recorded to files; both compressed and not."""
    for preset, counts in {PRESET: (60, 12_000), "ma-500-tf": (2, 20)}.items():
        experiment = gn.preset(preset)
        for (name, recorder), count in zip(list(KINDS.items())[:: len(KINDS) - 1], counts, strict=True):
            xs, ys = inputs(experiment, count // 10 if quick and count > 100 else count)
            for compress in (True, False):
                declared = dataclasses.replace(recorder, compress=compress)
                ratios = [_recorded_to_file(experiment, declared, xs, ys) for _ in range(3)]
                ratio, size = (np.median(values) for values in zip(*ratios, strict=True))
                how = "compressed" if compress else "as they are"
                print(f"  {preset}, {name}, {how:12} {ratio:6.1f} times   {size / 1e6:.0f} MB/s")


def _recorded_to_file(e: gn.Experiment, recorder: gn.Recorder, xs: np.ndarray, ys: np.ndarray) -> tuple[float, float]:
    """The time that it takes beside presenting alone, and bytes of file a second."""
    plain, recorded = (gn.Simulator(gn.build(e), threads=1) for _ in range(2))
    for simulator in (plain, recorded):
        simulator.run(xs[:1], ys[:1])
    without = seconds(plain.run, xs, ys, repeats=1)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        with recorded.recording(recorder, Path(folder) / "t.h5") as kept:
            recorded.run(xs, ys)
        passed = time.perf_counter() - start
        return passed / without, sum(path.stat().st_size for path in kept.paths) / passed


def opening(quick: bool) -> None:
    """A trace of 1 GB: opened, one unit of a variable, 1,000 rows of all units, all of it."""
    experiment = gn.preset(PRESET)
    simulator = gn.Simulator(gn.build(experiment), threads=1)
    xs, ys = inputs(experiment, 90 if quick else 870)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.h5"
        with simulator.recording(EVERYTHING, path) as files:
            simulator.run(xs, ys)
        trace = gn.open_trace(path)
        reads = {
            "opened": lambda: gn.open_trace(path),
            "one unit of s_1": lambda: trace.s_1[:, 0, 0, 77].to_numpy(),
            "1,000 rows of s_1": lambda: trace.s_1[5_000:6_000].to_numpy(),
            "opened, all of s_1": lambda: gn.open_trace(path).s_1.to_numpy(),
        }
        stored = sum(file.stat().st_size for file in files.paths)
        print(f"  {trace.nbytes / 1e9:.2f} GB of arrays in {len(files.paths)} files of {stored / 1e6:.0f} MB together")
        for name, read in reads.items():
            passed = min(seconds(read, repeats=1) for _ in range(9))
            print(f"  {name:20} {1e3 * passed:8.1f} ms")


def mutations(quick: bool) -> None:
    """Damaged trace and checkpoint files, opened in another process."""
    count = 200 if quick else 1000
    simulator = gn.Simulator(gn.build(gn.preset("mb-100-tf")), threads=1)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "t.h5"
        with simulator.recording(gn.Recorder(every=10, weights=("W_2",)), trace):
            simulator.run(*inputs(simulator.experiment, 5))
        saved = checkpoint.save(Path(folder), checkpoint.Checkpoint(simulator.network, 0), simulator.dtype)
        for kind, path in (("trace", trace), ("checkpoint", saved)):
            command = [sys.executable, "-c", MUTATE, path, Path(folder) / "m.h5", str(count), "1", kind]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600)
            refused, wrong = map(int, done.stdout.split()) if done.returncode == 0 else (0, 0)
            right = count - refused - wrong
            print(f"  {count} mutated {kind}s: {refused} refused, {right} read correctly, {wrong} wrongly; ", end="")
            print(f"the process ended with {done.returncode} {done.stderr.strip()[-200:]}")


def memory(quick: bool) -> None:
    """Resident memory while everything is recorded, segment after segment; files are removed as they come."""
    experiment, unit = gn.preset(PRESET), 6.0 if quick else 60.0
    simulator, (xs, ys) = gn.Simulator(gn.build(experiment), threads=1), inputs(experiment, 50)
    with tempfile.TemporaryDirectory() as folder:
        files = TraceFiles(Path(folder) / "t.h5", experiment)
        written = 0

        def keep(segment) -> None:
            nonlocal written
            files.keep(segment)
            written += files.paths[-1].stat().st_size
            files.paths[-1].unlink()

        with simulator._recorded(Recording(EVERYTHING, experiment, np.float32, keep)):
            start, levels = time.monotonic(), []
            for minute in range(1, 11):
                while time.monotonic() - start < unit * minute:
                    simulator.run(xs, ys)
                levels.append(_resident())
                print(
                    f"  {unit * minute:5.0f} s  {levels[-1] / 1e6:7.1f} MB resident  {written / 1e6:8.1f} MB written",
                    flush=True,
                )
    print(
        f"  after the first: {min(levels[1:]) / levels[0] - 1:+.1%} to {max(levels[1:]) / levels[0] - 1:+.1%}; ", end=""
    )
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.1f} MB")


def _resident() -> int:
    """Bytes of memory this process occupies; Linux."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


PARTS = {
    "overhead": overhead,
    "sizes": sizes,
    "files": files,
    "opening": opening,
    "mutations": mutations,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="of " + ", ".join(PARTS))
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    parts = arguments.parts or ["overhead", "sizes", "mutations"]
    if unknown := set(parts) - set(PARTS):
        parser.error(f"unknown parts: {' '.join(sorted(unknown))}")
    for part in parts:
        print(f"{part}: {PARTS[part].__doc__}")
        PARTS[part](arguments.quick)


if __name__ == "__main__":
    main()
