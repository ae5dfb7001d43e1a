"""A hundred tanh layers of 240 units on MNIST by DFA and BP: the row of Nøkland 2016 (arXiv:1609.01596) for DFA alone.

Weights in ±1/√columns, no biases, softmax, RMSprop at 3e-4, batches of 64. Activities and errors shrink by about √3 a
layer, so BP's gradient is 1e-24 in every hidden layer, and stays there: 8.35 % test accuracy before training and after
six epochs (seed 0). DFA's is lost only where no activity arrives (3.8 in layer 1, 9e-24 in layer 100): lower layers
learn first and give the next ones something to learn from. 69.1 % after one epoch, 93.2 % after six, with 0.2 to 0.4 in
every layer. The paper has 96.1 % (3.92 % error) after up to 300 epochs.

    python sims/deep_dfa.py                 6 epochs, a quarter of an hour of one CPU; writes figures/deep_dfa.*
    python sims/deep_dfa.py --epochs 300    the paper's length; half a day
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import torch
from destination import figures, parser

import ghostnet as gn
from ghostnet import data
from ghostnet.baselines import Baseline, methods
from ghostnet.baselines.learner import Learner
from ghostnet.engines.tensors import Images
from ghostnet.files.figures import publish_figure
from ghostnet.host.streams import show_symbols
from ghostnet.results import plots

SETTINGS = dict(
    loss="cross-entropy", weights="fan-in", transfer="tanh", optimizer="rmsprop", learning_rate=3e-4, momentum=0.0
)


def credit(learner: Learner, x: torch.Tensor, y: torch.Tensor) -> np.ndarray:
    """‖G_k‖ of a batch in the hidden layers, (100,)."""
    p = learner.forward(x)
    delta = learner.credit(p, methods.output_error(p.u, y, learner.baseline.loss), y)
    return np.array([float(G.double().norm()) for G in methods.gradients(delta, p.r)[1:-1]])


def learned(method: str, epochs: int) -> dict[str, np.ndarray]:
    """Test accuracy after every epoch, and ‖G_k‖ of the first 64 examples before and after training."""
    e = gn.baselines.mlp((784, *(240,) * 100, 10), batch=64, epochs=epochs)
    x, y = Images(data.load()).batch(torch.arange(64)[None], torch.float32)
    learner = Learner(e, Baseline(method=method, **SETTINGS))
    before = credit(learner, x, y)
    trained = gn.baselines.train(method, e, progress=False, **SETTINGS)
    learner.W[1:] = (torch.from_numpy(W).to(x.dtype) for W in trained.network.weights.W[1:])
    accuracy = np.array([row["test_accuracy"] for row in trained.metrics])
    print(f"100x240 {method:<4} test {100 * accuracy[-1]:.2f} % after {epochs} epochs", flush=True)
    return {"accuracy": accuracy, "before": before, "after": credit(learner, x, y)}


def picture(results: dict) -> plt.Figure:
    """Left, test accuracy over epochs; right, how large the gradient is in each layer."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.8))
    for (method, found), colour in zip(results.items(), (plots.RIGHT, plots.ERROR), strict=True):
        left.plot(100 * np.array(found["accuracy"]), "o-", color=colour, label=method)
        for when, line in (("before", ":"), ("after", "-")):
            right.semilogy(np.arange(1, 101), found[when], line, color=colour, label=f"{method} {when} training")
    left.set(xlabel="epoch", ylabel="test accuracy (%)", ylim=(0, 100))
    right.set(xlabel="hidden layer", ylabel="‖gradient‖, 64 examples")
    left.legend(loc="center right")
    right.legend(fontsize=7, loc="lower left", bbox_to_anchor=(0, 0.08))
    return figure


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--epochs", type=int, default=6)
    given = options.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # vanishing gradients would take ten times as long
    results = {method: learned(method, given.epochs) for method in ("DFA", "BP")}
    plt.style.use(plots.STYLE)
    publish_figure(picture(results), figures(given) / "deep_dfa", results=results, settings=SETTINGS, seeds=[0])


if __name__ == "__main__":
    show_symbols()
    main()
