"""Differentially private MNIST by BP, FA and DFA: what correct DP-SGD gives at noise none, 0.1, 0.5 and 1.

The report we follow gives 97 / 78 / 73 / 61 % test accuracy for BP at these noises, from an implementation its authors
distrusted, and could not run FA and DFA. Here every example's gradient, all layers together, is clipped to norm 1,
the noise on the sum has deviation noise · 1, batches are Poisson samples; Opacus counts ε (δ = 1e-5).
The row "Opacus" is BP by Opacus's own engine on the same network, weights and settings.

    python sims/privacy.py               784-100-100-10 tanh, batch 500, 10 epochs; 15 minutes, most for Opacus
    python sims/privacy.py --quick       10,000 examples, 3 epochs; a minute

Needs the extra [dp]. Prints a table; the full setting writes figures/privacy.png, .pdf and .json.
"""

from __future__ import annotations

import argparse
import math
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import ghostnet as gn
from ghostnet import data, plots, store
from ghostnet.baselines import Baseline
from ghostnet.baselines.draws import weights

FIGURES = Path(__file__).resolve().parent.parent / "figures"
NOISES, METHODS, REPORT = (None, 0.1, 0.5, 1.0), ("BP", "FA", "DFA"), (97, 78, 73, 61)
SETTINGS = dict(loss="cross-entropy", transfer="tanh", weights="fan-in", learning_rate=4.0, clip=1.0)
PLAIN_RATE = 0.5  # where nothing is clipped


def ours(method: str, e: gn.Experiment, noise: float | None) -> tuple[float, float]:
    """Test accuracy and spent ε of a baseline; noise None: no clipping either."""
    private = {"noise": noise} if noise is not None else {"clip": None, "learning_rate": PLAIN_RATE}
    last = gn.baselines.train(method, e, progress=False, **(SETTINGS | private)).metrics[-1]
    return last["test_accuracy"], last.get("epsilon", math.inf)


def opacus_bp(e: gn.Experiment, noise: float) -> tuple[float, float]:
    """The same by Opacus's PrivacyEngine."""
    from opacus import PrivacyEngine

    W, _ = weights(e, Baseline(method="BP", **SETTINGS))
    layers = [torch.nn.Linear(w.shape[2], w.shape[1], bias=False) for w in W[1:]]
    for layer, w in zip(layers, W[1:], strict=True):
        layer.weight.data.copy_(torch.from_numpy(w[0]))
    parts = [part for layer in layers for part in (layer, torch.nn.Tanh())][:-1]
    net, digits = torch.nn.Sequential(*parts), data.load()
    x = torch.tensor(digits.train_images[: e.train_examples]).float() / 255
    labels, count = torch.tensor(digits.train_labels[: e.train_examples], dtype=torch.int64), len(x)
    loader = DataLoader(TensorDataset(x, labels), batch_size=e.batch)
    engine, draw = PrivacyEngine(accountant="rdp"), torch.Generator().manual_seed(e.seeds[0])
    net, optimizer, loader = engine.make_private(
        module=net, optimizer=torch.optim.SGD(net.parameters(), SETTINGS["learning_rate"]), data_loader=loader,
        noise_multiplier=noise, max_grad_norm=SETTINGS["clip"], noise_generator=draw,
    )  # fmt: skip
    loader.batch_sampler.generator = draw
    for _ in range(e.epochs):
        for shown in loader.batch_sampler:  # the loader itself would stack its examples one by one
            optimizer.zero_grad()
            functional.cross_entropy(net(x[shown]), labels[shown]).backward()
            optimizer.step()
    assert engine.accountant.history[0][1] == e.batch / count
    with torch.no_grad():
        u = net(torch.tensor(digits.test_images).float() / 255)
    return float((u.argmax(1) == torch.tensor(digits.test_labels)).double().mean()), engine.get_epsilon(1e-5)


def picture(found: dict) -> plt.Figure:
    """Test accuracy over noise, one line per method."""
    figure, ax = plt.subplots(figsize=(4.0, 2.8))
    for name, colour in zip((*METHODS, "Opacus"), plots.SERIES, strict=False):
        row = [found[name].get(noise, (math.nan,))[0] for noise in NOISES]
        ax.plot(range(len(NOISES)), [100 * value for value in row], "o-", color=colour, label=name)
    ax.plot(range(len(NOISES)), REPORT, "x:", color=plots.OTHER, label="the report")
    ax.set(xticks=range(len(NOISES)), xlabel="noise multiplier σ", ylabel="test accuracy (%)")
    ax.set_xticklabels(["no privacy", *map(str, NOISES[1:])])
    ax.legend()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")  # Opacus: hooks, secure random numbers; ε needs larger orders at noise 0.1
    size = dict(epochs=3, train_examples=10_000) if quick else dict(epochs=10)
    e = gn.baselines.mlp((784, 100, 100, 10), batch=500, **size)
    found: dict[str, dict] = {}
    for name in (*METHODS, "Opacus"):
        found[name] = {}
        for noise in NOISES:
            if name == "Opacus" and noise is None:
                continue
            found[name][noise] = opacus_bp(e, noise) if name == "Opacus" else ours(name, e, noise)
            accuracy, spent = found[name][noise]
            print(f"{name:<7} noise {noise!s:<5} test {100 * accuracy:.2f} %   ε {spent:.4g}", flush=True)
    if not quick:
        plt.style.use(plots.STYLE)
        table = {name: {str(noise): value for noise, value in row.items()} for name, row in found.items()}
        store.publish_figure(picture(found), FIGURES / "privacy", results=table, seeds=[0])


if __name__ == "__main__":
    main()
