"""What a network would learn from each of some examples.

Every example is presented by itself to a copy of the network as it is (activities, and where examples own one, the
fast W^gp, of lane `example mod batch`), so no figure depends on the order or the number of the examples. Matrices that
the batch shares stand still: how they move within a presentation is a matter of learning rates, not of the gradient.
A fast W^gp (MB, mixed) learns in the phases in which it does in training.

The update of an example, without η, divided by β:

    (16)  MB, mixed   (ρ(s_k) - ρ(s_k - e_k)) r_{k-1}^T / β at the end of the clamped phase; of several nudged phases
                      the signals' sum, by their shares, and the mean of the rates below
    (6)   MA, MA′     its sum over the steps in which W is plastic, / (β · clamped steps); clip and decay left out

and of a model of one's own likewise, with the postsynaptic factor of its rule for W.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ghostnet.engines import EXPLODED, Engine, InMemory, create
from ghostnet.errors import DivergenceError
from ghostnet.model.equations import State, Weights, post, pre, see
from ghostnet.model.experiment import Experiment
from ghostnet.model.models import shares
from ghostnet.model.network import Network


class Learned(NamedTuple):
    """From n examples by one run: lists over k.

    error[k] (n, n_k) is e_k / β at the end; update[1] (n, n_1) the postsynaptic factor, which x multiplies;
    update[k] (n, n_k, n_{k-1}) the whole matrix.
    """

    error: list
    update: list


def combined(weights: tuple, all_learned: list[Learned]) -> Learned:
    """The weighted sum."""
    terms = list(zip(weights, all_learned, strict=True))
    return Learned(
        *(
            [None, *(sum(c * getattr(one, name)[k] for c, one in terms) for k in range(1, len(all_learned[0].error)))]
            for name in Learned._fields
        )
    )


class Presented(NamedTuple):
    """A presentation as the experiment has it: what is learned, and the network at the end of each phase."""

    learned: Learned
    ends: list[Network]

    @property
    def free(self) -> Network:
        """At the end of the free phase."""
        return self.ends[0]

    @property
    def clamped(self) -> Network:
        """At the end of the first nudged phase."""
        return self.ends[self.first_nudged]

    @property
    def first_nudged(self) -> int:
        """Which phase that is."""
        return first_nudged(self.ends[0].experiment)


def first_nudged(e: Experiment) -> int:
    """Which phase is the first nudged one."""
    return next(i for i, phase in enumerate(e.phases) if phase.nudge)


def alone(network: Network, run: int, examples: np.ndarray) -> Network:
    """One run with a lane for each of `examples`, whose shared matrices stand still."""
    e = network.experiment
    lanes = examples % e.batch
    model = e.plasticity
    kept = tuple(rule for rule in model.rules if rule.matrix == "W" or rule.per_example)
    owned = network.constants.rules["W_gp"].decay if model.owned else 0.0
    still = e.replace(
        seeds=e.seeds[run], batch=len(lanes), train_examples=None,
        model=e.model if kept == model.rules else replace(model, rules=kept),
        eta=(0.0,) * e.depth, eta_imitation=(), decay=(0.0, 0.0, owned),
    )  # fmt: skip

    def of_run(arrays: list, by_lane: bool) -> list:
        own = [None, *(a[run : run + 1] for a in arrays[1:])]
        return [None, *(a[:, lanes] for a in own[1:])] if by_lane else own

    w = network.weights._asdict().items()
    weights = Weights(*(of_run(arrays, model.owned and name == "W_gp") for name, arrays in w))
    return Network(still, weights, State(*(of_run(arrays, True) for arrays in network.state)))


class End(NamedTuple):
    """The end of a nudged phase: the network as it is then, the nudge, and the share that its signal counts for."""

    net: Network
    beta: float
    share: float


def learned(ends: list[End], x: np.ndarray, y: np.ndarray) -> Learned:
    """What W's rule would take from the ends of nudged phases, not divided by β: error e_k."""
    seen = [_signals(end.net, x, y, end.beta) for end in ends]
    layers = range(1, len(seen[0][0]))
    e, d = (
        [None, *(sum(end.share * one[i][k] for end, one in zip(ends, seen, strict=True)) for k in layers)]
        for i in (0, 1)
    )
    r = [sum(one[2][k - 1] for one in seen) / len(ends) for k in layers]
    return Learned(e, [None, d[1], *(d[k][:, :, None] * r[k - 1][:, None, :] for k in layers[1:])])


def _signals(net: Network, x: np.ndarray, y: np.ndarray, beta: float) -> tuple[list, list, list]:
    """e_k, the postsynaptic and the presynaptic factor of W's rule, each (batch, units)."""
    c = net.constants
    now = see(net.weights, net.state, x[None], y[None], beta, c)
    layers = range(1, len(now.e))
    d = [None, *(post("W", k, now, c)[0] for k in layers)]
    return [None, *(e_k[0] for e_k in now.e[1:])], d, [pre("W", k, now, c)[0] for k in layers]


def drift(net: Network, x: np.ndarray, y: np.ndarray, beta: float) -> tuple[list, list]:
    """τ ds_k/dt, the right-hand side of (2), and e_k: lists over k of (batch, n_k)."""
    e, _, r = _signals(net, x, y, beta)
    moving = (r[k - 1] @ net.weights.W[k][0].T + e[k] - net.state.s[k][0] for k in range(1, len(e)))
    return [None, *moving], e


def ends_of_phases(net: Network, x: np.ndarray, y: np.ndarray, engine: str, dtype: str) -> list[Network]:
    """A network from `alone` at the end of each phase of one presentation; Raises: see `present`."""
    e, stepper = net.experiment, create(engine, net, dtype, 1)
    stepper.begin(x[None], y[None])
    ends = []
    for phase, steps in enumerate(e.steps):
        stepper.advance(phase, steps)
        ends.append(_now(stepper, e, phase))
    return ends


def present(
    net: Network,
    x: np.ndarray,
    y: np.ndarray,
    dtype: str = "float64",
    free_steps: int | None = None,
    equilibrium: bool = False,
) -> Presented:
    """One presentation of x (lanes, n_0), y (lanes, n_N) to a network from `alone`, stepped or taken to fixed points.

    Raises:
        DivergenceError: an activity became non-finite or exploded.
    """
    e = net.experiment
    nets = []
    ends = []
    sums = []
    engine = create("equilibrium" if equilibrium else "cpu", net, dtype, 1)
    engine.begin(x[None], y[None])
    for i, (phase, steps, share) in enumerate(zip(e.phases, e.steps, shares(e.phases), strict=True)):
        beta = e.beta * phase.nudge
        taken = steps if free_steps is None or phase.nudge else free_steps
        end, summed = _phase(engine, net, x, y, beta, i, taken)
        nets.append(end)
        if summed:
            sums.append([None, *(share * update for update in summed[1:])])
        if phase.nudge:
            ends.append(End(end, beta, share))
    at_end, scale = learned(ends, x, y), 1 / e.beta
    update = at_end.update
    if not e.plasticity.once:
        scale /= e.clamped_steps
        update = [None, *(sum(one[k] for one in sums) for k in range(1, e.depth + 1))]
    scaled = [None, *(u * scale for u in update[1:])]
    return Presented(Learned([None, *(e_k / e.beta for e_k in at_end.error[1:])], scaled), nets)


def _phase(
    engine: InMemory, net: Network, x: np.ndarray, y: np.ndarray, beta: float, phase: int, steps: int
) -> tuple[Network, list]:
    """The network at the end of a phase, and the sums of (6) over its steps where W is plastic, else an empty list."""
    courses = []
    engine.advance(phase, 0)  # it begins here, whatever was before
    if "W" in net.experiment.acting(phase):
        still, _ = engine.now()
        for _ in range(steps):
            courses.append(_signals(Network(net.experiment, *_views(engine, still)), x, y, beta)[1:])
            engine.advance(phase, 1)
    else:
        engine.advance(phase, steps)
    return _now(engine, net.experiment, phase), _summed(courses) if courses else []


def _now(engine: Engine, e: Experiment, phase: int) -> Network:
    """The network that an engine holds at the end of a phase."""
    end = Network(e, *engine.export())
    for k, s_k in enumerate(end.state.s[1:], start=1):
        if not (np.abs(s_k) <= EXPLODED).all():
            raise DivergenceError(
                f"diverged: seed {e.seeds[0]}, layer {k}: an activity is not finite or beyond {EXPLODED:g} in the "
                f"{e.phases[phase].name} phase of an example checked; try dt = {e.dt / 2:g} or a smaller init"
            )
    return end


def _views(engine: InMemory, still: Weights) -> tuple[Weights, State]:
    """What the engine holds now, in float64; as the shared matrices stand still, they are those of before."""
    weights, state = engine.now(still)
    return weights, State(*([None, *(a.astype(np.float64) for a in group[1:])] for group in state))


def _summed(courses: list) -> list:
    """Σ over steps of d_k r_{k-1}^T per example, from [(d, r) at every step]."""
    N = len(courses[0][0]) - 1
    total = [None, sum(d[1] for d, _ in courses)]
    for k in range(2, N + 1):
        d_k, r_k = np.stack([d[k] for d, _ in courses], 2), np.stack([r[k - 1] for _, r in courses], 1)
        total.append(d_k @ r_k)
    return total


def course(net: Network, x: np.ndarray, y: np.ndarray, target: list) -> np.ndarray:
    """How far e_k / β is from its target at every step of the clamped phase, from `net` on: (steps + 1, N).

    Σ ‖e_k / β - target_k‖ / Σ ‖target_k‖ over the examples, NaN where that is 0 / 0; target: list over k of (n, n_k).
    """
    e = net.experiment
    first = first_nudged(e)
    beta, steps = e.beta * e.phases[first].nudge, e.steps[first]
    engine = create("cpu", net, "float64", 1)
    engine.begin(x[None], y[None])
    engine.advance(first, 0)
    far = []
    still, _ = engine.now()
    for step in range(steps + 1):
        errors, _, _ = _signals(Network(net.experiment, *_views(engine, still)), x, y, beta)
        pairs = zip(errors[1:], target[1:], strict=True)
        norms = [[np.linalg.norm(values, axis=1).sum() for values in (a / beta - t, t)] for a, t in pairs]
        far.append([apart / (target_norm or np.nan) for apart, target_norm in norms])
        if step < steps:
            engine.advance(first, 1)
    return np.array(far)
