"""Figure 3 of Mesnard et al. 2019 (arXiv:1911.08585): MA with 500 hidden units.

Top, accuracies over epochs; below, how far ghost units are from imitating the units above, ‖W_2 - W^pg_1‖, and from
cancelling their feedback, ‖B_1 - W^gp_1‖ (Frobenius norms): plasticity (4) and (5) takes both towards 0.

    python sims/figure3.py             ma-500-tf, 5 seeds of 200 epochs; 4 hours on 2 CPUs; figures/figure3.*
    python sims/figure3.py --only 'ma-500-tf,seed=0'     one seed; an hour and a half on one CPU
    python sims/figure3.py --quick     a minute, for a look
    python sims/figure3.py --draw      from the runs in figures/results
"""

from __future__ import annotations

import matplotlib.pyplot as plt
from destination import figure_path
from paper_runs import arguments, columns, complete, results

from ghostnet.files.figures import publish_figure
from ghostnet.host.streams import show_symbols
from ghostnet.results import plots

CELL = "ma-500-tf"


def main() -> None:
    given = arguments(__doc__)
    runs = complete(results(given, [f"{CELL},*"]), CELL)
    epoch, seeds = runs.epoch.values, runs.seed.values.tolist()
    plt.style.use(plots.STYLE)
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(4.2, 4.2), sharex=True)
    plots.accuracy(epoch, columns(runs), top)
    plots.ghost_distances(epoch, columns(runs), bottom)
    last = {kind: float(runs[f"distance_{kind}_1"].isel(epoch=-1).mean()) for kind in ("pg", "gp")}
    print(f"{CELL}, seeds {seeds}, epoch {epoch[-1]}: ‖W_2 - W^pg_1‖ {last['pg']:.3g}, ‖B_1 - W^gp_1‖ {last['gp']:.3g}")
    publish_figure(figure, figure_path(given, "figure3"), seeds=seeds, last_norms=last)


if __name__ == "__main__":
    show_symbols()
    main()
