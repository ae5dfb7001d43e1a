"""What ε buys in accuracy, for BP, FA and DFA: targets from 0.5 to 8, and no privacy, from privacy_budget.toml.

As in privacy.py, every example's gradient, all layers together, is clipped to norm 1, and batches are Poisson samples.
`target_epsilon` finds the noise for each ε (δ = 1e-5, Rényi accountant), which is the same for all methods.

Found: most of what privacy costs is the clip's, three points between no privacy and ε = 8. From there to ε = 1 BP and
DFA lose 0.7 points, alike; FA, which learns least without privacy, too, loses 1.6, and 4.3 to ε = 0.5.

    python sims/privacy_budget.py            784-100-100-10 tanh, batch 500, 5 epochs, three seeds; 54 runs
    python sims/privacy_budget.py --draw     from the runs that are there; what isn't complete is left out

Runs are kept in runs/privacy_budget; interrupted, it goes on. Needs the extra [dp]. Prints a table, and writes
figures/privacy_budget.png, .pdf, .json and .txt.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from destination import HERE, figures, runs
from sweeps import sweep_parser, swept

import ghostnet as gn
from ghostnet.files.figures import publish_figure
from ghostnet.files.publishing import publish
from ghostnet.host.streams import show_symbols
from ghostnet.results import plots
from ghostnet.results.report import aligned, percent

NONE = "none"


def accuracies(runs: xr.Dataset) -> dict[str, dict[str, list[float]]]:
    """Test accuracy of every seed at the end, by ε, ascending, and method; what isn't complete is left out."""
    names = sorted(runs.experiment.values.tolist(), key=lambda name: float("inf" if name == NONE else name))
    found: dict[str, dict[str, list[float]]] = {}
    for name in names:
        last = runs.sel(experiment=name).isel(epoch=-1)
        if (last.status == "complete").all():
            found[name] = {m: last.test_accuracy.sel(model=m).values.tolist() for m in last.model.values.tolist()}
        else:
            print(f"not complete yet, left out: ε = {name}")
    return found


def table(found: dict, noises: dict[str, float]) -> str:
    """Test accuracy in percent, mean and standard deviation over seeds, of every ε (columns) and method."""
    rows = [["test %", *(f"ε = {name}" if name != NONE else "no privacy" for name in found)]]
    for method in next(iter(found.values())):
        rows.append([method, *(percent(of[method]) for of in found.values())])
    return aligned([*rows, ["noise", *(f"{noises[name]:.3f}" if name in noises else "" for name in found)]])


def picture(found: dict) -> plt.Figure:
    """Test accuracy over ε, mean and standard deviation over seeds, a line per method; dotted without privacy."""
    budgets = [name for name in found if name != NONE]
    places = [float(name) for name in budgets]
    figure, ax = plt.subplots(figsize=(4.4, 2.8))
    for method, colour, mark in zip(next(iter(found.values())), plots.SERIES, "os^", strict=False):
        tests = 100 * np.array([found[name][method] for name in budgets])
        look = dict(color=colour, marker=mark, linestyle="-", mfc="none", capsize=2, label=method)
        ax.errorbar(places, tests.mean(1), tests.std(1, ddof=1), **look)
        if NONE in found:
            ax.axhline(100 * np.mean(found[NONE][method]), color=colour, linestyle=":")
    ax.set(xscale="log", xlabel="ε of five epochs, at δ = 1e-05", ylabel="test accuracy (%)")
    ax.set_xticks(places, budgets)
    ax.set_xticks([], minor=True)
    ax.legend(title="dotted: no privacy", fontsize=7, title_fontsize=7)
    return figure


def main() -> None:
    given = sweep_parser(__doc__).parse_args()
    plan = gn.sweep.read(HERE / "privacy_budget.toml")
    made = swept(plan, runs(given) / "privacy_budget", given)
    found = accuracies(made)
    if not found:
        raise SystemExit("no ε is complete yet; leave out --draw")
    noises = {name: float(made.noise.sel(experiment=name).max()) for name in found if name != NONE}
    print(text := table(found, noises))
    plt.style.use(plots.STYLE)
    facts = {"test_accuracy": found, "noise": noises, "sweep": plan.to_toml()}
    publish_figure(picture(found), figures(given) / "privacy_budget", **facts)
    publish(figures(given) / "privacy_budget.txt", f"{text}\n".encode())


if __name__ == "__main__":
    show_symbols()
    main()
