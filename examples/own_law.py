"""A transfer function of your own, in one file: python examples/own_law.py

From the command line, in this directory: ghostnet train mb-100-tf --transfer own_law:softsign --epochs 1
"""

import ghostnet as gn
from ghostnet.primitives import abs


def rho(s):
    """½ + ½ s / (1 + |s|): as the sigmoid from 0 to 1, but its tails are long."""
    return 0.5 + 0.5 * s / (1 + abs(s))


def slope(s, r):
    """The derivative, which may use r = rho(s) too; it is compared with differences of rho."""
    return 0.5 / ((1 + abs(s)) * (1 + abs(s)))


softsign = gn.Transfer(rho, slope)

if __name__ == "__main__":
    run = gn.train(gn.preset("mb-100-tf", transfer=softsign, epochs=1))
    print(f"{100 * run.metrics[-1]['test_accuracy']:.1f} % of the test images after an epoch")
