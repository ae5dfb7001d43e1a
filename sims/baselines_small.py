"""Small networks by BP, FA and DFA: one hidden layer of 50 units, and two convolutional networks.

The slides we follow have the first, and a CNN of three convolutions and two linear layers (`published.SMALL_NETWORKS`).
They do not give every setting; ours are below. The CNN of two blocks is for comparison: nobody's numbers belong to it.
At one hidden layer DFA is FA with the same B.

    python sims/baselines_small.py            1x50 for 20 epochs, both CNNs for 5; about 40 minutes
    python sims/baselines_small.py --quick    5,000 examples, 2 epochs; a minute

Prints a table; the full setting writes figures/baselines_small.png, .pdf and .json.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import torch
from destination import figures, parser
from published import SMALL_NETWORKS

import ghostnet as gn
from ghostnet.files.figures import publish_figure
from ghostnet.results import plots

METHODS = SMALL_NETWORKS.columns
MLP = dict(loss="cross-entropy", transfer="sigmoid", weights="fan-in", learning_rate=0.5)
CNN = dict(loss="cross-entropy", learning_rate=0.05, momentum=0.9)
NETWORKS = {  # title: sizes, settings, and the row of the slides that is of this network
    "1x50": ((784, 50, 10), MLP, "Linear(50) Linear(10)"),
    "2 blocks": ((784, 10), CNN | {"architecture": "two-blocks"}, None),
    "3 convolutions": (
        (784, 10), CNN | {"architecture": "three-convolutions"}, "Conv2d Conv2d Conv2d Linear Linear"
    ),
}  # fmt: skip


def curves(network: str, method: str, epochs: int, examples: int) -> list[dict]:
    """Rows of metrics.csv."""
    sizes, settings, _ = NETWORKS[network]
    e = gn.baselines.mlp(sizes, batch=50, epochs=epochs, train_examples=examples)
    return gn.baselines.train(method, e, progress=False, **settings).metrics


def beside(network: str, method: str) -> str:
    """What the slides have for this network, if anything."""
    *_, row = NETWORKS[network]
    if row is None:
        return ""
    return f"   the slides: {SMALL_NETWORKS.rows[row][METHODS.index(method)]:.2f} %"


def main() -> None:
    given = parser(__doc__, quick="5,000 examples, 2 epochs").parse_args()
    quick = given.quick
    torch.set_num_threads(1)
    plt.style.use(plots.STYLE)
    figure, axes = plt.subplots(1, 3, figsize=(8.4, 2.6))
    results: dict[str, dict] = {}
    for ax, network in zip(axes, NETWORKS, strict=True):
        epochs = 2 if quick else 20 if network == "1x50" else 5
        for method, colour in zip(METHODS, plots.SERIES, strict=False):
            rows = curves(network, method, epochs, 5_000 if quick else 55_000)
            test = [100 * row["test_accuracy"] for row in rows]
            results.setdefault(network, {})[method] = test
            ax.plot(range(1, epochs + 1), test[1:], color=colour, label=method)
            print(
                f"{network:<15} {method:<4} {test[-1]:.2f} % after {epochs} epochs{beside(network, method)}", flush=True
            )
        ax.set(title=network, xlabel="epoch")
    axes[0].set_ylabel("test accuracy (%)")
    axes[0].legend()
    if not quick:
        publish_figure(figure, figures(given) / "baselines_small", results=results, seeds=[0], mlp=MLP, cnn=CNN)


if __name__ == "__main__":
    main()
