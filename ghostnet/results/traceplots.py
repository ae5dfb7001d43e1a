"""Pictures of traces; every function takes the axes it draws into and returns them, but for whole figures."""

from __future__ import annotations

import tomllib
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm, Normalize
from matplotlib.lines import Line2D

from ghostnet.errors import ConfigError
from ghostnet.files import toml
from ghostnet.model.equations import transfer
from ghostnet.model.experiment import Experiment, from_mapping
from ghostnet.model.typed import require_known
from ghostnet.results.plots import ERROR, OTHER, RIGHT, SERIES

SHADES = ("none", "#e3e8ee", "#f6e7d3", "#e2efe2")  # by phase; free ones are not shaded
UNITS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a07800", "#56b4e9", "#000000", "#7b4fbf", "#8a4b2a", "#9aa1ab")
_LEGEND_LINES = 12
_DECADES = 6  # of the heat map of an error


class Lane(NamedTuple):
    """One run and place in the batch of a trace.

    values: its variables by name, (rows, units). time: when rows end, s. begins: when what they stand for began. phase,
    presentation, label: (rows,).
    """

    values: xr.Dataset
    time: np.ndarray
    begins: np.ndarray
    phase: np.ndarray
    presentation: np.ndarray
    label: np.ndarray

    @property
    def breaks(self) -> np.ndarray:
        """The rows before which something was not recorded."""
        near = 1e-9 * max(1.0, float(np.abs(self.time[-1:]).max(initial=0)))
        return 1 + np.flatnonzero(self.begins[1:] > self.time[:-1] + near)

    def rows(self, chosen: np.ndarray, origin: float = 0.0) -> Lane:
        """Some of its rows, `origin` being time 0."""
        arrays = (array[chosen] for array in self[3:])
        return Lane(self.values.isel(time=chosen), self.time[chosen] - origin, self.begins[chosen] - origin, *arrays)


def lane(trace: xr.Dataset, run: int = 0, example: int = 0) -> Lane:
    """One run and place in the batch of a trace, both among those recorded.

    Raises:
        ConfigError: there is no such place, or nothing was recorded.
    """
    for axis, place in (("run", run), ("example", example)):
        if not 0 <= place < trace.sizes[axis]:
            raise ConfigError(f"{axis} = {place}: the trace has {trace.sizes[axis]}; count from 0")
    one = trace.isel(run=run, example=example)
    time, step = one.time.to_numpy(), one.step.to_numpy()
    found = Lane(one, time, time * (1 - one.row_steps.to_numpy() / np.maximum(step, 1)), *(
        one[name].to_numpy() for name in ("phase", "presentation", "label")
    ))  # fmt: skip
    if not len(time):
        raise ConfigError("the trace has no rows; nothing to plot")
    return found


def window(one: Lane, start: float, stop: float) -> Lane:
    """The rows of a window of model time, s.

    Raises:
        ConfigError: there are none.
    """
    chosen = np.flatnonzero((one.time >= start) & (one.time <= stop))
    if not len(chosen):
        span = f"{one.time[0]:g} to {one.time[-1]:g} s"
        raise ConfigError(f"window = {start:g} {stop:g}: nothing was recorded there; the trace goes from {span}")
    return one.rows(chosen)


def rows_of(one: Lane, number: int) -> np.ndarray:
    """The rows of a presentation.

    Raises:
        ConfigError: it was not recorded.
    """
    chosen = np.flatnonzero(one.presentation == number)
    if not len(chosen):
        first, last = one.presentation[[0, -1]]
        raise ConfigError(f"presentation = {number}: not recorded; the trace has some of {first} to {last}")
    return chosen


def matched(one: Lane, other: Lane) -> tuple[Lane, Lane]:
    """The rows of two lanes that show the same example for the same time, at the times of the one.

    Presentations match by the index of their example and how often it was shown; without an index, by their order.

    Raises:
        ConfigError: there are none.
    """
    keys = [_keys(some) for some in (one, other)]
    places = {key: row for row, key in enumerate(keys[1])}
    pairs = [(row, places[key]) for row, key in enumerate(keys[0]) if key in places]
    if not pairs:
        raise ConfigError("the traces show no example in common at the same steps; nothing to compare")
    here, there = np.array(pairs).T
    own = one.rows(here)
    return own, other.rows(there)._replace(time=own.time, begins=own.begins)


def _keys(one: Lane) -> list[tuple]:
    """Of every row: its example, how often that had been shown, and its step in the presentation."""
    examples, keys = one.values.example_index.to_numpy(), []
    times: dict[int, int] = {}
    steps, shown = one.values.step.to_numpy(), one.presentation
    for start, stop in zip(*_stretches(shown), strict=True):
        times[examples[start]] = count = times.get(examples[start], -1) + 1
        begun = steps[start] - int(one.values.row_steps[start])
        keys += [(int(examples[start]), count, int(step - begun)) for step in steps[start:stop]]
    return keys


def _stretches(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where equal values begin, and end."""
    edges = np.r_[0, 1 + np.flatnonzero(np.diff(values)), len(values)]
    return edges[:-1], edges[1:]


def shade(one: Lane, ax: plt.Axes) -> plt.Axes:
    """Shade the nudged phases, each from the end of the row before."""
    cuts = np.zeros(len(one.time), int)
    cuts[one.breaks] = 1
    for start, stop in zip(*_stretches(one.phase + 100 * np.cumsum(cuts)), strict=True):
        if phase := int(one.phase[start]):
            colour = SHADES[1 + (phase - 1) % (len(SHADES) - 1)]
            ax.axvspan(one.begins[start], one.time[stop - 1], color=colour, linewidth=0)
    return ax


def line(one: Lane, values: np.ndarray, ax: plt.Axes, **look: Any) -> list[Line2D]:
    """Plot values (rows,) or (rows, lines) over time, broken where nothing was recorded."""
    gaps = one.breaks
    time = np.insert(one.time, gaps, one.time[gaps - 1])
    return ax.plot(time, np.insert(values.astype(float), gaps, np.nan, axis=0), **look)


def output_rates(one: Lane, rates: np.ndarray, ax: plt.Axes) -> plt.Axes:
    """Figure 4, top: output rates (rows, n_N) over time, that of the right class highlighted."""
    shade(one, ax)
    line(one, rates, ax, color=OTHER, linewidth=0.8, linestyle="-")
    for start, stop in zip(*_stretches(one.presentation), strict=True):  # its unit changes with what is shown
        shown = one.rows(np.arange(start, stop))
        line(shown, rates[start:stop, shown.label[0]], ax, color=RIGHT, linestyle="-")
    ax.set(ylabel="output rates", ylim=(-0.02, 1.02), xlim=(one.begins[0], one.time[-1]))
    return ax


def errors(one: Lane, layers: dict[int, np.ndarray], ax: plt.Axes) -> plt.Axes:
    """Figure 4, bottom: norms of the errors (rows, n_k) of layers over time, logarithmic."""
    shade(one, ax)
    for (k, values), colour in zip(layers.items(), (ERROR, *SERIES[2:]), strict=False):
        norm = np.linalg.norm(values.astype(float), axis=1)
        line(one, np.where(norm > 0, norm, np.nan), ax, color=colour, linestyle="-", label=f"‖e$_{k}$‖")
    ax.set(yscale="log", xlabel="model time (s)", xlim=(one.begins[0], one.time[-1]))
    ax.set_ylabel(f"‖hidden error e$_{next(iter(layers))}$‖" if len(layers) == 1 else "‖error‖")
    if len(layers) > 1:
        ax.legend()
    return ax


def figure4(one: Lane, top: plt.Axes, bottom: plt.Axes) -> None:
    """The paper's Figure 4 from a lane.

    Raises:
        ConfigError: r or s of all output units, or e_1, was not recorded.
    """
    e = _experiment(one)
    output_rates(one, _output_rates(one, e), top)
    errors(one, {1: one.values["e_1"].to_numpy()}, bottom)


def around(one: Lane) -> plt.Figure:
    """One presentation, from its onset: output rates, the right class named, and below the errors of hidden layers.

    Raises:
        ConfigError: as `figure4`.
    """
    e = _experiment(one)
    figure, (top, bottom) = plt.subplots(2, sharex=True, figsize=(3.5, 3.6), height_ratios=(3, 2))
    rates = _output_rates(one, e)
    output_rates(one, rates, top)
    top.set(ylim=(0, 1.05 * max(rates.max(), 0.2)), ylabel=f"output rates, class {one.label[0]}")
    layers = {k: one.values[f"e_{k}"].to_numpy() for k in range(1, e.depth) if f"e_{k}" in one.values}
    errors(one, layers, bottom)
    for start, stop in zip(*_stretches(one.phase), strict=True):
        name = str(one.values.phase.attrs.get("flag_meanings", "")).split()[one.phase[start]].replace("_", " ")
        middle = (one.begins[start] + one.time[stop - 1]) / 2
        top.text(middle, 1.01, name, transform=top.get_xaxis_transform(), ha="center", va="bottom", fontsize="small")
    bottom.set(xlabel="time since onset (s)")
    return figure


def variable(one: Lane, name: str, ax: plt.Axes, units: slice = slice(None), **look: Any) -> plt.Axes:
    """An activity over model time, a line for each unit; units: places among those recorded.

    Raises:
        ConfigError: it, or such a unit, was not recorded.
    """
    array = _units(one, name, units)
    axis, count = str(array.dims[1]), array.shape[1]
    shade(one, ax)
    for place, (unit, values) in enumerate(zip(array[axis].to_numpy(), array.to_numpy().T, strict=True)):
        style = {
            "linestyle": ("-", "--", ":")[place // len(UNITS) % 3],
            "linewidth": 1.2 if count <= _LEGEND_LINES else 0.6,
        }
        line(one, values, ax, **(style | {"label": f"{unit}", "color": UNITS[place % len(UNITS)]} | look))
    if count <= _LEGEND_LINES and "label" not in look:
        ax.legend(title=axis.replace("_", " "), ncols=2, fontsize="small")
    ax.set(ylabel=name, xlabel="model time (s)", xlim=(one.begins[0], one.time[-1]))
    return ax


def difference(one: Lane, other: Lane, name: str, axes: np.ndarray, units: slice = slice(None)) -> np.ndarray:
    """Two lanes of `matched` rows in two axes: a variable of both, the other dashed, and below the other less the one.

    Raises:
        ConfigError: as `variable`.
    """
    variable(one, name, axes[0], units)
    own, theirs = (_units(some, name, units).to_numpy() for some in (one, other))
    shade(one, axes[1])
    for place, (a, b) in enumerate(zip(own.T, theirs.T, strict=True)):
        line(one, b, axes[0], color=UNITS[place % len(UNITS)], linestyle="--", linewidth=0.8)
        line(one, b - a, axes[1], color=UNITS[place % len(UNITS)], linestyle="-", linewidth=0.8)
    axes[0].set_xlabel(""), axes[1].set(xlabel="model time (s)", ylabel="difference")
    return axes


def heat(one: Lane, name: str, ax: plt.Axes, units: slice = slice(None)) -> plt.Axes:
    """A heat map of units over time: errors by their size, logarithmic; what has signs around 0.

    Raises:
        ConfigError: as `variable`.
    """
    array = _units(one, name, units)
    values, gaps = array.to_numpy().T.astype(float), one.breaks
    edges = np.r_[one.begins[0], np.insert(one.time, gaps, one.begins[gaps])]
    values = np.insert(values, gaps, np.nan, axis=1)
    size = np.abs(values[np.isfinite(values)]).max(initial=0) or 1.0
    norm: Normalize
    if name.startswith("e_"):
        values, norm, colours = np.abs(values), LogNorm(size * 10.0**-_DECADES, size, clip=True), "cividis"
    elif np.nanmin(values) < 0:
        norm, colours = Normalize(-size, size), "PuOr_r"
    else:
        norm, colours = Normalize(0, size), "cividis"
    rows = np.arange(len(values) + 1) - 0.5
    mesh = ax.pcolormesh(edges, rows, values, norm=norm, cmap=colours, rasterized=True)
    ax.figure.colorbar(mesh, ax=ax, label=f"|{name}|" if name.startswith("e_") else name)
    axis = str(array.dims[1]).replace("_", " of layer ")
    ax.set(xlabel="model time (s)", ylabel=axis, ylim=(len(values) - 0.5, -0.5))
    return ax


def _units(one: Lane, name: str, units: slice) -> xr.DataArray:
    known = [str(n) for n, values in one.values.data_vars.items() if values.dims[:1] == ("time",) and values.ndim == 2]
    require_known([name], known, "variable")
    array = one.values[name][:, units]
    if not array.shape[1]:
        raise ConfigError(f"units = {units.start}:{units.stop}: {name} has {one.values[name].shape[1]} recorded units")
    return array


def _experiment(one: Lane) -> Experiment:
    """Its experiment, if what Figure 4 needs was recorded."""
    try:
        e = from_mapping(toml.loads(one.values.attrs["config_toml"]))
    except (KeyError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"config_toml: the trace has no readable configuration ({error}); take --variable") from error
    rate, activity = f"r_{e.depth}", f"s_{e.depth}"
    known, outputs = set(one.values.data_vars), one.values.sizes.get(f"unit_{e.depth}")
    if "e_1" not in known or outputs != e.sizes[-1] or not {rate, activity} & known:
        raise ConfigError(f"variables: Figure 4 needs e_1 and all of {rate} or {activity}; record them")
    return e


def _output_rates(one: Lane, e: Experiment) -> np.ndarray:
    rate, activity = f"r_{e.depth}", f"s_{e.depth}"
    return one.values[rate].to_numpy() if rate in one.values else transfer(one.values[activity].to_numpy(), e.transfer)
