"""MB at equilibrium against MB stepped: the same accuracies, and how much faster (docs/equilibrium.md).

    python sims/bench_equilibrium.py            10 epochs of mb-500-tf, 4 of mb-300-300-tf and -fa; about 15 minutes
    python sims/bench_equilibrium.py --quick    2,000 examples instead of 55,000; a minute, writes nothing

Prints test accuracy after every epoch, seconds per epoch (one run, one thread, evaluation left out) and the histogram
of sweeps; writes figures/equilibrium.png, .pdf and .json.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ghostnet as gn
from ghostnet import data
from ghostnet.engines import create
from ghostnet.files.figures import publish_figure
from ghostnet.model.order import presentation_order
from ghostnet.results import plots

FIGURES = Path(__file__).resolve().parent.parent / "figures"
RUNS = {"mb-500-tf": 10, "mb-300-300-tf": 4, "mb-300-300-fa": 4}


def sweeps(experiment: gn.Experiment, network: gn.Network, presentations: int = 2000) -> np.ndarray:
    """How often a clamped phase was stepped, took 1, 2, … sweeps, from this network on."""
    engine, digits = create("equilibrium", network, "float32", 1), data.load()
    order = presentation_order(experiment, 1)[:presentations]
    engine.present(
        data.scale(digits.train_images[order], np.float32), data.one_hot(digits.train_labels[order], 10, np.float32)
    )
    return np.trim_zeros(engine.sweeps[0], "b")


def compare(name: str, epochs: int, examples: int) -> dict:
    """Both engines on the same seed and order of examples."""
    experiment = gn.preset(name, epochs=epochs, train_examples=examples)
    found = {"epochs": epochs}
    for engine in ("equilibrium", "cpu"):
        result = gn.train(experiment, engine=engine, threads=1)
        seconds = np.diff([row["seconds"] for row in result.metrics])
        found[engine] = {
            "test_accuracy": [row["test_accuracy"] for row in result.metrics[1:]],
            "seconds_per_epoch": float(np.median(seconds)),
        }
        if engine == "equilibrium":
            found["sweeps at the start"] = sweeps(experiment, gn.build(experiment)).tolist()
            found["sweeps at the end"] = sweeps(experiment, result.network).tolist()
    return found


def show(name: str, found: dict) -> None:
    for engine in ("cpu", "equilibrium"):
        accuracies = " ".join(f"{100 * a:.2f}" for a in found[engine]["test_accuracy"])
        print(f"{name:<14} {engine:<12} {accuracies}   {found[engine]['seconds_per_epoch']:.2f} s an epoch")
    both = np.array([found[engine]["test_accuracy"] for engine in ("cpu", "equilibrium")])
    ratio = found["cpu"]["seconds_per_epoch"] / found["equilibrium"]["seconds_per_epoch"]
    print(f"{name:<14} largest difference {100 * np.abs(both[0] - both[1]).max():.2f} points, {ratio:.1f} times faster")
    for when in ("at the start", "at the end"):
        counts = "  ".join(f"{n or 'stepped'}: {count}" for n, count in enumerate(found[f"sweeps {when}"]) if count)
        print(f"{name:<14} sweeps {when}, 2,000 presentations   {counts}")
    print(flush=True)


def picture(results: dict) -> plt.Figure:
    """Left, accuracies of both engines over epochs; right, seconds per epoch."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.8), width_ratios=(3, 2))
    for (name, found), colour in zip(results.items(), (plots.RIGHT, plots.ERROR, "#009e73"), strict=True):
        epochs = range(1, found["epochs"] + 1)
        left.plot(epochs, 100 * np.array(found["cpu"]["test_accuracy"]), color=colour, label=name)
        left.plot(epochs, 100 * np.array(found["equilibrium"]["test_accuracy"]), "o", color=colour, mfc="none")
    left.set(xlabel="epoch", ylabel="test accuracy (%)", title="stepped (lines) and at equilibrium (circles)")
    left.legend()
    place = np.arange(len(results))
    for offset, (engine, label) in enumerate((("cpu", "stepped"), ("equilibrium", "at equilibrium"))):
        seconds = [found[engine]["seconds_per_epoch"] for found in results.values()]
        bars = right.bar(place + 0.4 * offset, seconds, 0.4, label=label, color=(plots.OTHER, plots.RIGHT)[offset])
        right.bar_label(bars, fmt="%.1f", fontsize=7)
    right.set(yscale="log", ylabel="seconds per epoch, one thread", xticks=place + 0.2)
    right.set_xticklabels(results, fontsize=7)
    right.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    results = {}
    for name, epochs in RUNS.items():
        results[name] = compare(name, epochs, 2000 if arguments.quick else 55_000)
        show(name, results[name])
    if not arguments.quick:
        plt.style.use(plots.STYLE)
        publish_figure(picture(results), FIGURES / "equilibrium", results=results, seeds=[0])


if __name__ == "__main__":
    main()
