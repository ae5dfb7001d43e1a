"""Why what a network learns differs from backprop: the same with one cause of error after another removed."""

from __future__ import annotations

import numpy as np

from ghostnet.engines import create
from ghostnet.gradients.backward import transposed
from ghostnet.gradients.fixedpoint import fixed_point
from ghostnet.gradients.presented import End, Learned, Presented, combined, learned, present
from ghostnet.model.equations import State
from ghostnet.model.models import shares
from ghostnet.model.network import Network

CAUSES = {  # in the order in which they are removed: each adds to the removals above it
    "free phase": "(a) run on until it rests; what the rule learns without a nudge taken off",
    "clamped phase": "(c) run on until it rests",
    "finite beta": "(b) beta → 0, by Richardson extrapolation",
    "ghost circuit": "(d) exact ghosts: W^gp = B, W^pg = W above; without the M_k term",
    "feedback": "(e) B = W^T",
    "unexplained": "what is left when all are removed",
}
_REST, _MOST = 1e-11, 30  # a free phase rests when s moves by less in as many steps again; how often to go on
_BETA = 1e-3  # smallest nudge of the extrapolation: 2 and 4 times as much are the others


def removals(net: Network, shown: Presented, x: np.ndarray, y: np.ndarray) -> list[Learned]:
    """What is learned as it is, then without the first of CAUSES, without the first two, … without all that are known.

    Raises:
        DivergenceError: a fixed point that is needed can't be found.
    """
    e, rested = net.experiment, _at_rest(shown.free, x, y)
    nudged = [(e.beta * phase.nudge, s) for phase, s in zip(e.phases, shares(e.phases), strict=True) if phase.nudge]
    untouched = [End(_rest(rested, x, y, 0.0), 0.0, sum(share for _, share in nudged))]
    idle = learned(untouched, x, y)  # what is learned without a nudge; nothing where the shares add up to nothing
    at_rest = learned([End(_rest(rested, x, y, beta), beta, share) for beta, share in nudged], x, y)
    relaxed = combined((1, -1 / e.beta), [present(rested, x, y, free_steps=0).learned, idle])
    settled = combined((1 / e.beta, -1 / e.beta), [at_rest, idle])
    without_nudge, exact = _limit(rested, x, y), _limit(_exact_ghosts(rested), x, y)
    symmetric = rested.weights._replace(B=transposed(rested.weights.W))
    aligned = _limit(_exact_ghosts(Network(net.experiment, symmetric, rested.state)), x, y)
    return [shown.learned, relaxed, settled, without_nudge, exact, aligned]


def _rest(net: Network, x: np.ndarray, y: np.ndarray, beta: float) -> Network:
    state = fixed_point(net.weights, x[None], y[None], beta, net.constants)
    return Network(net.experiment, net.weights, state)


def _at_rest(net: Network, x: np.ndarray, y: np.ndarray) -> Network:
    """The free phase run on until it rests, by stepping: its fast weights are those that training would come to."""
    engine = create("cpu", net, "float64", 1)
    engine.begin(x[None], y[None])
    before = net.state.s
    for _ in range(_MOST):
        engine.advance(0, net.experiment.free_steps)
        now = [None, *(s.copy() for s in engine.now(still=net.weights)[1].s[1:])]
        moved = max(float(np.abs(a - b).max()) for a, b in zip(now[1:], before[1:], strict=True))
        if not moved > _REST:
            break
        before = now
    return Network(net.experiment, *engine.export())


def _exact_ghosts(net: Network) -> Network:
    """The same network with W^gp_k = B_k and W^pg_k = W_{k+1}, so that its ghosts mirror the layer above."""
    w, e = net.weights, net.experiment
    w = w._replace(W_gp=list(w.B), W_pg=[None, *w.W[2:]])
    return Network(e, w, State(net.state.s, [None, *net.state.s[2:]]))


def _limit(net: Network, x: np.ndarray, y: np.ndarray) -> Learned:
    """lim (learned(β) - learned(0)) / β for β → 0: Richardson extrapolation from fixed points at β = h, 2h, 4h.

    The quotient is a series in β: (8 q(h) - 6 q(2h) + q(4h)) / 3 is off by its third power only.
    """
    nudges = (0.0, _BETA, 2 * _BETA, 4 * _BETA)
    at_zero, *others = (learned([End(_rest(net, x, y, beta), beta, 1.0)], x, y) for beta in nudges)
    weights = [c / 3 / beta for c, beta in zip((8, -6, 1), nudges[1:], strict=True)]
    return combined((*weights, -sum(weights)), [*others, at_zero])
