"""Every random number of the baselines: the ghost units' initial weights, and streams of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum

import numpy as np

from ghostnet.model.baseline import DIRECT, Baseline
from ghostnet.model.equations import Layers
from ghostnet.model.experiment import Experiment
from ghostnet.model.network import Stream, generator


class BaselineStream(IntEnum):
    """Beside `ghostnet.model.network.Stream`, far from its values; never renumber."""

    DROPOUT = 100  # index: epoch
    INVERSE = 101  # index: epoch
    SAMPLE = 102  # index: epoch
    PRIVACY = 103  # index: epoch
    MODULE = 104  # index: parameter of a torch module, or epoch
    FEEDBACK = 105  # index: layer of a converted module
    MAGNITUDE = 106  # index: epoch
    GIBBS = 107  # index: epoch


def weights(e: Experiment, b: Baseline) -> tuple[list, list]:
    """W and B of every seed, lists over k, float64 arrays (runs, …).

    The numbers are those of `ghostnet.build`, scaled: under weights = "experiment", W_k is the ghost units' own, and so
    is FA's B_k. Direct feedback has a column per output; at the last hidden layer it is FA's. All of uSF's B_k are the
    deviation of FA's.
    """
    n, direct = e.sizes, b.method in DIRECT
    shapes = {k: (n[k], n[-1] if direct else n[k + 1]) for k in range(1, e.depth)}

    def uniform(stream: Stream, k: int, shape: tuple, bound: float) -> np.ndarray:
        return np.stack([generator(seed, stream, k).uniform(-bound, bound, shape) for seed in e.seeds])

    def feedback(k: int, shape: tuple) -> np.ndarray:
        bound = feedback_bound(e, b, shape[1])
        flat = b.method == "uSF"
        return np.full((len(e.seeds), *shape), bound / np.sqrt(3)) if flat else uniform(Stream.B, k, shape, bound)

    W: Layers = [None]
    for k in range(1, e.depth + 1):
        bound = 0.0 if b.weights == "zero" else _bound(e, b, n[k - 1])
        W.append(uniform(Stream.W, k, (n[k], n[k - 1]), bound))
    return W, [None, *(feedback(k, shape) for k, shape in shapes.items())]


def feedback_bound(e: Experiment, b: Baseline, columns: int) -> float:
    """B_k of so many columns is uniform in ± this."""
    return _bound(e, b, columns) if b.feedback_init is None else b.feedback_init


def _bound(e: Experiment, b: Baseline, columns: int) -> float:
    return e.init if b.weights == "experiment" else 1 / np.sqrt(columns)


class Noise:
    """The draws of one epoch, a generator per seed and purpose, so that a seed's do not depend on its neighbours."""

    def __init__(self, seeds: tuple[int, ...], stream: BaselineStream, epoch: int):
        self._generators = [generator(seed, stream, epoch) for seed in seeds]

    def uniform(self, shape: tuple, rows: list[int] | None = None) -> np.ndarray:
        """Uniform in [0, 1), (runs, *shape), float32."""
        return self._drawn(lambda g, shape: g.random(shape, np.float32), shape, rows)

    def normal(self, shape: tuple, rows: list[int] | None = None) -> np.ndarray:
        """Standard normal, (runs, *shape), float32."""
        return self._drawn(lambda g, shape: g.standard_normal(shape, np.float32), shape, rows)

    def _drawn(self, draw: Callable, shape: tuple, rows: list[int] | None) -> np.ndarray:
        """With `rows`, a run has so many that are drawn, and then 0: how far others fill up takes none of its draws."""
        if rows is None:
            return np.stack([draw(g, shape) for g in self._generators])
        found = np.zeros((len(rows), *shape), np.float32)
        for own, g, count in zip(found, self._generators, rows, strict=True):
            own[:count] = draw(g, (count, *shape[1:]))
        return found

    def state(self) -> np.ndarray:
        """Where the generators are, (runs, 13), uint64: counter, key, buffer, its next place, half a number, if any."""
        return np.stack([_flat(g.bit_generator.state) for g in self._generators])

    def restore(self, states: np.ndarray) -> None:
        """Go on from where the generators were whose `state` this is, one that `require_states` lets pass."""
        for g, values in zip(self._generators, states, strict=True):
            (place, half, number), named = values[10:].tolist(), {"counter": values[:4], "key": values[4:6]}
            parts = {"buffer": values[6:10], "buffer_pos": place, "has_uint32": half, "uinteger": number}
            g.bit_generator.state = {"bit_generator": "Philox", "state": named, **parts}


def _flat(state: Mapping) -> np.ndarray:
    last = [state[name] for name in ("buffer_pos", "has_uint32", "uinteger")]
    return np.array([*state["state"]["counter"], *state["state"]["key"], *state["buffer"], *last], np.uint64)


def require_states(states: np.ndarray) -> None:
    """Raise ValueError for what no Philox generator is in: NumPy would read beyond its buffer."""
    if states.dtype != np.uint64 or np.any(states[:, 10:] > np.array([4, 1, 2**32 - 1], np.uint64)):
        raise ValueError("the state of a random stream is none")
