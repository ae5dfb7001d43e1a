"""The MNIST table of Nøkland 2016 (arXiv:1609.01596): test error of MLPs by BP, FA and DFA.

The paper trains for up to 300 epochs with settings tuned per network, and its networks have biases; here every network
of a kind has one setting, stated below, and 20 epochs. B and W are uniform in ±1/√columns, outputs are a softmax.

    python sims/baselines_mlp.py                   all ten rows; about a day on one CPU
    python sims/baselines_mlp.py --rows 1x800      some rows: 1x800, 2x800, 7x240, 2x800-relu, 100x240 …
    python sims/baselines_mlp.py --epochs 2        fewer epochs
    python sims/baselines_mlp.py --ours            784-500-10 with the ghost units' loss, initial weights and order
    python sims/baselines_mlp.py --deep            100x240 tanh by DFA and BP: figures/deep_dfa.png
    python sims/baselines_mlp.py --quick           1x800 and 2x800, 3,000 examples, 1 epoch; a minute

Prints test errors beside the paper's.

--deep: 100 tanh layers of 240 units, weights in ±1/√columns, softmax, RMSprop at 3e-4, batches of 64; a quarter of an
hour of one CPU. Activities and errors shrink by about √3 a layer, so BP's gradient is 1e-24 in every hidden layer, and
stays there: 8.35 % test accuracy before training and after six epochs (seed 0). DFA's is lost only where no activity
arrives (3.8 in layer 1, 9e-24 in layer 100): lower layers learn first and give the next ones something to learn from.
69.1 % after one epoch, 93.2 % after six, with 0.2 to 0.4 in every layer. The paper has 96.1 % (3.92 % error)
after up to 300 epochs.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from destination import figures, parser, runs
from published import FEEDBACK_ALIGNMENT

import ghostnet as gn
from ghostnet import data
from ghostnet.baselines import Baseline, methods
from ghostnet.baselines.learner import Learner
from ghostnet.engines.tensors import Images
from ghostnet.files.figures import publish_figure
from ghostnet.host.streams import show_symbols
from ghostnet.results import plots

METHODS = FEEDBACK_ALIGNMENT.columns
SETTINGS = dict(loss="cross-entropy", weights="fan-in", learning_rate=0.05, momentum=0.9)
ROWS = {  # of the paper's table: depth, units, settings
    "7x240": (7, 240, {"transfer": "tanh"}),
    "100x240": (100, 240, {"transfer": "tanh"}),
    "1x800": (1, 800, {"transfer": "tanh"}),
    "2x800": (2, 800, {"transfer": "tanh"}),
    "3x800": (3, 800, {"transfer": "tanh"}),
    "4x800": (4, 800, {"transfer": "tanh"}),
    "2x800-logistic": (2, 800, {"transfer": "sigmoid"}),
    "2x800-relu": (2, 800, {"transfer": "relu"}),
    "2x800-dropout": (2, 800, {"transfer": "tanh", "dropout": 0.5}),
    "2x800-adversarial": (2, 800, {"transfer": "tanh", "adversarial": 0.08}),
}
# Of the 100x240 network. Weights in ±1/√columns shrink activities by √3 a layer: BP's gradient is lost among 100.
DEEP = dict(weights="fan-in", optimizer="rmsprop", learning_rate=3e-4, momentum=0.0)
# The ghost units' comparison: batch 10; rates of W_1, W_2; larger ones for FA and DFA, as in the ghost units' presets.
OURS = {"BP": (16, 0.16), "FA": (32, 0.4), "DFA": (32, 0.4)}


def table(rows: list[str], epochs: int, examples: int) -> None:
    """Train the rows and print errors beside the paper's."""
    for row in rows:
        depth, units, changes = ROWS[row]
        e = gn.baselines.mlp((784, *(units,) * depth, 10), batch=64, epochs=epochs, train_examples=examples)
        settings = SETTINGS | changes | (DEEP if depth == 100 else {})
        for method, theirs in zip(METHODS, FEEDBACK_ALIGNMENT.rows[row], strict=True):
            if theirs is not None:
                last = gn.baselines.train(method, e, progress=False, **settings).metrics[-1]
                error = 100 - 100 * last["test_accuracy"]
                print(f"{row:<18} {method:<4} {error:.2f} % after {epochs} epochs   paper: {theirs:.2f} %", flush=True)


def ours(epochs: int, folder: Path) -> None:
    """BP, FA and DFA as the ghost units' mb-500: same initial W (and FA's B), order, loss; runs in folder."""
    e = gn.preset("mb-500-tf", epochs=epochs, batch=10)
    for method, rates in OURS.items():
        last = gn.baselines.train(method, e, folder / f"{method.lower()}-500", learning_rate=rates).metrics[-1]
        print(
            f"784-500-10 mse     {method:<4} {100 * last['test_accuracy']:.2f} % correct after {epochs} epochs",
            flush=True,
        )


def credit(learner: Learner, x: torch.Tensor, y: torch.Tensor) -> np.ndarray:
    """‖G_k‖ of a batch in the hidden layers, (100,)."""
    p = learner.forward(x)
    delta = learner.credit(p, methods.output_error(p.u, y, learner.baseline.loss), y)
    return np.array([float(G.double().norm()) for G in methods.gradients(delta, p.r)[1:-1]])


def deep(method: str, epochs: int) -> dict[str, np.ndarray]:
    """Test accuracy after every epoch, and ‖G_k‖ of the first 64 examples before and after training."""
    e = gn.baselines.mlp((784, *(240,) * 100, 10), batch=64, epochs=epochs)
    settings = SETTINGS | ROWS["100x240"][2] | DEEP
    x, y = Images(data.load()).batch(torch.arange(64)[None], torch.float32)
    learner = Learner(e, Baseline(method=method, **settings))
    before = credit(learner, x, y)
    trained = gn.baselines.train(method, e, progress=False, **settings)
    learner.W[1:] = (torch.from_numpy(W).to(x.dtype) for W in trained.network.weights.W[1:])
    accuracy = np.array([row["test_accuracy"] for row in trained.metrics])
    print(f"100x240 {method:<4} test {100 * accuracy[-1]:.2f} % after {epochs} epochs", flush=True)
    return {"accuracy": accuracy, "before": before, "after": credit(learner, x, y)}


def deep_picture(results: dict) -> plt.Figure:
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
    options = parser(__doc__, quick="1x800 and 2x800, 3,000 examples, 1 epoch")
    options.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    options.add_argument("--epochs", type=int, help="default: 20; --deep: 6")
    for option in ("--ours", "--deep"):
        options.add_argument(option, action="store_true")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # vanishing gradients would take ten times as long
    if arguments.ours:
        ours(arguments.epochs or 20, runs(arguments))
    elif arguments.deep:
        results = {method: deep(method, arguments.epochs or 6) for method in ("DFA", "BP")}
        plt.style.use(plots.STYLE)
        facts = {"results": results, "settings": SETTINGS | DEEP, "seeds": [0]}
        publish_figure(deep_picture(results), figures(arguments) / "deep_dfa", **facts)
    elif arguments.quick:
        table(["1x800", "2x800"], 1, 3_000)
    else:
        table(arguments.rows, arguments.epochs or 20, 55_000)


if __name__ == "__main__":
    show_symbols()
    main()
