"""The page of equations: ghost-unit networks in the paper's symbols (arXiv:1911.08585).

    (2)  τ ds_k/dt = -s_k + W_k r_{k-1} + e_k            k = 1 … N
         e_k = B_k r_{k+1} - W^gp_k ρ(g_k)               hidden k
         e_N = -β ∂C/∂r_N                                output: β (y - r_N) for C = ½ ‖y - r_N‖²; free phase: 0
    (3)  τ dg_k/dt = -g_k + W^pg_k r_k                   hidden k
         dM_k/dt = η_k Σ post_k pre_k^T - λ M_k          for every matrix M with a rule that acts: (4), (5), (6), (15)

Every function takes and returns arrays of any Array-API library (NumPy: the reference; torch), as lists indexed by the
paper's layer k; slots that the paper has no symbol for hold None.

    symbol       shape                      meaning
    s[k]         (runs, batch, n_k)         activity of the pyramidal units; s[0] is None
    r[k]         (runs, batch, n_k)         firing rate ρ(s_k); r[0] = x, the input itself
    g[k]         (runs, batch, m_k)         activity of the ghost units of hidden layer k
    e[k]         (runs, batch, n_k)         error term
    W[k]         (runs, n_k, n_{k-1})       feedforward weights into layer k
    B[k]         (runs, n_k, n_{k+1})       feedback weights from layer k+1 onto layer k
    W_pg[k]      (runs, m_k, n_k)           lateral, pyramidal to ghost
    W_gp[k]      (runs, n_k, m_k)           lateral, ghost to pyramidal; (runs, batch, n_k, m_k) where every example
                                            owns its own (MB, mixed)
    P[k]         (runs, m_k, n_{k+1})       whom ghosts imitate; None where each has a partner of its own

Euler steps are forward: every right-hand side is taken at the current state and weights, then all advance together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from ghostnet.model import names
from ghostnet.model.lowering import Law, arguments

Array: TypeAlias = Any  # of any Array-API library
Layers: TypeAlias = list[Any]  # over k: arrays, numbers or shapes; None where the paper has no symbol


class Weights(NamedTuple):
    """The weight matrices, lists over k."""

    W: Layers
    B: Layers
    W_pg: Layers
    W_gp: Layers


class State(NamedTuple):
    """The activities, lists over k."""

    s: Layers
    g: Layers


class Plasticity(NamedTuple):
    """A rule of a model with an experiment's numbers: post is its law, rate is η over k, decay is λ."""

    post: Law
    pre: str
    rate: Layers
    decay: float
    clip: float | None


class Constants(NamedTuple):
    """τ and dt in s, the rule of every plastic matrix, and whom ghosts imitate (P, a list over k)."""

    tau: float
    dt: float
    symmetric: bool  # TF: B_k = W_{k+1}^T
    transfer: str
    cost: str
    rules: Mapping[str, Plasticity]
    P: Layers


class Seen(NamedTuple):
    """What there is at one instant, lists over k: activities, rates and error terms; r[0] is the input."""

    s: Layers
    g: Layers
    r: Layers
    rho_g: Layers
    e: Layers


def array_namespace(array: Array) -> Any:
    """The functions that go with an array: its own where it names them (NumPy), else array-api-compat's (torch)."""
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    from array_api_compat import array_namespace as namespace_of  # here, because NumPy alone needs none

    return namespace_of(array)


def transfer(s: Array, name: str) -> Array:
    """ρ(s), elementwise."""
    return _in_type_of(s, names.transfer(name).rho(s))


def transfer_slope(s: Array, name: str) -> Array:
    """ρ'(s), elementwise."""
    return _in_type_of(s, names.transfer(name).slope(s, transfer(s, name)))


def output_error(y: Array, s: Array, r: Array, name: str) -> Array:
    """-∂C/∂r_N, elementwise: y - r_N for the quadratic cost."""
    return _in_type_of(s, names.cost(name).error(y, s, r))


def output_error_slope(y: Array, s: Array, name: str, transfer_name: str) -> Array:
    """The derivative of the output error by s_N, elementwise."""
    r, d = transfer(s, transfer_name), transfer_slope(s, transfer_name)
    return _in_type_of(s, names.cost(name).slope(y, s, r, d))


def _in_type_of(s: Array, value: Array | float) -> Array:
    """What a law says of s, as an array of s's type: by its text it may be a number, or float64."""
    xp = array_namespace(s)
    if not hasattr(value, "dtype"):
        return xp.full_like(s, value)
    return value if value.dtype == s.dtype else xp.astype(value, s.dtype)


def rates(z: State, x: Array, c: Constants) -> tuple[Layers, Layers]:
    """r_k = ρ(s_k) for k = 0 … N, with r_0 = x, and ρ(g_k) for hidden k."""
    return [x, *(transfer(s, c.transfer) for s in z.s[1:])], [
        None,
        *(transfer(g, c.transfer) for g in z.g[1:]),
    ]


def errors(w: Weights, z: State, r: Layers, rho_g: Layers, y: Array, beta: Array | float, c: Constants) -> Layers:
    """e_k for k = 1 … N, from the activities and their rates."""
    e: Layers = [None]
    for k in range(1, len(rho_g)):
        e.append(r[k + 1] @ w.B[k].mT - cancelled(w.W_gp[k], rho_g[k]))  # (2), hidden
    return [*e, beta * output_error(y, z.s[-1], r[-1], c.cost)]  # (2), output


def cancelled(W_gp: Array, rho_g: Array) -> Array:
    """W^gp_k ρ(g_k), with a matrix shared by the batch or one per example."""
    return (W_gp @ rho_g[..., None])[..., 0] if W_gp.ndim > rho_g.ndim else rho_g @ W_gp.mT


Symbol: TypeAlias = Callable[[int, Seen, Constants], Array]  # of layer k
_SYMBOLS: dict[str, Symbol] = {  # what a law of post may ask for by the names of its arguments
    "s": lambda k, now, c: now.s[k],
    "r": lambda k, now, c: now.r[k],
    "e": lambda k, now, c: now.e[k],
    "slope": lambda k, now, c: transfer_slope(now.s[k], c.transfer),
    "r_forward": lambda k, now, c: transfer(now.s[k] - now.e[k], c.transfer),
    "g": lambda k, now, c: now.g[k],
    "rho_g": lambda k, now, c: now.rho_g[k],
    "s_above": lambda k, now, c: imitated(now.s[k + 1], c.P[k]),
    "r_above": lambda k, now, c: imitated(now.r[k + 1], c.P[k]),
}


def imitated(above: Array, P: Array | None) -> Array:
    """P_k s_{k+1}: what each ghost is to imitate; its partner where P is None."""
    return above if P is None else above @ P.mT


def post(matrix: str, k: int, now: Seen, c: Constants) -> Array:
    """The postsynaptic factor of a matrix' rule, (runs, batch, n_k or m_k)."""
    law = c.rules[matrix].post
    of = {name: _SYMBOLS[name](k, now, c) for name in arguments(law)}
    return _in_type_of(next(iter(of.values())), law(**of))


def pre(matrix: str, k: int, now: Seen, c: Constants) -> Array:
    """The presynaptic factor: of W_k in the layer below, of W_pg_k in layer k, of W_gp_k the ghosts of layer k."""
    return getattr(now, c.rules[matrix].pre)[k - 1 if matrix == "W" else k]


def changed(M: Array, matrix: str, k: int, post: Array, pre: Array, share: float, dt: float, c: Constants) -> Array:
    """M after dt: M + dt (η Σ post pre^T - λ M), the first part clipped where the model clips."""
    rule, eta = c.rules[matrix], share * c.rules[matrix].rate[k]
    owned = M.ndim > post.ndim  # by each example
    dM = eta * (post[..., :, None] * pre[..., None, :] if owned else post.mT @ pre)
    if rule.clip is not None:
        dM = array_namespace(dM).clip(dM, -rule.clip, rule.clip)
    return M + dt * (dM - rule.decay * M if rule.decay else dM)


def see(w: Weights, z: State, x: Array, y: Array, beta: Array | float, c: Constants) -> Seen:
    """Everything that follows from the activities and the weights."""
    r, rho_g = rates(z, x, c)
    return Seen(z.s, z.g, r, rho_g, errors(w, z, r, rho_g, y, beta, c))


def step(
    w: Weights, z: State, x: Array, y: Array, beta: float, c: Constants, acting: Mapping[str, float]
) -> tuple[Weights, State]:
    """One Euler step of all activities and of the plastic weights.

    Args:
        x: input (runs, batch, n_0). y: target (runs, batch, n_N). beta: nudging strength, 0 in the free phase.
        acting: the matrices whose rules act, each with the share that the phase's learning signal counts for.
    """
    N = len(w.W) - 1
    now = see(w, z, x, y, beta, c)
    s, g = list(z.s), list(z.g)
    for k in range(1, N + 1):
        s[k] = z.s[k] + c.dt / c.tau * (-z.s[k] + now.r[k - 1] @ w.W[k].mT + now.e[k])  # (2)
    for k in range(1, N):
        g[k] = z.g[k] + c.dt / c.tau * (-z.g[k] + now.r[k] @ w.W_pg[k].mT)  # (3)
    learned = w._asdict()
    for matrix, share in acting.items():  # (4), (5), (6), (15)
        learned[matrix] = list(learned[matrix])
        for k in range(1, len(learned[matrix])):
            factors = post(matrix, k, now, c), pre(matrix, k, now, c)
            learned[matrix][k] = changed(learned[matrix][k], matrix, k, *factors, share, c.dt, c)
    return Weights(**learned | {"B": feedback(learned["W"], w.B, c.symmetric)}), State(s, g)


def update_once(w: Weights, ends: list[tuple[float, Seen]], c: Constants) -> Weights:
    """W at the end of a presentation (16); no dt. Of several nudged phases: the sum of the learning signals, times
    their shares, and the mean of the rates below.

    Args:
        ends: the end of each nudged phase, with the share that it counts for.
    """
    W = list(w.W)
    for k in range(1, len(W)):
        signal = sum(share * post("W", k, now, c) for share, now in ends)
        below = sum(pre("W", k, now, c) for _, now in ends) / len(ends)
        W[k] = changed(W[k], "W", k, signal, below, 1.0, 1.0, c)  # (16)
    return w._replace(W=W, B=feedback(W, w.B, c.symmetric))


def feedback(W: Layers, B: Layers, symmetric: bool) -> Layers:
    """B_k: the transpose of W_{k+1} at all times under TF; as it was under FA."""
    return [None, *(W_above.mT for W_above in W[2:])] if symmetric else B


def feedforward(W: Layers, x: Array, name: str) -> Layers:
    """u_k = W_k ρ(u_{k-1}), k = 1 … N, with ρ(u_0) = x: the MLP that the free phase settles to (Theorem 1)."""
    u: Layers = [None]
    r = x
    for W_k in W[1:]:
        u.append(r @ W_k.mT)
        r = transfer(u[-1], name)
    return u
