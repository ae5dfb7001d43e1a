"""The torch engine: agreement with the reference, speed of R networks at once, distance from the machine's limits.

    python sims/bench_gpu.py                      on the GPU if there is one, else on one CPU thread; under 5 minutes
    python sims/bench_gpu.py --out figures/gpu    the same, and writes figures/gpu.txt and figures/gpu.json

Needs NumPy and torch; the eager row also array-api-compat, the row of the CPU engine also numba and, unless
NUMBA_CACHE_DIR is set, platformdirs. Rows that can't be had are left out and say why. In a checkout: PYTHONPATH=.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import time
from datetime import date
from pathlib import Path

import estimates
import numpy as np
import torch
from bench_engines import inputs
from torch.utils._python_dispatch import TorchDispatchMode

import ghostnet as gn
from ghostnet import data
from ghostnet.engines import create
from ghostnet.files.figures import appended
from ghostnet.files.provenance import cpu_name, provenance
from ghostnet.files.publishing import publish
from ghostnet.host.streams import show_symbols
from ghostnet.model import equations
from ghostnet.model.models import MODELS
from ghostnet.model.order import presentation_order

RUNS = {"mb-500-tf": (1, 8, 32, 128), "ma-500-tf": (1, 8)}
OPERATIONS, KERNEL = "operations", "kernel"  # how a phase is stepped; the second on a GPU, where it fits
COMMAND = "python sims/bench_gpu.py --device cuda --out figures/gpu"
_lines: list[str] = []


def say(text: str = "") -> None:
    print(text, flush=True)
    _lines.append(text)


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(function, device: str, repeats: int) -> float:
    """Median time of a call, the device's work included."""
    times = []
    for _ in range(repeats):
        wait(device)
        start = time.perf_counter()
        function()
        wait(device)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def small(model: str, feedback: str, hidden: int) -> gn.Experiment:
    """A small experiment of every model, in which all that is plastic moves visibly."""
    row, sizes = MODELS[model], (20, 30, 25, 6) if hidden == 2 else (20, 37, 10)
    return gn.Experiment(
        model=model, feedback=feedback, sizes=sizes, ghosts=sizes[2:] if row.paired else (5, 3)[:hidden], tau=0.01,
        dt=0.002, beta=0.5, free_steps=12, clamped_steps=8, init=0.4, batch=7, train_examples=100, seeds=(0, 1, 2),
        eta=(0.2 if row.once else 2.0,) * (hidden + 1), eta_ghost=(20.0 if row.owned else 3.0,) * hidden,
        clip=0.3 if row.rule("W").clip else None, eta_imitation=(3.0,) * hidden if model == "mixed" else (),
    )  # fmt: skip


def arrays(network: gn.Network) -> list[np.ndarray]:
    return [array for group in (*network.weights, *network.state) for array in group[1:]]


def agreement(device: str) -> dict:
    """Largest difference from the reference, relative to the largest element of each array."""
    worst = {"float64": 0.0, "float32": 0.0}
    for e in (small(model, feedback, hidden) for model in MODELS for feedback in ("TF", "FA") for hidden in (1, 2)):
        draw = np.random.Generator(np.random.Philox(0))
        x = draw.random((3, 3, e.batch, e.sizes[0]))
        y = np.eye(e.sizes[-1])[draw.integers(e.sizes[-1], size=(3, 3, e.batch))]
        expected = gn.Simulator(gn.build(e), "reference")
        expected.run(x, y)
        for dtype in worst:
            tested = gn.Simulator(gn.build(e), "torch", dtype, device=device)
            tested.run(x, y)
            pairs = zip(arrays(tested.network), arrays(expected.network), strict=True)
            worst[dtype] = max(worst[dtype], *(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs))
    say(
        "agreement with the reference: every model x feedback x 1 and 2 hidden layers; 3 runs, batch 7, 3 presentations"
    )
    for dtype, limit in (("float64", 1e-10), ("float32", 1e-4)):
        say(f"  {dtype}   {worst[dtype]:.1e}   {'agrees' if worst[dtype] <= limit else 'DOES NOT AGREE'} ({limit:g})")
    say()
    return worst


def eager_loop(network: gn.Network, device: str):
    """A function that presents tensors by `equations.step`, operation by operation, its results in new memory."""
    e, c = network.experiment, network.constants

    def tensors(of_k: list) -> list:
        return [None, *(torch.tensor(array, dtype=torch.float32, device=device) for array in of_k[1:])]

    w, z = (type(group)(*map(tensors, group)) for group in (network.weights, network.state))

    def present(xs: torch.Tensor, ys: torch.Tensor) -> None:
        nonlocal w, z
        for x, y in zip(xs, ys, strict=True):
            for i, steps in enumerate(e.steps):
                beta, acting = e.beta * e.phases[i].nudge, e.acting(i)
                for _ in range(steps):
                    w, z = equations.step(w, z, x, y, beta, c, acting)
            if e.plasticity.once:
                w = equations.update_once(w, [(1.0, equations.see(w, z, x, y, beta, c))], c)

    return present


def against_eager(device: str, pairs: int = 5) -> dict:
    """mb-500, R = 8, float32: engine and eager loop in turn, both on one CPU thread, or both on the GPU."""
    e = gn.preset("mb-500-tf", seeds=tuple(range(8)))
    network, (xs, ys) = gn.build(e), inputs(e, 20)
    engine, eager = create("torch", network, "float32", 1, device=device), eager_loop(network, device)
    few = [torch.tensor(a[:2], device=device) for a in (xs, ys)]
    found = []
    try:
        with torch.inference_mode():
            for _ in range(pairs + 1):  # the first to warm up
                ours = seconds(lambda: engine.present(xs, ys), device, 1) / len(xs)
                found.append((ours, seconds(lambda: eager(*few), device, 1) / len(few[0])))
    except ImportError as error:
        say(f"eager loop: left out ({error})\n")
        return {}
    ratios = [theirs / ours for ours, theirs in found[1:]]
    ours, theirs = np.median(found[1:], axis=0)
    say(f"mb-500-tf, R = 8, a presentation: engine {ours * 1e3:.2f} ms, eager equations.step {theirs * 1e3:.1f} ms")
    say(f"  throughput ratio, pair by pair: {' '.join(f'{r:.1f}' for r in ratios)}   median {np.median(ratios):.1f}\n")
    return {"engine_seconds": ours, "eager_seconds": theirs, "ratios": ratios}


def held_bytes() -> int:
    """Of all tensors alive."""
    gc.collect()
    storages = (each.untyped_storage() for each in gc.get_objects() if type(each) is torch.Tensor)
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


class Count(TorchDispatchMode):
    """Counts the operations that do work: not views."""

    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, function, kinds, args=(), kwargs=None):
        outputs = [result.alias_info for result in function._schema.returns]
        self.operations += not any(output and not output.is_write for output in outputs)
        return function(*args, **(kwargs or {}))


def operations_per_step(engine, steps: int = 10) -> tuple[float, float]:
    """Of the free and of the clamped phase, on tensors; the kernel is none."""
    found = []
    for phase in range(2):
        with Count() as count:
            engine.advance(phase, steps)
        found.append(count.operations / steps)
    return tuple(found)


def launches(engine, images: data.Dataset, order: np.ndarray) -> float | None:
    """Launches per presentation, by the profiler, from the difference of two counts; None on the CPU."""
    if engine.device != "cuda":
        return None
    counts = []
    for presentations in (1, 4):
        wait("cuda")
        with torch.profiler.profile(activities=list(torch.profiler.supported_activities())) as profile:
            engine.present_examples(images, order[:presentations])
            wait("cuda")
        counts.append(sum(event.count for event in profile.key_averages() if "Launch" in event.key))
    return (counts[1] - counts[0]) / 3


def limits(device: str) -> tuple[float, float]:
    """Bytes/s of a copy (read plus written) and FLOP/s of a float32 matrix product, one CPU thread or the GPU."""
    n, size = (8192, 1 << 28) if device == "cuda" else (1024, 1 << 26)
    a, source = torch.rand(n, n, device=device), torch.ones(size, device=device)
    target, product = torch.empty_like(source), torch.empty_like(a)
    copy = seconds(lambda: target.copy_(source), device, 6)
    multiply = seconds(lambda: torch.mm(a, a, out=product), device, 6)
    return 2 * source.nbytes / copy, 2 * n**3 / multiply


def ways(name: str, device: str) -> tuple[str, ...]:
    """How the engine can step this preset there."""
    engine = create("torch", gn.build(gn.preset(name)), "float32", 1, device=device)
    return (OPERATIONS,) if engine.stepper is engine.ensemble else (OPERATIONS, KERNEL)


def measure(name: str, runs: int, way: str, images: data.Dataset, device: str, bandwidth: float, rate: float) -> dict:
    """One row: R networks of a preset, stepped in one of the `ways`."""
    e = gn.preset(name, seeds=tuple(range(runs)))
    network, order = gn.build(e), presentation_order(e, 1)[: max(4, 2000 // (runs * e.batch))]
    before = held_bytes()
    engine = create("torch", network, "float32", 1, device=device)
    if way == OPERATIONS:
        engine.stepper = engine.ensemble
    engine.present_examples(images, order)
    held = held_bytes() - before
    presentation = seconds(lambda: engine.present_examples(images, order), device, 3) / len(order)
    step = presentation / sum(e.steps)
    row = {
        "preset": name, "way": way, "runs": runs, "step_seconds": step,
        "examples_per_second": runs * e.batch / presentation, "bytes": held,
        "bytes_on_paper": estimates.memory(e, len(images.train_images) + len(images.test_images)),
        "operations_per_step": operations_per_step(engine),
        "launches_per_presentation": launches(engine, images, order),
        "floor_seconds": estimates.floor(e, bandwidth, rate, resident=way == KERNEL),
    }  # fmt: skip
    launched, (free, clamped) = row["launches_per_presentation"], row["operations_per_step"]
    say(
        f"{name:<10}{runs:5d} {way:<10}{step * 1e6:9.1f}{step * 1e6 / runs:10.3f}{row['examples_per_second']:12.0f}"
        f"{held / 2**20:9.1f}{row['bytes_on_paper'] / 2**20:8.1f}{free:6.0f} +{clamped:3.0f}"
        f"{'-' if launched is None else round(launched):>10}{row['floor_seconds'] * 1e6:10.2f}"
        f"{step / row['floor_seconds']:7.1f}"
    )
    return row


def cpu_engine() -> float | None:
    """Seconds per step of one mb-500 network on the CPU engine, one thread."""
    e = gn.preset("mb-500-tf")
    try:
        simulator, (xs, ys) = gn.Simulator(gn.build(e), threads=1), inputs(e, 500)
    except ImportError as error:
        say(f"CPU engine: left out ({error})")
        return None
    simulator.run(xs[:1], ys[:1])
    return seconds(lambda: simulator.run(xs, ys), "cpu", 5) / len(xs) / sum(e.steps)


def table(device: str) -> dict:
    bandwidth, rate = limits(device)
    say(f"this device: {bandwidth / 1e9:.0f} GB/s copying, {rate / 1e12:.2f} TFLOP/s in a product of float32 matrices")
    say("float32         a phase    µs per   and per    examples      MiB      on operations launches    floor,")
    say("preset        R is ...       step   network  per second     held   paper  of a step per pres.  µs/step  ratio")
    images = data.load()
    cells = [(name, runs, way) for name, many in RUNS.items() for way in ways(name, device) for runs in many]
    rows = [measure(*cell, images, device, bandwidth, rate) for cell in cells]
    say("operations: of a free + of a clamped step. MiB: of tensors; on a GPU cuBLAS's workspaces come on top.")
    say("floor: weights read from memory; a ratio below 1 where a cache holds them.")
    if not any(row["way"] == KERNEL for row in rows):
        say("A phase as one kernel (ghostnet/engines/torch/fused.py): on a GPU with Triton only.")
    say()
    one = cpu_engine()
    if one:
        best = min(row["step_seconds"] / row["runs"] for row in rows if row["runs"] == 32)
        say(f"mb-500-tf, CPU engine, one thread: {one * 1e6:.3f} µs per step and network;")
        say(f"  torch on this device at R = 32: {best * 1e6:.3f} µs, {best / one:.2f} of it (aimed at on a GPU: 0.1)")
    return {"bandwidth": bandwidth, "matrix_rate": rate, "rows": rows, "cpu_engine_step_seconds": one}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
    parser.add_argument("--out", type=Path, help="write OUT.txt and OUT.json")
    arguments = parser.parse_args()
    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        parser.error(f"--device cuda: torch {torch.__version__} finds no CUDA GPU; leave it out to run on the CPU")
    torch.set_num_threads(1)
    start = time.perf_counter()
    if device == "cuda":
        say(f"device: {torch.cuda.get_device_name()}, torch {torch.__version__}")
    else:
        say(f"device: {cpu_name()}, one thread, torch {torch.__version__}. No GPU was used, so nothing below is a")
        say(f"GPU's figure. Where there is a GPU, run: {COMMAND}")
    say(f"load of the machine before the start: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    say()
    found = {"agreement": agreement(device), "against_eager": against_eager(device), **table(device)}
    say(f"\n{time.perf_counter() - start:.0f} s")
    if arguments.out:
        facts = provenance() | {"date": date.today().isoformat(), "device": device} | found
        publish(appended(arguments.out, ".json"), json.dumps(facts, indent=2).encode() + b"\n")
        publish(appended(arguments.out, ".txt"), ("\n".join(_lines) + "\n").encode())


if __name__ == "__main__":
    show_symbols()
    main()
