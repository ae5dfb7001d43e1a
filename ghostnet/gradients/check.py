"""Ghost-unit gradients against backprop: what a network learns from some examples, beside what backprop would.

`gradcheck` changes nothing in the network. Quantities are defined in `presented` (what the network learns), `backward`
(what backprop and feedback alignment would), `likeness` (the figures, and how the relative error divides among causes)
and `settling`; docs/gradients.md explains them with a picture.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import ArrayLike

from ghostnet.errors import ConfigError, DivergenceError
from ghostnet.gradients.backward import autograd_difference, backward, transposed
from ghostnet.gradients.causes import CAUSES, removals
from ghostnet.gradients.likeness import (
    Moments,
    Shares,
    add_shares,
    concatenate_shares,
    concatenated,
    divided,
    figures,
    moments,
    shares,
    together,
)
from ghostnet.gradients.presented import Learned, Presented, alone, course, drift, present
from ghostnet.gradients.report import GradientReport
from ghostnet.gradients.settling import settling
from ghostnet.host.threads import one_blas_thread
from ghostnet.model.experiment import Experiment
from ghostnet.model.inputs import rates
from ghostnet.model.network import Network, checked

_BLOCK_ELEMENTS = 1 << 21  # of one matrix per example, over the examples looked at together
_COURSE = 10  # examples whose approach to the target is followed step by step


def gradcheck(
    network: Network, x: np.ndarray, y: np.ndarray, *, causes: bool = True, autograd: bool = False,
    dtype: str = "float64", equilibrium: bool = False,
) -> GradientReport:  # fmt: skip
    """Compare what every run of a network would learn from examples with backprop, and say why it differs.

    Args:
        network: as it is; nothing of it is changed.
        x: inputs (n, n_0). y: targets (n, n_N). n need not be the experiment's batch: examples are presented one by
            one, each to a copy of the network as it is.
        causes: also divide the error among its causes, follow e_k / β through the clamped phase, and say how fast the
            network settles; takes about ten times as long.
        autograd: also hold the backward pass to torch's, in float64.
        dtype: of the presentations. In float32 their rounding is seen, too: cancelled feedback is a difference of
            large numbers, which tells where a trained network's own errors are small.
        equilibrium: take phases to their fixed points, as the equilibrium engine does, instead of stepping them.

    Raises:
        ConfigError: x or y does not fit the experiment, is out of range (see `Simulator.present`) or holds no examples;
            the network is not one of its experiment, or a baseline's; the equilibrium engine can't run its model.
        DivergenceError: an activity became non-finite or exploded.

    Examples:
        >>> report = gn.gradcheck(net, np.full((2, 4), 0.5), np.eye(2))
        >>> bool(report.find(layer=2)["cosine"] > 0.999)
        True
    """
    if getattr(network, "method", None) is not None:
        raise ConfigError(
            f"network: trained by {network.method}, without ghost units; take baselines.gradcheck(run, x, y), or put "
            "its W into a network of build(experiment) to see what ghost units make of it"
        )
    network = checked(network, dtype)
    e = network.experiment
    x, y = examples(e, x, y)
    how = " at equilibrium" * equilibrium + " in float32" * (dtype == "float32")
    report = GradientReport(e, len(x), f"{e.model} {e.feedback}{how}")
    for run, seed in enumerate(network.experiment.seeds):
        with one_blas_thread():  # small products: handing them to several threads takes longer
            _check_run(report, {"run": run, "seed": seed}, network, x, y, causes, dtype, equilibrium)
    if autograd:
        W = network.weights.W
        rho = network.experiment.transfer
        cost = network.experiment.cost
        report.autograd_difference = max(
            autograd_difference([None, *(w[run] for w in W[1:])], x, y, rho, cost) for run in range(network.runs)
        )
    return report


def examples(e: Experiment, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """x (n, n_0) and y (n, n_N) as float64 arrays.

    Raises:
        ConfigError: they are not of these shapes, of as many examples, one at least, or out of range.
    """
    arrays = []
    for name, values, layer in (("x", x, 0), ("y", y, -1)):
        arrays.append(rates(name, values, e, layer, ("examples", e.sizes[layer])).astype(np.float64))
    if len(arrays[0]) != len(arrays[1]):
        raise ConfigError(f"x has {len(arrays[0])} examples, y {len(arrays[1])}: expected as many of each")
    if not len(arrays[0]):
        raise ConfigError("x has no examples: expected at least one")
    return arrays[0], arrays[1]


class _Tally:
    """Sums over the examples seen so far, and the moments of each."""

    def __init__(self) -> None:
        self.sums: dict = {}  # (name, quantity, k): Σ over examples of what `name` says
        self.moments: defaultdict[tuple, list[Moments]] = defaultdict(list)
        self.shares: defaultdict[int, list[Shares]] = defaultdict(list)
        self.residuals: defaultdict[tuple, list[np.ndarray]] = defaultdict(list)

    def add(self, name: str, what: Learned, x: np.ndarray) -> None:
        for k in range(1, len(what.error)):
            summed = what.update[1].T @ x if k == 1 else what.update[k].sum(0)
            for key, value in (((name, "update", k), summed), ((name, "error", k), what.error[k].sum(0))):
                self.sums[key] = self.sums.get(key, 0) + value

    def compare(self, against: str, ghost: Learned, target: Learned, x: np.ndarray) -> None:
        for k in range(1, len(ghost.error)):
            copies = (x != 0).sum(1) if k == 1 else 1
            own, aim = (_per_example(what, k, x) for what in (ghost, target))
            self.moments[against, "update", k].append(moments(own, aim, copies))
            self.moments[against, "error", k].append(moments(ghost.error[k], target.error[k]))

    def divide(self, variants: list[Learned], target: Learned, x: np.ndarray) -> None:
        for k in range(1, len(target.error)):
            chain = [_per_example(what, k, x) for what in variants]
            self.shares[k].append(shares(chain, _per_example(target, k, x)))


def _per_example(what: Learned, k: int, x: np.ndarray) -> np.ndarray:
    """The update of layer k per example, flat. For k = 1, u x^T shares x: u ‖x‖ has the same inner products."""
    if k == 1:
        return what.update[1] * np.linalg.norm(x, axis=1)[:, None]
    return what.update[k].reshape(len(x), -1)


def _check_run(
    report: GradientReport, who: dict, network: Network, x: np.ndarray, y: np.ndarray, causes: bool, dtype: str,
    equilibrium: bool,
) -> None:  # fmt: skip
    tally, e = _Tally(), network.experiment
    for some in _blocks(e, len(x)):
        net = alone(network, who["run"], some)
        shown = present(net, x[some], y[some], dtype, equilibrium=equilibrium)
        back = _target(net, x[some], y[some], transposed(net.weights.W))
        tally.add("ghost", shown.learned, x[some])
        targets = {"backprop": back}
        if e.feedback == "FA":
            targets["feedback alignment"] = _target(net, x[some], y[some], net.weights.B)
        for against, target in targets.items():
            tally.add(against, target, x[some])
            tally.compare(against, shown.learned, target, x[some])
        _residuals(tally, shown, x[some], y[some], e.beta * e.phases[shown.first_nudged].nudge)
        if some[0] == 0 and causes:
            _dynamics(report, who, net, shown, x[some], y[some], back)
        if causes and who["run"] not in report.no_causes:
            _divide(report, who, tally, net, shown, x[some], y[some], back)
    _figures(report, who, tally, e)
    if causes and who["run"] not in report.no_causes:
        _causes(report, who, tally, e)
    if e.feedback == "FA":
        _alignment(report, who, network)


def _blocks(e: Experiment, count: int) -> list[np.ndarray]:
    widest = max((a * b for a, b in zip(e.sizes[1:-1], e.sizes[2:], strict=True)), default=1)
    size = min(100, max(1, _BLOCK_ELEMENTS // widest))
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]


def _target(net: Network, x: np.ndarray, y: np.ndarray, B: list) -> Learned:
    """What backprop (B = W^T) or feedback alignment (another B) learns from each example."""
    one = [None, *(w[0] for w in net.weights.W[1:])], [None, *(b[0] for b in B[1:])]
    r, delta, local = backward(*one, x, y, net.experiment.transfer, net.experiment.cost)
    outer = [local[k][:, :, None] * r[k - 1][:, None, :] for k in range(2, len(local))]
    return Learned([None, *delta[1:]], [None, local[1], *outer])


def _residuals(tally: _Tally, shown: Presented, x: np.ndarray, y: np.ndarray, beta: float) -> None:
    """Norms per example: τ ds_k/dt and e_k at the end of the free phase, and at that of the clamped phase."""
    (free, left), (clamped, nudged) = drift(shown.free, x, y, 0.0), drift(shown.clamped, x, y, beta)
    for k in range(1, len(free)):
        ends = {"free_drift": free, "free_error": left, "clamped_drift": clamped, "clamped_error": nudged}
        for name, by_layer in ends.items():
            tally.residuals[k, name].append(np.linalg.norm(by_layer[k], axis=1))


def _dynamics(
    report: GradientReport, who: dict, net: Network, shown: Presented, x: np.ndarray, y: np.ndarray, back: Learned
) -> None:
    report.settling += [
        who | settling(at, phase)._asdict() for at, phase in ((shown.free, 0), (shown.clamped, shown.first_nudged))
    ]
    first = np.arange(min(_COURSE, len(x)))
    few = alone(shown.free, 0, first)
    followed = course(few, x[first], y[first], [None, *(delta[first] for delta in back.error[1:])])
    report.courses.append(followed)


def _divide(
    report: GradientReport, who: dict, tally: _Tally, net: Network, shown: Presented, x: np.ndarray, y: np.ndarray,
    back: Learned,
) -> None:  # fmt: skip
    try:
        variants = removals(net, shown, x, y)
    except DivergenceError as error:
        report.no_causes[who["run"]] = str(error)
        return
    for name, variant in zip(CAUSES, variants, strict=True):
        tally.add(name, variant, x)
    tally.divide(variants, back, x)


def _figures(report: GradientReport, who: dict, tally: _Tally, e: Experiment) -> None:
    layers = range(1, e.depth + 1)
    for against, quantity in dict.fromkeys(key[:2] for key in tally.moments):
        summed, each = [], []
        for k in layers:
            pair = (tally.sums[name, quantity, k][None] for name in ("ghost", against))
            summed.append(moments(*pair))
            each.append(concatenated(tally.moments[against, quantity, k]))
        parts = [*zip(layers, summed, each, strict=True), ("all", together(summed), together(each))]
        for layer, one, many in parts:
            for over, values in figures(one, many).items():
                row = {"quantity": quantity, "against": against, "layer": layer, "over": over}
                report.figures.append(who | row | values)
    for k in layers:
        means = {name: float(np.concatenate(v).mean()) for (j, name), v in tally.residuals.items() if j == k}
        report.residuals.append(who | {"layer": k} | means)


def _causes(report: GradientReport, who: dict, tally: _Tally, e: Experiment) -> None:
    summed, each = [], []
    for k in range(1, e.depth + 1):
        chain = [tally.sums[name, "update", k][None] for name in (*CAUSES, "backprop")]
        summed.append(shares(chain[:-1], chain[-1]))
        each.append(concatenate_shares(tally.shares[k]))
    layers = [*range(1, e.depth + 1), "all"]
    for over, by_layer in (("summed", summed), ("mean", each)):
        for layer, one in zip(layers, [*by_layer, add_shares(by_layer)], strict=True):
            for cause, part, size in zip(CAUSES, *divided(one), strict=True):
                row = {"layer": layer, "over": over, "cause": cause, "part": float(part), "size": float(size)}
                report.causes.append(who | row)


def _alignment(report: GradientReport, who: dict, network: Network) -> None:
    """The angle between B_k and W_{k+1}^T, as between vectors."""
    B, W = network.weights.B, network.weights.W
    for k in range(1, network.experiment.depth):
        one = moments(B[k][who["run"]][None], W[k + 1][who["run"]].T[None])
        values = figures(one, one)["summed"]
        report.alignment.append(who | {"layer": k, "cosine": values["cosine"], "angle": values["angle"]})
