"""What the tests build and how they measure it: small experiments, networks in general position, files, refusals."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from ghostnet import ConfigError, Experiment, Network, Simulator, baselines, build, data
from ghostnet.baselines import Baseline, methods
from ghostnet.baselines.layers import Feedback
from ghostnet.baselines.learner import Learner
from ghostnet.cli.main import main
from ghostnet.data import idx
from ghostnet.engines import ENGINES
from ghostnet.engines.torch import tensorlaws
from ghostnet.files import hdf5
from ghostnet.files.seal import Sealed, sealed
from ghostnet.model import names
from ghostnet.model.equations import Constants, State, Weights, see, step, update_once
from ghostnet.model.models import MODELS, Model

STILL: dict[str, float] = {}  # no rule acts
TYPED_ENGINES = tuple(
    (engine, dtype)
    for engine in ENGINES
    for dtype in ("float64", "float32")
    if (engine, dtype) != ("reference", "float32")
)
STEPPING = tuple(pair for pair in TYPED_ENGINES if pair[0] != "equilibrium")  # that one goes straight to a phase's end
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}  # between engines, after a presentation
OTHERS = tuple(dict.fromkeys(engine for engine, _ in STEPPING if engine != "reference"))


def covering(*axes: Iterable, strength: int = 2) -> list[tuple]:
    """Few rows of the product of these axes: any `strength` of the axes still meet in every way."""
    values = [list(axis) for axis in axes]
    groups = list(itertools.combinations(range(len(values)), strength))
    rows = list(itertools.product(*(range(len(axis)) for axis in values)))
    meetings = {row: {(group, tuple(row[i] for i in group)) for group in groups} for row in rows}
    missing, chosen = set().union(*meetings.values()), []
    while missing:
        chosen.append(max(rows, key=lambda row: len(meetings[row] & missing)))
        missing -= meetings[chosen[-1]]
    return [tuple(axis[i] for axis, i in zip(values, row, strict=True)) for row in chosen]


def experiment(model: str | Model = "MB", sizes: tuple = (20, 37, 10), **changes) -> Experiment:
    """A few steps of a small network whose every plastic matrix moves visibly in one presentation."""
    hidden, row = len(sizes) - 2, model if isinstance(model, Model) else MODELS[model]
    eta, eta_ghost = 0.2 if row.once else 2.0, 20.0 if row.owned else 3.0
    fields = dict(
        model=model, feedback="TF", sizes=sizes, ghosts=sizes[2:] if row.paired else (5, 3, 4)[:hidden],
        tau=0.01, dt=0.002, beta=0.5, free_steps=12, clamped_steps=8, init=0.4, batch=7, train_examples=100,
        eta=[eta * 0.9**k for k in range(hidden + 1)], eta_ghost=[eta_ghost * 0.9**k for k in range(hidden)],
        clip=2.0 if row.rule("W").clip else None,
        eta_imitation=(3.0,) * hidden if any(rule.rate == "eta_imitation" for rule in row.rules) else (),
    )  # fmt: skip
    return Experiment(**(fields | changes))


def inputs(e: Experiment, *leading: int, seed: int = 0, lit: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """x uniform in [0, 1], a share `lit` of it not zero, and one-hot y, both (*leading, batch, units)."""
    draw = np.random.default_rng(seed)
    shape = (*leading, e.batch)
    x = draw.uniform(size=(*shape, e.sizes[0])) * (draw.uniform(size=(*shape, e.sizes[0])) < lit)
    return x, np.eye(e.sizes[-1])[draw.integers(e.sizes[-1], size=shape)]


def noise(e: Experiment, train: int = 120, test: int = 40, seed: int = 0) -> data.Dataset:
    """Images without any order, of the sizes of an experiment."""
    draw = np.random.default_rng(seed)
    parts = []
    for count in (train, test):
        labels = (np.arange(count) % e.sizes[-1]).astype(np.uint8)
        parts += [draw.integers(256, size=(count, e.sizes[0]), dtype=np.uint8), draw.permuted(labels)]
    return data.Dataset("noise", *parts)


def running(e: Experiment, seed: int = 0) -> Network:
    """A network of `e` in the midst of something: its activities normal, of deviation 1/2."""
    network, draw = build(e), np.random.default_rng(seed)
    network.state = State(*([None, *(draw.normal(0, 0.5, a.shape) for a in group[1:])] for group in network.state))
    return network


def simulator(network: Network, engine: str = "reference", dtype: str = "float64", **options) -> Simulator:
    """A Simulator; the test is skipped where the engine says that it can't run this experiment."""
    try:
        return Simulator(network, engine, dtype, **options)
    except ConfigError as reason:
        pytest.skip(str(reason))


OPTIONS = {"equilibrium": {"max_sweeps": 5, "settle_tol": 1e-3}, "torch": {"per_run": {"beta": [0.1, 0.4]}}}


def two_runs(engine: str, sizes: tuple = (20, 30, 6), **changes) -> Simulator:
    """Two seeds of MB on two threads, with options of the engine's own."""
    e = experiment("MB", sizes, seeds=(0, 1), **changes)
    return simulator(running(e), engine, threads=2, **OPTIONS.get(engine, {}))


def acting(*matrices: str) -> dict[str, float]:
    """The rules of these matrices, as `step` takes them."""
    return dict.fromkeys(matrices, 1.0)


def euler(w: Weights, z: State, x, y, beta, c, acting: dict[str, float], steps: int) -> tuple[Weights, State]:
    """So many steps of the page of equations."""
    for _ in range(steps):
        w, z = step(w, z, x, y, beta, c, acting)
    return w, z


def updated_once(w: Weights, z: State, x, y, beta, c: Constants) -> Weights:
    """Rule (16) from one end of a nudged phase."""
    return update_once(w, [(1.0, see(w, z, x, y, beta, c))], c)


def with_rule(c: Constants, matrix: str, **changes) -> Constants:
    """The constants, with a rule changed."""
    return c._replace(rules=c.rules | {matrix: c.rules[matrix]._replace(**changes)})


def named(groups: tuple[Weights, State]) -> dict[str, np.ndarray]:
    """Every array of a network by its symbol: {"W[1]": …, "s[2]": …}."""
    return {
        f"{symbol}[{k}]": array
        for group in groups
        for symbol, arrays in group._asdict().items()
        for k, array in enumerate(arrays[1:], start=1)
    }


def of(network: Network) -> dict[str, np.ndarray]:
    """Every array of a network by its symbol."""
    return named((network.weights, network.state))


def distance(a, b) -> float:
    """Largest difference, relative to the largest element of b."""
    return float(np.abs(a - b).max() / np.abs(b).max())


def same_bits(a: dict, b: dict) -> bool:
    """Whether two networks are equal to the last bit."""
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def order(steps, errors) -> float:
    """The exponent p of error ~ step^p, by regression of the logarithms."""
    return float(np.polyfit(np.log(steps), np.log(errors), 1)[0])


def refusal(error: type[Exception], function, *arguments, **options) -> str:
    """The text of the error a call has to raise, held to be a single line."""
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


COLUMNS = "run,seed,epoch,train_accuracy,test_accuracy,train_mse,test_mse,seconds"
TINY = {
    "MB": dict(ghosts=(3,), beta=0.1, free_steps=60, clamped_steps=20, eta=(8.0, 2.0), eta_ghost=(20.0,), batch=1),
    "MA": dict(ghosts=(4,), beta=5.0, free_steps=40, clamped_steps=40, eta=(3.0, 3.0), eta_ghost=(1.0,), batch=10),
}


def tiny(task, model: str | Model = "MB", **changes) -> Experiment:
    """What learns the `task` of conftest.py in a second."""
    fields = dict(sizes=(16, 12, 4), dt=0.005, tau=0.01, init=0.5, epochs=2, data=task, train_examples=80)
    return Experiment(**(dict(model=model, feedback="TF") | fields | TINY[model if model in TINY else "MB"] | changes))


def table(folder: Path) -> list[dict]:
    """The rows of a run's metrics.csv, as text."""
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def without_seconds(rows: list[dict]) -> list[dict]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def ended_with(network: Network | list[nn.Module]) -> dict:
    """Every array of what a training leaves, and how much that has seen."""
    return states(network) if isinstance(network, list) else of(network) | {"presentations": network.presentations}


def states(modules: list[nn.Module]) -> dict:
    """Every array of modules."""
    return {f"{i} {name}": v for i, module in enumerate(modules) for name, v in module.state_dict().items()}


def assert_same_end(tested, out: Path, whole) -> None:
    """Two trainings ended alike, to the last bit, and `out` says so."""
    assert same_bits(ended_with(tested.network), ended_with(whole.network))
    assert without_seconds(tested.metrics) == without_seconds(whole.metrics)
    assert [row | {"seconds": ""} for row in table(out)] == [
        {key: str(value) for key, value in row.items()} | {"seconds": ""} for row in whole.metrics
    ]


def command(capsys, *arguments) -> tuple[int, str, str]:
    """Exit code, output and error output of a command, run in this process."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


def sweep_settings(task, model="MB", **changes) -> dict:
    """`tiny` as the settings of a sweep."""
    e = tiny(task, model)
    names = ("model", "sizes", "ghosts", "tau", "dt", "beta", "free_steps", "clamped_steps", "eta", "eta_ghost")
    names += ("init", "batch", "epochs", "data", "train_examples")
    fields = {name: getattr(e, name) for name in names}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()} | changes


def quick(model="MB", sizes=(12, 9, 5), **changes) -> Experiment:
    """An experiment whose phases nearly settle."""
    fields = dict(
        dt=0.005, beta=0.1, free_steps=150, clamped_steps=40, batch=2, eta_ghost=(20.0,) * (len(sizes) - 2), init=0.5
    )
    return experiment(model, sizes, **(fields | changes))


def examples(e: Experiment, count: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`inputs` of so many examples, whatever the batch."""
    return inputs(e.replace(batch=count), seed=seed)


def mirrored(e: Experiment) -> Network:
    """A network of MA with exact ghosts: W^gp = B and W^pg = W above."""
    network = build(e)
    w = network.weights
    network.weights = w._replace(W_gp=[None, *w.B[1:]], W_pg=[None, *w.W[2:]])
    return network


def learner(method: str, sizes=(16, 12, 9, 4), seeds=(0, 1), batch=6, init=0.6, **settings) -> Learner:
    """A baseline on an MLP, float64; biases, where there are any, are drawn."""
    e = baselines.mlp(sizes, batch=batch, seeds=seeds, init=init)
    net = Learner(e, Baseline(method=method, **({"learning_rate": 1.0} | settings)), "float64")
    draw = np.random.default_rng(1)
    for b in (net.bias or [])[1:]:
        b.copy_(torch.from_numpy(draw.normal(size=tuple(b.shape))))
    return net


def task_batch(net: Learner, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """One batch of a baseline: x and one-hot y."""
    e, draw = net.experiment, np.random.default_rng(seed)
    shape = (len(e.seeds), e.batch)
    x = draw.uniform(size=(*shape, e.sizes[0]))
    return torch.from_numpy(x), torch.from_numpy(np.eye(e.sizes[-1])[draw.integers(e.sizes[-1], size=shape)])


def found(net: Learner, x, y, method: str | None = None) -> tuple[methods.Pass, torch.Tensor, list]:
    """The forward pass, e and δ of a batch."""
    p = net.forward(x)
    e = methods.output_error(p.u, y, net.baseline.loss)
    return p, e, net.credit(p, e, y, method)


def loss_of(net: Learner, W: list, x, y) -> torch.Tensor:
    """The loss of every example, written with torch's own functions."""
    bias = net.bias or [0] * len(W)
    r = x
    for w, b in zip(W[1:-1], bias[1:-1], strict=True):
        r = tensorlaws.of(names.transfer(net.transfer).rho, r @ w.mT + b)
    u = r @ W[-1].mT + bias[-1]
    return {
        "mse": lambda: 0.5 * (y - u.sigmoid()).square().sum(-1),
        "cross-entropy": lambda: -(y * u.log_softmax(-1)).sum(-1),
        "binary-cross-entropy": lambda: torch.nn.functional.binary_cross_entropy_with_logits(
            u, y, reduction="none"
        ).sum(-1),
    }[net.baseline.loss]()


def by_autograd(net: Learner, x, y) -> list:
    """The gradient of the mean loss."""
    W = [None, *(w.clone().requires_grad_() for w in net.W[1:])]
    return [None, *torch.autograd.grad(loss_of(net, W, x, y).mean(1).sum(), W[1:])]


def far(a, b) -> float:
    """The largest `distance` between tensors of two lists over k."""
    return max(distance(own.numpy(), other.numpy()) for own, other in zip(a[1:], b[1:], strict=True))


IDX_FILES = idx.FILES


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def small_parts() -> list[np.ndarray]:
    """Four arrays that fit together: 5 and 3 images of 2 × 3 pixels, labels from 0 to 2."""
    images = np.arange(30, dtype=np.uint8).reshape(5, 2, 3)
    return [images, np.array([0, 1, 2, 0, 1], np.uint8), images[:3] + 100, np.array([2, 1, 0], np.uint8)]


def write_parts(folder: Path, arrays, names=IDX_FILES) -> Path:
    """A directory of IDX files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(names, arrays, strict=True):
        content = idx_bytes(array)
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder


def convertible(kind: str) -> nn.Module:
    """A float64 module with weights of its own, none from torch's global generator."""
    layers = {
        "mlp": lambda: [nn.Flatten(), nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 4)],
        "cnn": lambda: [
            nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, stride=2, padding=(1, 2), dilation=1, groups=2), nn.Tanh(),
            nn.Sequential(nn.Flatten(), nn.Linear(36, 9), nn.Tanh()), nn.Linear(9, 4),
        ],
    }[kind]()  # fmt: skip
    with torch.random.fork_rng():
        net, draw = nn.Sequential(*layers).double(), torch.Generator().manual_seed(1)
    for parameter in net.parameters():
        parameter.data.uniform_(-0.5, 0.5, generator=draw)
    return net


def feedback_layers(net: nn.Module) -> list[Feedback]:
    """The layers of a converted module that learn by feedback, in their order."""
    return [layer for layer in net.modules() if isinstance(layer, Feedback)]


def images(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """Five 8 × 8 images and their labels, of which there are four, for `convertible`."""
    draw = torch.Generator().manual_seed(2)
    return torch.rand(5, 1, 8, 8, generator=draw).to(dtype), torch.randint(4, (5,), generator=draw)


def rewritten(name: str, make: Callable[[str], object]) -> Callable[[h5py.File], None]:
    """A change for `resealed`: a text of the file replaced by make(it)."""

    def change(file: h5py.File) -> None:
        made = make(file.attrs[name].decode())
        del file.attrs[name]
        hdf5.describe(file, {name: made})

    return change


def unsealed(path: Path) -> bytes:
    """The HDF5 content of a sealed file."""
    with Sealed(path) as file:
        return file.span(0, file.length)


def resealed(path: Path, change: Callable[[h5py.File], None], out: Path) -> Path:
    """A checkpoint or trace with something changed in it, sealed anew."""
    content = io.BytesIO(unsealed(path))
    with h5py.File(content, "r+") as file:
        change(file)
    out.write_bytes(sealed(content.getvalue()))
    return out
