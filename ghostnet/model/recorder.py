"""What to record: declared by variables, units, examples, runs and steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ghostnet.errors import ConfigError
from ghostnet.model import symbols
from ghostnet.model.checks import MOST, MOST_STORED
from ghostnet.model.experiment import Experiment
from ghostnet.model.inputs import numbers
from ghostnet.model.models import labels
from ghostnet.model.symbols import ACTIVITIES, NORMS, SYMBOLS, WEIGHTS
from ghostnet.model.typed import integer, require, require_known

Places: TypeAlias = slice | Sequence[int] | None  # on an axis; None: all
Units: TypeAlias = Places | Mapping[str, slice | Sequence[int]]
Shown = Callable[[int], tuple[int, np.ndarray]]  # presentation -> its epoch, its dataset indices (runs, batch)


class Variable(NamedTuple):
    """One symbol of one layer. axes: the names of its own axes. units: for each of them, the units recorded."""

    symbol: str
    k: int
    axes: tuple[str, ...]
    units: tuple[np.ndarray, ...]

    @property
    def name(self) -> str:
        return f"{self.symbol}_{self.k}"


class Selection(NamedTuple):
    """A Recorder applied to an experiment: nothing but names and index arrays.

    variables: activities, in the order of their columns. matrices: weights. runs, examples: places on those axes.
    compress: whether files are.
    """

    experiment: Experiment
    variables: tuple[Variable, ...]
    matrices: tuple[Variable, ...]
    runs: np.ndarray
    examples: np.ndarray
    compress: bool = True

    @property
    def columns(self) -> int:
        """Numbers that one run has in one row."""
        return len(self.examples) * sum(len(v.units[0]) for v in self.variables)


@dataclass(frozen=True)
class Recorder:
    """What to record of every presentation that is recorded.

    A row holds the network after an Euler step: s_k and g_k as they are then, and r_k, e_k and the drive W_k r_{k-1}
    that follow from them and from the weights as they are then, with the β of the phase that the step belongs to. Its
    time is that of the step's end. Matrices are recorded at steps of their own; at the last step of a presentation they
    are those that it leaves, updates made once included.

    Args:
        variables: of "s", "r", "g", "e", "drive" for all layers, or with a layer, such as "e_1".
        units: of every layer, as a slice or a sequence; or by axis, such as {"unit_1": slice(8), "ghost_1": [0]}, and
            all of the others. All by default.
        every: steps between rows, counted from the start of each phase; the last step of a phase has always a row.
        runs: places on the axis of runs; all by default.
        examples: places in the batch; all by default.
        weights: of "W", "B", "W_pg", "W_gp", or with a layer; "norm_W" and the like are their Frobenius norms.
        weights_at: steps of a presentation (1 is the first) at which they are recorded; by default the last.
        presentations: which ones, counted from the network's first (0).
        from_epoch: no presentation before this epoch (1 is the first).
        phases: names of those that have rows, such as ("clamped",); all by default.
        compress: files are a third as large, and take several times longer to write.

    Raises:
        ConfigError: on construction or from `select`, where a name, place or number is impossible.

    Examples:
        >>> recorder = gn.Recorder(("e_1",), units=slice(8), every=10, phases=("clamped",))
        >>> recorder.rows(gn.preset("mb-100-tf"))  # of each presentation
        4
    """

    variables: Sequence[str] = ("s", "e")
    units: Units = None
    every: int = 1
    runs: Places = None
    examples: Places = None
    weights: Sequence[str] = ()
    weights_at: Sequence[int] | None = None
    presentations: slice | None = None
    from_epoch: int = 1
    phases: Sequence[str] | None = None
    compress: bool = True

    def __post_init__(self) -> None:
        for name in ("every", "from_epoch"):
            object.__setattr__(self, name, integer(name, getattr(self, name), 1, MOST))
        for name in ("variables", "weights"):
            object.__setattr__(self, name, _listed(name, getattr(self, name), "names, such as s or W_1"))
        if self.weights_at is not None:
            steps = _listed("weights_at", self.weights_at, "steps, such as (1, 20)")
            object.__setattr__(self, "weights_at", tuple(integer("weights_at", step, 1, 2 * MOST) for step in steps))
        if self.phases is not None:
            object.__setattr__(self, "phases", _listed("phases", self.phases, "names, such as clamped"))
            require(len(self.phases), "phases: expected at least one, such as clamped")
        if not len(self.variables) + len(self.weights):
            raise ConfigError("variables: expected at least one, such as s or e_1")
        require(isinstance(self.presentations, slice | None), f"presentations = {self.presentations}: expected a slice")
        s = self.presentations or slice(None)
        for name, value, least in (("start", s.start, 0), ("stop", s.stop, 0), ("step", s.step, 1)):
            if value is not None:
                integer(f"presentations = {s}: {name}", value, least, MOST_STORED)

    def select(self, e: Experiment) -> Selection:
        """The places of an experiment that this declares."""
        if isinstance(self.units, Mapping):
            require_known(self.units, _axes(e), "axis of units")
        require_known(self.phases or (), labels(e.phases), "phase")
        for step in self.weights_at or ():
            integer("weights_at", step, 1, sum(e.steps))
        return Selection(
            e,
            self._variables(e, self.variables, ACTIVITIES),
            self._variables(e, self.weights, WEIGHTS | NORMS),
            places("runs", self.runs, len(e.seeds)),
            places("examples", self.examples, e.batch),
            self.compress,
        )

    def wants(self, e: Experiment, presentation: int) -> bool:
        """Whether this presentation, counted from the network's first, is recorded."""
        s, first = self.presentations or slice(None), 0
        if self.from_epoch > 1:
            first = (self.from_epoch - 1) * e.presentations_per_epoch
        start = s.start or 0
        inside = presentation >= max(start, first) and (s.stop is None or presentation < s.stop)
        return inside and (presentation - start) % (s.step or 1) == 0

    def rows(self, e: Experiment) -> int:
        """How many rows a presentation has."""
        return sum(-(-n // self.every) for n in self._steps(e))

    def row_steps(self, e: Experiment) -> list[list[int]]:
        """For each phase, the Euler steps that every row stands for."""
        steps = self._steps(e)
        return [[self.every] * (n // self.every) + [n % self.every] * (n % self.every > 0) for n in steps]

    def ends(self, e: Experiment) -> np.ndarray:
        """The steps of a presentation (1 is the first) after which there is a row."""
        starts = np.cumsum(e.steps) - e.steps
        found = [start + np.cumsum(steps, dtype=int) for start, steps in zip(starts, self.row_steps(e), strict=True)]
        return np.concatenate(found)

    def _steps(self, e: Experiment) -> list[int]:
        """Of each phase, the steps that rows stand for."""
        names = labels(e.phases)
        chosen = names if self.phases is None else self.phases
        return [n if name in chosen else 0 for name, n in zip(names, e.steps, strict=True)]

    def _variables(self, e: Experiment, names: Sequence[str], known: Iterable[str]) -> tuple[Variable, ...]:
        valid = {f"{symbol}_{k}": (symbol, k) for symbol in known for k in _layers(e, symbol)}
        require_known(names, [*known, *valid], "variable")
        wanted = [n for name in names for n in valid if n == name or valid[n][0] == name]
        return tuple(self._variable(e, *valid[name]) for name in dict.fromkeys(wanted))

    def _variable(self, e: Experiment, symbol: str, k: int) -> Variable:
        axes, counts = symbols.axes(symbol, k), _axes(e)
        units = self.units if isinstance(self.units, Mapping) else {a: self.units for a in axes if a != "unit_0"}
        return Variable(symbol, k, axes, tuple(places(f"units of {a}", units.get(a), counts[a]) for a in axes))


def _listed(name: str, values: Iterable[Any], expected: str) -> tuple[Any, ...]:
    """What is given one by one, or alone, as a tuple."""
    try:
        return (values,) if isinstance(values, str) else tuple(values)
    except TypeError:
        raise ConfigError(f"{name} = {values!r}: expected {expected}") from None


def _layers(e: Experiment, symbol: str) -> range:
    """The layers that have such a symbol."""
    return range(1, e.depth + (not SYMBOLS[symbol].hidden))


def _axes(e: Experiment) -> dict[str, int]:
    """How many units every axis has."""
    return {f"unit_{k}": n for k, n in enumerate(e.sizes)} | {f"ghost_{k}": m for k, m in enumerate(e.ghosts, start=1)}


def places(what: str, wanted: slice | Sequence[int] | None, count: int) -> np.ndarray:
    """A slice or sequence of places among `count` as an int64 array; None: all."""
    try:
        if wanted is None or isinstance(wanted, slice):
            found = np.arange(count)[wanted or slice(None)]
        else:
            found = numbers(what, wanted).ravel()
    except (TypeError, ValueError):  # of the slice
        found = np.array([])
    whole = found.dtype.kind in "iu" and len(found) and found.min() >= 0 and found.max() < count
    if not whole or len(set(found.tolist())) < len(found):
        raise ConfigError(f"{what} = {wanted}: expected different places from 0 to {count - 1}")
    return found.astype(np.int64)
