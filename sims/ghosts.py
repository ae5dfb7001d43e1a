"""What imitating ghosts and centred nudging do for the gradient of deep networks (our addition to the paper).

MB's ghosts are few and fixed, and what of the feedback they leave uncancelled comes back to a layer (the M_k of
docs/gradients.md): little with one hidden layer, more with every further one. Mixed ghosts learn to imitate the units
above, or random mixtures of them, so that they cancel all of it; what is left is of the order of β, and centred nudging
takes that away as well.

    python sims/ghosts.py              networks of 2 to 5 hidden layers of 100 units, and the error by the number of
                                       ghosts; 30 minutes on one CPU; writes figures/ghosts.*; the same again goes on
    python sims/ghosts.py --stepped    2 and 3 hidden layers by Euler steps, in phases of 140 and 40 of them; half an
                                       hour; writes figures/ghosts-stepped.csv
    python sims/ghosts.py --quick      1,000 examples, 2 hidden layers; a minute; writes figures/ghosts-quick.*

Trained at equilibrium, TF, batch 1, β 0.1, seed 0, for 8 epochs of 27,500 examples of MNIST. The error of a layer is
that of the update summed over the first 1,000 examples, against backprop, with phases long enough to settle (stepped:
with the phases that it learned in).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from destination import figures, parser, runs

import ghostnet as gn
from ghostnet import data
from ghostnet.files.figures import appended, publish_figure
from ghostnet.files.publishing import publish
from ghostnet.host.streams import show_symbols
from ghostnet.results import plots
from ghostnet.runs import checkpoint
from ghostnet.runs.metrics import csv_text

DEEP = {  # hidden layers of 100 units: η_k, and the range of the initial weights; of 4 and 5 the best of 18 tried
    2: ((40, 0.1, 0.005), 0.05),
    3: ((200, 2, 0.1, 0.005), 0.1),
    4: ((16, 0.54, 0.18, 0.06, 0.02), 0.4),
    5: ((9.6, 0.48, 0.24, 0.12, 0.06, 0.03), 0.35),
}
IMITATION = {"equilibrium": 0.1, "cpu": 0.02}  # η^pg; stepped, ghosts also follow the transients
SETTLED = {"free_steps": 800, "clamped_steps": 200}
COUNTS = (5, 10, 20, 50, 100)  # ghosts of the first of two hidden layers
MODELS = (("MB", "MB", (1,)), ("mixed", "mixed", (1,)), ("mixed, centred", "mixed", (1, -1)))  # name, model, nudges


def experiment(hidden: int, ghosts: tuple[int, ...], model: str, imitation: float, nudges: tuple = (1,)) -> dict:
    """Settings of a network of that depth; the ghosts of every layer cancel as fast as MB's."""
    eta, init = DEEP[hidden]
    rates = {"eta": eta, "eta_ghost": [100 / m for m in ghosts], "init": init}
    if model == "mixed":
        rates["eta_imitation"] = (imitation,) * hidden
    sizes = (784, *[100] * hidden, 10)
    return {"sizes": sizes, "ghosts": ghosts, "model": model, "nudges": nudges} | rates


def variants(hidden: int, imitation: float) -> dict[str, dict]:
    """The rows of the table."""
    few, paired = (*[20] * (hidden - 1), 5), (*[100] * (hidden - 1), 10)
    return {
        "MB": experiment(hidden, few, "MB", imitation),
        "mixed, same ghosts": experiment(hidden, few, "mixed", imitation),
        "mixed, paired": experiment(hidden, paired, "mixed", imitation),
        "mixed, paired, centred": experiment(hidden, paired, "mixed", imitation, nudges=(1, -1)),
    }


def trained(experiments: dict[str, dict], folder: Path, few: dict, engine: str = "equilibrium") -> dict[str, dict]:
    """Train each, or go on with what is in the folder; what `found` says of them, by name.

    Raises:
        SystemExit: one failed.
    """
    settings = {"preset": "mb-300-300-tf", "engine": engine, "train_examples": 27_500, "epochs": 8} | few
    plan = gn.sweep.Sweep(settings, experiments=[{"name": name} | each for name, each in experiments.items()])
    for outcome in gn.sweep.run(plan, folder, threads=1):
        if outcome.status == "diverged":
            print(f"{outcome.name}: {outcome.text}")
        elif outcome.status != "complete":
            raise SystemExit(f"{folder / outcome.name}: {outcome.status} ({outcome.text})")
    runs = gn.load_sweep(folder)
    return {task.at["experiment"]: found(runs.sel(task.at), folder / task.name, engine) for task in plan.tasks}


def found(run: xr.Dataset, path: Path, engine: str) -> dict:
    """Test accuracy and the error of each layer in percent, and the seconds of an epoch; NaN of diverged runs."""
    if run.status == "diverged":
        return {"test": np.nan, "error": [np.nan], "seconds": np.nan}
    network = checkpoint.newest(path)
    e, dataset = network.experiment, data.load(network.experiment.data)
    x = data.scale(dataset.train_images[:1000], "float64")
    y = data.one_hot(dataset.train_labels[:1000], dataset.classes, "float64")
    looked_at = e.replace(**SETTLED) if engine == "equilibrium" else e
    report = gn.gradcheck(dataclasses.replace(network, experiment=looked_at), x, y, causes=False)
    off = [100 * report.find(k)["relative_error"] for k in range(1, e.depth + 1)]
    test, seconds = 100 * float(run.test_accuracy[-1]), float(run.seconds.diff("epoch").median())
    return {"test": test, "error": off, "seconds": seconds}


def picture(found: dict[str, list[dict]], counts: tuple[int, ...]) -> plt.Figure:
    """The first layer's error and the time of an epoch over the number of ghosts."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 2.8))
    for (name, rows), colour in zip(found.items(), plots.SERIES, strict=False):
        left.loglog(counts, [row["error"][0] for row in rows], "o-", color=colour, label=name)
        right.loglog(counts, [row["seconds"] for row in rows], "o-", color=colour, label=name)
    left.set(xlabel="ghosts of layer 1", ylabel="gradient error of layer 1 (%)")
    right.set(xlabel="ghosts of layer 1", ylabel="seconds per epoch")
    left.legend()
    return figure


def table(rows: list[dict]) -> str:
    """As lines of CSV."""
    return csv_text(
        {
            "hidden_layers": row["hidden"],
            "model": row["model"],
            "test_percent": f"{row['test']:.2f}",
            "error_by_layer_percent": " ".join(f"{error:.3g}" for error in row["error"]),
            "seconds_per_epoch": f"{row['seconds']:.1f}",
        }
        for row in rows
    )


def table_of(depths: tuple[int, ...], engine: str, few: dict, folder: Path) -> list[dict]:
    """Train every row, and print it."""
    asked = {(hidden, model): each for hidden in depths for model, each in variants(hidden, IMITATION[engine]).items()}
    names = {(hidden, model): f"{hidden} hidden layers, {model}" for hidden, model in asked}
    results = trained({names[row]: each for row, each in asked.items()}, folder, few, engine)
    print("hidden   model                    test %   error by layer, first layer first (%)   s per epoch")
    rows = []
    for hidden, model in asked:
        rows.append({"hidden": hidden, "model": model} | results[names[hidden, model]])
        errors = " / ".join(f"{error:.3g}" for error in rows[-1]["error"])
        print(f"{hidden:<8} {model:<24} {rows[-1]['test']:<8.2f} {errors:<38} {rows[-1]['seconds']:.1f}")
    return rows


def by_count(counts: tuple[int, ...], few: dict, folder: Path) -> dict[str, list[dict]]:
    """Two hidden layers, trained with so many ghosts of the first."""
    imitation = IMITATION["equilibrium"]
    asked = {
        f"{name}, {m} ghosts": experiment(2, (m, 10), model, imitation, nudges)
        for name, model, nudges in MODELS
        for m in counts
    }
    results = trained(asked, folder, few)
    rows = {name: [results[f"{name}, {m} ghosts"] for m in counts] for name, *_ in MODELS}
    for name, each in rows.items():
        print(f"{name}, {counts} ghosts: " + " ".join(f"{row['error'][0]:.3g} %" for row in each))
    return rows


def main() -> None:
    options = parser(__doc__, quick="1,000 examples, 2 hidden layers")
    options.add_argument("--stepped", action="store_true", help="by Euler steps")
    given = options.parse_args()
    few = {"train_examples": 1000, "epochs": 1} if given.quick else {}
    name = f"ghosts{'-stepped' * given.stepped}{'-quick' * given.quick}"
    path, folder = figures(given) / name, runs(given)
    if given.stepped:
        rows = table_of((2,) if given.quick else (2, 3), "cpu", few, folder / name)
        publish(appended(path, ".csv"), table(rows).encode())
        return
    rows = table_of((2,) if given.quick else tuple(DEEP), "equilibrium", few, folder / name)
    counts = COUNTS[:2] if given.quick else COUNTS
    counted = by_count(counts, few, folder / f"{name}-by-count")
    plt.style.use(plots.STYLE)
    publish(appended(path, ".csv"), table(rows).encode())
    publish_figure(picture(counted, counts), path, rows=rows, counts=counts, by_count=counted)


if __name__ == "__main__":
    show_symbols()
    main()
