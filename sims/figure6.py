"""Figure 6 of Mesnard et al. 2019 (arXiv:1911.08585): test error over epochs, (a) MA and (b) MB, each size, TF and FA.

MB with two hidden layers is learned at equilibrium (docs/equilibrium.md). Incomplete cells are left out, and named.

    python sims/figure6.py             every cell of both models: days on 2 CPUs; figures/figure6.png, .pdf, .json
    python sims/figure6.py --quick     two minutes, for a look
    python sims/figure6.py --draw      from the runs in figures/results
"""

from __future__ import annotations

import matplotlib.pyplot as plt
from destination import figure_path
from paper_runs import arguments, complete, results

from ghostnet.files.figures import publish_figure
from ghostnet.results import plots

PANELS = {
    "(a) MA": ("ma-100", "ma-300", "ma-500", "ma-500-500"),
    "(b) MB, one hidden layer": ("mb-100", "mb-300", "mb-500"),
    "(b) MB, two hidden layers": ("mb-300-300", "mb-500-500"),
}


def main() -> None:
    given = arguments(__doc__)
    cells = [f"{network}-{feedback}" for panel in PANELS.values() for network in panel for feedback in ("tf", "fa")]
    runs = results(given, [f"{cell},*" for cell in cells])
    plt.style.use(plots.STYLE)
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.0), sharey=True)
    left_out, last = [], {}
    for ax, (title, networks) in zip(axes, PANELS.items(), strict=True):
        for colour, network in zip(plots.SERIES, networks, strict=False):
            for feedback, style in (("tf", "-"), ("fa", ":")):
                cell = f"{network}-{feedback}"
                if not (runs.status.sel(experiment=cell) == "complete").any():
                    left_out.append(cell)
                    continue
                done = complete(runs, cell)
                error = 100 - 100 * done.test_accuracy.values[:, 1:]
                last[cell] = error[:, -1].round(2)
                label = f"{network[3:].replace('-', '/')} {feedback.upper()}"
                plots.band(done.epoch.values[1:], error, ax, color=colour, linestyle=style, label=label)
        ax.set(title=title, xlabel="epoch", yscale="log")
        if ax.lines:
            ax.legend(ncols=2, fontsize="x-small")
        else:
            ax.text(0.5, 0.5, "no complete run yet", transform=ax.transAxes, ha="center")
    axes[0].set(ylabel="test error (%)")
    axes[0].yaxis.set_major_formatter("{x:g}"), axes[0].yaxis.set_minor_formatter("{x:g}")
    print("not complete yet, left out: " + (", ".join(left_out) or "none"))
    publish_figure(figure, figure_path(given, "figure6"), left_out=left_out, test_error_percent=last)


if __name__ == "__main__":
    main()
