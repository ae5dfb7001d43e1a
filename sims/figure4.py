"""Figure 4 of Mesnard et al. 2019 (arXiv:1911.08585): MB at work.

Output rates of the ten output units over model time, for three presentations before training and after one and two
epochs; the right class is blue, the weakly clamped phases are shaded. Below, the hidden error: ghost units cancel it
in each free phase; what the nudge adds is the teaching signal.

    python sims/figure4.py               mb-500-tf, half a minute; writes figures/figure4.png and .pdf
    python sims/figure4.py --quick       after 1,000 and 2,000 examples instead of epochs; writes figure4-quick.*
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from destination import figure_path, parser

import ghostnet as gn
from ghostnet import data
from ghostnet.files.figures import publish_figure
from ghostnet.results import plots, traceplots


def trace(network: gn.Network, images: np.ndarray, labels: np.ndarray, folder: Path) -> xr.Dataset:
    """Record presentations of a batch-1 network, learning on."""
    simulator, path = gn.Simulator(network), folder / f"{network.presentations}.h5"
    y = data.one_hot(labels, network.experiment.sizes[-1], np.float32)
    with simulator.recording(gn.Recorder(("r_2", "e_1")), path):
        simulator.run(data.scale(images, np.float32)[:, None], y[:, None])
    with gn.open_trace(path) as recorded:
        return recorded.load()  # the file goes with its folder


def ends(one: traceplots.Lane) -> dict[str, np.ndarray]:
    """At the end of the phases of each presentation: the right class's rate, and the hidden error, RMS over units."""
    last = np.flatnonzero(np.diff(one.phase, append=-1))
    free, nudged = last[one.phase[last] == 0], last[one.phase[last] != 0]
    error = np.sqrt(np.square(one.values.e_1.values).mean(1))
    right = one.values.r_2.values[free, one.label[free]]
    return {"right_rate": right, "free_error": error[free], "nudged_error": error[nudged]}


def main() -> None:
    given = parser(__doc__, quick="after 1,000 and 2,000 examples").parse_args()
    experiment, digits = gn.preset("mb-500-tf"), data.load()
    examples = 1000 if given.quick else experiment.train_examples
    plt.style.use(plots.STYLE)
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 3.4), sharex=True, sharey="row")
    test_percent, found = [], {}
    for epoch, (top, bottom) in enumerate(axes.T):
        run = gn.train(experiment.replace(epochs=epoch, train_examples=examples))
        network = run.network
        test_percent.append(100 * run.metrics[-1]["test_accuracy"])
        with tempfile.TemporaryDirectory() as folder:
            recorded = trace(network, digits.test_images[:3], digits.test_labels[:3], Path(folder))
        one = traceplots.lane(recorded)
        found[f"after {epoch * examples} examples"] = ends(one)
        traceplots.figure4(one.rows(np.arange(len(one.time)), one.begins[0]), top, bottom)
        top.set_title(f"after {epoch * examples} examples" if epoch else "before training")
        if epoch:
            top.set_ylabel(""), bottom.set_ylabel("")
    facts = {"seeds": experiment.seeds, "test_percent": test_percent, "ends": found}
    publish_figure(figure, figure_path(given, "figure4"), **facts)


if __name__ == "__main__":
    main()
