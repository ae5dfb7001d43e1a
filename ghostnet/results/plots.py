"""Pictures of runs over their epochs, from arrays: every function takes the axes it draws into and returns them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

STYLE = Path(__file__).with_name("ghostnet.mplstyle")  # for plt.style.use and plt.style.context
RIGHT, OTHER, ERROR = "#0072b2", "#b5b5b5", "#d55e00"  # Okabe and Ito: told apart by colour-blind readers and in print
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_PARTS = {"train": OTHER, "test": RIGHT}
_ANGLE, _ALIGNMENT = re.compile(r"(?:gradient_)?angle_(\d+)"), re.compile(r"alignment_(\d+)")

Columns = Mapping[str, np.ndarray]  # of metrics.csv: name → (runs, evaluations)


def training(epoch: np.ndarray, columns: Columns) -> plt.Figure:
    """A run over its epochs (evaluations,), of ghost units or of a baseline: accuracy and MSE, and what was measured of
    its gradient's error and angle to backprop, the angle of feedback to forward weights, and Figure 3's norms.
    """
    panels = [accuracy, mse]
    panels += [gradient_error] if "gradient_mean_error_all" in columns else []
    panels += [angle] if any(map(_ANGLE.fullmatch, columns)) else []
    panels += [alignment] if any(map(_ALIGNMENT.fullmatch, columns)) else []
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


def angle(epoch: np.ndarray, columns: Columns, ax: plt.Axes) -> plt.Axes:
    """Angle between what a run learns and backprop's gradient, per layer, in degrees: 90 is no better than chance."""
    return _by_layer(epoch, columns, _ANGLE, "angle to BP (°)", ax)


def alignment(epoch: np.ndarray, columns: Columns, ax: plt.Axes) -> plt.Axes:
    """Angle between the feedback weights of a layer and the forward weights that backprop would take, in degrees."""
    return _by_layer(epoch, columns, _ALIGNMENT, "angle of B$_k$ to W$_{k+1}^T$ (°)", ax)


def _by_layer(epoch: np.ndarray, columns: Columns, pattern: re.Pattern, label: str, ax: plt.Axes) -> plt.Axes:
    layers = {int(match[1]): columns[name] for name in columns if (match := pattern.fullmatch(name))}
    for place, (k, values) in enumerate(layers.items()):
        look = {"color": SERIES[place % len(SERIES)], "linestyle": ("-", "--", "-.", ":")[place % 4]}
        band(epoch, values, ax, label=f"layer {k}", **look)
    ax.axhline(90, color=OTHER, linewidth=0.6, zorder=0)
    ax.set(xlabel="epoch", ylabel=label, ylim=(0, None))
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


def band(x: np.ndarray, values: np.ndarray, ax: plt.Axes, **look: Any) -> plt.Axes:
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
