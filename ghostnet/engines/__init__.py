"""Engines: several ways to step the same equations, one protocol.

An engine holds the weights and activities of a network while it runs; the simulator puts a network in and takes it out.
"""

from __future__ import annotations

import importlib
import inspect
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from ghostnet.config import require_known
from ghostnet.data import Dataset
from ghostnet.equations import State, Weights
from ghostnet.errors import ConfigError
from ghostnet.evaluation import Score
from ghostnet.network import Network
from ghostnet.recorder import Selection

EXPLODED = 1e6  # an activity beyond this is called divergence

ENGINES = ("cpu", "equilibrium", "reference", "torch")  # modules of this package
STEPPING = ("cpu", "reference", "torch")  # those that take the Euler steps, and agree on them


class Divergence(NamedTuple):
    """Where an activity first became non-finite or exploded."""

    run: int
    presentation: int  # index into the chunk that was being run
    layer: int


class Engine(Protocol):
    """What every engine can do."""

    def __init__(self, network: Network, dtype: str, threads: int): ...

    def present(self, xs: np.ndarray, ys: np.ndarray) -> Divergence | None:
        """Run whole presentations: xs (presentations, runs, batch, n_0), ys (presentations, runs, batch, n_N).

        Where one diverges in any run, every run is left as it was before that presentation.
        """

    def begin(self, x: np.ndarray, y: np.ndarray) -> None:
        """Show x (runs, batch, n_0) and y (runs, batch, n_N): the start of a presentation in pieces."""

    def advance(self, phase: str, steps: int) -> None:
        """Euler steps of one phase of the presentation begun."""

    def finish(self) -> None:
        """The updates made once, at the presentation's end."""

    def export(self) -> tuple[Weights, State]:
        """Copies of the weights and activities as they are, float64."""

    def save(self) -> object:
        """All that presentations change, exactly."""

    def restore(self, saved: object) -> None:
        """Put back what `save` gave."""

    def record(self, phase: str, steps: list[int], selection: Selection, block: np.ndarray) -> None:
        """`advance`, recorded: block (recorded runs, rows, columns) takes a row after every steps[row] steps."""

    def divergence(self, presentation: int = 0) -> Divergence | None:
        """Where the activities are not finite, or have exploded."""


@runtime_checkable
class HoldsData(Protocol):
    """What an engine can do besides that keeps a data set where it computes."""

    def present_examples(self, dataset: Dataset, order: np.ndarray) -> Divergence | None:
        """`present` training examples: order (presentations, runs, batch) of indices that are there."""

    def evaluate(self, dataset: Dataset) -> dict[str, Score]:
        """Scores as `Simulator.evaluate` gives them."""


def create(name: str, network: Network, dtype: str, threads: int, **options) -> Engine:
    """The engine called `name`, holding a copy of the network's weights and state.

    Raises:
        ConfigError: there is no such engine, dtype or option of the engine, or it can't run this experiment.
    """
    require_known([name], ENGINES, "engine")
    require_known([dtype], ("float32", "float64"), "dtype")
    engine = importlib.import_module(f"ghostnet.engines.{name}").Engine
    taken = list(inspect.signature(engine).parameters)[3:]  # after network, dtype and threads
    for option in options:
        if option not in taken:
            raise ConfigError(f"{option}: the {name} engine takes {', '.join(taken) or 'no options'}")
    return engine(network, dtype, threads, **options)
