"""Do the networks learn as they should? Test accuracies that the model's calibration promises, on the bundled MNIST.

    python sims/check_learning.py                 every row (half an hour on 2 CPUs, most of it for ma-500-500)
    python sims/check_learning.py mb-500-tf       one row
    python sims/check_learning.py --quick         an epoch of the fast ones, a minute

Prints the accuracy after the epochs that have a threshold, beside it, and the error left at the end of the free phase.
"""

from __future__ import annotations

import argparse

import numpy as np

import ghostnet as gn
from ghostnet import data
from ghostnet.engines import create
from ghostnet.model.equations import errors, rates

ROWS = {  # name: (experiment, {epoch: test accuracy to reach in percent; 0: just learning})
    "mb-500-tf": (gn.preset("mb-500-tf"), {1: 92.4, 2: 94.2, 5: 96.0}),
    "ma-100-tf": (gn.preset("ma-100-tf"), {1: 92.0, 6: 95.5, 12: 96.4}),
    "ma-prime-100": (gn.preset("ma-prime-500-tf", sizes=(784, 100, 10)), {5: 89.0}),
    **{f"mb-300-300-{f}": (gn.preset(f"mb-300-300-{f}"), {1: 0.0}) for f in ("tf", "fa")},
    **{f"ma-500-500-{f}": (gn.preset(f"ma-500-500-{f}"), {1: 0.0}) for f in ("tf", "fa")},
}
FAST = ("mb-500-tf", "ma-100-tf", "ma-prime-100")


def cancellation() -> None:
    """‖e_1‖ / ‖B_1 r_2‖ at the end of MB's free phase: initial network, float64, worst of 20 presentations."""
    e, digits = gn.preset("mb-500-tf"), data.load()
    network, worst = gn.build(e), 0.0
    engine = create("cpu", network, "float64", 1)
    for i in range(20):
        x, y = data.scale(digits.train_images[i], np.float64)[None, None], np.zeros((1, 1, 10))
        engine.begin(x, y)
        engine.advance("free", e.free_steps)
        weights, state = engine.export()
        r, rho_g = rates(state, x, network.constants)
        left = errors(weights, state, r, rho_g, y, 0.0, network.constants)[1]
        worst = max(worst, np.linalg.norm(left) / np.linalg.norm(r[2] @ weights.B[1].mT))
    print(f"free phase of mb-500-tf, initial network, float64: |e_1| / |B_1 r_2| <= {worst:.1e}   (to reach: 1e-5)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"some of {', '.join(ROWS)}")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    cancellation()
    for name in arguments.rows or (FAST if arguments.quick else ROWS):
        experiment, wanted = ROWS[name]
        result = gn.train(experiment.replace(epochs=1 if arguments.quick else max(wanted)))
        for row in result.metrics:
            if row["epoch"] in wanted:
                goal = f"to reach: {wanted[row['epoch']]:.1f} %" if wanted[row["epoch"]] else "to learn"
                print(f"{name:<16} epoch {row['epoch']:3d}   test {row['test_accuracy']:7.2%}   ({goal})", flush=True)


if __name__ == "__main__":
    main()
