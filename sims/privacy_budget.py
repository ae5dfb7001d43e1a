"""What ε buys in accuracy, for BP, FA and DFA: targets from 0.5 to 8, and no privacy, from privacy_budget.toml.

As in privacy.py, every example's gradient, all layers together, is clipped to norm 1, and batches are Poisson samples.
`target_epsilon` finds the noise for each ε (δ = 1e-5, Rényi accountant), which is the same for all methods.

    python sims/privacy_budget.py            784-100-100-10 tanh, batch 500, 5 epochs, three seeds; 54 runs
    python sims/privacy_budget.py --draw     from the runs that are there

Runs are kept in runs/privacy_budget; interrupted, it goes on. Needs the extra [dp]. Prints a table, and writes
figures/privacy_budget.png, .pdf, .json and .txt.
"""

from __future__ import annotations

import argparse

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from paper_runs import FIGURES, HERE

import ghostnet as gn
from ghostnet.files.figures import publish_figure
from ghostnet.files.publishing import publish
from ghostnet.host.streams import show_symbols
from ghostnet.results import plots
from ghostnet.results.report import aligned, percent


def ended(runs: xr.Dataset) -> xr.Dataset:
    """The last epoch of complete runs.

    Raises:
        SystemExit: some are not complete.
    """
    if not (runs.status == "complete").all():
        raise SystemExit("some runs are not complete yet; leave out --draw, or see their status.json")
    return runs.isel(epoch=-1)


def table(last: xr.Dataset) -> str:
    """Test accuracy in percent, mean and standard deviation over seeds, of every ε (columns) and method."""
    budgets = last.experiment.values.tolist()
    noises = [last.noise.sel(experiment=name).mean("seed").values for name in budgets]
    rows = [["test %", *(f"ε = {name}" if name != "none" else "no privacy" for name in budgets)]]
    for method in last.model.values.tolist():
        of = last.test_accuracy.sel(model=method)
        rows.append([method, *(percent(of.sel(experiment=name).values.tolist()) for name in budgets)])
    return aligned([*rows, ["noise", *("" if np.isnan(noise[0]) else f"{noise[0]:.3f}" for noise in noises)]])


def picture(last: xr.Dataset) -> plt.Figure:
    """Test accuracy over ε, mean and standard deviation over seeds, a line per method; dotted without privacy."""
    budgets = [name for name in last.experiment.values.tolist() if name != "none"]
    figure, ax = plt.subplots(figsize=(4.4, 2.8))
    for method, colour, mark in zip(last.model.values.tolist(), plots.SERIES, "os^", strict=False):
        tests = 100 * last.test_accuracy.sel(model=method)
        own = tests.sel(experiment=budgets)
        look = dict(color=colour, marker=mark, mfc="none", capsize=2, label=method)
        ax.errorbar([float(name) for name in budgets], own.mean("seed"), own.std("seed", ddof=1), **look)
        ax.axhline(float(tests.sel(experiment="none").mean()), color=colour, linestyle=":")
    ax.set(xscale="log", xlabel="ε of five epochs, at δ = 1e-05", ylabel="test accuracy (%)")
    ax.set_xticks([float(name) for name in budgets], budgets)
    ax.set_xticks([], minor=True)
    ax.legend(title="dotted: no privacy", fontsize=7, title_fontsize=7)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true", help="run nothing; show what is there")
    parser.add_argument("--workers", type=int, help="processes (default: one a CPU)")
    given = parser.parse_args()
    plan, folder = gn.sweep.read(HERE / "privacy_budget.toml"), HERE.parent / "runs" / "privacy_budget"
    if not given.draw:
        gn.sweep.run(plan, folder, workers=given.workers)
    last = ended(gn.load_sweep(folder))
    print(text := table(last))
    plt.style.use(plots.STYLE)
    found = {f"{method} {name}": last.test_accuracy.sel(model=method, experiment=name).values.tolist()
             for method in last.model.values.tolist() for name in last.experiment.values.tolist()}  # fmt: skip
    publish_figure(picture(last), FIGURES / "privacy_budget", test_accuracy=found, sweep=plan.to_toml())
    publish(FIGURES / "privacy_budget.txt", f"{text}\n".encode())


if __name__ == "__main__":
    show_symbols()
    main()
