"""What theory says of ghost-unit gradients, measured: error against β, dt, steps and depth (docs/gradients.md).

The norm-weighted mean of ‖e_1/β + ∂C/∂ρ(u_1)‖ over 20 MNIST images, relative to the target, in untrained networks
784-100-…-10 with 1 to 4 hidden layers and transpose feedback:

    β       MA with exact ghosts (W^gp = B, W^pg = W above): proportional to β. MB: down to a plateau, the M_k term
    dt      none, until Euler steps are no longer stable: a fixed point does not know dt
    steps   of the free and of the clamped phase: exponential, at the slowest time constant, down to the same plateau
    depth   the plateau of MB, for three ranges of initial weights

    python sims/theory_gradient.py      half a minute; prints a table, writes figures/theory_gradient.{png,pdf,json,csv}
"""

from __future__ import annotations

import csv
import io
import math

import matplotlib.pyplot as plt
import numpy as np
from destination import figures, parser

import ghostnet as gn
from ghostnet import data
from ghostnet.files.figures import appended, publish_figure
from ghostnet.files.publishing import publish
from ghostnet.host.streams import show_symbols
from ghostnet.results import plots
from ghostnet.results.gradients import LAYERS

DEPTHS = (1, 2, 3, 4)
LONG = dict(free_steps=500, clamped_steps=150)


def network(depth: int, exact: bool, **changes) -> gn.Network:
    """Hidden layers of 100 units; MA with exact ghosts, or MB with the paper's numbers of ghosts, 20 … 20, 5."""
    sizes = (784, *[100] * depth, 10)
    ghosts = sizes[2:] if exact else (*[20] * (depth - 1), 5)
    fields = dict(sizes=sizes, ghosts=ghosts, eta=(0.0,) * (depth + 1), eta_ghost=(20.0,) * depth, **LONG) | changes
    net = gn.build(gn.preset("mb-100-tf", model="MA" if exact else "MB", **fields))
    if exact:
        w = net.weights
        net.weights = w._replace(W_gp=[None, *w.B[1:]], W_pg=[None, *w.W[2:]])
    return net


def off(net: gn.Network, x: np.ndarray, y: np.ndarray) -> float:
    """The relative error of e_1 / β; NaN where stepping diverges."""
    try:
        return gn.gradcheck(net, x, y, causes=False).find(1, "error", "mean")["relative_error"]
    except gn.DivergenceError:
        return math.nan


def measurements(x: np.ndarray, y: np.ndarray) -> list[tuple]:
    """(sweep, curve, value, error) of every network measured."""
    rows = []

    def add(sweep: str, curve: str, value: float, net: gn.Network) -> None:
        rows.append((sweep, curve, value, off(net, x, y)))
        print(f"{sweep:<14}{curve:<22}{value:<10g}{rows[-1][-1]:.3e}", flush=True)

    for depth in DEPTHS:
        for beta in np.logspace(-4, 0, 9):
            for name, exact in (("exact ghosts", True), ("MB", False)):
                add("beta", f"{name}, depth {depth}", beta, network(depth, exact, beta=beta))
        for init in (0.05, 0.1, 0.2):
            add("depth", f"MB, init {init:g}", depth, network(depth, False, beta=1e-3, init=init))
    for dt in (0.0005, 0.001, 0.002, 0.005, 0.01, 0.015, 0.018, 0.0195):
        steps = dict(free_steps=round(2 / dt), clamped_steps=round(0.5 / dt))
        for depth in (1, 2):
            add("dt", f"MB, depth {depth}", dt, network(depth, False, dt=dt, **steps))
    for steps in (5, 10, 20, 40, 80, 120, 160, 240):
        for depth in (1, 2):
            add("free steps", f"MB, depth {depth}", steps, network(depth, False, free_steps=steps))
            add("clamped steps", f"MB, depth {depth}", steps, network(depth, False, clamped_steps=steps))
    return rows


def curves(rows: list[tuple], sweep: str) -> dict[str, np.ndarray]:
    """{curve: (points, 2)} of one sweep."""
    names = dict.fromkeys(row[1] for row in rows if row[0] == sweep)
    return {name: np.array([row[2:] for row in rows if row[:2] == (sweep, name)]) for name in names}


def slopes(rows: list[tuple]) -> dict[str, float]:
    """Exponent p of error ~ β^p from the points with β <= 0.01."""
    small = {name: points[points[:, 0] <= 0.0101] for name, points in curves(rows, "beta").items()}
    return {name: float(np.polyfit(*np.log(points.T), 1)[0]) for name, points in small.items()}


def picture(rows: list[tuple]) -> plt.Figure:
    with plt.style.context(plots.STYLE):
        figure, axes = plt.subplots(1, 4, figsize=(10.5, 2.8), sharey=True)
        for ax, sweeps, label in zip(
            axes, (("beta",), ("dt",), ("free steps", "clamped steps"), ("depth",)),
            ("nudging strength β", "Euler step dt (s)", "steps (dashed: clamped phase)", "hidden layers"), strict=True,
        ):  # fmt: skip
            for sweep in sweeps:
                for i, (name, points) in enumerate(curves(rows, sweep).items()):
                    colour = LAYERS[i // 2 if sweep == "beta" else i]
                    dashed = "--" if sweep == "clamped steps" or "exact" in name else "-"
                    legend = None if sweep == "clamped steps" or (sweep == "beta" and i % 2 == 0) else name
                    ax.plot(*points.T, dashed, color=colour, marker=".", label=legend)
            ax.set(xlabel=label, xscale="linear" if sweeps[0] == "depth" else "log", yscale="log")
            ax.legend(fontsize=6)
        axes[0].set(ylabel="relative error of e$_1$ / β", title="dashed: exact ghosts", ylim=(1e-5, 1e2))
        axes[3].set_xticks(DEPTHS)
    return figure


def main() -> None:
    path = figures(parser(__doc__).parse_args()) / "theory_gradient"
    digits = data.load()
    x, y = data.scale(digits.train_images[:20], "float64"), data.one_hot(digits.train_labels[:20], 10, "float64")
    rows = measurements(x, y)
    for name, slope in slopes(rows).items():
        print(f"slope in beta, {name:<24}{slope:.3f}")
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("sweep", "curve", "value", "relative_error"), *rows])
    publish(appended(path, ".csv"), text.getvalue().encode())
    publish_figure(picture(rows), path, seeds=[0], slopes=slopes(rows))


if __name__ == "__main__":
    show_symbols()
    main()
