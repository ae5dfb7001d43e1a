"""Pictures, from arrays only: every function takes the axes it draws into and returns them."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

FREE_SHADE, CLAMPED_SHADE = "#ffffff", "#e3e8ee"
RIGHT, OTHER, ERROR = "#0072b2", "#b5b5b5", "#d55e00"  # Okabe and Ito: told apart by colour-blind readers and in print
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")

STYLE = {
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "savefig.dpi": 200,
}


def shade_clamped(time: np.ndarray, phase: np.ndarray, ax: plt.Axes) -> plt.Axes:
    """Shade the weakly clamped phases; time (steps,) in s, phase (steps,) 0 free, 1 clamped."""
    edges = np.flatnonzero(np.diff(np.r_[0, phase, 0]))
    for start, stop in edges.reshape(-1, 2):
        ax.axvspan(time[start], time[stop - 1], color=CLAMPED_SHADE, linewidth=0)
    return ax


def output_rates(time: np.ndarray, phase: np.ndarray, rates: np.ndarray, label: np.ndarray, ax: plt.Axes) -> plt.Axes:
    """Figure 4, top: output rates (steps, n_N) over time, that of the right class `label` (steps,) highlighted."""
    shade_clamped(time, phase, ax)
    ax.plot(time, rates, color=OTHER, linewidth=0.8)
    ax.plot(time, np.take_along_axis(rates, label[:, None], 1)[:, 0], color=RIGHT)
    ax.set(ylabel="output rates", ylim=(-0.02, 1.02), xlim=(time[0], time[-1]))
    return ax


def hidden_error(time: np.ndarray, phase: np.ndarray, error: np.ndarray, ax: plt.Axes) -> plt.Axes:
    """Figure 4, bottom: the norm of the hidden error (steps, n_k) over model time, logarithmic."""
    shade_clamped(time, phase, ax)
    ax.semilogy(time, np.linalg.norm(error, axis=1), color=ERROR)
    ax.set(ylabel="‖hidden error e$_1$‖", xlabel="model time (s)", xlim=(time[0], time[-1]))
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

    All arrays (evaluations,); accuracy is a fraction. Times start at the first evaluation that took any.
    """
    look = {
        "color": SERIES[index % len(SERIES)],
        "linestyle": ("-", "--", ":")[index // len(SERIES) % 3],
        "label": name,
    }
    axes[0].plot(epoch, 100 * accuracy, **look)
    axes[1].semilogx(seconds[seconds > 0], 100 * accuracy[seconds > 0], **look)
    if angle is not None:
        axes[2].plot(epoch, angle, **look)
    for ax, label in zip(axes, ("epoch", "training time (s)", "epoch"), strict=True):
        ax.set_xlabel(label)
    axes[0].set_ylabel("test accuracy (%)"), axes[2].set_ylabel("angle to BP (°)")
    return axes
