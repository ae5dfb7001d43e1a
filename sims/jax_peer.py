"""The ghost-unit equations in plain JAX: the fair competitor that the Numba engine is timed against.

    python sims/jax_peer.py mb --presentations 200 --cpu 1
    python sims/jax_peer.py ma --sizes 784 500 10 --feedback FA --presentations 3 --images images.npy

prints one JSON line: seconds per presentation (float32, one CPU thread, compiled and warmed up first).
Needs only jax and numpy and imports nothing of ghostnet. With --npz-in and --npz-out another process can give
it weights and inputs and compare what comes out. Equation numbers: arXiv:1911.08585 (2019).
"""

import argparse
import json
import os
import time
from functools import partial
from typing import NamedTuple

import numpy as np

DEFAULTS = {  # mb-500 and ma-500 of the paper, eta by feedback
    "mb": {"dt": 0.005, "beta": 0.1, "init": 0.05, "batch": 1, "free_steps": 100, "clamped_steps": 40,
           "ghosts": [5], "eta": {"TF": [4, 0.04], "FA": [8, 0.2]}, "eta_ghost": [20], "presentations": 200},
    "ma": {"dt": 0.001, "beta": 10, "init": 0.2, "batch": 100, "free_steps": 200, "clamped_steps": 200,
           "ghosts": [10], "eta": [0.1, 0.1], "eta_ghost": [0.05], "presentations": 3},
}  # fmt: skip


def options():
    parser = argparse.ArgumentParser(description="Times the equations in plain JAX; see the top of the file.")
    add = parser.add_argument
    add("model", choices=("mb", "ma"))
    add("--sizes", type=int, nargs="+", default=[784, 500, 10])
    add("--feedback", choices=("TF", "FA"), default="TF")
    for name in ("ghosts", "eta", "eta-ghost"):
        add(f"--{name}", type=int if name == "ghosts" else float, nargs="+", help="one value per layer")
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
            option, values = name.replace("_", "-"), getattr(args, name)
            parser.error(f"--{option} expects {expected} values for {len(args.sizes)} layers, got {values}")
    if args.model == "ma" and args.ghosts != args.sizes[2:]:
        parser.error(f"--ghosts expects the sizes of the layers above, {args.sizes[2:]}, got {args.ghosts}")
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
    """Python numbers, static for jit; eta[k] and eta_ghost[k] by the paper's k, slot 0 unused."""

    feedback: str
    dt: float
    tau: float
    beta: float
    free_steps: int
    clamped_steps: int
    eta: tuple
    eta_ghost: tuple


class Weights(NamedTuple):
    """Lists by the paper's k, None where there is none. MB: W_gp[k] (batch, n_k, m_k); TF: B all None."""

    W: list
    B: list
    W_pg: list
    W_gp: list


class State(NamedTuple):
    """s[k] (batch, n_k) for k = 1 … N and g[k] (batch, m_k) for k = 1 … N-1; slot 0 is None."""

    s: list
    g: list


# Tried, in µs a step (time of a presentation / steps): one Sapphire Rapids core, jax 0.10.2, the fastest of 7 to 15
# passes, variants interleaved in one process (the core was shared; medians are 5 to 20 % above and rank alike).
# mb-500 TF  as here, unroll 1: 2.7, 2: 2.55, 4: 2.5, 10: 2.85, 20: 3.8
#            r @ W.T instead of W @ r for one example: 2.9 (and 6.5 s to compile instead of 2 s); vmap over it: 2.55
#            at unroll 1: W_gp as (n_k, m_k), its short axis contiguous: 4.4; W_2^T stored for the forward product:
#            5.6; batch axis kept: einsum 4.8, multiply and sum 3.3, W_gp transposed 3.0; all products as multiply
#            and sum: 6.6; [W_2; W_pg] stacked, rho through tanh: no gain
# ma-500 TF  unroll 1: 840, 2: 775, 4: 825; the two products with W_1 are nearly 90 % of the time and run at
#            110 GFLOP/s; storing W_1 transposed makes them 5 % slower
# XLA's options (fast math, vector width, scheduler, XNNPACK) change less than 10 %. Not taken, as no longer plain:
# skipping the zero pixels; the Gram matrix for W_1 in MA's clamped phase.
UNROLL = {"mb": 4, "ma": 2}


def feed(M, r):
    """M r for one example r (n,), row by row for a batch (batch, n)."""
    return M @ r if r.ndim == 1 else r @ M.T


def errors(x, y, s, g, w, beta, c):
    """Rates r (r_0 = x), ghost rates q = ρ(g), errors e; B and W_gp are held transposed."""
    N = len(s) - 1
    r = [x, *map(rho, s[1:])]
    q = [None, *map(rho, g[1:])]
    B_T = w.W[1:] if c.feedback == "TF" else w.B
    e = [None, *(r[k + 1] @ B_T[k] - q[k] @ w.W_gp[k] for k in range(1, N)), beta * (y - r[N])]
    return r, q, e


def advance(s, g, r, e, u_1, w, c):
    """One Euler step of (2) and (3); u_1 = W_1 r_0."""
    N, h = len(s) - 1, c.dt / c.tau
    u = [None, u_1, *(feed(w.W[k], r[k - 1]) for k in range(2, N + 1))]
    s_new = [None, *(s[k] + h * (u[k] - s[k] + e[k]) for k in range(1, N + 1))]  # (2)
    g_new = [None, *(g[k] + h * (feed(w.W_pg[k], r[k]) - g[k]) for k in range(1, N))]  # (3)
    return s_new, g_new


def iterate(step, carry, steps, unroll):
    return lax.scan(lambda carry, _: (step(*carry), None), carry, length=steps, unroll=unroll)[0]


def transposed(weights):
    """Swaps the last two axes of every B and W_gp, on the way in and on the way out."""
    swap = partial(jax.tree.map, lambda M: jnp.swapaxes(M, -1, -2))
    return weights._replace(B=swap(weights.B), W_gp=swap(weights.W_gp))


def for_each_example(function, batch):
    """vmap over the leading axis; a batch of one is unwrapped, which is faster."""
    if batch > 1:
        return jax.vmap(function)
    return lambda *args: jax.tree.map(lambda v: v[None], function(*jax.tree.map(lambda v: v[0], args)))


@partial(jax.jit, static_argnames="c")
def run_mb(weights, state, xs, ys, c):
    """MB: xs (presentations, batch, n_0), ys (presentations, batch, n_N). Returns new weights and state."""
    N = len(weights.W) - 1
    weights = transposed(weights)

    def phases(W, x, y, W_gp, s, g):  # one example; W_1 stays put, so W_1 x is computed once
        u_1 = feed(W[1], x)

        def free(s, g, W_gp):
            w = weights._replace(W=W, W_gp=W_gp)
            r, q, e = errors(x, y, s, g, w, 0.0, c)
            dW_gp = [None, *(c.eta_ghost[k] * jnp.outer(q[k], e[k]) for k in range(1, N))]  # (15)
            return *advance(s, g, r, e, u_1, w, c), jax.tree.map(lambda M, dM: M + c.dt * dM, W_gp, dW_gp)

        def clamped(s, g):
            r, _, e = errors(x, y, s, g, w, c.beta, c)
            return advance(s, g, r, e, u_1, w, c)

        s, g, W_gp = iterate(free, (s, g, W_gp), c.free_steps, UNROLL["mb"])
        w = weights._replace(W=W, W_gp=W_gp)
        s, g = iterate(clamped, (s, g), c.clamped_steps, UNROLL["mb"])
        r, _, e = errors(x, y, s, g, w, c.beta, c)
        d = [None, *(r[k] - rho(s[k] - e[k]) for k in range(1, N + 1))]
        return W_gp, State(s, g), d, r

    def present(carry, xy):
        W, W_gp, state = carry
        W_gp, state, d, r = for_each_example(partial(phases, W), len(xy[0]))(*xy, W_gp, *state)
        W = [None, *(W[k] + c.eta[k] * (d[k].T @ r[k - 1]) for k in range(1, N + 1))]  # (16)
        return (W, W_gp, state), None

    (W, W_gp, state), _ = lax.scan(present, (weights.W, weights.W_gp, state), (xs, ys))
    return transposed(weights._replace(W=W, W_gp=W_gp)), state


@partial(jax.jit, static_argnames="c")
def run_ma(weights, state, xs, ys, c):
    """MA: shapes and result as in run_mb, but W_gp[k] is (n_k, m_k) and m_k = n_{k+1}."""
    N = len(weights.W) - 1

    def euler(Ms, dMs, eta):
        return [None, *(Ms[k] + c.dt * eta[k] * dMs[k] for k in range(1, len(Ms)))]

    def present(carry, xy):
        w, state = carry
        x, y = xy
        u_1 = feed(w.W[1], x)

        def free(s, g, W_pg, W_gp):
            v = w._replace(W_pg=W_pg, W_gp=W_gp)
            r, q, e = errors(x, y, s, g, v, 0.0, c)
            dW_pg = [None, *((s[k + 1] - g[k]).T @ r[k] for k in range(1, N))]  # (4)
            dW_gp = [None, *(q[k].T @ e[k] for k in range(1, N))]  # (5)
            plastic = euler(W_pg, dW_pg, c.eta_ghost), euler(W_gp, dW_gp, c.eta_ghost)
            return *advance(s, g, r, e, u_1, v, c), *plastic

        def clamped(s, g, W):
            v = w._replace(W=W)
            r, _, e = errors(x, y, s, g, v, c.beta, c)
            dW = [None, *((r[k] - rho(s[k] - e[k])).T @ r[k - 1] for k in range(1, N + 1))]  # (6)
            return *advance(s, g, r, e, feed(W[1], x), v, c), euler(W, dW, c.eta)

        s, g, W_pg, W_gp = iterate(free, (*state, w.W_pg, w.W_gp), c.free_steps, UNROLL["ma"])
        w = w._replace(W_pg=W_pg, W_gp=W_gp)
        s, g, W = iterate(clamped, (s, g, w.W), c.clamped_steps, UNROLL["ma"])
        return (w._replace(W=W), State(s, g)), None

    (weights, state), _ = lax.scan(present, (transposed(weights), state), (xs, ys))
    return transposed(weights), state


def fresh(args):
    """Arrays by npz key: uniform weights, zero states, digit-like images with 19 % of the pixels lit."""
    rng = np.random.Generator(np.random.Philox(args.seed))
    n, m, lead = args.sizes, [None, *args.ghosts], (args.presentations, args.batch)
    lane = (args.batch,) if args.model == "mb" else ()
    shapes = {f"W_{k}": (n[k], n[k - 1]) for k in range(1, len(n))}
    for k in range(1, len(m)):
        shapes |= {f"W_pg_{k}": (m[k], n[k]), f"W_gp_{k}": (*lane, n[k], m[k])}
        shapes |= {f"B_{k}": (n[k], n[k + 1])} if args.feedback == "FA" else {}
    data = {key: rng.uniform(-args.init, args.init, shape) for key, shape in shapes.items()}
    data |= {f"s_{k}": np.zeros((args.batch, n[k])) for k in range(1, len(n))}
    data |= {f"g_{k}": np.zeros((args.batch, m[k])) for k in range(1, len(m))}
    if args.images:
        images = np.load(args.images, allow_pickle=False)
        images = images.reshape(len(images), -1) / (255 if images.dtype == np.uint8 else 1)
        data["xs"] = images[rng.integers(len(images), size=lead)]
    else:
        data["xs"] = rng.integers(1, 256, (*lead, n[0])) / 255 * (rng.random((*lead, n[0])) < 0.19)
    data["ys"] = np.eye(n[-1])[rng.integers(n[-1], size=lead)]  # the clock does not care which label is right
    return data


def measure(run, weights, state, repeats):
    """Seconds of each pass, every pass carrying on from the last, and CPU time over wall time of them all."""
    stamps, cpu = [time.perf_counter()], time.process_time()
    for _ in range(repeats):
        weights, state = jax.block_until_ready(run(weights, state))
        stamps.append(time.perf_counter())
    return np.diff(stamps), (time.process_time() - cpu) / (stamps[-1] - stamps[0])


def main(args):
    by_layer = {name: (None, *map(float, getattr(args, name))) for name in ("eta", "eta_ghost")}
    c = Settings(**{name: getattr(args, name) for name in Settings._fields} | by_layer)
    data = np.load(args.npz_in, allow_pickle=False) if args.npz_in else fresh(args)
    data = {key: jnp.asarray(value, jnp.float32) for key, value in data.items()}
    xs, ys = data["xs"], data["ys"]
    N = len(args.sizes) - 1
    W, s = ([None, *(data[f"{name}_{k}"] for k in range(1, N + 1))] for name in ("W", "s"))
    lateral = ("B", "W_pg", "W_gp", "g")
    B, W_pg, W_gp, g = ([None, *(data.get(f"{name}_{k}") for k in range(1, N))] for name in lateral)
    run = partial({"mb": run_mb, "ma": run_ma}[args.model], xs=xs, ys=ys, c=c)

    first = jax.block_until_ready(run(Weights(W, B, W_pg, W_gp), State(s, g)))  # compiles and warms up
    if args.npz_out:
        lists = {**first[0]._asdict(), **first[1]._asdict()}
        named = {f"{name}_{k}": v for name, vs in lists.items() for k, v in enumerate(vs) if v is not None}
        np.savez(args.npz_out, xs=xs, ys=ys, **named)
    norms = [float(np.sqrt(sum(jnp.vdot(v, v) for v in vs[1:]))) for vs in (first[1].s, first[0].W)]
    seconds, ratio = measure(run, *first, args.repeats)
    seconds = seconds / len(xs)
    print(json.dumps({
        "jax": jax.__version__, "model": args.model, "feedback": args.feedback, "sizes": args.sizes,
        "ghosts": args.ghosts, "batch": xs.shape[1], "presentations": len(xs),
        "seconds_per_presentation": seconds.tolist(),
        "microseconds_per_step": 1e6 * np.median(seconds) / (c.free_steps + c.clamped_steps),
        "threads": 1, "cpu_over_wall": ratio, "check": dict(zip(("s_norm", "W_norm"), norms, strict=True)),
    }))  # fmt: skip


if __name__ == "__main__":
    main(ARGS)
