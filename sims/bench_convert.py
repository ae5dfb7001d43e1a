"""Converted modules against plain backprop: milliseconds of a training step of a ResNet-20 and an MLP, on made data.

    python sims/bench_convert.py          half a minute, one thread

A step is the forward pass, the backward pass and torch.optim.SGD's. Methods take turns, a step each, and are divided by
backprop's of the same round: on a machine with other work, all slow down. Prints medians; asserts nothing.
"""

from __future__ import annotations

import statistics
import time

import torch
from torch.nn import functional

import ghostnet as gn

METHODS = ("bp", "fa", "frsf", "usf", "brsf", "kp", "dfa")
NETWORKS = {
    "ResNet-20, batch 32": (lambda: gn.torch.resnet(20), (32, 3, 32, 32), 12),
    "784-500-10, batch 100": (lambda: gn.torch.mlp(784, 500, 10), (100, 784), 300),
    "784-500-10, batch 1": (lambda: gn.torch.mlp(784, 500, 10), (1, 784), 300),
}


def step(net: torch.nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, labels: torch.Tensor) -> float:
    """Milliseconds of a training step."""
    start = time.perf_counter()
    optimizer.zero_grad()
    functional.cross_entropy(net(x), labels).backward()
    optimizer.step()
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    torch.set_num_threads(1)
    for name, (make, shape, rounds) in NETWORKS.items():
        torch.manual_seed(0)
        plain, x, labels = make(), torch.randn(shape), torch.randint(10, shape[:1])
        nets = {method: gn.torch.convert(plain, method) for method in METHODS}
        learners = {method: (net, torch.optim.SGD(net.parameters(), 0.01)) for method, net in nets.items()}
        spent = [{method: step(*learner, x, labels) for method, learner in learners.items()} for _ in range(rounds + 1)]
        print(f"\n{name}: ms, and times backprop's")
        for method in METHODS:
            ratio = statistics.median(row[method] / row["bp"] for row in spent[1:])  # the first warms up
            print(f"{method:5} {statistics.median(row[method] for row in spent[1:]):7.2f} {ratio:5.2f}")


if __name__ == "__main__":
    main()
