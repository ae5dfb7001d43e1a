"""A cost of your own, in one file: python examples/own_cost.py

From the command line, in this directory: ghostnet train mb-100-tf --cost own_cost:weighted --epochs 1
"""

import ghostnet as gn


def weight(y):
    """The right class counts for five of the others."""
    return 1 + 4 * y


def value(y, r):
    """½ w(y) (y - r)²; C is the sum over the output units."""
    return 0.5 * weight(y) * (y - r) * (y - r)


def error(y, s, r):
    """-∂C/∂r: what nudges the output units; s is the activity that gives r."""
    return weight(y) * (y - r)


def slope(y, s, r, d):
    """The error's derivative by s, where d = ρ'(s)."""
    return -weight(y) * d


weighted = gn.Cost(value, error, slope)

if __name__ == "__main__":
    run = gn.train(gn.preset("mb-100-tf", cost=weighted, epochs=1))
    print(f"{100 * run.metrics[-1]['test_accuracy']:.1f} % of the test images after an epoch")
