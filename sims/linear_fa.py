"""Feedback alignment in a linear network: what Lillicrap et al. 2016 (doi:10.1038/ncomms13276) prove, seen to hold.

A network y = W A x of one hidden layer learns a linear map T by gradient flow with a random fixed B for W^T. Let
E = T - W A be its error, and the inputs white:

    dW/dt = E A^T        dA/dt = B E

    (a) the error goes to zero: ‖E‖ → 0
    (b) W aligns with B's pseudo-inverse: from W = 0 and A = 0 its angle to pinv(B) falls, below that to B^T
        (for one output W is a multiple of both; for several the angle does not go to zero)
    (c) B W + W^T B^T = A A^T + C at all times: d/dt of both sides is B E A^T + A E^T B^T

    python sims/linear_fa.py             30-20-10, 5 seeds, 3 step sizes; half a minute; writes figures/linear_fa.*
    python sims/linear_fa.py --quick     1 seed, 2 step sizes; seconds; writes figures/linear_fa-quick.*

Prints for each step dt the final error, the angles and the drift of (c), which is Euler's method's: first order in dt.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from destination import figure_path, parser

from ghostnet.files.figures import publish_figure
from ghostnet.host.streams import show_symbols
from ghostnet.model.network import Stream, generator
from ghostnet.results import plots

INPUTS, HIDDEN, OUTPUTS, TIME = 30, 20, 10, 60.0


def angle(a: np.ndarray, b: np.ndarray) -> float:
    """Between two matrices as vectors, in degrees; nan for a zero one."""
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float(np.degrees(np.arccos(np.clip(np.sum(a * b) / size, -1, 1)))) if size else np.nan


def flow(seed: int, dt: float, keep: int = 300) -> dict[str, np.ndarray]:
    """Euler's method from W = 0, A = 0; arrays (kept,) of time, error ‖E‖/‖T‖, angles and drift of (c)."""
    T = generator(seed, Stream.W, 1).normal(size=(OUTPUTS, INPUTS)) / np.sqrt(INPUTS)
    B = generator(seed, Stream.B, 1).uniform(-1, 1, (HIDDEN, OUTPUTS)) / np.sqrt(OUTPUTS)
    W, A = np.zeros((OUTPUTS, HIDDEN)), np.zeros((HIDDEN, INPUTS))
    inverse, steps, rows = np.linalg.pinv(B), round(TIME / dt), []
    for step in range(steps + 1):
        E = T - W @ A
        if step % (steps // keep) == 0:
            left, right = B @ W, A @ A.T  # C = 0 from this start
            drift = np.linalg.norm(left + left.T - right) / max(np.linalg.norm(right), 1e-300)
            error = np.linalg.norm(E) / np.linalg.norm(T)
            rows.append((step * dt, error, angle(W, inverse), angle(W, B.T), drift if step else 0.0))
        W, A = W + dt * E @ A.T, A + dt * B @ E
    return dict(zip(("time", "error", "to pinv(B)", "to B^T", "drift"), np.array(rows).T, strict=True))


def picture(run: dict[str, np.ndarray], drifts: dict[float, float]) -> plt.Figure:
    """Error, angles, and the drift of the conserved quantity over the step size."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(8.4, 2.6))
    left.semilogy(run["time"], run["error"], color=plots.RIGHT)
    left.set(xlabel="time", ylabel="‖E‖ / ‖T‖")
    for name, colour in (("to pinv(B)", plots.RIGHT), ("to B^T", plots.ERROR)):
        middle.plot(run["time"], run[name], color=colour, label=name.replace("B^T", "B$^T$"))
    middle.set(xlabel="time", ylabel="angle of W (°)", ylim=(0, 90))
    middle.legend()
    right.loglog(list(drifts), list(drifts.values()), "o-", color=plots.RIGHT)
    right.set(xlabel="step dt", ylabel="drift of BW + W$^T$B$^T$ - AA$^T$")
    return figure


def main() -> None:
    given = parser(__doc__, quick="1 seed, 2 step sizes").parse_args()
    seeds, steps = (range(1), (0.02, 0.01)) if given.quick else (range(5), (0.02, 0.01, 0.005))
    drifts, angles, run = {}, {}, {}
    print("dt      ‖E‖/‖T‖ at the end   angle to pinv(B): first, last   to B^T: last   drift of (c)")
    for dt in steps:
        runs = [flow(seed, dt) for seed in seeds]
        run, mean = runs[0], {name: np.mean([r[name] for r in runs], axis=0) for name in runs[0]}
        drifts[dt] = float(mean["drift"][-1])
        angles[dt] = {name: float(mean[name][-1]) for name in ("to pinv(B)", "to B^T")}
        to_inverse = f"{mean['to pinv(B)'][1]:.1f}°, {angles[dt]['to pinv(B)']:.1f}°"
        print(
            f"{dt:<7} {mean['error'][-1]:<20.1e} {to_inverse:<31} {angles[dt]['to B^T']:<14.1f} {drifts[dt]:.1e}",
            flush=True,
        )
    plt.style.use(plots.STYLE)
    facts = {"seeds": list(seeds), "drifts": drifts, "degrees": angles}
    publish_figure(picture(run, drifts), figure_path(given, "linear_fa"), **facts)


if __name__ == "__main__":
    show_symbols()
    main()
