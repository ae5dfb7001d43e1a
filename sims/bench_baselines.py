"""BP, FA and DFA by `baselines.train` against torch's own BP: an epoch of 784-500-10 and 784-500-500-10 on MNIST.

    python sims/bench_baselines.py            batches of 1, 10 and 100, a full epoch each; about 20 minutes
    python sims/bench_baselines.py --quick    5,000 examples instead of 55,000; two minutes

torch's BP is the plain thing: 2-D matrices with requires_grad, loss.backward(), torch.optim.SGD, and no scores. Ours is
an epoch with all that is measured after it: scores on the training and the test set, angles, norms. All get the same
images in the same order, on one thread. Every epoch of ours follows one of torch's, and is divided by it: on a machine
with other work, both slow down. Prints the median of three such ratios and their range; asserts nothing.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

import ghostnet as gn
from ghostnet import data
from ghostnet.engines.tensors import Images
from ghostnet.model.order import presentation_order

ROUNDS = 3


def torch_bp(e: gn.Experiment, images: Images) -> float:
    """Seconds of an epoch of autograd and SGD on mean ½ ‖y - σ(u_N)‖²."""
    W = [torch.tensor(w[0], dtype=torch.float32, requires_grad=True) for w in gn.build(e).weights.W[1:]]
    optimizer, start = torch.optim.SGD(W, 0.1), time.perf_counter()
    for shown in torch.from_numpy(presentation_order(e, 1)[:, 0]):
        r, y = images.batch(shown, torch.float32)
        for w in W:
            r = torch.sigmoid(r @ w.T)
        loss = 0.5 * (y - r).square().sum() / e.batch
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def ours(method: str, e: gn.Experiment, dataset: data.Dataset) -> float:
    """Seconds of an epoch of a baseline and of its scores."""
    evaluated = []
    clock = [lambda run: evaluated.append(time.perf_counter())]
    gn.baselines.train(method, e, data=dataset, progress=False, learning_rate=0.1, callbacks=clock)
    before, after = evaluated
    return after - before


def _median_and_range(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    examples = 5_000 if parser.parse_args().quick else 55_000
    torch.set_num_threads(1)
    dataset, methods = data.load(), ("BP", "FA", "DFA")
    images = Images(dataset)
    print(f"{examples} examples, one thread, torch {torch.__version__}; seconds of torch's BP, ratios to it")
    for sizes in ((784, 500, 10), (784, 500, 500, 10)):
        for batch in (1, 10, 100):
            e = gn.baselines.mlp(sizes, batch=batch, train_examples=examples, epochs=1)
            plain, ratios = [], {method: [] for method in methods}
            for _ in range(ROUNDS):
                for method in methods:
                    plain.append(torch_bp(e, images))
                    ratios[method].append(ours(method, e, dataset) / plain[-1])
            shown = "   ".join(f"{method} {_median_and_range(some)}" for method, some in ratios.items())
            name = "-".join(map(str, sizes))
            print(f"{name:<16} batch {batch:<4} torch {statistics.median(plain):.2f} s   {shown}", flush=True)


if __name__ == "__main__":
    main()
