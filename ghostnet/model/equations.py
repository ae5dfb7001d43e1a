"""The page of equations: ghost-unit networks in the paper's symbols (arXiv:1911.08585).

    (2)  τ ds_k/dt = -s_k + W_k r_{k-1} + e_k            k = 1 … N
         e_k = B_k r_{k+1} - W^gp_k ρ(g_k)               hidden k
         e_N = -β ∂C/∂r_N                                output: β (y - r_N) for C = ½ ‖y - r_N‖²; free phase: 0
    (3)  τ dg_k/dt = -g_k + W^pg_k r_k                   hidden k

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
                                            owns its own (MB)

Euler steps are forward: every right-hand side is taken at the current state and weights, then all advance together.
"""

from __future__ import annotations

from typing import NamedTuple

from ghostnet.model import names


class Weights(NamedTuple):
    """The weight matrices, lists over k."""

    W: list
    B: list
    W_pg: list
    W_gp: list


class State(NamedTuple):
    """The activities, lists over k."""

    s: list
    g: list


class Constants(NamedTuple):
    """τ and dt in s, η and η^g in 1/s as lists over k, and the three named choices of an experiment."""

    tau: float
    dt: float
    eta: list
    eta_ghost: list
    clip: float | None
    symmetric: bool  # TF: B_k = W_{k+1}^T
    rule: str
    transfer: str
    cost: str = "quadratic"


class Plastic(NamedTuple):
    """Which matrices change during the phase."""

    W: bool
    W_pg: bool
    W_gp: bool


def array_namespace(array):
    """The functions that go with an array: its own where it names them (NumPy), else array-api-compat's (torch)."""
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    from array_api_compat import array_namespace as namespace_of  # here, because NumPy alone needs none

    return namespace_of(array)


def transfer(s, name: str):
    """ρ(s), elementwise."""
    return _in_type_of(s, names.transfer(name).rho(s))


def transfer_slope(s, name: str):
    """ρ'(s), elementwise."""
    return _in_type_of(s, names.transfer(name).slope(s, transfer(s, name)))


def output_error(y, s, r, name: str):
    """-∂C/∂r_N, elementwise: y - r_N for the quadratic cost."""
    return _in_type_of(s, names.cost(name).error(y, s, r))


def output_error_slope(y, s, name: str, transfer_name: str):
    """The derivative of the output error by s_N, elementwise."""
    r, d = transfer(s, transfer_name), transfer_slope(s, transfer_name)
    return _in_type_of(s, names.cost(name).slope(y, s, r, d))


def _in_type_of(s, value):
    """What a law says of s, as an array of s's type: by its text it may be a number, or float64."""
    xp = array_namespace(s)
    if not hasattr(value, "dtype"):
        return xp.full_like(s, value)
    return value if value.dtype == s.dtype else xp.astype(value, s.dtype)


def rates(z: State, x, c: Constants) -> tuple[list, list]:
    """r_k = ρ(s_k) for k = 0 … N, with r_0 = x, and ρ(g_k) for hidden k."""
    return [x, *(transfer(s, c.transfer) for s in z.s[1:])], [
        None,
        *(transfer(g, c.transfer) for g in z.g[1:]),
    ]


def errors(w: Weights, z: State, r: list, rho_g: list, y, beta, c: Constants) -> list:
    """e_k for k = 1 … N, from the activities and their rates."""
    e = [None]
    for k in range(1, len(rho_g)):
        e.append(r[k + 1] @ w.B[k].mT - cancellation(w.W_gp[k], rho_g[k]))  # (2), hidden
    return [*e, beta * output_error(y, z.s[-1], r[-1], c.cost)]  # (2), output


def cancellation(W_gp, rho_g):
    """W^gp_k ρ(g_k), with a matrix shared by the batch or one per example."""
    return (W_gp @ rho_g[..., None])[..., 0] if W_gp.ndim > rho_g.ndim else rho_g @ W_gp.mT


def learning_signal(s, e, c: Constants):
    """The postsynaptic factor of (6) and (16): ρ(s_k) - ρ(s_k - e_k), or its first order ρ'(s_k) e_k."""
    if c.rule == "derivative":
        return transfer_slope(s, c.transfer) * e
    return transfer(s, c.transfer) - transfer(s - e, c.transfer)


def feedforward_rate(k: int, s, r, e, c: Constants):
    """dW_k/dt = η_k Σ (ρ(s_k) - ρ(s_k - e_k)) r_{k-1}^T, clipped where the model clips (6)."""
    dW = c.eta[k] * (learning_signal(s[k], e[k], c).mT @ r[k - 1])
    return dW if c.clip is None else array_namespace(dW).clip(dW, -c.clip, c.clip)


def fast_outer(W_gp, e, rho_g):
    """e_k ρ(g_k)^T per example where every example owns its W^gp (15), else summed over the batch (5)."""
    return e[..., :, None] * rho_g[..., None, :] if W_gp.ndim > rho_g.ndim else e.mT @ rho_g


def step(w: Weights, z: State, x, y, beta, c: Constants, plastic: Plastic) -> tuple[Weights, State]:
    """One Euler step of all activities and of the plastic weights.

    Args:
        x: input (runs, batch, n_0). y: target (runs, batch, n_N). beta: nudging strength, 0 in the free phase.
    """
    N = len(w.W) - 1
    r, rho_g = rates(z, x, c)
    e = errors(w, z, r, rho_g, y, beta, c)
    s, g, W, W_pg, W_gp = list(z.s), list(z.g), list(w.W), list(w.W_pg), list(w.W_gp)
    for k in range(1, N + 1):
        s[k] = z.s[k] + c.dt / c.tau * (-z.s[k] + r[k - 1] @ w.W[k].mT + e[k])  # (2)
        if plastic.W:
            W[k] = w.W[k] + c.dt * feedforward_rate(k, z.s, r, e, c)  # (6)
    for k in range(1, N):
        g[k] = z.g[k] + c.dt / c.tau * (-z.g[k] + r[k] @ w.W_pg[k].mT)  # (3)
        if plastic.W_pg:
            W_pg[k] = w.W_pg[k] + c.dt * c.eta_ghost[k] * ((z.s[k + 1] - z.g[k]).mT @ r[k])  # (4)
        if plastic.W_gp:
            W_gp[k] = w.W_gp[k] + c.dt * c.eta_ghost[k] * fast_outer(w.W_gp[k], e[k], rho_g[k])  # (5), (15)
    return Weights(W, feedback(W, w.B, c), W_pg, W_gp), State(s, g)


def update_once(w: Weights, z: State, x, y, beta, c: Constants) -> Weights:
    """W_k += η_k Σ (ρ(s_k) - ρ(s_k - e_k)) r_{k-1}^T at the end of the clamped phase (16); no dt."""
    r, rho_g = rates(z, x, c)
    e = errors(w, z, r, rho_g, y, beta, c)
    W = [None, *(w.W[k] + feedforward_rate(k, z.s, r, e, c) for k in range(1, len(w.W)))]
    return w._replace(W=W, B=feedback(W, w.B, c))


def feedback(W: list, B: list, c: Constants) -> list:
    """B_k: the transpose of W_{k+1} at all times under TF; as it was under FA."""
    return [None, *(W_above.mT for W_above in W[2:])] if c.symmetric else B


def feedforward(W: list, x, name: str) -> list:
    """u_k = W_k ρ(u_{k-1}), k = 1 … N, with ρ(u_0) = x: the MLP that the free phase settles to (Theorem 1)."""
    u, r = [None], x
    for W_k in W[1:]:
        u.append(r @ W_k.mT)
        r = transfer(u[-1], name)
    return u
