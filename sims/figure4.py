"""Figure 4 of Mesnard et al. 2019 (arXiv:1911.08585): MB at work.

Output rates of the ten output units over model time, for three presentations before training and after one and two
epochs; the right class is blue, the weakly clamped phases are shaded. Below, the hidden error: ghost units cancel it
in each free phase; what the nudge adds is the teaching signal.

    python sims/figure4.py               mb-500-tf, half a minute; writes figures/figure4.png and .pdf
    python sims/figure4.py --quick       after 1,000 and 2,000 examples instead of epochs; writes figure4-quick.*
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ghostnet as gn
from ghostnet import data, plots, store
from ghostnet.engines import create
from ghostnet.equations import errors, rates
from ghostnet.models import PHASES

FIGURES = Path(__file__).resolve().parent.parent / "figures"


def trace(network: gn.Network, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Step through presentations of a batch-1 network, learning on; everything of every step, arrays (steps, …)."""
    e, engine, rows = network.experiment, create("cpu", network, "float32", 1), []
    for image, label in zip(images, labels, strict=True):
        x, y = data.scale(image, np.float32)[None, None], data.one_hot(label, e.sizes[-1], np.float32)[None, None]
        engine.begin(x, y)
        for phase, steps in enumerate((e.free_steps, e.clamped_steps)):
            for _ in range(steps):
                engine.advance(PHASES[phase], 1)
                weights, state = engine.export()
                r, rho_g = rates(state, x, network.constants)
                rows.append((phase, label, r[-1][0, 0], errors(weights, r, rho_g, y, phase * e.beta)[1][0, 0]))
        engine.finish()
    phase, label, output, error = (np.array(column) for column in zip(*rows, strict=True))
    return {"time": e.dt * np.arange(1, len(rows) + 1), "phase": phase, "label": label, "rates": output, "error": error}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    experiment, digits = gn.preset("mb-500-tf"), data.load()
    examples = 1000 if arguments.quick else experiment.train_examples
    plt.rcParams.update(plots.STYLE)
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 3.4), sharex=True, sharey="row")
    for epoch, (top, bottom) in enumerate(axes.T):
        network = gn.train(experiment.replace(epochs=epoch, train_examples=examples)).network
        t = trace(network, digits.test_images[:3], digits.test_labels[:3])
        plots.output_rates(t["time"], t["phase"], t["rates"], t["label"], top)
        plots.hidden_error(t["time"], t["phase"], t["error"], bottom)
        top.set_title(f"after {epoch * examples} examples" if epoch else "before training")
        if epoch:
            top.set_ylabel(""), bottom.set_ylabel("")
    store.publish_figure(figure, FIGURES / ("figure4-quick" if arguments.quick else "figure4"), seeds=experiment.seeds)


if __name__ == "__main__":
    main()
