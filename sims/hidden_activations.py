"""What the hidden layers of a network hold that learned by BP, and by DFA: activities of 3x400 tanh units on MNIST.

Nøkland 2016 (arXiv:1609.01596, Figure 3) shows them by one method of layout, without a number. Here are the first two
principal components of 2,000 test images, coloured by digit, and two numbers for every layer:

    separation   the share of the activities' variance that is between digits, tr S_between / tr S_total
    likeness     linear CKA of the activities by DFA and by BP from the same initial weights (Kornblith et al. 2019,
                 arXiv:1905.00414): 1 where they are the same but for rotation and scale; beside it that of BP and BP
                 from other initial weights

    python sims/hidden_activations.py            3 seeds, 2 epochs of 55,000 images; two minutes of one CPU
    python sims/hidden_activations.py --quick    2,000 images, 1 epoch; writes figures/hidden_activations-quick.*

Writes figures/hidden_activations.png, .pdf and .json.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import torch
from destination import figure_path, parser

import ghostnet as gn
from ghostnet import data
from ghostnet.baselines import methods
from ghostnet.files.figures import publish_figure
from ghostnet.host.streams import show_symbols
from ghostnet.results import plots

SIZES, SHOWN = (784, 400, 400, 400, 10), 2000
SETTINGS = dict(
    loss="cross-entropy", weights="fan-in", transfer="tanh", learning_rate=0.05, momentum=0.9, train_scores="during"
)


def activities(network: gn.Network, x: np.ndarray) -> list[np.ndarray]:
    """r_k of hidden layers, (seeds, images, units) each, of images (images, pixels)."""
    W = [None, *map(torch.from_numpy, network.weights.W[1:])]
    with torch.no_grad():
        passed = methods.forward(W, torch.from_numpy(x).to(W[1].dtype)[None], "tanh")
    return [layer.double().numpy() for layer in passed.r[1:]]


def separation(r: np.ndarray, labels: np.ndarray) -> float:
    """Share of the variance of r (images, units) that is between classes."""
    centred = r - r.mean(0)
    means = np.stack([centred[labels == label].mean(0) for label in np.unique(labels)])
    counts = np.unique(labels, return_counts=True)[1]
    return float((counts[:, None] * means**2).sum() / (centred**2).sum())


def likeness(r: np.ndarray, other: np.ndarray) -> float:
    """Linear CKA of activities (images, units) of the same images."""
    a, b = r - r.mean(0), other - other.mean(0)
    return float(np.square(b.T @ a).sum() / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)))


def components(r: np.ndarray) -> np.ndarray:
    """First two principal components, (images, 2)."""
    centred = r - r.mean(0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    return centred @ directions[:, :-3:-1]


def measured(layers: dict[str, list[np.ndarray]], labels: np.ndarray) -> dict[str, dict[str, list[list[float]]]]:
    """Both numbers: {name: {which: per layer, per seed}}."""
    separations = {name: [[separation(r, labels) for r in layer] for layer in found] for name, found in layers.items()}
    pairs = list(zip(layers["BP"], layers["DFA"], strict=True))
    likenesses = {
        "DFA to BP": [[likeness(a, b) for a, b in zip(bp, dfa, strict=True)] for bp, dfa in pairs],
        "BP to BP": [[likeness(a, b) for a, b in zip(bp, np.roll(bp, 1, 0), strict=True)] for bp, _ in pairs],
    }
    return {"separation": separations, "likeness": likenesses}


def picture(layers: dict[str, list[np.ndarray]], labels: np.ndarray, found: dict) -> plt.Figure:
    """Components by layer, of the first seed: above by BP, below by DFA; right, the numbers."""
    depth = len(SIZES) - 2
    figure, axes = plt.subplots(2, depth + 1, figsize=(2.2 * depth + 2.8, 4.4), width_ratios=[1] * depth + [1.3])
    for row, name in zip(axes, ("BP", "DFA"), strict=True):
        for k, ax in enumerate(row[:depth], start=1):
            at = components(layers[name][k - 1][0])
            ax.scatter(*at.T, c=labels, cmap="tab10", s=1.2, linewidths=0, rasterized=True)
            ax.set(title=f"{name}, layer {k}", xticks=[], yticks=[])
    looks = zip(axes[:, depth], found.items(), ("variance between digits", "linear CKA"), strict=True)
    for ax, (_, values), label in looks:
        for colour, (name, by_layer) in zip(plots.SERIES, values.items(), strict=False):
            plots.band(np.arange(1, depth + 1), np.array(by_layer).T, ax, color=colour, label=name)
        ax.set(xlabel="hidden layer", ylabel=label, xticks=range(1, depth + 1), ylim=(0, 1))
        ax.legend()
    return figure


def main() -> None:
    given = parser(__doc__, quick="few examples, for a look").parse_args()
    torch.set_num_threads(1)
    examples, epochs = (2000, 1) if given.quick else (55_000, 2)
    e = gn.baselines.mlp(SIZES, batch=64, epochs=epochs, train_examples=examples, seeds=(0, 1, 2))
    digits = data.load()
    x, labels = data.scale(digits.test_images[:SHOWN], np.float32), digits.test_labels[:SHOWN]
    layers = {}
    for name, method, until in (("before", "BP", 0), ("BP", "BP", epochs), ("DFA", "DFA", epochs)):
        network = gn.baselines.train(method, e.replace(epochs=until), progress=False, **SETTINGS).network
        layers[name] = activities(network, x)
    found = measured(layers, labels)
    for measure, values in found.items():
        for name, by_layer in values.items():
            shown = ", ".join(f"{np.mean(seeds):.2f} ± {np.std(seeds, ddof=1):.2f}" for seeds in by_layer)
            print(f"{measure:<11} {name:<10} layers 1 to {len(by_layer)}: {shown}")
    plt.style.use(plots.STYLE)
    path = figure_path(given, "hidden_activations")
    publish_figure(picture(layers, labels, found), path, **found, seeds=[0, 1, 2], epochs=epochs)


if __name__ == "__main__":
    show_symbols()
    main()
