"""What training says of its own gradients: columns for metrics.csv, and a warning where a phase is too short."""

from __future__ import annotations

import numpy as np

from ghostnet import data
from ghostnet.errors import DivergenceError
from ghostnet.gradients.presented import alone, drift, ends_of_phases, first_nudged
from ghostnet.gradients.settling import settling
from ghostnet.host.progress import log
from ghostnet.model.network import Network, select
from ghostnet.simulator import Simulator

_KINDS = (  # of columns: over what, and which figure of a report
    ("error", "summed", "relative_error"),
    ("mean_error", "mean", "relative_error"),
    ("angle", "summed", "angle"),
)
_LOOKED_AT = 4  # examples for the warning
_FAR = 0.1  # a phase ends far from equilibrium where τ ds/dt is more than this share of what the nudge does to s


def gradient_columns(simulator: Simulator, dataset: data.Dataset, epoch: int, every: int, examples: int) -> list[dict]:
    """A dict of columns per run: every `every` epochs the figures of the update against backprop, else None in each.

    gradient_error_L and gradient_angle_L are those of the gradient summed over the first `examples` of the training
    set, gradient_mean_error_L is the norm-weighted mean over them (`gradients.likeness`); L is a layer or "all". They
    are presented as in training: stepped, or taken to equilibrium where the engine does that.
    Under FA, alignment_k is the angle between B_k and W_{k+1}^T. Angles are in degrees. Where ghost units are paired
    with the units above, distance_pg_k is ‖W_{k+1} - W^pg_k‖ and distance_gp_k is ‖B_k - W^gp_k‖ (Frobenius).
    """
    e, network = simulator.experiment, simulator.network
    layers = ["all", *range(1, e.depth + 1)]
    names = [f"gradient_{kind}_{layer}" for kind, *_ in _KINDS for layer in layers]
    names += [f"alignment_{k}" for k in range(1, e.depth)] if e.feedback == "FA" else []
    names += [f"distance_{kind}_{k}" for k in range(1, e.depth) for kind in ("pg", "gp")] if e.plasticity.paired else []
    rows = [dict.fromkeys(names) for _ in range(network.runs)]
    if epoch % every:
        return rows
    shown = _first(network, dataset, examples)
    for run, row in enumerate(rows):
        try:
            values = _values(_of_run(simulator, network, run), shown, layers, simulator.settings)
        except DivergenceError as error:
            log.warning("gradient check left out: %s", error)
            continue
        row.update((name, float(f"{value:.6g}")) for name, value in zip(names, values, strict=True))
    return rows


def _of_run(simulator: Simulator, network: Network, run: int) -> Network:
    """One run by itself, with the constants that it has in the simulator."""
    e = simulator.experiments[run]
    return select(network, [run], e.replace(seeds=(e.seeds[run],)))


def _values(network: Network, shown: tuple[np.ndarray, np.ndarray], layers: list, settings: dict) -> list[float]:
    """The figures of a single run, in the order of the columns."""
    from ghostnet.gradients import gradcheck

    rested = settings["engine"] == "equilibrium"
    report = gradcheck(network, *shown, causes=False, dtype=settings["dtype"], equilibrium=rested)
    values = [report.find(k, over=over)[figure] for _, over, figure in _KINDS for k in layers]
    values += [row["angle"] for row in report.alignment]
    return values + (_distances(network) if network.experiment.plasticity.paired else [])


def _distances(network: Network) -> list[float]:
    """How far each hidden layer's ghosts are from imitating, and from cancelling: the two norms of Figure 3."""
    w = network.weights
    pairs = [
        pair for k in range(1, network.experiment.depth) for pair in ((w.W[k + 1], w.W_pg[k]), (w.B[k], w.W_gp[k]))
    ]
    return [float(np.linalg.norm(a[0] - b[0])) for a, b in pairs]


def _first(network: Network, dataset: data.Dataset, count: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = (values[: network.experiment.train_examples][:count] for values in dataset.part("train"))
    return data.scale(images, "float64"), data.one_hot(labels, dataset.classes, "float64")


def warn_unsettled(simulator: Simulator, dataset: data.Dataset) -> bool:
    """Log one line where a phase of the first run ends far from equilibrium; returns whether it did.

    Not for the equilibrium engine: it ends a phase early only where rest is out of reach (docs/equilibrium.md).
    """
    if simulator.settings["engine"] == "equilibrium":
        return False
    network = _of_run(simulator, simulator.network, 0)
    x, y = _first(network, dataset, _LOOKED_AT)
    net = alone(network, 0, np.arange(len(x)))
    e = net.experiment
    try:
        ends = ends_of_phases(net, x, y, simulator.settings["engine"], simulator.settings["dtype"])
    except DivergenceError:
        return False  # training will say so itself
    nudged = first_nudged(e)
    response = [b - a for a, b in zip(ends[0].state.s[1:], ends[nudged].state.s[1:], strict=True)]
    for phase in (0, nudged):
        at, beta = ends[phase], e.beta * e.phases[phase].nudge
        moving = drift(at, x, y, beta)[0][1:]
        norms = [(np.linalg.norm(m), np.linalg.norm(s)) for m, s in zip(moving, response, strict=True)]
        far = max(float(a / b) if b > 0 else 0.0 for a, b in norms)
        if far > _FAR:
            _warn(phase, far, at)
            return True
    return False


def _warn(phase: int, far: float, at: Network) -> None:
    e, steps = at.experiment, settling(at, phase).steps
    given, name = e.steps[phase], "clamped_steps" if e.phases[phase].nudge else "free_steps"
    advice = f"about {steps:g} would settle it" if steps > given else "take more"  # near rest, fewer would do
    log.warning(
        "the %s phase ends far from equilibrium (τ ds/dt is %.0f %% of what the nudge does): %s = %d; %s",
        e.phases[phase].name, 100 * far, name, given, advice,
    )  # fmt: skip
