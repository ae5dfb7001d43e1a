"""What depth, layers and a frozen first layer do to BP, FA and DFA, from the runs of nokland.toml.

Left, how far each layer's update is from backprop's, 7x240 tanh, before training and after (the theory of the slides:
it ends within 90°). Middle, test error by the number of hidden layers of 800 units. Right, test error of 2x800 over
epochs, all of it learning, and with the first layer as it was drawn (Nøkland 2016, arXiv:1609.01596, Figure 2).

    python sims/slides.py nokland        makes the runs
    python sims/by_layer.py              draws; writes figures/by_layer.png, .pdf and .json
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from destination import figures, parser
from matplotlib.ticker import MaxNLocator

import ghostnet as gn
from ghostnet.files.figures import publish_figure
from ghostnet.host.streams import show_symbols
from ghostnet.results import plots
from ghostnet.sweep.results import complete

COLOURS = dict(zip(("BP", "FA", "DFA"), plots.SERIES, strict=False))
DEEP, DEPTHS, FULL, FROZEN = "7x240", (1, 2, 3, 4), "2x800", "2x800-frozen"


def of(runs: xr.Dataset, experiment: str, method: str) -> xr.Dataset:
    """The complete runs of a network by a method, up to their last epoch; none where none is complete."""
    done = complete(runs.sel(experiment=experiment, model=method))
    return done.dropna("epoch", how="any", subset=["test_accuracy"]) if done.sizes["seed"] else done


def angles(runs: xr.Dataset, ax: plt.Axes) -> dict[str, list[float]]:
    """Angle to backprop by layer, first epoch dotted; returns the last ones, means over seeds."""
    found = {}
    for method in ("FA", "DFA"):
        done = of(runs, DEEP, method)
        names = sorted(str(name) for name in done if str(name).startswith("angle_"))
        layers = [int(name.removeprefix("angle_")) for name in names if not np.isnan(done[name]).all()]
        values = np.stack([done[f"angle_{k}"].transpose("seed", "epoch").values for k in layers], axis=-1)
        for epoch, line in ((0, ":"), (-1, "-")):
            label = f"{method}, epoch {done.epoch.values[epoch]}"
            plots.band(np.array(layers), values[:, epoch], ax, color=COLOURS[method], linestyle=line, label=label)
        found[method] = values[:, -1].mean(0).tolist()
    ax.axhline(90, color=plots.OTHER, linewidth=0.6, zorder=0)
    ax.set(xlabel=f"hidden layer of {DEEP}", ylabel="angle to BP (°)", ylim=(0, None))
    ax.legend()
    return found


def depths(runs: xr.Dataset, ax: plt.Axes) -> None:
    """Test error by depth, after the last epoch that all have; a point for every seed."""
    done = {(depth, method): of(runs, f"{depth}x800", method) for depth in DEPTHS for method in COLOURS}
    done = {place: found.test_accuracy for place, found in done.items() if found.sizes["seed"]}
    epoch = min(int(accuracy.epoch[-1]) for accuracy in done.values())
    for method, colour in COLOURS.items():
        error = {depth: 100 - 100 * done[depth, own].sel(epoch=epoch) for depth, own in done if own == method}
        ax.plot(list(error), [end.mean().item() for end in error.values()], color=colour, label=method)
        for depth, end in error.items():
            ax.plot(np.full(end.size, depth), end.values, ".", color=colour)
    label = f"test error after epoch {epoch} (%)"
    ax.set(xlabel="hidden layers of 800", ylabel=label, xticks=DEPTHS, ylim=(0, None))
    ax.legend()


def frozen(runs: xr.Dataset, ax: plt.Axes) -> None:
    """Test error over epochs. With one hidden layer that learns, FA is DFA: their dashed lines are one."""
    for method, colour in COLOURS.items():
        for experiment, line in ((FULL, "-"), (FROZEN, "--")):
            done = of(runs, experiment, method)
            if not done.sizes["seed"]:
                continue
            error = 100 - 100 * done.test_accuracy.transpose("seed", "epoch").values
            label = method if experiment == FULL else None
            look = {"color": colour, "linestyle": line, "marker": "."}
            plots.band(done.epoch.values[1:], error[:, 1:], ax, label=label, **look)
    ax.set(xlabel=f"epoch, {FULL} (dashed: first layer frozen)", ylabel="test error (%)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()


def main() -> None:
    given = parser(__doc__).parse_args()
    runs = gn.load_sweep(figures(given) / "nokland")
    plt.style.use(plots.STYLE)
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.6, 2.9))
    found = angles(runs, left)
    depths(runs, middle)
    frozen(runs, right)
    for method, values in found.items():
        print(f"{DEEP} {method}: angle to BP of layers 1 to 7, at the end: {', '.join(f'{v:.0f}°' for v in values)}")
    publish_figure(figure, figures(given) / "by_layer", angles=found)


if __name__ == "__main__":
    show_symbols()
    main()
