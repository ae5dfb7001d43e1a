"""Small networks by BP, FA and DFA: one hidden layer of 50 units, and a convolutional network.

The report we follow gives test accuracies of 93.49 / 94.12 / 95.0 % (1x50) and 97.0 / 90.34 / 92.87 % (CNN) for
BP / FA / DFA. It does not give every setting; ours are below. At one hidden layer DFA is FA with the same B.

    python sims/baselines_small.py            1x50 for 20 epochs, both CNNs for 5; about 40 minutes
    python sims/baselines_small.py --quick    5,000 examples, 2 epochs; a minute

Prints a table; the full setting writes figures/baselines_small.png, .pdf and .json.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import ghostnet as gn
from ghostnet import data, plots, store
from ghostnet.baselines import cnn

FIGURES = Path(__file__).resolve().parent.parent / "figures"
METHODS = ("BP", "FA", "DFA")
REPORT = {"1x50": (93.49, 94.12, 95.0), "CNN": (97.0, 90.34, 92.87), "3 convolutions": (None,) * 3}
MLP = dict(loss="cross-entropy", transfer="sigmoid", weights="fan-in", learning_rate=0.5)
CNN = dict(batch=50, learning_rate=0.05, momentum=0.9)


def curves(network: str, method: str, epochs: int, examples: int) -> list[dict]:
    """Rows of metrics.csv."""
    if network == "1x50":
        e = gn.baselines.mlp((784, 50, 10), batch=50, epochs=epochs, train_examples=examples)
        return gn.baselines.train(method, e, progress=False, **MLP).metrics
    module = cnn.two_blocks() if network == "CNN" else cnn.three_convolutions()
    return cnn.fit(module, method, data.load(), epochs=epochs, train_examples=examples, **CNN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    plt.style.use(plots.STYLE)
    figure, axes = plt.subplots(1, 3, figsize=(8.4, 2.6))
    results: dict[str, dict] = {}
    for ax, (network, theirs) in zip(axes, REPORT.items(), strict=True):
        epochs = 2 if quick else 20 if network == "1x50" else 5
        for method, colour, reported in zip(METHODS, plots.SERIES, theirs, strict=False):
            rows = curves(network, method, epochs, 5_000 if quick else 55_000)
            test = [100 * row["test_accuracy"] for row in rows]
            results.setdefault(network, {})[method] = test
            ax.plot(range(1, epochs + 1), test[1:], color=colour, label=method)
            beside = "" if reported is None else f"   the report: {reported:.2f} %"
            print(f"{network:<15} {method:<4} {test[-1]:.2f} % after {epochs} epochs{beside}", flush=True)
        ax.set(title=network, xlabel="epoch")
    axes[0].set_ylabel("test accuracy (%)")
    axes[0].legend()
    if not quick:
        store.publish_figure(figure, FIGURES / "baselines_small", results=results, seeds=[0], mlp=MLP, cnn=CNN)


if __name__ == "__main__":
    main()
