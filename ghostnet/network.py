"""A network: its experiment, weights and activities, drawn from stateless random streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from ghostnet.config import Experiment
from ghostnet.equations import Constants, State, Weights, feedback


class Stream(IntEnum):
    """What a random stream is for: the first part of its spawn key. Values are part of every result; never renumber."""

    W = 0  # index: layer k
    B = 1
    W_PG = 2
    W_GP = 3
    ORDER = 4  # index: epoch


def generator(seed: int, stream: Stream, index: int) -> np.random.Generator:
    """The stream `stream`, `index` of `seed`: the same numbers whenever and wherever it is asked for."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(int(stream), index))))


@dataclass
class Network:
    """Independent networks of one experiment, stacked along the leading `runs` axis (one per seed).

    Attributes:
        experiment: the settings.
        weights: W, B, W_pg, W_gp, lists over the paper's k; shapes in `ghostnet.equations`. float64.
        state: s, g, likewise.
        presentations: how many presentations every run has seen.
        method: the baseline that trained W, such as DFA; None for ghost units.
    """

    experiment: Experiment
    weights: Weights
    state: State
    presentations: int = field(default=0)
    method: str | None = None

    @property
    def runs(self) -> int:
        return len(self.experiment.seeds)

    @property
    def constants(self) -> Constants:
        """The constants of the equations, with learning rates as lists over k."""
        e = self.experiment
        return Constants(
            e.tau, e.dt, [None, *e.eta], [None, *e.eta_ghost], e.clip, e.feedback == "TF", e.rule, e.transfer
        )  # fmt: skip


def select(network: Network, runs: list[int], experiment: Experiment) -> Network:
    """Some runs of a network, as a network of `experiment`, which has a seed for each."""
    parts = (
        type(group)(*([None, *(array[runs] for array in arrays[1:])] for arrays in group))
        for group in (network.weights, network.state)
    )
    chosen = Network(experiment, *parts, network.presentations)
    tie_feedback(chosen)
    return chosen


def tie_feedback(network: Network) -> None:
    """Under TF, make every B_k the view W_{k+1}^T: NumPy's sums depend on the layout, and results must not."""
    w = network.weights
    network.weights = w._replace(B=feedback(w.W, w.B, network.constants))


def build(experiment: Experiment) -> Network:
    """The initial network: weights uniform in [-init, init] (each matrix from its own stream), activities zero."""
    e = experiment
    n, m, hidden = e.sizes, (None, *e.ghosts), range(1, e.depth)

    def uniform(stream: Stream, k: int, shape: tuple) -> np.ndarray:
        return np.stack([generator(seed, stream, k).uniform(-e.init, e.init, shape) for seed in e.seeds])

    W = [None, *(uniform(Stream.W, k, (n[k], n[k - 1])) for k in range(1, e.depth + 1))]
    B = [None, *(uniform(Stream.B, k, (n[k], n[k + 1])) for k in hidden)]
    W_pg = [None, *(uniform(Stream.W_PG, k, (m[k], n[k])) for k in hidden)]
    lanes = (e.batch,) if e.plasticity.fast_gp else ()
    W_gp = [None, *(uniform(Stream.W_GP, k, (*lanes, n[k], m[k])) for k in hidden)]
    zeros = [np.zeros((len(e.seeds), e.batch, units)) for units in (*n[1:], *e.ghosts)]
    network = Network(e, Weights(W, B, W_pg, W_gp), State([None, *zeros[: e.depth]], [None, *zeros[e.depth :]]))
    tie_feedback(network)
    return network
