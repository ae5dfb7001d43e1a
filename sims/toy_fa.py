"""A network of one weight each learns y = x by feedback alignment: its paths in the plane of the two weights.

The toy of the slides (on Lillicrap et al. 2016, doi:10.1038/ncomms13276): h = A x, y = W h, E = 1 - W A, and B = 1 for
W on the way back. In continuous time, with inputs of unit variance:

    BP    dW/dt = A E    dA/dt = W E    W² - A² stays as it is
    FA    dW/dt = A E    dA/dt = B E    2 B W - A² = C stays as it is: paths are parabolas

The solutions are W A = 1. BP has the saddle A = W = 0 besides: from there, and from W = -A, it does not get
to a solution. FA has no other fixed point. On its parabola dA/dt = (2 - C A - A³) / 2 for B = 1: from everywhere it
comes to a root of A³ + C A = 2, from zero weights to A = 2^(1/3), W = A² / 2.

    python sims/toy_fa.py        a second; writes figures/toy_fa.png, .pdf and .json
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from destination import figures, parser

from ghostnet.files.figures import publish_figure
from ghostnet.host.streams import show_symbols
from ghostnet.results import plots

TIME, STEP, SIDE = 30.0, 0.01, 2.0
STARTS = np.array([(A, W) for A in (-1.8, -0.9, 0.0, 0.9, 1.8) for W in (-1.8, -0.9, 0.0, 0.9, 1.8)])


def flow(weights: np.ndarray, method: str) -> np.ndarray:
    """d(A, W)/dt, (…, 2)."""
    A, W = weights[..., 0], weights[..., 1]
    E = 1 - W * A
    back = W if method == "BP" else 1.0  # B
    return np.stack([back * E, A * E], axis=-1)


def paths(starts: np.ndarray, method: str) -> np.ndarray:
    """(A, W) over time, (steps + 1, starts, 2), by the classical method of Runge and Kutta."""
    points = [starts]
    for _ in range(round(TIME / STEP)):
        now = points[-1]
        first = flow(now, method)
        second = flow(now + STEP / 2 * first, method)
        third = flow(now + STEP / 2 * second, method)
        fourth = flow(now + STEP * third, method)
        points.append(now + STEP / 6 * (first + 2 * second + 2 * third + fourth))
    return np.stack(points)


def conserved(weights: np.ndarray, method: str) -> np.ndarray:
    """What a path keeps: W² - A² by BP, C = 2 W - A² by FA."""
    A, W = weights[..., 0], weights[..., 1]
    return W**2 - A**2 if method == "BP" else 2 * W - A**2


def draw(method: str, found: np.ndarray, ax: plt.Axes) -> None:
    """Paths from their starts (dots), the solutions dashed, and the flow."""
    axis = np.linspace(-SIDE, SIDE, 41)
    along = flow(np.stack(np.meshgrid(axis, axis), axis=-1), method)
    ax.streamplot(axis, axis, along[..., 0], along[..., 1], color=plots.OTHER, linewidth=0.4, arrowsize=0.5)
    for sign in (-1, 1):
        solutions = sign * np.linspace(1 / SIDE, SIDE, 100)
        ax.plot(solutions, 1 / solutions, "--", color=plots.ERROR)
    ax.plot(found[:, :, 0], found[:, :, 1], "-", color=plots.RIGHT, linewidth=0.9)
    ax.plot(found[0, :, 0], found[0, :, 1], "o", color=plots.RIGHT, markersize=2.5)
    ax.set(xlim=(-SIDE, SIDE), ylim=(-SIDE, SIDE), aspect="equal")
    ax.set(title=f"{method} (dashed: y = x)", xlabel="A, below", ylabel="W, above")


def main() -> None:
    given = parser(__doc__).parse_args()
    plt.style.use(plots.STYLE)
    figure, axes = plt.subplots(1, 2, figsize=(6.4, 3.2))
    facts = {}
    for method, ax in zip(("BP", "FA"), axes, strict=True):
        found = paths(STARTS, method)
        draw(method, found, ax)
        error = np.abs(1 - found[-1].prod(-1))
        kept = np.abs(conserved(found[-1], method) - conserved(STARTS, method)).max()
        solved = int((error < 1e-6).sum())
        print(f"{method}: y = x from {solved} of {len(STARTS)} starts; what paths keep changes by {kept:.0e} at most")
        facts[method] = {"starts": len(STARTS), "solved": solved, "drift": float(kept)}
    publish_figure(figure, figures(given) / "toy_fa", **facts)


if __name__ == "__main__":
    show_symbols()
    main()
