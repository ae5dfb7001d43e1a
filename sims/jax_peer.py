"""The ghost-unit equations in plain JAX: the fair competitor that the Numba engine is timed against.

    python sims/jax_peer.py mb --presentations 200 --cpu 1
    python sims/jax_peer.py ma --sizes 784 500 10 --feedback FA --presentations 3 --images images.npy

prints one JSON line with the seconds per presentation (float32, one CPU thread, compiled and warmed up before the
clock starts). Needs only jax and numpy, and imports nothing of ghostnet. With --npz-in and --npz-out another process
can start it from its own weights and compare the outcome. Equation numbers: arXiv:1911.08585 (2019).
"""

import argparse
import json
import os
import time
from functools import partial
from typing import NamedTuple

import numpy as np

DEFAULTS = {  # mb-500 and ma-500 of the paper; eta by feedback
    "mb": {"dt": 0.005, "beta": 0.1, "init": 0.05, "batch": 1, "free_steps": 100, "clamped_steps": 40, "ghosts": [5],
           "eta": {"TF": [4, 0.04], "FA": [8, 0.2]}, "eta_ghost": [20], "presentations": 200},
    "ma": {"dt": 0.001, "beta": 10, "init": 0.2, "batch": 100, "free_steps": 200, "clamped_steps": 200, "ghosts": [10],
           "eta": {"TF": [0.1, 0.1], "FA": [0.1, 0.1]}, "eta_ghost": [0.05], "presentations": 3},
}


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("model", choices=("mb", "ma"))
    add("--sizes", type=int, nargs="+", default=[784, 500, 10])
    add("--feedback", choices=("TF", "FA"), default="TF")
    for name in ("ghosts", "eta", "eta-ghost"):
        add(f"--{name}", type=int if name == "ghosts" else float, nargs="+", help="one value per layer that has it")
    for name in ("dt", "beta", "init"):
        add(f"--{name}", type=float)
    add("--tau", type=float, default=0.01)
    for name in ("free-steps", "clamped-steps", "batch", "presentations"):
        add(f"--{name}", type=int)
    add("--repeats", type=int, default=5, help="timed passes over all presentations")
    add("--seed", type=int, default=0)
    add("--cpu", type=int, help="pin the process to this CPU")
    add("--images", help="npy file (count, n_0); uint8 is divided by 255")
    add("--npz-in", help="start from W_k, B_k (FA), W_pg_k, W_gp_k, s_k, g_k, xs, ys")
    add("--npz-out", help="write the same arrays as they are after the first pass over xs")
    args = parser.parse_args()
    for name, value in DEFAULTS[args.model].items():
        if getattr(args, name) is None:
            setattr(args, name, value[args.feedback] if isinstance(value, dict) else value)
    hidden = len(args.sizes) - 2
    for name, expected in (("ghosts", hidden), ("eta", hidden + 1), ("eta_ghost", hidden)):
        if len(getattr(args, name)) != expected:
            option = name.replace("_", "-")
            parser.error(f"--{option} expects {expected} values for these sizes, got {getattr(args, name)}")
    if args.model == "ma" and args.ghosts != args.sizes[2:]:
        parser.error(f"MA pairs ghosts with the layer above: --ghosts expects {args.sizes[2:]}, got {args.ghosts}")
    return args


if __name__ == "__main__":  # one thread: to be settled before jax starts its thread pools
    ARGS = options()
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["NPROC"] = "1"
    if ARGS.cpu is not None:
        os.sched_setaffinity(0, {ARGS.cpu})

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402
from jax.nn import sigmoid as rho  # noqa: E402


class Settings(NamedTuple):
    """Python numbers and tuples, static for jit; eta[k] and eta_ghost[k] by the paper's k, slot 0 unused."""

    feedback: str
    dt: float
    tau: float
    beta: float
    free_steps: int
    clamped_steps: int
    eta: tuple
    eta_ghost: tuple


class Weights(NamedTuple):
    """Lists by the paper's k, None where there is none. MB: W_gp[k] (batch, n_k, m_k); TF: every B[k] is None."""

    W: list
    B: list
    W_pg: list
    W_gp: list


class State(NamedTuple):
    """s[k] (batch, n_k) for k = 1 … N and g[k] (batch, m_k) for k = 1 … N-1; slot 0 is None."""

    s: list
    g: list


# The functions below act on the last axis, so they serve one example (n,) and a batch (batch, n) alike. Feedback and
# ghost weights are held transposed, B^T (n_{k+1}, n_k) and W_gp^T (m_k, n_k): the long axis is then the contiguous one.
#
# Tried for mb-500 TF (µs a step, one core of a Xeon of the Sapphire Rapids family, jax 0.10.2, W_1 included):
#   VARIANTS
# Not taken, as no longer plain: skipping the zero pixels, hand-stacked [W_2; W_pg] (no gain).
UNROLL = {"mb": 4, "ma": 1}


def errors(x, y, s, g, w, beta, c):
    """Rates r (r_0 = x), ghost rates q, and e_k = B_k r_{k+1} - W^gp_k q_k, e_N = β (y - r_N)."""
    N = len(s) - 1
    r = [x, *map(rho, s[1:])]
    q = [None, *map(rho, g[1:])]
    B_T = w.W[1:] if c.feedback == "TF" else w.B
    e = [None, *(r[k + 1] @ B_T[k] - q[k] @ w.W_gp[k] for k in range(1, N)), beta * (y - r[N])]
    return r, q, e


def feed(M, r):
    return M @ r if r.ndim == 1 else r @ M.T


def advance(s, g, r, e, u_1, w, c):
    """One Euler step of (2) and (3); u_1 = W_1 r_0."""
    N, h = len(s) - 1, c.dt / c.tau
    drive = [None, u_1, *(feed(w.W[k], r[k - 1]) for k in range(2, N + 1))]
    s_new = [None, *(s[k] + h * (drive[k] - s[k] + e[k]) for k in range(1, N + 1))]  # (2)
    g_new = [None, *(g[k] + h * (feed(w.W_pg[k], r[k]) - g[k]) for k in range(1, N))]  # (3)
    return s_new, g_new


def iterate(step, carry, steps, unroll):
    return lax.scan(lambda carry, _: (step(*carry), None), carry, length=steps, unroll=unroll)[0]


def transposed(weights):
    """Swaps the last two axes of B and W_gp, on the way in and on the way out."""
    swap = partial(jax.tree.map, lambda M: jnp.swapaxes(M, -1, -2))
    return weights._replace(B=swap(weights.B), W_gp=swap(weights.W_gp))


def for_each_example(function, batch):
    """vmap over the leading axis; a batch of one is unwrapped instead, which is 5 % faster."""
    if batch > 1:
        return jax.vmap(function)
    return lambda *a: jax.tree.map(lambda v: v[None], function(*jax.tree.map(lambda v: v[0], a)))


@partial(jax.jit, static_argnames="c")
def run_mb(weights, state, xs, ys, c):
    """MB: xs (presentations, batch, n_0), ys (presentations, batch, n_N). Returns the new (weights, state)."""
    N = len(weights.W) - 1
    weights = transposed(weights)

    def present(carry, xy):
        W, W_gp, state = carry
        slow = weights._replace(W=W)

        def phases(x, y, W_gp, s, g):  # one example: vectors; slow weights stay put, so W_1 x is computed once
            u_1 = feed(W[1], x)

            def free(s, g, W_gp):
                w = slow._replace(W_gp=W_gp)
                r, q, e = errors(x, y, s, g, w, 0.0, c)
                learned = [None, *(W_gp[k] + c.dt * c.eta_ghost[k] * jnp.outer(q[k], e[k]) for k in range(1, N))]  # (15)
                return *advance(s, g, r, e, u_1, w, c), learned

            def clamped(s, g):
                r, _, e = errors(x, y, s, g, w, c.beta, c)
                return advance(s, g, r, e, u_1, w, c)

            s, g, W_gp = iterate(free, (s, g, W_gp), c.free_steps, UNROLL["mb"])
            w = slow._replace(W_gp=W_gp)
            s, g = iterate(clamped, (s, g), c.clamped_steps, UNROLL["mb"])
            r, _, e = errors(x, y, s, g, w, c.beta, c)
            d = [None, *(r[k] - rho(s[k] - e[k]) for k in range(1, N + 1))]
            return W_gp, State(s, g), d, r

        W_gp, state, d, r = for_each_example(phases, len(xy[0]))(*xy, W_gp, *state)
        W = [None, *(W[k] + c.eta[k] * (d[k].T @ r[k - 1]) for k in range(1, N + 1))]  # (16)
        return (W, W_gp, state), None

    (W, W_gp, state), _ = lax.scan(present, (weights.W, weights.W_gp, state), (xs, ys))
    return transposed(weights._replace(W=W, W_gp=W_gp)), state


@partial(jax.jit, static_argnames="c")
def run_ma(weights, state, xs, ys, c):
    """MA: shapes and result as in run_mb, W_gp[k] (n_k, m_k), m_k = n_{k+1}."""
    N = len(weights.W) - 1

    def present(carry, xy):
        w, state = carry
        x, y = xy
        u_1 = x @ w.W[1].T
        W = w.W

        def free(s, g, W_pg, W_gp):
            w_now = w._replace(W_pg=W_pg, W_gp=W_gp)
            r, q, e = errors(x, y, s, g, w_now, 0.0, c)
            h = [None, *(c.dt * c.eta_ghost[k] for k in range(1, N))]
            W_pg = [None, *(W_pg[k] + h[k] * ((s[k + 1] - g[k]).T @ r[k]) for k in range(1, N))]  # (4)
            W_gp = [None, *(W_gp[k] + h[k] * (q[k].T @ e[k]) for k in range(1, N))]  # (5)
            return *advance(s, g, r, e, u_1, w_now, c), W_pg, W_gp

        def clamped(s, g, W):
            w_now = w._replace(W=W)
            r, _, e = errors(x, y, s, g, w_now, c.beta, c)
            d = [None, *(r[k] - rho(s[k] - e[k]) for k in range(1, N + 1))]
            W = [None, *(W[k] + c.dt * c.eta[k] * (d[k].T @ r[k - 1]) for k in range(1, N + 1))]  # (6)
            return *advance(s, g, r, e, x @ w_now.W[1].T, w_now, c), W

        s, g, W_pg, W_gp = iterate(free, (*state, w.W_pg, w.W_gp), c.free_steps, UNROLL["ma"])
        w = w._replace(W_pg=W_pg, W_gp=W_gp)
        s, g, W = iterate(clamped, (s, g, W), c.clamped_steps, UNROLL["ma"])
        return (w._replace(W=W), State(s, g)), None

    (weights, state), _ = lax.scan(present, (transposed(weights), state), (xs, ys))
    return transposed(weights), state


def arrays(args):
    """Initial arrays by npz key: uniform weights, zero states, digit-like images (19 % of the pixels lit) in [0, 1]."""
    rng = np.random.Generator(np.random.Philox(args.seed))
    n, N, P, batch = args.sizes, len(args.sizes) - 1, args.presentations, args.batch
    lane = (batch,) if args.model == "mb" else ()
    shapes = {f"W_{k}": (n[k], n[k - 1]) for k in range(1, N + 1)}
    for k, m in enumerate(args.ghosts, start=1):
        shapes |= {f"W_pg_{k}": (m, n[k]), f"W_gp_{k}": (*lane, n[k], m)}
        shapes |= {f"B_{k}": (n[k], n[k + 1])} if args.feedback == "FA" else {}
    new = {key: rng.uniform(-args.init, args.init, shape) for key, shape in shapes.items()}
    new |= {f"s_{k}": np.zeros((batch, n[k])) for k in range(1, N + 1)}
    new |= {f"g_{k}": np.zeros((batch, m)) for k, m in enumerate(args.ghosts, start=1)}
    if args.images:
        images = np.load(args.images, allow_pickle=False)
        images = images.reshape(len(images), -1) / (255 if images.dtype == np.uint8 else 1)
        new["xs"] = images[rng.integers(len(images), size=(P, batch))]
    else:
        lit = rng.random((P, batch, n[0])) < 0.19
        new["xs"] = np.where(lit, rng.integers(1, 256, lit.shape), 0) / 255
    new["ys"] = np.eye(n[N])[rng.integers(n[N], size=(P, batch))]
    return new


def main(args):
    with_zero = lambda values: (None, *map(float, values))
    c = Settings(args.feedback, args.dt, args.tau, args.beta, args.free_steps, args.clamped_steps,
                 with_zero(args.eta), with_zero(args.eta_ghost))
    data = dict(np.load(args.npz_in, allow_pickle=False)) if args.npz_in else arrays(args)
    data = {key: jnp.asarray(value, jnp.float32) for key, value in data.items()}
    hidden = range(len(args.sizes) - 1)
    layers = lambda name, ks: [data.get(f"{name}_{k}") for k in ks]
    weights = Weights(layers("W", range(len(args.sizes))), *(layers(name, hidden) for name in ("B", "W_pg", "W_gp")))
    state = State(layers("s", range(len(args.sizes))), layers("g", hidden))
    run = partial({"mb": run_mb, "ma": run_ma}[args.model], xs=data["xs"], ys=data["ys"], c=c)

    weights, state = jax.block_until_ready(run(weights, state))  # compiles, warms up, and is the result to compare
    norm = lambda values: float(np.sqrt(sum(float(jnp.vdot(v, v)) for v in values[1:])))
    check = {"s_norm": norm(state.s), "W_norm": norm(weights.W)}
    if args.npz_out:
        groups = (weights._asdict() | state._asdict()).items()
        np.savez(args.npz_out, **{f"{name}_{k}": v for name, vs in groups for k, v in enumerate(vs) if v is not None})
    seconds, cpu, wall = [], time.process_time(), time.perf_counter()
    for _ in range(args.repeats):
        start = time.perf_counter()
        weights, state = jax.block_until_ready(run(weights, state))
        seconds.append((time.perf_counter() - start) / len(data["xs"]))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({
        "jax": jax.__version__, "model": args.model, "feedback": c.feedback, "sizes": args.sizes, "ghosts": args.ghosts,
        "batch": data["xs"].shape[1], "presentations": len(data["xs"]), "seconds_per_presentation": seconds,
        "microseconds_per_step": 1e6 * float(np.median(seconds)) / (c.free_steps + c.clamped_steps),
        "threads": 1, "cpu_over_wall": round(cpu / wall, 3), "check": check,
    }))


if __name__ == "__main__":
    main(ARGS)
