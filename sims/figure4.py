"""Figure 4 of Mesnard et al. 2019 (arXiv:1911.08585): MB at work.

Output rates of the ten output units over model time, for three presentations before training and after one and two
epochs; the right class is blue, the weakly clamped phases are shaded. Below, the hidden error: ghost units cancel it
in each free phase; what the nudge adds is the teaching signal.

    python sims/figure4.py               mb-500-tf, half a minute; writes figures/figure4.png and .pdf
    python sims/figure4.py --quick       after 1,000 and 2,000 examples instead of epochs; writes figure4-quick.*
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import ghostnet as gn
from ghostnet import data
from ghostnet.files.figures import publish_figure
from ghostnet.results import plots, traceplots

FIGURES = Path(__file__).resolve().parent.parent / "figures"


def trace(network: gn.Network, images: np.ndarray, labels: np.ndarray, folder: Path) -> xr.Dataset:
    """Record presentations of a batch-1 network, learning on."""
    simulator, path = gn.Simulator(network), folder / f"{network.presentations}.h5"
    y = data.one_hot(labels, network.experiment.sizes[-1], np.float32)
    with simulator.recording(gn.Recorder(("r_2", "e_1")), path):
        simulator.run(data.scale(images, np.float32)[:, None], y[:, None])
    return gn.open_trace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    experiment, digits = gn.preset("mb-500-tf"), data.load()
    examples = 1000 if arguments.quick else experiment.train_examples
    plt.style.use(plots.STYLE)
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 3.4), sharex=True, sharey="row")
    for epoch, (top, bottom) in enumerate(axes.T):
        network = gn.train(experiment.replace(epochs=epoch, train_examples=examples)).network
        with tempfile.TemporaryDirectory() as folder:
            recorded = trace(network, digits.test_images[:3], digits.test_labels[:3], Path(folder))
        one = traceplots.lane(recorded)
        traceplots.figure4(one.rows(np.arange(len(one.time)), one.begins[0]), top, bottom)
        top.set_title(f"after {epoch * examples} examples" if epoch else "before training")
        if epoch:
            top.set_ylabel(""), bottom.set_ylabel("")
    publish_figure(figure, FIGURES / ("figure4-quick" if arguments.quick else "figure4"), seeds=experiment.seeds)


if __name__ == "__main__":
    main()
