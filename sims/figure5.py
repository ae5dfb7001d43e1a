"""Figure 5 of Mesnard et al. 2019 (arXiv:1911.08585): MB with 500 hidden units over 50 epochs, TF.

Accuracy and MSE of the feedforward graph, and the relative error of the ghost units' gradient against backprop: the
norm-weighted mean over the first 1,000 training examples (`ghostnet.gradients.likeness`), all layers and each of them.
The paper says "up to 7 %"; docs/reproduction.md says why some seeds exceed it late in training.

    python sims/figure5.py             mb-500-tf, 5 seeds; half an hour on 2 CPUs; figures/figure5.png, .pdf, .json
    python sims/figure5.py --quick     a minute, for a look
    python sims/figure5.py --draw      from the runs in figures/results
"""

from __future__ import annotations

import matplotlib.pyplot as plt
from destination import figure_path
from paper_runs import arguments, columns, complete, results
from published import GHOST_GRADIENT

from ghostnet.files.figures import publish_figure
from ghostnet.results import plots

CELL = "mb-500-tf"


def main() -> None:
    given = arguments(__doc__)
    runs = complete(results(given, [f"{CELL},*"]), CELL)
    epoch, seeds = runs.epoch.values, runs.seed.values.tolist()
    plt.style.use(plots.STYLE)
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.6))
    for panel, ax in zip((plots.accuracy, plots.mse, plots.gradient_error), axes, strict=True):
        panel(epoch, columns(runs), ax)
    largest = (100 * runs.gradient_mean_error_all.max("epoch")).round(1).values.tolist()
    (theirs,) = GHOST_GRADIENT.rows["mb-500"]
    print(
        f"{CELL}: all layers together at most {largest} % off in any epoch, by seed {seeds} (paper: up to {theirs} %)"
    )
    publish_figure(figure, figure_path(given, "figure5"), seeds=seeds, largest_gradient_error_percent=largest)


if __name__ == "__main__":
    main()
