"""Engines: several ways to step the same equations, one protocol.

An engine holds the weights and activities of a network while it runs; the simulator puts a network in and takes it out.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Literal, Protocol, overload, runtime_checkable

import numpy as np

from ghostnet.data import Dataset
from ghostnet.engines.evaluation import Score
from ghostnet.errors import ConfigError, Divergence
from ghostnet.model import names
from ghostnet.model.checks import check_model
from ghostnet.model.equations import State, Weights
from ghostnet.model.experiment import Experiment
from ghostnet.model.inputs import numbers
from ghostnet.model.models import PRE, RATES
from ghostnet.model.network import Network, checked, room
from ghostnet.model.recorder import Selection
from ghostnet.model.typed import integer, require, require_known

EXPLODED = 1e6  # an activity beyond this is called divergence

MOST_THREADS = 4096
PER_RUN = ("beta", "dt", *RATES)  # constants that may differ between runs
ENGINES = ("cpu", "equilibrium", "reference", "torch")  # modules of this package
STEPPING = ("cpu", "reference", "torch")  # those that take the Euler steps, and agree on them


class Engine(Protocol):
    """What every engine can do."""

    experiment: Experiment

    def __init__(self, network: Network, dtype: str, threads: int): ...

    def present(self, xs: np.ndarray, ys: np.ndarray) -> Divergence | None:
        """Run whole presentations: xs (presentations, runs, batch, n_0), ys (presentations, runs, batch, n_N).

        Where one diverges in any run, every run is left as it was before that presentation.
        """

    def begin(self, x: np.ndarray, y: np.ndarray) -> None:
        """Show x (runs, batch, n_0) and y (runs, batch, n_N): the start of a presentation in pieces."""

    def advance(self, phase: int, steps: int) -> None:
        """Euler steps of one phase of the presentation begun, phases in order."""

    def finish(self) -> None:
        """The updates made once, at the presentation's end."""

    def export(self) -> tuple[Weights, State]:
        """Copies of the weights and activities as they are, float64."""

    def save(self) -> object:
        """All that presentations change, exactly."""

    def restore(self, saved: object) -> None:
        """Put back what `save` gave."""

    def record(self, phase: int, steps: list[int], selection: Selection, block: np.ndarray) -> None:
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


@runtime_checkable
class InMemory(Engine, Protocol):
    """What an engine can do besides whose networks lie in memory."""

    def now(self, still: Weights | None = None) -> tuple[Weights, State]:
        """The weights and activities as they are, in the engine's own type; an update put off is not in them.

        still: weights of which only W_gp may have changed; the others are not read again.
        """

    def record_presentations(
        self, xs: np.ndarray, ys: np.ndarray, steps: list[list[int]], selection: Selection, block: np.ndarray
    ) -> Divergence | None:
        """`present`, recorded (rows: steps[phase] of each presentation in turn), and every run left where it ended."""


def usual_dtype(engine: str) -> str:
    """The type that an engine works in unless told otherwise.

    Raises:
        ConfigError: there is no such engine.
    """
    require_known([engine], ENGINES, "engine")
    return "float64" if engine == "reference" else "float32"


@overload
def create(
    engine: Literal["cpu", "equilibrium"], network: Network, dtype: str, threads: int, **options: object
) -> InMemory: ...
@overload
def create(engine: str, network: Network, dtype: str, threads: int, **options: object) -> Engine: ...
def create(engine: str, network: Network, dtype: str, threads: int, **options: object) -> Engine:
    """An engine by its name, holding a copy of the network's weights and state.

    The only way to build one, and to build one again: with a network and all of the settings that it was built with.

    Raises:
        ConfigError: there is no such engine, dtype or option of the engine, it can't run this experiment, the network
            is not one of its experiment, or it does not fit into memory.
    """
    require_known([engine], ENGINES, "engine")
    integer("threads", threads, 1, MOST_THREADS)
    kind = importlib.import_module(f"ghostnet.engines.{engine}").Engine
    taken = list(inspect.signature(kind).parameters)[3:]  # after network, dtype and threads
    for option in options:
        if option not in taken:
            raise ConfigError(f"{option}: the {engine} engine takes {', '.join(taken) or 'no options'}")
    network = checked(network, dtype)
    check_model(network.experiment)
    names.require_together(network.experiment.cost, network.experiment.transfer)
    # In float64 what is put in and what is taken out; in `dtype` what is stepped, and how a presentation found it.
    with room(network.experiment, 16 + 2 * np.dtype(dtype).itemsize):
        return kind(network, dtype, threads, **options)


def require_usual_rules(e: Experiment) -> None:
    """Raise ConfigError for a model with a rule that only the reference engine runs."""
    for rule in e.plasticity.rules:
        usual = PRE[rule.matrix][0]
        text = f"pre = {rule.pre} of {rule.matrix}'s rule in {e.model}: expected {usual}"
        require(rule.pre == usual, f"{text}; take the reference engine")
        text = f"clip of {rule.matrix}'s rule in {e.model}: only W's is clipped"
        require(rule.matrix == "W" or not rule.clip, f"{text}; take the reference engine")


def stepping(settings: Mapping) -> dict:
    """The settings of an engine with a time course, for `create`: those given, or the cpu engine's where they are of
    an engine that has none."""
    if settings["engine"] in STEPPING:
        return dict(settings)
    return {"engine": "cpu", "dtype": settings["dtype"], "threads": settings["threads"]}


def run_experiments(e: Experiment, per_run: Mapping[str, np.ndarray] | None) -> list[Experiment]:
    """The experiment of every run: `e` with the run's own constants, as the option per_run has them.

    Raises:
        ConfigError: unknown names, lengths other than the number of runs, and what any Experiment refuses.
    """
    per_run = {} if per_run is None else per_run
    require(
        isinstance(per_run, Mapping), f"per_run = {per_run!r}: expected values by name, such as {{'beta': [0.1, 0.2]}}"
    )
    require_known(per_run, PER_RUN, "per-run constant")
    runs, arrays = len(e.seeds), {name: numbers(f"per_run: {name}", values) for name, values in per_run.items()}
    for name, values in arrays.items():
        shape = values.shape
        require(shape[:1] == (runs,), f"per_run: {name} has shape {shape}: expected a value for each of {runs} runs")
    return [e.replace(**{name: values[run].tolist() for name, values in arrays.items()}) for run in range(runs)]
