"""The Triton kernel of the torch engine, on a GPU or else in Triton's interpreter, held to the page of equations."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import TOLERANCE, covering, distance, experiment, inputs, named, of, running, same_bits

from ghostnet import Network, Simulator, build, preset
from ghostnet.engines import create
from ghostnet.engines.torch import engine as torch_engine
from ghostnet.model.checks import FEEDBACKS
from ghostnet.model.experiment import TRANSFERS
from ghostnet.model.models import MODELS

pytest.importorskip("triton")  # none but for Linux
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
from ghostnet.engines.torch import fused  # noqa: E402

SIZES = (20, 37, 10)


def fused_engine(network: Network, dtype: str = "float64", **options) -> torch_engine.Engine:
    """A torch engine that steps by the kernel, and can't otherwise."""
    engine = create("torch", network, dtype, 1, device=DEVICE, **options)
    experiments = torch_engine.run_experiments(network.experiment, options.get("per_run", {}))
    engine.stepper = fused.Phases(engine.ensemble, experiments)
    engine.ensemble.advance = None
    return engine


def assert_agrees(engine, dtype, e, x, y):
    expected = Simulator(running(e), "reference")
    expected.run(x, y)
    assert engine.present(x, y) is None
    got, wanted = named(engine.export()), of(expected.network)
    off = {name: distance(got[name], wanted[name]) for name in wanted}
    assert got.keys() == wanted.keys() and max(off.values()) <= TOLERANCE[dtype], off


@pytest.mark.parametrize(
    ("transfer", "batch_seeds", "dtype", "feedback"),
    covering(TRANSFERS, [(1, (0, 1, 5)), (4, (0,)), (2, (0, 1))], TOLERANCE, FEEDBACKS),
)
def test_the_kernel_agrees_with_the_reference(transfer, batch_seeds, dtype, feedback):
    batch, seeds = batch_seeds
    e = experiment("MB", SIZES, feedback=feedback, transfer=transfer, batch=batch, seeds=seeds)
    assert_agrees(fused_engine(running(e), dtype), dtype, e, *inputs(e, 3, len(seeds)))


@pytest.mark.parametrize("sizes", [(6, 1, 2), (6, 32, 11), (6, 33, 11), (6, 31, 12)])
def test_what_pads_the_matrices_takes_no_part(sizes):
    """Sizes at, below and above powers of two: the kernel's matrices are (n_2 + 5, n_1), padded."""
    e = experiment("MB", sizes, seeds=(0, 1), batch=2)
    assert_agrees(fused_engine(running(e)), "float64", e, *inputs(e, 2, 2))


def test_the_kernel_takes_the_constants_of_each_run():
    own = {"beta": [0.5, 0.3], "dt": [0.002, 0.001], "eta": [(2.0, 1.0), (0.5, 1.5)], "eta_ghost": [(30.0,), (9.0,)]}
    e = experiment("MB", SIZES, seeds=(0, 1), batch=3)
    x, y = inputs(e, 3, 2)
    tested, plain = fused_engine(running(e), per_run=own), create("torch", running(e), "float64", 1, per_run=own)
    assert tested.present(x, y) is None and plain.present(x, y) is None
    got, expected = named(tested.export()), named(plain.export())
    assert max(distance(got[name], expected[name]) for name in expected) <= 1e-10


def test_a_phase_in_pieces_is_the_phase_to_the_last_bit():
    """So recording by the kernel, which stops between steps, changes nothing."""
    e = experiment("MB", SIZES, seeds=(0, 1), batch=2)
    x, y = inputs(e, 2)
    whole, pieces = (fused_engine(running(e), "float32") for _ in range(2))
    for engine, parts in ((whole, (1,)), (pieces, (4, 3, 1))):
        engine.begin(x, y)
        for phase, steps in enumerate((8, 16)):
            for part in parts:
                engine.advance(phase, steps // sum(parts) * part)
        engine.finish()
    assert same_bits(named(whole.export()), named(pieces.export()))


def test_a_divergence_is_reported_and_leaves_every_run_as_it_was_before():
    e = experiment("MB", SIZES, seeds=(0, 1), batch=2)
    x, y = inputs(e, 3, 2)
    until, tested = fused_engine(running(e)), fused_engine(running(e))
    assert until.present(x[:1], y[:1]) is None
    x[1, 1, 0, 0] = np.nan
    assert tested.present(x, y)[:3] == (1, 1, 1)
    assert same_bits(named(until.export()), named(tested.export()))


@pytest.mark.parametrize(
    ("e", "dtype", "chosen"),
    [
        *((preset(name), dtype, True) for name in ("mb-100-tf", "mb-300-fa", "mb-500-tf") for dtype in TOLERANCE),
        (preset("mb-500-fa", sizes=(784, 1024, 10)), "float32", True),
        (preset("mb-500-fa", sizes=(784, 1024, 10)), "float64", False),
        (preset("mb-500-fa", sizes=(784, 1025, 10)), "float32", False),
        (preset("mb-500-fa", ghosts=(7,)), "float64", False),
        (preset("mb-300-300-tf"), "float32", False),
        *((experiment(model), "float32", model == "MB") for model in MODELS),
    ],
)
def test_the_kernel_is_chosen_on_a_gpu_where_it_fits(e, dtype, chosen):
    ensemble = create("torch", build(e), dtype, 1).ensemble
    assert isinstance(torch_engine.stepper(ensemble, [e], "cuda"), fused.Phases) == chosen
    assert torch_engine.stepper(ensemble, [e], "cpu") is ensemble


@pytest.mark.parametrize("capability", [80, 90])
def test_the_kernel_compiles_for_gpus_that_are_not_here_and_keeps_the_papers_networks_in_registers(capability):
    """Local memory is where the compiler puts what the registers can't hold."""
    compiled = Path(__file__).with_name("compile_kernel.py")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, compiled, str(capability)], env=environment, capture_output=True, text=True
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    usage = [line.split() for line in done.stdout.splitlines()]
    assert [line[:2] for line in usage] == [[t, p] for t in ("float32", "float64") for p in ("free", "clamped")]
    assert [stack for kind, _, _, stack in usage if kind == "float32"] == ["STACK:0"] * 2, usage
