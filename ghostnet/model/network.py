"""A network: its experiment, weights and activities, drawn from stateless random streams."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import math
import os
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ghostnet.host import memory
from ghostnet.model.checks import MOST_STORED
from ghostnet.model.equations import Constants, Layers, Plasticity, State, Weights, feedback
from ghostnet.model.experiment import Experiment
from ghostnet.model.inputs import numbers, require_within
from ghostnet.model.laws import RULES
from ghostnet.model.models import MATRICES, Rule
from ghostnet.model.typed import integer, require, require_known

if TYPE_CHECKING:
    import torch

Group = TypeVar("Group", Weights, State)


class Stream(IntEnum):
    """What a random stream is for: the first part of its spawn key. Values are part of every result; never renumber."""

    W = 0  # index: layer k
    B = 1
    W_PG = 2
    W_GP = 3
    ORDER = 4  # index: epoch
    P = 5


def generator(seed: int, stream: IntEnum, index: int) -> np.random.Generator:
    """The stream `stream`, `index` of `seed`: the same numbers whenever and wherever it is asked for."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(int(stream), index))))


@dataclass
class Network:
    """Independent networks of one experiment, stacked along the leading `runs` axis (one per seed).

    Attributes:
        experiment: the settings.
        weights: W, B, W_pg, W_gp, lists over the paper's k; shapes in `ghostnet.model.equations`. float64. Under TF,
            engines take W_{k+1}^T for B_k, whatever stands there.
        state: s, g, likewise.
        presentations: how many presentations every run has seen.
        method: the baseline that trained W, such as DFA; None for ghost units.

    Examples:
        >>> [s if s is None else s.shape for s in net.state.s]  # slot k is layer k; (runs, batch, n_k)
        [None, (1, 1, 3), (1, 1, 2)]
    """

    experiment: Experiment
    weights: Weights
    state: State
    presentations: int = field(default=0)
    method: str | None = None

    @property
    def runs(self) -> int:
        """How many networks there are, one for each seed."""
        return len(self.experiment.seeds)

    def replace(self, /, **changes: Any) -> Network:
        """A copy of the weights and activities under other settings, such as another β.

        Raises:
            ConfigError: no such field, an impossible value, or one that asks for arrays of other shapes (sizes, ghosts,
                batch, model, number of seeds).

        Examples:
            >>> net.replace(beta=0.05).experiment.beta
            0.05
        """
        changed = copy.deepcopy(self)
        changed.experiment = self.experiment.replace(**changes)
        return dataclasses.replace(checked(changed, "float64"), method=self.method)

    def outputs(self, x: ArrayLike) -> np.ndarray:
        """Rates of the output layer, (runs, n, n_N), float64, by the feedforward graph: r_k = ρ(W_k r_{k-1}).

        Args:
            x: images (n, …) as `ghostnet.dataset` takes them: uint8 pixels from 0 to 255, or floats.

        Raises:
            ConfigError, DataError: they are none, are not of n_0 values each, or no rates.

        Examples:
            >>> net.outputs(np.ones((5, 4))).shape
            (1, 5, 2)
        """
        from ghostnet.model import feedforward

        return feedforward.output_rates(self, x)

    def predict(self, x: ArrayLike) -> np.ndarray:
        """The class of each image, (runs, n), whose output unit is the most active.

        Of two rates at their bound, too, the activity behind them tells which is larger.

        Args:
            x: images (n, …), as for `outputs`.

        Raises:
            ConfigError, DataError: as from `outputs`.

        Examples:
            >>> net.predict(np.ones((5, 4))).shape
            (1, 5)
        """
        from ghostnet.model import feedforward

        classes: np.ndarray = feedforward.output_activities(self, x).argmax(-1)
        return classes

    def to_torch(self, run: int = 0, dtype: str = "float32") -> torch.nn.Sequential:
        """One run as Linear layers without bias and activations in turn, which give what `outputs` does.

        Pixels have to be divided by 255 before.

        Raises:
            ConfigError: no such run or dtype.

        Examples:
            >>> [type(layer).__name__ for layer in net.to_torch()]
            ['Linear', 'Sigmoid', 'Linear', 'Sigmoid']
        """
        from ghostnet.model import modules

        return modules.to_torch(self, run, dtype)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the weights as a safetensors file, W_1, B_1, W_pg_1, W_gp_1, …, with the experiment's TOML in it.

        Raises:
            FileError: it can't be written.

        Examples:
            >>> net.save("net.safetensors")
        """
        from ghostnet.model import weightfile

        weightfile.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Network:
        """The network that `save` wrote, its activities at rest.

        Raises:
            FileError: it can't be read, or is no such file.

        Examples:
            >>> net.save("net.safetensors")
            >>> gn.Network.load("net.safetensors").experiment == net.experiment
            True
        """
        from ghostnet.model import weightfile

        return weightfile.load(path)

    @property
    def constants(self) -> Constants:
        """The constants of the equations, with learning rates as lists over k."""
        e = self.experiment
        rules = {rule.matrix: _plasticity(e, rule) for rule in e.plasticity.rules}
        return Constants(e.tau, e.dt, e.feedback == "TF", e.transfer, e.cost, rules, mixtures(e))


def _plasticity(e: Experiment, rule: Rule) -> Plasticity:
    decay = e.decay[MATRICES.index(rule.matrix)] if e.decay else rule.decay
    post = RULES[e.rule] if rule.post == "rule" else rule.post
    return Plasticity(post, rule.pre, [None, *getattr(e, rule.rate)], decay, e.clip if rule.clip else None)


def mixtures(e: Experiment) -> Layers:
    """P_k, whom the ghosts of hidden layer k imitate, a list over k: (runs, m_k, n_{k+1}), normal with variance
    1 / n_{k+1}; None where every ghost has a partner, m_k = n_{k+1}, or none imitates.
    """
    imitating = e.plasticity.rule("W_pg") is not None

    def drawn(k: int) -> np.ndarray | None:
        m, n = e.ghosts[k - 1], e.sizes[k + 1]
        if m == n or not imitating:
            return None
        return np.stack([generator(seed, Stream.P, k).normal(0, n**-0.5, (m, n)) for seed in e.seeds])

    return [None, *map(drawn, range(1, e.depth))]


def select(network: Network, runs: list[int], experiment: Experiment) -> Network:
    """Some runs of a network, as a network of `experiment`, which has a seed for each."""

    def of_runs(arrays: Layers) -> Layers:
        return [None, *(array[runs] for array in arrays[1:])]

    weights, state = Weights(*map(of_runs, network.weights)), State(*map(of_runs, network.state))
    chosen = Network(experiment, weights, state, network.presentations)
    tie_feedback(chosen)
    return chosen


def tie_feedback(network: Network) -> None:
    """Under TF, make every B_k the view W_{k+1}^T: NumPy's sums depend on the layout, and results must not."""
    w = network.weights
    network.weights = w._replace(B=feedback(w.W, w.B, network.experiment.feedback == "TF"))


def shapes(e: Experiment) -> tuple[Weights, State]:
    """The shape of every array of a network, lists over k."""
    require(isinstance(e, Experiment), f"experiment is a {type(e).__name__}: expected an Experiment, such as a preset")
    R = len(e.seeds)
    n = e.sizes
    m = (0, *e.ghosts)
    hidden = range(1, e.depth)
    lanes = (e.batch,) if e.plasticity.owned else ()
    weights = Weights(
        W=[None, *((R, n[k], n[k - 1]) for k in range(1, e.depth + 1))],
        B=[None, *((R, n[k], n[k + 1]) for k in hidden)],
        W_pg=[None, *((R, m[k], n[k]) for k in hidden)],
        W_gp=[None, *((R, *lanes, n[k], m[k]) for k in hidden)],
    )
    return weights, State(*([None, *((R, e.batch, units) for units in layers)] for layers in (n[1:], e.ghosts)))


def room(e: Experiment, bytes_per_number: int) -> contextlib.AbstractContextManager[None]:
    """Context in which a network of an experiment is allocated, with so many bytes for every weight and activity.

    Raises:
        ConfigError: the memory can't be had; known before the body begins, where that is far too little.
    """
    groups = [[math.prod(shape) for arrays in group for shape in arrays[1:]] for group in shapes(e)]
    shown = len(e.seeds) * e.batch * (e.sizes[0] + e.batch)  # x, and x x^T
    what = f"sizes = {e.sizes}, ghosts = {e.ghosts}, batch = {e.batch}, {len(e.seeds)} seeds"
    count = (sum(map(sum, groups)) + shown) * bytes_per_number
    return memory.room(count, what, "take fewer units, a smaller batch or fewer seeds")


def build(experiment: Experiment) -> Network:
    """The initial network: weights uniform in [-init, init] (each matrix from its own stream), activities zero.

    Raises:
        ConfigError: it needs more memory than there is.

    Examples:
        >>> gn.build(exp.replace(seeds=(0, 1))).weights.W[1].shape
        (2, 3, 4)
    """
    e = experiment
    weights, state = shapes(e)

    def uniform(stream: Stream, k: int, shape: tuple[int, ...]) -> np.ndarray:
        return np.stack([generator(seed, stream, k).uniform(-e.init, e.init, shape[1:]) for seed in e.seeds])

    with room(e, 8):
        drawn = (
            [None, *(uniform(stream, k, shape) for k, shape in enumerate(arrays[1:], start=1))]
            for stream, arrays in zip((Stream.W, Stream.B, Stream.W_PG, Stream.W_GP), weights, strict=True)
        )
        at_rest = ([None, *map(np.zeros, arrays[1:])] for arrays in state)
        network = Network(e, Weights(*drawn), State(*at_rest))
    tie_feedback(network)
    return network


def checked(network: Network, dtype: str) -> Network:
    """A network as an engine may take it: arrays of the experiment's shapes, finite in `dtype`; under TF, B = W^T.

    Raises:
        ConfigError: it is none; names the array, its shape or the place of a value.
    """
    require(
        isinstance(network, Network), f"network is a {type(network).__name__}: expected what `ghostnet.build` gives"
    )
    require_known([dtype], ("float32", "float64"), "dtype")
    e, largest = network.experiment, float(np.finfo(dtype).max)
    seen = integer("presentations", network.presentations, 0, MOST_STORED)
    weights, state = shapes(e)
    taken = Network(e, _checked(network.weights, weights, largest), _checked(network.state, state, largest), seen)
    tie_feedback(taken)
    return taken


def _checked(group: Group, wanted: Group, largest: float) -> Group:
    """The weights or the activities of a network, checked."""
    kind = type(wanted)
    text = f"network: expected a ghostnet.model.equations.{kind.__name__}, got {type(group)}"
    require(isinstance(group, kind), text)
    named = zip(wanted._fields, group, wanted, strict=True)
    return kind(*(_layers(symbol, arrays, shapes_k, largest) for symbol, arrays, shapes_k in named))


def _layers(symbol: str, arrays: Layers, wanted: Layers, largest: float) -> Layers:
    """One list over k of a network, checked."""
    count = len(arrays) if isinstance(arrays, (list, tuple)) else 0
    text = (
        f"{symbol} has {count} slots: expected {len(wanted)}, None and then {symbol}[1] … {symbol}[{len(wanted) - 1}]"
    )
    require(count == len(wanted), text)
    found: Layers = [None]
    for k, shape in enumerate(wanted[1:], start=1):
        name = f"{symbol}[{k}]"
        array = numbers(name, arrays[k]).astype(np.float64, copy=False)
        require(array.shape == shape, f"{name} has shape {array.shape}: expected {shape}")
        require_within(name, array, -largest, largest, "mend it before it meets an engine")
        found.append(array.copy() if min(array.strides) < 0 else array)  # torch takes no such strides
    return found
