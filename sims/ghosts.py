"""What imitating ghosts and centred nudging do for the gradient of deep networks (our addition to the paper).

MB's ghosts are few and fixed, and what of the feedback they leave uncancelled comes back to a layer (the M_k of
docs/gradients.md): little with one hidden layer, more with every further one. Mixed ghosts learn to imitate the units
above, or random mixtures of them, so that they cancel all of it; what is left is of the order of β, and centred nudging
takes that away as well.

    python sims/ghosts.py              networks of 2 to 5 hidden layers of 100 units, and the error by the number of
                                       ghosts; 30 minutes on one CPU; writes figures/ghosts.*
    python sims/ghosts.py --stepped    2 and 3 hidden layers by Euler steps, in phases of 140 and 40 of them; half an
                                       hour; writes figures/ghosts-stepped.csv
    python sims/ghosts.py --quick      1,000 examples, 2 hidden layers; a minute; writes figures/ghosts-quick.*

Trained at equilibrium, TF, batch 1, β 0.1, seed 0, for 8 epochs of 27,500 examples of MNIST. The error of a layer is
that of the update summed over the first 1,000 examples, against backprop, with phases long enough to settle (stepped:
with the phases that it learned in).
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ghostnet as gn
from ghostnet import data
from ghostnet.files.figures import appended, publish_figure
from ghostnet.files.publishing import publish
from ghostnet.host.streams import show_symbols
from ghostnet.results import plots
from ghostnet.runs.metrics import csv_text

FIGURES = Path(__file__).resolve().parent.parent / "figures"
DEEP = {  # hidden layers of 100 units: η_k, and the range of the initial weights; of 4 and 5 the best of 18 tried
    2: ((40, 0.1, 0.005), 0.05),
    3: ((200, 2, 0.1, 0.005), 0.1),
    4: ((16, 0.54, 0.18, 0.06, 0.02), 0.4),
    5: ((9.6, 0.48, 0.24, 0.12, 0.06, 0.03), 0.35),
}
IMITATION = {"equilibrium": 0.1, "cpu": 0.02}  # η^pg; stepped, ghosts also follow the transients
SETTLED = {"free_steps": 800, "clamped_steps": 200}
COUNTS = (5, 10, 20, 50, 100)  # ghosts of the first of two hidden layers


def experiment(hidden: int, ghosts: tuple[int, ...], model: str, imitation: float, **changes) -> gn.Experiment:
    """A network of that depth; the ghosts of every layer cancel as fast as MB's."""
    eta, init = DEEP[hidden]
    rates = {"eta": eta, "eta_ghost": [100 / m for m in ghosts], "init": init}
    if model == "mixed":
        rates["eta_imitation"] = (imitation,) * hidden
    sizes = (784, *[100] * hidden, 10)
    fields = {"sizes": sizes, "ghosts": ghosts, "model": model, "train_examples": 27_500, "epochs": 8} | rates
    return gn.preset("mb-300-300-tf", **(fields | changes))


def variants(hidden: int, imitation: float) -> dict[str, gn.Experiment]:
    """The rows of the table."""
    few, paired = (*[20] * (hidden - 1), 5), (*[100] * (hidden - 1), 10)
    return {
        "MB": experiment(hidden, few, "MB", imitation),
        "mixed, same ghosts": experiment(hidden, few, "mixed", imitation),
        "mixed, paired": experiment(hidden, paired, "mixed", imitation),
        "mixed, paired, centred": experiment(hidden, paired, "mixed", imitation, nudges=(1, -1)),
    }


def trained(e: gn.Experiment, engine: str = "equilibrium") -> dict:
    """Test accuracy in percent, the error of each layer in percent, and the seconds of an epoch."""
    start = time.perf_counter()
    try:
        run = gn.train(e, engine=engine, progress=False)
    except gn.DivergenceError as error:
        print(f"    {error}")
        return {"test": np.nan, "error": [np.nan] * e.depth, "seconds": np.nan}
    seconds = (time.perf_counter() - start) / e.epochs
    dataset = data.load(e.data)
    x = data.scale(dataset.train_images[:1000], "float64")
    y = data.one_hot(dataset.train_labels[:1000], dataset.classes, "float64")
    looked_at = e.replace(**SETTLED) if engine == "equilibrium" else e
    network = dataclasses.replace(run.network, experiment=looked_at)
    report = gn.gradcheck(network, x, y, causes=False)
    off = [100 * report.find(k)["relative_error"] for k in range(1, e.depth + 1)]
    return {"test": 100 * run.metrics[-1]["test_accuracy"], "error": off, "seconds": seconds}


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


def table_of(depths: tuple[int, ...], engine: str, few: dict) -> list[dict]:
    """Train every row, and print it."""
    print("hidden   model                    test %   error by layer, first layer first (%)   s per epoch")
    rows = []
    for hidden in depths:
        for model, e in variants(hidden, IMITATION[engine]).items():
            found = trained(e.replace(**few), engine)
            rows.append({"hidden": hidden, "model": model} | found)
            errors = " / ".join(f"{error:.3g}" for error in found["error"])
            print(f"{hidden:<8} {model:<24} {found['test']:<8.2f} {errors:<38} {found['seconds']:.1f}", flush=True)
    return rows


def by_count(counts: tuple[int, ...], few: dict) -> dict[str, list[dict]]:
    """Two hidden layers, trained with so many ghosts of the first."""
    imitation = IMITATION["equilibrium"]
    found = {
        name: [trained(experiment(2, (m, 10), model, imitation, nudges=nudges, **few)) for m in counts]
        for name, model, nudges in (("MB", "MB", (1,)), ("mixed", "mixed", (1,)), ("mixed, centred", "mixed", (1, -1)))
    }
    for name, rows in found.items():
        print(f"{name}, {counts} ghosts: " + " ".join(f"{row['error'][0]:.3g} %" for row in rows), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--stepped", action="store_true")
    given = parser.parse_args()
    few = {"train_examples": 1000, "epochs": 1} if given.quick else {}
    name = FIGURES / f"ghosts{'-stepped' * given.stepped}{'-quick' * given.quick}"
    if given.stepped:
        rows = table_of((2,) if given.quick else (2, 3), "cpu", few)
        publish(appended(name, ".csv"), table(rows).encode())
        return
    rows = table_of((2,) if given.quick else tuple(DEEP), "equilibrium", few)
    counts = COUNTS[:2] if given.quick else COUNTS
    found = by_count(counts, few)
    plt.style.use(plots.STYLE)
    publish(appended(name, ".csv"), table(rows).encode())
    publish_figure(picture(found, counts), name, rows=rows, counts=counts, by_count=found)


if __name__ == "__main__":
    show_symbols()
    main()
