"""Private BP over 50 epochs at noise 0.1 and clip 4, as in the report's Figures 5 and 6; and what each part of it does.

The report (`published.PRIVATE`) shows accuracy that falls steadily over these epochs while the loss goes up and down.
Here the network has one hidden layer, too, of 100 tanh units. The table leaves out one of three at a time: the noise;
the sampling (batches are shuffled instead of Poisson samples, so that an example takes part in one step of every epoch,
and no chance that it doesn't is in ε); the clip (same noise, but no gradient has a bound, so there is no ε). It does so
over 10 epochs, at noise 0.1 and at noise 1, which protects somebody. δ is 1e-5, the accountant Rényi's.

Found (means of three seeds): accuracy rises and loss falls to the end, 96.8 % after 50 epochs. The clip costs 2.4
points after 10 epochs, noise 1 another 0.8, noise 0.1 and sampling nothing that can be seen. Sampling takes ε from 19
to 2 at noise 1. At noise 0.1 the accountant's bound with sampling is loose, beyond that without: no privacy to speak
of.

    python sims/privacy_epochs.py            784-100-10 tanh, batch 500, three seeds; 24 runs
    python sims/privacy_epochs.py --draw     from the runs that are there; what isn't complete is left out

Runs are kept in runs/privacy_epochs; interrupted, it goes on. Needs the extra [dp]. Prints the table, and writes
figures/privacy_epochs.png, .pdf, .json and .txt.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import xarray as xr
from destination import HERE, figures, runs
from paper_runs import complete
from sweeps import sweep_parser, swept

import ghostnet as gn
from ghostnet.files.figures import publish_figure
from ghostnet.files.publishing import publish
from ghostnet.host.streams import show_symbols
from ghostnet.results import plots
from ghostnet.results.report import aligned, percent

NOISES, EPOCHS = ("0.1", "1"), 10  # of the table
WITHOUT = ("none of them", "no noise")  # the same at every noise
PARTS = ("all", "no noise", "no sampling", "no clip", "none of them")
SHOWN = "all, noise 0.1"


def cell(runs: xr.Dataset, part: str, noise: str, epoch: int = EPOCHS) -> list[str]:
    """Test accuracy in percent and ε of a row of the table at one of its noises; empty where it isn't complete."""
    of = runs.sel(experiment=part if part in WITHOUT else f"{part}, noise {noise}")
    if not (of.status == "complete").all():
        return ["", ""]
    last = of.sel(epoch=epoch)
    spent = f"{float(last.epsilon[0]):.3g}" if part in ("all", "no sampling") else "∞"
    return [percent(last.test_accuracy.values.tolist()), spent]


def table(runs: xr.Dataset) -> str:
    """Rows: what is left out; columns: test accuracy, mean and standard deviation over seeds, and ε, at each noise."""
    heading = ["test % and ε", *(text for noise in NOISES for text in (f"σ {noise}", "ε"))]
    rows = [[part, *(text for noise in NOISES for text in cell(runs, part, noise))] for part in PARTS]
    return aligned([heading, *rows, ["all, 50 epochs", *cell(runs, "all", "0.1", 50)] + [""] * 2])


def picture(runs: xr.Dataset) -> plt.Figure:
    """Figures 5 and 6: accuracy and loss over the epochs, mean and range of the seeds."""
    done = complete(runs, SHOWN)
    epoch = done.epoch.values[1:]
    figure, axes = plt.subplots(1, 2, figsize=(6.4, 2.6))
    for ax, name, factor in zip(axes, ("accuracy", "loss"), (100, 1), strict=True):
        for part, colour in (("train", plots.OTHER), ("test", plots.RIGHT)):
            values = factor * done[f"{part}_{name}"].transpose("seed", "epoch").values[:, 1:]
            plots.band(epoch, values, ax, color=colour, label=part, linestyle="-")
        ax.set(xlabel="epoch", ylabel={"accuracy": "accuracy (%)", "loss": "mean loss of an example"}[name])
    axes[0].legend()
    return figure


def main() -> None:
    given = sweep_parser(__doc__).parse_args()
    plan = gn.sweep.read(HERE / "privacy_epochs.toml")
    made = swept(plan, runs(given) / "privacy_epochs", given)
    print(text := table(made))
    plt.style.use(plots.STYLE)
    done = complete(made, SHOWN)
    curves = {name: done[name].values.tolist() for name in ("test_accuracy", "train_loss", "test_loss")}
    publish_figure(picture(made), figures(given) / "privacy_epochs", curves=curves, table=text, sweep=plan.to_toml())
    publish(figures(given) / "privacy_epochs.txt", f"{text}\n".encode())


if __name__ == "__main__":
    show_symbols()
    main()
