"""Pictures, from arrays and traces only: every function takes the axes it draws into and returns them."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from ghostnet.errors import ConfigError
from ghostnet.files import toml
from ghostnet.model.equations import transfer
from ghostnet.model.experiment import from_mapping, require_known

if TYPE_CHECKING:
    import xarray as xr

STYLE = Path(__file__).with_name("ghostnet.mplstyle")  # for plt.style.use and plt.style.context
CLAMPED_SHADE = "#e3e8ee"
RIGHT, OTHER, ERROR = "#0072b2", "#b5b5b5", "#d55e00"  # Okabe and Ito: told apart by colour-blind readers and in print
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_PARTS = {"train": OTHER, "test": RIGHT}
_LEGEND_LINES = 12

Columns = Mapping[str, np.ndarray]  # of metrics.csv: name → (runs, evaluations)


def shade_clamped(time: np.ndarray, phase: np.ndarray, ax: plt.Axes) -> plt.Axes:
    """Shade the weakly clamped phases; time (steps,) in s, phase (steps,) 0 free, others clamped."""
    edges = np.flatnonzero(np.diff(np.r_[0, phase, 0]) != 0)
    for start, stop in itertools.pairwise(edges):
        if not phase[start]:
            continue
        ax.axvspan(time[start], time[stop - 1], color=CLAMPED_SHADE, linewidth=0)
    return ax


def output_rates(time: np.ndarray, phase: np.ndarray, rates: np.ndarray, label: np.ndarray, ax: plt.Axes) -> plt.Axes:
    """Figure 4, top: output rates (steps, n_N) over time, that of the right class `label` (steps,) highlighted."""
    shade_clamped(time, phase, ax)
    ax.plot(time, rates, color=OTHER, linewidth=0.8, linestyle="-")
    ax.plot(time, np.take_along_axis(rates, label[:, None], 1)[:, 0], color=RIGHT, linestyle="-")
    ax.set(ylabel="output rates", ylim=(-0.02, 1.02), xlim=(time[0], time[-1]))
    return ax


def hidden_error(time: np.ndarray, phase: np.ndarray, error: np.ndarray, ax: plt.Axes) -> plt.Axes:
    """Figure 4, bottom: the norm of the hidden error (steps, n_k) over model time, logarithmic."""
    shade_clamped(time, phase, ax)
    ax.semilogy(time, np.linalg.norm(error, axis=1), color=ERROR, linestyle="-")
    ax.set(ylabel="‖hidden error e$_1$‖", xlabel="model time (s)", xlim=(time[0], time[-1]))
    return ax


def figure4(trace: xr.Dataset, top: plt.Axes, bottom: plt.Axes, run: int = 0, example: int = 0) -> None:
    """The paper's Figure 4 from a trace, for one run and one place in the batch (both among those recorded).

    Raises:
        ConfigError: r or s of all output units, or e_1, was not recorded.
    """
    try:
        e = from_mapping(toml.loads(trace.attrs["config_toml"]))
    except (KeyError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"config_toml: the trace has no readable configuration ({error}); take --variable") from error
    one, rate, activity = _lane(trace, run, example), f"r_{e.depth}", f"s_{e.depth}"
    if "e_1" not in one or one.sizes.get(f"unit_{e.depth}") != e.sizes[-1] or not {rate, activity} & set(one):
        raise ConfigError(f"variables: Figure 4 needs e_1 and all of {rate} or {activity}; record them")
    values = one[rate].to_numpy() if rate in one else transfer(one[activity].to_numpy(), e.transfer)
    time, phase, label = (one[name].to_numpy() for name in ("time", "phase", "label"))
    output_rates(time, phase, values, label, top)
    hidden_error(time, phase, one["e_1"].to_numpy(), bottom)


def variable(
    trace: xr.Dataset, name: str, ax: plt.Axes, units: slice = slice(None), run: int = 0, example: int = 0
) -> plt.Axes:
    """An activity over model time, a line for each unit; units, run, example: places among those recorded.

    Raises:
        ConfigError: it, or such a place, was not recorded.
    """
    known = [n for n, values in trace.data_vars.items() if values.dims[:3] == ("time", "run", "example")]
    require_known([name], known, "variable")
    one = _lane(trace, run, example)
    time, array = one["time"].to_numpy(), one[name][:, units]
    axis, count = array.dims[1], array.shape[1]
    if not count:
        raise ConfigError(f"units = {units.start}:{units.stop}: {name} has {one[name].shape[1]} recorded units")
    shade_clamped(time, one["phase"].to_numpy(), ax)
    for unit, values in zip(array[axis].to_numpy(), array.to_numpy().T, strict=True):
        ax.plot(time, values, label=f"{unit}", linewidth=1.2 if count <= _LEGEND_LINES else 0.6)
    if count <= _LEGEND_LINES:
        ax.legend(title=axis.replace("_", " "), ncols=2, fontsize="small")
    ax.set(ylabel=name, xlabel="model time (s)", xlim=(time[0], time[-1]))
    return ax


def _lane(trace: xr.Dataset, run: int, example: int) -> xr.Dataset:
    """One run and place in the batch of a trace."""
    for axis, place in (("run", run), ("example", example)):
        if not 0 <= place < trace.sizes[axis]:
            raise ConfigError(f"{axis} = {place}: the trace has {trace.sizes[axis]}; count from 0")
    if not trace.sizes["time"]:
        raise ConfigError("the trace has no rows; nothing to plot")
    return trace.isel(run=run, example=example)


def training(epoch: np.ndarray, columns: Columns) -> plt.Figure:
    """A run over its epochs (evaluations,): accuracy and MSE, and what else was measured of Figures 3 and 5."""
    panels = [accuracy, mse]
    panels += [gradient_error] if "gradient_mean_error_all" in columns else []
    panels += [ghost_distances] if "distance_pg_1" in columns else []
    figure, axes = plt.subplots(1, len(panels), figsize=(2.4 * len(panels), 2.6))
    for panel, ax in zip(panels, axes, strict=True):
        panel(epoch, columns, ax)
    return figure


def accuracy(epoch: np.ndarray, columns: Columns, ax: plt.Axes) -> plt.Axes:
    """Figures 3 and 5: accuracy of the feedforward graph after the first epoch and later, train and test."""
    _train_and_test(epoch, {part: 100 * columns[f"{part}_accuracy"] for part in _PARTS}, ax)
    ax.set_ylabel("accuracy (%)")
    return ax


def mse(epoch: np.ndarray, columns: Columns, ax: plt.Axes) -> plt.Axes:
    """Figure 5: MSE of the feedforward graph, likewise."""
    _train_and_test(epoch, {part: columns[f"{part}_mse"] for part in _PARTS}, ax)
    ax.set(ylabel="MSE", yscale="log")
    return ax


def _train_and_test(epoch: np.ndarray, values: dict[str, np.ndarray], ax: plt.Axes) -> None:
    for part, colour in _PARTS.items():
        band(epoch[1:], values[part][:, 1:], ax, color=colour, label=part, linestyle="-")
    ax.set_xlabel("epoch"), ax.legend()


def gradient_error(epoch: np.ndarray, columns: Columns, ax: plt.Axes) -> plt.Axes:
    """Figure 5: relative error of the ghost units' gradient, each layer and all together; norm-weighted mean."""
    layers = [name.rpartition("_")[2] for name in columns if name.startswith("gradient_mean_error_")]
    colours = dict(zip(layers, (ERROR, *SERIES[2:]), strict=False)) | {layers[-1]: RIGHT}  # all, hidden, …, output
    for layer, colour in colours.items():
        label = "all layers" if layer == "all" else f"layer {layer}"
        band(epoch, 100 * columns[f"gradient_mean_error_{layer}"], ax, color=colour, label=label, linestyle="-")
    ax.set(xlabel="epoch", ylabel="gradient error against BP (%)", ylim=(0, None))
    ax.legend()
    return ax


def ghost_distances(epoch: np.ndarray, columns: Columns, ax: plt.Axes) -> plt.Axes:
    """Figure 3: Frobenius norms of what ghost units have still to learn, in every hidden layer."""
    hidden = [name.rpartition("_")[2] for name in columns if name.startswith("distance_pg_")]
    for k, line in zip(hidden, ("-", "--", ":", "-."), strict=False):
        for kind, colour, label in (
            ("pg", RIGHT, f"‖W$_{int(k) + 1}$ - W$^{{pg}}_{k}$‖"),
            ("gp", ERROR, f"‖B$_{k}$ - W$^{{gp}}_{k}$‖"),
        ):
            band(epoch, columns[f"distance_{kind}_{k}"], ax, color=colour, label=label, linestyle=line)
    ax.set(xlabel="epoch", ylabel="Frobenius norm", yscale="log")  # they fall by three orders of magnitude
    ax.legend()
    return ax


def band(x: np.ndarray, values: np.ndarray, ax: plt.Axes, **look) -> plt.Axes:
    """The mean of values (runs, points) over x (points,), and where there are several runs, their range as a band."""
    there = ~np.isnan(values).all(0)  # gradient figures may be sparser than epochs
    x, values = x[there], values[:, there]
    (line,) = ax.plot(x, values.mean(0), **look)
    if len(values) > 1:
        ax.fill_between(x, values.min(0), values.max(0), color=line.get_color(), alpha=0.2, linewidth=0)
    return ax


def progress(
    name: str,
    epoch: np.ndarray,
    seconds: np.ndarray,
    accuracy: np.ndarray,
    angle: np.ndarray | None,
    index: int,
    axes: np.ndarray,
) -> np.ndarray:
    """One run in three axes: test accuracy over epochs, over training time, and its angle to backprop in degrees.

    All arrays (evaluations,); accuracy is a fraction. Accuracies before any training are left out: all others would be
    one line at the top. Lines are dashed in turn, so that one that covers another does not hide it.
    """
    look = {"color": SERIES[index % len(SERIES)], "linestyle": ("-", "--", ":")[index % 3], "label": name}
    trained = seconds > 0
    axes[0].plot(epoch[trained], 100 * accuracy[trained], **look)
    axes[1].semilogx(seconds[trained], 100 * accuracy[trained], **look)
    if angle is not None:
        axes[2].plot(epoch, angle, **look)
    for ax, label in zip(axes, ("epoch", "training time (s)", "epoch"), strict=True):
        ax.set_xlabel(label)
    axes[0].set_ylabel("test accuracy (%)"), axes[2].set_ylabel("angle to BP (°)")
    return axes
