"""What is the torch engine's own: constants per run, chunks, devices, settings it borrows, what it needs installed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from builders import distance, experiment, inputs, named, noise, of, refusal, running, same_bits

from ghostnet import ConfigError, DivergenceError, Network, Simulator, build, train
from ghostnet.cli.main import main
from ghostnet.engines import create
from ghostnet.engines.torch import engine as torch_engine
from ghostnet.engines.torch import stimuli
from ghostnet.model.experiment import RULES, TRANSFERS
from ghostnet.model.models import MODELS

ROOT = Path(__file__).resolve().parent.parent
SIZES = (20, 30, 25, 6)
PER_RUN = {
    "beta": [0.5, 0.3, 0.4],
    "dt": [0.002, 0.001, 0.003],
    "eta": [(2.0, 1.0, 0.5), (1.0, 1.5, 0.2), (0.5, 0.5, 0.5)],
    "eta_ghost": [(3.0, 2.0), (1.0, 4.0), (5.0, 0.5)],
}

each_model = pytest.mark.parametrize("model", MODELS)
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
each_way = pytest.mark.parametrize("sizes", [SIZES, (20, 37, 10)], ids=["operations", "kernel"])  # MB's, on a GPU


def one_run(network: Network, run: int, **changes) -> Network:
    """A run of an ensemble by itself, with constants of its own."""
    weights, state = (
        type(group)(*([None, *(a[run : run + 1] for a in arrays[1:])] for arrays in group))
        for group in (network.weights, network.state)
    )
    return Network(network.experiment.replace(seeds=(run,), **changes), weights, state)


@each_model
@pytest.mark.parametrize("feedback", ["TF", "FA"])
@pytest.mark.parametrize("names", [*((name,) for name in PER_RUN), tuple(PER_RUN)], ids=" ".join)
def test_a_run_with_constants_of_its_own_is_the_single_run_with_them(model, feedback, names):
    clip = 0.3 if MODELS[model].rule("W").clip else None
    e = experiment(model, SIZES, feedback=feedback, batch=3, seeds=(0, 1, 2), clip=clip)
    network, (x, y) = running(e), inputs(e, 3, 3)
    ensemble = Simulator(network, "torch", "float64", per_run={name: PER_RUN[name] for name in names})
    ensemble.run(x, y)
    together = of(ensemble.network)
    common = Simulator(network, "torch", "float64")
    common.run(x, y)
    for run in range(3):
        own = {name: PER_RUN[name][run] for name in names}
        single = Simulator(one_run(network, run, **own), "reference")
        single.run(x[:, run : run + 1], y[:, run : run + 1])
        expected = of(single.network)
        assert max(distance(together[name][run : run + 1], expected[name]) for name in expected) <= 1e-10
    others = of(common.network)
    assert all(distance(together[name][1], others[name][1]) > 1e-6 for name in ("s[1]", "s[2]", "W[1]"))


@each_model
def test_constants_that_do_not_differ_are_the_experiments(model):
    e = experiment(model, SIZES, seeds=(0, 1))
    same = {"beta": [e.beta] * 2, "dt": [e.dt] * 2, "eta": np.array([e.eta] * 2), "eta_ghost": [e.eta_ghost] * 2}
    plain, told = (Simulator(running(e), "torch", "float64", **options) for options in ({}, {"per_run": same}))
    for one in (plain, told):
        one.run(*inputs(e, 2))
    a, b = of(plain.network), of(told.network)
    assert max(distance(a[name], b[name]) for name in a) <= 1e-10


@pytest.mark.parametrize(
    ("per_run", "text"),
    [
        ({"betas": [0.1, 0.2]}, "unknown per-run constant 'betas': did you mean 'beta'?"),
        ({"tau": [0.1, 0.2]}, "unknown per-run constant 'tau'"),
        ({"beta": [0.1, 0.2, 0.3]}, "per_run: beta has shape (3,): expected a value for each of 2 runs"),
        ({"beta": 0.1}, "per_run: beta has shape (): expected a value for each of 2 runs"),
        ({"beta": [0.1, -0.2]}, "beta = -0.2: expected a positive number"),
        ({"beta": ["much", "more"]}, "per_run: beta holds <U4: expected numbers"),
        ({"dt": [0.001, 0.03]}, "dt = 0.03: explicit Euler is unstable"),
        ({"eta": [0.1, 0.2]}, "eta has 1 values: expected 2"),
        ({"eta": [[0.1, 0.2], [0.1, np.nan]]}, "eta = nan: expected rates of 0 or more"),
        ({"eta_ghost": [[1.0, 2.0], [1.0, 2.0]]}, "eta_ghost has 2 values: expected 1"),
    ],
)
def test_constants_per_run_that_do_not_fit_are_refused_by_name(per_run, text):
    network = build(experiment("MB", seeds=(0, 1)))
    assert text in refusal(ConfigError, Simulator, network, "torch", per_run=per_run)


@pytest.mark.parametrize(
    ("engine", "options", "text"),
    [
        ("torch", {"device": "tpu"}, "unknown device 'tpu'"),
        ("torch", {"devise": "cpu"}, "devise: the torch engine takes device, fast_matmul, per_run"),
        ("cpu", {"device": "cuda"}, "device: the cpu engine takes no options"),
    ],
)
def test_options_that_an_engine_does_not_have_are_refused_by_name(engine, options, text):
    assert text in refusal(ConfigError, Simulator, build(experiment()), engine, **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused_with_what_to_do():
    text = refusal(ConfigError, Simulator, build(experiment()), "torch", device="cuda")
    assert "finds no CUDA GPU; take device cpu, or install torch for CUDA" in text


@each_model
@pytest.mark.parametrize("presentations", [1, 2, 3])
def test_results_do_not_depend_on_how_many_presentations_lie_on_the_device(monkeypatch, model, presentations):
    e = experiment(model, SIZES, seeds=(0, 1))
    x, y = inputs(e, 7, 2)
    engines = [create("torch", running(e), "float64", 1) for _ in range(2)]
    assert engines[0].present(x, y) is None
    monkeypatch.setattr(stimuli, "CHUNK_BYTES", presentations * (x[0].nbytes + y[0].nbytes))
    assert engines[1].present(x, y) is None
    assert engines[0].arrays.capacity > 7 and engines[1].arrays.capacity == presentations
    assert same_bits(*(named(engine.export()) for engine in engines))
    x[5, 1, 0, 0] = np.nan
    found = [engine.present(x, y) for engine in engines]
    assert found[0] == found[1] and found[0][:3] == (1, 5, 1)
    assert same_bits(*(named(engine.export()) for engine in engines))


def test_inputs_larger_than_a_chunk_go_to_the_device_one_at_a_time(monkeypatch):
    monkeypatch.setattr(stimuli, "CHUNK_BYTES", 1)
    e = experiment("MB", SIZES)
    engine = create("torch", running(e), "float64", 1)
    assert engine.present(*(a[:, None] for a in inputs(e, 3))) is None
    assert engine.arrays.capacity == 1


@pytest.mark.parametrize("diverges", [False, True])
def test_the_engine_leaves_torchs_settings_as_they_were(diverges):
    before = torch.get_num_threads(), torch.backends.cuda.matmul.fp32_precision
    torch.set_num_threads(3)
    try:
        e = experiment("MA", eta=(1e9, 1e9) if diverges else (1.0, 1.0))
        simulator = Simulator(running(e), "torch", fast_matmul=True)
        try:
            simulator.present(*inputs(e))
        except DivergenceError:
            assert diverges
        assert simulator.network.presentations == (not diverges)
        assert (torch.get_num_threads(), torch.backends.cuda.matmul.fp32_precision) == (3, before[1])
    finally:
        torch.set_num_threads(before[0])


def test_the_engine_and_its_benchmark_need_nothing_but_numpy_torch_and_tqdm():
    code = (
        "import sys\n"
        "for name in ('array_api_compat', 'h5py', 'jsonargparse', 'matplotlib', 'numba', 'platformdirs', 'pooch',"
        " 'scipy', 'threadpoolctl', 'triton', 'xarray'):\n"
        "    sys.modules[name] = None\n"
        "sys.path.insert(0, 'sims')\n"
        "import bench_gpu, ghostnet as gn\n"
        "e = gn.preset('mb-100-tf', sizes=(784, 5, 10), free_steps=2, clamped_steps=2)\n"
        "simulator, images = gn.Simulator(gn.build(e), 'torch'), bench_gpu.data.load()\n"
        "simulator.run(*bench_gpu.inputs(e, 2))\n"
        "simulator.run_examples(images, bench_gpu.presentation_order(e, 1)[:2])\n"
        "simulator.evaluate(images)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@on_a_gpu
@each_model
@each_way
@pytest.mark.parametrize("feedback", ["TF", "FA"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-4)])
def test_a_gpu_agrees_with_the_reference(model, sizes, feedback, dtype, tolerance):
    e = experiment(model, sizes, feedback=feedback, seeds=(0, 1, 2))
    x, y = inputs(e, 5, 3)
    expected = Simulator(running(e), "reference")
    expected.run(x, y)
    tested = Simulator(running(e), "torch", dtype, device="cuda")
    tested.run(x[:2], y[:2])
    tested.run(x[2:], y[2:])
    a, b = of(tested.network), of(expected.network)
    assert max(distance(a[name], b[name]) for name in b) <= tolerance


@on_a_gpu
@each_model
@each_way
def test_a_replayed_presentation_is_the_presentation_in_pieces_to_the_last_bit(model, sizes):
    e = experiment(model, sizes, seeds=(0, 1))
    x, y = inputs(e, 3, 2)
    whole, pieces = (create("torch", running(e), "float32", 1, device="cuda") for _ in range(2))
    assert whole.present(x, y) is None and whole.arrays.graph is not None
    for one_x, one_y in zip(x, y, strict=True):
        pieces.begin(one_x, one_y)
        pieces.advance(0, e.free_steps)
        pieces.advance(1, e.clamped_steps)
        pieces.finish()
    assert same_bits(named(whole.export()), named(pieces.export()))


@on_a_gpu
@each_way
def test_a_divergence_on_a_gpu_leaves_every_run_as_it_was_before(sizes):
    e = experiment("MB", sizes, seeds=(0, 1))
    x, y = inputs(e, 6, 2)
    until, tested = (create("torch", running(e), "float32", 1, device="cuda") for _ in range(2))
    until.present(x[:4], y[:4])
    x[4, 1, 0, 0] = np.nan
    assert tested.present(x, y)[:3] == (1, 4, 1)
    assert same_bits(named(until.export()), named(tested.export()))


def test_a_training_keeps_its_options_in_its_provenance(task, tmp_path):
    e = experiment("MB", (16, 12, 4), seeds=(0, 1), data=task, epochs=1, free_steps=5, clamped_steps=5)
    per_run = {"beta": np.array([0.5, 0.3])}
    own = train(e, tmp_path / "run", engine="torch", device="cpu", per_run=per_run, progress=False)
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert provenance["options"] == {"device": "cpu", "per_run": {"beta": [0.5, 0.3]}} and provenance["gpu"] is None
    common = train(e, engine="torch", progress=False)
    apart = [distance(a, b) for a, b in zip(own.network.weights.W[1], common.network.weights.W[1], strict=True)]
    assert apart[0] <= 1e-5 < 1e-3 < apart[1]


def test_the_command_line_gives_the_engine_its_options(task, tmp_path, capsys):
    command = f"train mb-100-tf --sizes 16 12 4 --data {task} --train-examples 40 --epochs 1 --out {tmp_path / 'run'}"
    command += " --quiet --engine torch --device cpu --fast-matmul"
    assert main(command.split()) == 0
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert provenance["engine"] == "torch" and provenance["options"] == {"device": "cpu", "fast_matmul": True}


@each_model
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("transfer", TRANSFERS)
def test_nothing_in_a_presentation_waits_for_a_number_from_the_device(monkeypatch, model, rule, transfer):
    """A CUDA graph allows no such thing; on the meta device there are no numbers, so asking for one is an error."""
    monkeypatch.setattr(torch_engine, "require_device", lambda device: None)
    e = experiment(model, SIZES, rule=rule, transfer=transfer, seeds=(0, 1))
    own = {"dt": [0.001, 0.002], "eta": [e.eta, e.eta[::-1]]}
    for per_run in ({}, own):
        engine = torch_engine.Engine(running(e), device="meta", per_run=per_run)
        with engine._settings():
            for shown in (stimuli.Arrays(engine.ensemble.x, engine.ensemble.y), engine._examples(noise(e))):
                engine._presentation(shown)
        with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
            engine._divergence()


@each_model
@pytest.mark.parametrize("kind", ["arrays", "examples"])
def test_recording_a_presentation_leaves_no_trace(monkeypatch, model, kind):
    """Capture, with stand-ins for CUDA: what is recorded is not carried out, and replaying is presenting."""
    e = experiment(model, SIZES, train_examples=21)
    plain, tested = (create("torch", running(e), "float64", 1) for _ in range(2))
    x, y = (a[:, None] for a in inputs(e, 3))
    dataset, order = noise(e), np.arange(21).reshape(3, 1, 7)

    def present(engine, what):
        return engine.present(x, y) if what == "arrays" else engine.present_examples(dataset, order)

    for what in ("arrays", "examples"):  # so that the position is not where a recording begins
        assert present(plain, what) is None and present(tested, what) is None
    captured = getattr(tested, kind)

    @contextlib.contextmanager
    def record(graph):
        held = tested.ensemble.lasting.memory, tested.position, tested.first_bad
        before = [tensor.clone() for tensor in held]
        yield
        for tensor, copy in zip(held, before, strict=True):
            tensor.copy_(copy)

    idle = SimpleNamespace(wait_stream=lambda other: None)
    graph = SimpleNamespace(replay=lambda: tested._presentation(captured))
    for name, stand_in in (
        ("Stream", lambda: idle), ("current_stream", lambda: idle), ("stream", contextlib.nullcontext),
        ("CUDAGraph", lambda: graph), ("graph", record),
    ):  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, stand_in)
    with tested._settings():
        tested.before.copy_(tested.ensemble.lasting.memory)
        tested._capture(captured)
    assert captured.graph is graph
    assert present(plain, kind) is None and present(tested, kind) is None
    assert same_bits(named(plain.export()), named(tested.export()))
