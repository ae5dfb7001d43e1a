"""How fast the CPU engine is, beside the same equations in compiled JAX and beside what the machine can do.

    python sims/bench_engines.py                  everything, about 6 minutes; needs the extra [bench] for the JAX rows
    python sims/bench_engines.py --quick          a minute, fewer repetitions
    python sims/bench_engines.py jax threads      some parts: jax, threads, team, memory, width, limits

Times on a shared machine drift: both sides are pinned to one CPU and timed in turn, ratios are taken pair by pair.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import ghostnet as gn
from ghostnet import data
from ghostnet.engines import create
from ghostnet.files.provenance import cpu_name, versions
from ghostnet.host.cpus import available_cpus
from ghostnet.host.streams import show_symbols

PEER = Path(__file__).with_name("jax_peer.py")


def inputs(experiment: gn.Experiment, presentations: int) -> tuple[np.ndarray, np.ndarray]:
    """MNIST presentations and targets (presentations, runs, batch, n), float32; noise for other input sizes."""
    e, images = experiment, data.load()
    shape = (presentations, len(e.seeds), e.batch)
    chosen = np.random.Generator(np.random.Philox(0)).integers(len(images.train_images), size=shape)
    return (
        data.scale(images.train_images[chosen], np.float32),
        data.one_hot(images.train_labels[chosen], e.sizes[-1], np.float32),
    )


def seconds_per_presentation(
    experiment: gn.Experiment, presentations: int, repeats: int = 5, threads: int = 1
) -> float:
    """Median over `repeats` of the mean over `presentations`, compiled and warm."""
    simulator, (xs, ys) = gn.Simulator(gn.build(experiment), threads=threads), inputs(experiment, presentations)
    simulator.run(xs[:1], ys[:1])
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        simulator.run(xs, ys)
        times.append((time.perf_counter() - start) / presentations)
    return float(np.median(times))


def peer_seconds(preset: str, presentations: int, cpu: int, images: Path) -> float:
    """The same for sims/jax_peer.py, in a process of its own."""
    model, feedback = preset[:2], preset[-2:].upper()
    command = [sys.executable, PEER, model, "--feedback", feedback, "--presentations", presentations, "--cpu", cpu]
    command += ["--images", images, "--repeats", 5]
    output = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout
    return float(np.median(json.loads(output)["seconds_per_presentation"]))


def against_jax(quick: bool) -> None:
    """mb-500 and ma-500 on one thread, side by side."""
    if importlib.util.find_spec("jax") is None:
        print("JAX is not installed: pip install 'ghost-units[bench]' for these rows\n")
        return
    cpu = max(os.sched_getaffinity(0))
    images = Path(os.environ.get("TMPDIR", "/tmp")) / f"ghostnet-bench-{os.getpid()}.npy"
    np.save(images, data.load().train_images[:2000])
    print("one presentation, one thread, float32        ghostnet        JAX   JAX / ghostnet, pair by pair")
    try:
        for preset, ours, theirs in (("mb-500-tf", 1000, 400), ("mb-500-fa", 1000, 400), ("ma-500-tf", 4, 2)):
            pairs = []
            for _ in range(2 if quick else 5):
                allowed = os.sched_getaffinity(0)
                os.sched_setaffinity(0, {cpu})
                own = seconds_per_presentation(gn.preset(preset), ours)
                os.sched_setaffinity(0, allowed)
                pairs.append((own, peer_seconds(preset, theirs, cpu, images)))
            own, peer = np.median(pairs, axis=0)
            ratios = [b / a for a, b in pairs]
            each = " ".join(f"{ratio:.2f}" for ratio in ratios)
            median = np.median(ratios)
            print(f"{preset:<40} {own * 1e3:9.3f} ms {peer * 1e3:9.3f} ms   {each}   median {median:.2f}", flush=True)
    finally:
        images.unlink()
    print()


def threads(quick: bool) -> None:
    """Two seeds on two threads against one on one."""
    print("throughput of 2 seeds on 2 threads against 1 seed on 1 thread")
    for preset, count in (("mb-500-tf", 1000), ("ma-500-tf", 4)):
        one, two = gn.preset(preset), gn.preset(preset, seeds=(0, 1))
        pairs = [
            2 * seconds_per_presentation(one, count, 3) / seconds_per_presentation(two, count, 3, threads=2)
            for _ in range(2 if quick else 5)
        ]
        print(f"{preset:<12} {' '.join(f'{ratio:.2f}' for ratio in pairs)}   median {np.median(pairs):.2f}")
    print()


def team(quick: bool) -> None:
    """One run on two threads against one, and what its computing alone would allow on more."""
    print("one run on 2 threads against 1; computing: the longest of the members' times, none waiting for another")
    for preset, count in (("ma-300-tf", 8), ("ma-500-tf", 4), ("ma-500-500-tf", 1)):
        e = gn.preset(preset)
        simulators, (xs, ys) = [gn.Simulator(gn.build(e), threads=n) for n in (1, 2)], inputs(e, count)
        pairs = []
        for _ in range(3 if quick else 8):
            one, two = (timed(lambda: simulator.run(xs, ys)) for simulator in simulators)  # noqa: B023
            pairs.append(one / two)
        print(f"{preset:<14} {' '.join(f'{ratio:.2f}' for ratio in pairs[1:])}   median {np.median(pairs[1:]):.2f}")
        alone = member_seconds(e, 0, 1)
        for members in (2, 4, 8, 16):
            longest = max(member_seconds(e, member, members) for member in {0, members // 2, members - 1})
            print(f"{'':<14} computing of {members:2} members: {alone / longest:5.2f} times", flush=True)
    print()


def timed(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def member_seconds(experiment: gn.Experiment, member: int, members: int) -> float:
    """The time of one presentation's computing for one member of a team whose others are not there."""
    from ghostnet.engines.cpu.team import Team, gates  # the GPU benchmark takes this file without Numba

    engine = create("cpu", gn.build(experiment), "float32", 1)
    place = Team(member, members, gates(1, 1)[0]) if members > 1 else None  # a gate that waits for one
    engine.settings = engine.settings._replace(team=place)
    xs, ys = inputs(experiment, 1)
    engine.present(xs, ys)
    return min(timed(lambda: engine.present(xs, ys)) for _ in range(3))


def memory(quick: bool) -> None:
    """Largest resident size of a process that trains mb-500 on all of MNIST."""
    code = (
        "import resource, ghostnet as gn;"
        f"gn.train(gn.preset('mb-500-tf', epochs=1, train_examples={2000 if quick else 55000}), progress=False);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    kilobytes = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    print(f"training mb-500-tf: {kilobytes / 1024:.0f} MB resident at most\n")


def width(quick: bool) -> None:
    """Cost of a step against width and depth; the exponent is between neighbouring rows."""
    print("µs per Euler step, one thread     width   MB, 1 hidden   exponent   MA, 1 hidden   exponent   (per example)")
    last = None
    for units in (100, 500, 2000) if quick else (100, 200, 500, 1000, 2000, 4000):
        row = []
        for name in ("mb-500-tf", "ma-500-tf"):
            e = gn.preset(name, sizes=(784, units, 10))
            count = 2 if e.batch > 1 else max(20, 100_000 // units)
            row.append(1e6 * seconds_per_presentation(e, count, 3) / sum(e.steps) / e.batch)
        slope = (
            [np.log(b / a) / np.log(units / last[0]) for a, b in zip(last[1], row, strict=True)]
            if last
            else [np.nan] * 2
        )
        print(f"{units:39d} {row[0]:14.3f} {slope[0]:10.2f} {row[1]:14.4f} {slope[1]:10.2f}")
        last = (units, row)
    print("\nµs per Euler step, one thread     hidden layers of 300      MB TF      MB FA")
    for hidden in (1, 2, 3):
        row = []
        for feedback in ("TF", "FA"):
            e = gn.preset("mb-300-tf").replace(
                feedback=feedback, sizes=(784, *[300] * hidden, 10), ghosts=(*[20] * (hidden - 1), 5),
                eta=(0.1,) * (hidden + 1), eta_ghost=(20.0,) * hidden,
            )  # fmt: skip
            row.append(1e6 * seconds_per_presentation(e, 100, 3) / sum(e.steps))
        print(f"{hidden:55d} {row[0]:10.2f} {row[1]:10.2f}")
    print()


def limits(quick: bool) -> None:
    """Distance from the machine: operations and bytes of a step, counted on paper, over measured rates."""
    flops, bandwidth = matrix_rate(), copy_rate()
    print(f"this core, float32: {flops / 1e9:.0f} GFLOP/s in a matrix product, {bandwidth / 1e9:.1f} GB/s copying")
    print(
        "one step, one example   operations   of them in σ   at the matrix rate   bytes of weights   measured   ratio"
    )
    for preset, count in (("mb-500-tf", 1000), ("ma-500-tf", 4), ("mb-500-500-tf", 20)):
        e = gn.preset(preset)
        products, transfers, size = operations(e)
        seconds = seconds_per_presentation(e, count, 3) / sum(e.steps) / e.batch
        ideal = (products + transfers) / flops
        counts = f"{products + transfers:12.0f} {transfers:14.0f} {ideal * 1e6:17.3f} µs {size:18.0f}"
        print(f"{preset:<21} {counts} {seconds * 1e6:7.3f} µs {seconds / ideal:7.1f}", flush=True)
    print()


def operations(e: gn.Experiment) -> tuple[float, float, float]:
    """Of one Euler step and one example, mean over phases: operations in products and in σ, bytes of weights.

    A multiply-add is two operations, a sigmoid 16 (and its derivative form none). Bytes are those of the matrices read
    and written, shared by the batch.
    """
    n, m, row = e.sizes, (0, *e.ghosts), e.plasticity
    free = e.free_steps / sum(e.steps)
    per_once = sum(n[k] * n[k + 1] * 2 + n[k] * m[k] * 2 for k in range(1, e.depth))  # W r, B r; W_pg r, W_gp ρ(g)
    ghost = sum(n[k] * m[k] for k in range(1, e.depth)) * (len(row.rules) - 1) * free
    upper = sum(n[k] * n[k - 1] for k in range(2, e.depth + 1)) if not row.once else 0
    gram = n[1] * e.batch if not row.once else 0
    learn = (upper + gram) * (1 - free)
    sigmoids = (sum(n[1:]) + sum(m)) + (sum(n[1:]) * (1 - free) if not row.once else 0)
    weights = sum(n[k] * n[k + 1] * (1 if e.feedback == "TF" else 2) + 2 * n[k] * m[k] for k in range(1, e.depth))
    return 2 * (per_once + ghost + learn), 16 * sigmoids, 4 * weights / (1 if row.owned else e.batch)


def matrix_rate() -> float:
    """FLOP/s of one thread in a 1024³ float32 product."""
    from threadpoolctl import threadpool_limits

    a = np.random.Generator(np.random.Philox(0)).random((1024, 1024), np.float32)
    with threadpool_limits(1):
        a @ a
        times = []
        for _ in range(9):
            start = time.perf_counter()
            a @ a
            times.append(time.perf_counter() - start)
    return 2 * 1024**3 / float(np.median(times))


def copy_rate() -> float:
    """Bytes/s, read plus written, of one thread copying 1 GB."""
    source = np.ones(1 << 27, np.float32)
    target, times = np.empty_like(source), []
    for _ in range(5):
        start = time.perf_counter()
        np.copyto(target, source)
        times.append(time.perf_counter() - start)
    return 2 * source.nbytes / float(np.median(times))


PARTS = {"jax": against_jax, "threads": threads, "team": team, "memory": memory, "width": width, "limits": limits}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    found = ", ".join(f"{name} {version}" for name, version in versions().items())
    print(f"{cpu_name()}, {available_cpus()} CPUs allowed; {found}\n", flush=True)
    for part in arguments.parts or PARTS:
        PARTS[part](arguments.quick)


if __name__ == "__main__":
    show_symbols()
    main()
