"""Small experiments, networks in general position, and the measures that the tests share."""

from __future__ import annotations

import numpy as np
import pytest

from ghostnet import ConfigError, Experiment, Network, Simulator, build, data
from ghostnet.engines import ENGINES
from ghostnet.equations import Plastic, State, Weights, step
from ghostnet.models import MODELS

STILL = Plastic(W=False, W_pg=False, W_gp=False)
TYPED_ENGINES = tuple(
    (engine, dtype)
    for engine in ENGINES
    for dtype in ("float64", "float32")
    if (engine, dtype) != ("reference", "float32")
)
STEPPING = tuple(pair for pair in TYPED_ENGINES if pair[0] != "equilibrium")  # that one goes straight to a phase's end
OTHERS = tuple(dict.fromkeys(engine for engine, _ in STEPPING if engine != "reference"))


def experiment(model: str = "MB", sizes: tuple = (20, 37, 10), **changes) -> Experiment:
    """A few steps of a small network whose every plastic matrix moves visibly in one presentation."""
    hidden, row = len(sizes) - 2, MODELS[model]
    eta, eta_ghost = 2.0 if row.W else 0.2, 20.0 if row.fast_gp else 3.0
    fields = dict(
        model=model, feedback="TF", sizes=sizes, ghosts=sizes[2:] if row.paired else (5, 3, 4)[:hidden],
        tau=0.01, dt=0.002, beta=0.5, free_steps=12, clamped_steps=8, init=0.4, batch=7, train_examples=100,
        eta=[eta * 0.9**k for k in range(hidden + 1)], eta_ghost=[eta_ghost * 0.9**k for k in range(hidden)],
        clip=2.0 if row.clips else None,
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


def euler(w: Weights, z: State, x, y, beta, c, plastic: Plastic, steps: int) -> tuple[Weights, State]:
    """So many steps of the page of equations."""
    for _ in range(steps):
        w, z = step(w, z, x, y, beta, c, plastic)
    return w, z


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
