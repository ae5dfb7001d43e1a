"""Pictures of gradient checks; every function takes the axes it draws into and returns them, but for whole figures."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from ghostnet.gradients.report import GradientReport
from ghostnet.results import plots

COLOURS = {  # Okabe and Ito
    "free phase": "#56b4e9",
    "clamped phase": "#009e73",
    "finite beta": "#e69f00",
    "ghost circuit": "#d55e00",
    "feedback": "#cc79a7",
    "unexplained": "#b5b5b5",
}
LAYERS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def causes(report: GradientReport, ax: plt.Axes, run: int = 0) -> plt.Axes:
    """A bar of signed parts per layer, negative ones below zero, and the relative error they add up to as a dot."""
    layers = [*range(1, report.experiment.depth + 1), "all"]
    above, below = np.zeros(len(layers)), np.zeros(len(layers))
    total = 100 * np.array([report.find(layer, run=run)["relative_error"] for layer in layers])
    for cause, colour in COLOURS.items():
        part = 100 * np.array([report.parts(layer, run=run)[cause][0] for layer in layers])
        if np.abs(part).max() < 5e-3 * total.max():
            continue  # nothing to be seen; its name would only take room
        bottom = np.where(part >= 0, above, below)
        ax.bar(range(len(layers)), part, 0.6, bottom=bottom, color=colour, label=cause)
        above, below = above + np.maximum(part, 0), below + np.minimum(part, 0)
    ax.plot(range(len(layers)), total, "ko", markersize=4, label="relative error")
    ax.axhline(0, color="k", linewidth=0.6)
    ax.set_xticks(range(len(layers)), [f"W$_{k}$" if k != "all" else "all" for k in layers])
    ax.set(ylabel="% of ‖backprop gradient‖")
    ax.legend(fontsize=7)
    return ax


def approach(report: GradientReport, ax: plt.Axes, run: int = 0) -> plt.Axes:
    """How far e_k / β is from -∂C/∂ρ(u_k) over model time within the clamped phase."""
    course = report.courses[run]
    time = 1e3 * report.experiment.dt * np.arange(len(course))
    shown = np.where(course > 0, 100 * course, np.nan)  # a logarithmic axis has no place for 0
    for k, (far, colour) in enumerate(zip(shown.T, LAYERS, strict=False), start=1):
        ax.semilogy(time, far, color=colour, label=f"e$_{k}$ / β")
    ax.set(xlabel="model time in the clamped phase (ms)", ylabel="% off its target", xlim=(0, time[-1]))
    ax.legend(fontsize=7)
    return ax


def report_figure(report: GradientReport, run: int = 0) -> plt.Figure:
    """Causes per layer beside the approach within the clamped phase."""
    with plt.style.context(plots.STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.8))
        if run not in report.no_causes:
            causes(report, left, run)
        approach(report, right, run)
        figure.suptitle(report.verdict(run).split(", mostly")[0], fontsize=9)
    return figure
