"""Laws of the dynamics (2), (3): convergence order, fixed points, symmetry, and the transfer functions."""

from __future__ import annotations

import numpy as np
import pytest
from builders import STILL, acting, distance, euler, experiment, inputs, of, order, running, simulator
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.special import expit

from ghostnet import build
from ghostnet.model.equations import State, Weights, errors, feedforward, rates, transfer, transfer_slope
from ghostnet.model.experiment import TRANSFERS

DEEP = (6, 5, 4, 3)
SECONDS = 0.02  # two time constants
STEP_COUNTS = (40, 80, 160, 320)


def exact_affine(w, z, x, y, beta, tau):
    """The state after SECONDS where ρ(s) = s/6 + 1/2: the exponential of the augmented matrix, example by example."""
    N = len(w.W) - 1
    parts = [("s", k) for k in range(1, N + 1)] + [("g", k) for k in range(1, N)]
    sizes = [getattr(z, name)[k].shape[-1] for name, k in parts]
    ends = np.cumsum(sizes)
    at = {part: slice(end - size, end) for part, size, end in zip(parts, sizes, ends, strict=True)}
    result = []
    for b in range(x.shape[1]):
        A, total = np.zeros((ends[-1] + 1, ends[-1] + 1)), ends[-1]
        A[:total, :total] = -np.eye(total)

        def couple(to, source, matrix, A=A):
            A[at[to], at[source]] += matrix / 6
            A[at[to], -1] += matrix.sum(1) / 2

        A[at["s", 1], -1] += w.W[1][0] @ x[0, b]
        for k in range(2, N + 1):
            couple(("s", k), ("s", k - 1), w.W[k][0])
        for k in range(1, N):
            own = w.W_gp[k][0, b] if w.W_gp[k].ndim == 4 else w.W_gp[k][0]
            couple(("s", k), ("s", k + 1), w.B[k][0])
            couple(("s", k), ("g", k), -own)
            couple(("g", k), ("s", k), w.W_pg[k][0])
        couple(("s", N), ("s", N), -beta * np.eye(sizes[N - 1]))
        A[at["s", N], -1] += beta * y[0, b]
        start = np.concatenate([*(getattr(z, name)[k][0, b] for name, k in parts), [1.0]])
        result.append((expm(SECONDS / tau * A) @ start)[:-1])
    return np.array(result)


def flat_state(z):
    return np.concatenate([*z.s[1:], *z.g[1:]], axis=-1)[0]


@pytest.mark.parametrize("feedback", ["TF", "FA"])
@pytest.mark.parametrize("model", ["MA", "MB"])
def test_euler_converges_with_order_one_to_the_matrix_exponential(model, feedback):
    e = experiment(model, DEEP, feedback=feedback, transfer="hard-sigmoid", batch=2)
    network = running(e)
    x, y = inputs(e, 1)
    args = (network.weights, network.state, x, y, e.beta)
    exact = exact_affine(*args, e.tau)
    off = []
    for count in STEP_COUNTS:
        c = network.constants._replace(dt=SECONDS / count)
        _, z = euler(*args, c, STILL, count)
        off.append(distance(flat_state(z), exact))
    assert np.abs(flat_state(network.state)).max() < 3 and np.abs(exact).max() < 2  # ρ is linear up to 3
    assert order(STEP_COUNTS, off) == pytest.approx(-1, abs=0.1)
    assert off[-1] < 0.01


def right_hand_side(x, y, e, shapes):
    """(2)-(6) and (15) for one run with the sigmoid, written a second time: d/dt of all arrays, flattened."""
    N, lane = e.depth, "b" if e.plasticity.owned else ""
    cuts = np.cumsum([np.prod(shape) for shape in shapes])[:-1]

    def function(_, flat):
        parts = [part.reshape(shape) for part, shape in zip(np.split(flat, cuts), shapes, strict=True)]
        s, g, W, P, G = (parts[i:j] for i, j in ((0, N), (N, 2 * N - 1), (2 * N - 1, 3 * N - 1),
                                                (3 * N - 1, 4 * N - 2), (4 * N - 2, 5 * N - 3)))  # fmt: skip
        r, q = [x, *map(expit, s)], [expit(a) for a in g]
        error = [
            np.einsum("ji,bj->bi", W[i + 1], r[i + 2]) - np.einsum(f"{lane}ij,bj->bi", G[i], q[i]) for i in range(N - 1)
        ] + [e.beta * (y - r[N])]
        ds = [(np.einsum("ij,bj->bi", W[i], r[i]) - s[i] + error[i]) / e.tau for i in range(N)]
        dg = [(np.einsum("ij,bj->bi", P[i], r[i + 1]) - g[i]) / e.tau for i in range(N - 1)]
        signal = [expit(s[i]) - expit(s[i] - error[i]) for i in range(N)]
        dW = [e.eta[i] * np.einsum("bi,bj->ij", signal[i], r[i]) for i in range(N)]
        dG = [e.eta_ghost[i] * np.einsum(f"bi,bj->{lane}ij", error[i], q[i]) for i in range(N - 1)]
        if e.plasticity.rule("W_pg"):
            dP = [e.eta_ghost[i] * np.einsum("bi,bj->ij", s[i + 1] - g[i], r[i + 1]) for i in range(N - 1)]
        else:
            dP = [np.zeros_like(a) for a in P]
        return np.concatenate([a.ravel() for a in (*ds, *dg, *dW, *dP, *dG)])

    return function


def flat_network(w, z):
    return [a[0] for a in (*z.s[1:], *z.g[1:], *w.W[1:], *w.W_pg[1:], *w.W_gp[1:])]


def learning(model):
    """A network of which all weights learn at once, its start as one vector, and its right-hand side."""
    e = experiment(model, DEEP, batch=2)
    network, (x, y) = running(e), inputs(e, 1)
    start = flat_network(network.weights, network.state)
    slope = right_hand_side(x[0], y[0], e, [a.shape for a in start])
    plastic = acting(*network.constants.rules)
    return network, x, y, plastic, np.concatenate([a.ravel() for a in start]), slope


@pytest.mark.parametrize("model", ["MA", "MB"])
def test_a_step_is_dt_times_the_right_hand_sides_at_the_current_state_and_weights(model):
    network, x, y, plastic, flat, slope = learning(model)
    e = network.experiment
    stepped = euler(network.weights, network.state, x, y, e.beta, network.constants, plastic, 1)
    moved = np.concatenate([a.ravel() for a in flat_network(*stepped)]) - flat
    assert np.abs(moved / e.dt - slope(0, flat)).max() < 1e-11


@pytest.mark.parametrize("model", ["MA", "MB"])
def test_euler_converges_with_order_one_to_the_solution_while_all_weights_learn(model):
    network, x, y, plastic, flat, slope = learning(model)
    exact = solve_ivp(slope, (0, SECONDS), flat, "DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
    off = []
    for count in STEP_COUNTS:
        c = network.constants._replace(dt=SECONDS / count)
        end = euler(network.weights, network.state, x, y, network.experiment.beta, c, plastic, count)
        off.append(distance(np.concatenate([a.ravel() for a in flat_network(*end)]), exact))
    assert order(STEP_COUNTS, off) == pytest.approx(-1, abs=0.1)
    assert off[-1] < 0.01 and distance(flat, exact) > 0.1


@pytest.mark.parametrize("feedback", ["TF", "FA"])
@pytest.mark.parametrize("sizes", [(8, 7, 4), (8, 7, 6, 4), (8, 7, 6, 5, 4)])
def test_the_free_phase_is_the_mlp_at_equilibrium_and_ghosts_cancel_the_feedback(sizes, feedback):
    """Theorem 1: s_k = u_k, and e_k = 0 for hidden k."""
    e = experiment("MB", sizes, feedback=feedback, dt=0.005, batch=2, eta_ghost=(60.0,) * (len(sizes) - 2))
    network = running(e)
    x, y = inputs(e, 1)
    fast = acting("W_gp")
    w, z = euler(network.weights, network.state, x, y, 0.0, network.constants, fast, 800)
    u, r = feedforward(w.W, x, e.transfer), x
    error = errors(w, z, *rates(z, x, network.constants), y, 0.0, network.constants)
    for k in range(1, e.depth + 1):
        mlp = np.einsum("rij,rbj->rbi", w.W[k], r)
        r = expit(mlp)
        assert distance(u[k], mlp) < 1e-12
        assert distance(z.s[k], mlp) < 1e-10
        assert np.abs(error[k]).max() < 1e-10
    c = network.constants
    before = errors(network.weights, network.state, *rates(network.state, x, c), y, 0.0, c)
    assert min(np.abs(before[k]).max() for k in range(1, e.depth)) > 0.01


def permuted_units(network, k, p):
    """The network with the units of hidden layer k in the order p, as are their ghosts in the layer below."""
    copied = Weights(*map(list, network.weights)), State(*map(list, network.state))
    (W, B, W_pg, W_gp), (s, g) = copied
    s[k], W[k], W[k + 1] = s[k][..., p], W[k][:, p], W[k + 1][..., p]
    B[k], B[k - 1] = B[k][:, p], B[k - 1][..., p]
    W_pg[k], W_gp[k] = W_pg[k][..., p], W_gp[k][..., p, :]
    if network.experiment.plasticity.paired:
        W_pg[k - 1], W_gp[k - 1], g[k - 1] = W_pg[k - 1][:, p], W_gp[k - 1][..., p], g[k - 1][..., p]
    return type(network)(network.experiment, *copied)


def permuted_ghosts(network, k, p):
    """The network with the ghosts of hidden layer k in the order p."""
    copied = Weights(*map(list, network.weights)), State(*map(list, network.state))
    (_, _, W_pg, W_gp), (_, g) = copied
    W_pg[k], W_gp[k], g[k] = W_pg[k][:, p], W_gp[k][..., p], g[k][..., p]
    return type(network)(network.experiment, *copied)


@pytest.mark.parametrize("feedback", ["TF", "FA"])
@pytest.mark.parametrize(
    ("model", "permuted"),
    [("MA", permuted_units), ("MA-prime", permuted_units), ("MB", permuted_units), ("MB", permuted_ghosts)],
)
def test_permuted_hidden_units_give_the_permuted_result_and_nothing_else(model, permuted, feedback):
    e = experiment(model, (6, 5, 5, 4), feedback=feedback, ghosts=(5, 4))
    network, x, y = running(e), *inputs(e, 2)
    p = np.array([2, 0, 3, 1] if permuted is permuted_ghosts else [2, 0, 4, 1, 3])
    straight, crossed = simulator(network), simulator(permuted(network, 2, p))
    straight.run(x, y)
    crossed.run(x, y)
    expected, got = of(permuted(straight.network, 2, p)), of(crossed.network)
    for name in expected:
        assert distance(got[name], expected[name]) < 1e-12, name
    moved = "g[2]" if permuted is permuted_ghosts else "s[2]"
    assert distance(got[moved], of(straight.network)[moved]) > 1e-3


@pytest.mark.parametrize("model", ["MA", "MB"])
def test_the_page_reads_the_same_in_torch(model):
    import torch

    e = experiment(model, DEEP)
    network, (x, y) = running(e), inputs(e, 1)

    def tensors(group):
        return type(group)(*([None, *map(torch.as_tensor, arrays[1:])] for arrays in group))

    c, plastic = network.constants, acting(*network.constants.rules)
    ours = euler(network.weights, network.state, x, y, e.beta, c, plastic, 20)
    theirs = tensors(network.weights), tensors(network.state)
    theirs = euler(*theirs, torch.as_tensor(x), torch.as_tensor(y), e.beta, c, plastic, 20)
    for a, b in zip(flat_network(*ours), flat_network(*theirs), strict=True):
        assert b.dtype == torch.float64 and distance(b.numpy(), a) < 1e-12


@pytest.mark.parametrize("name", TRANSFERS)
def test_the_slope_is_the_derivative_of_the_transfer_function(name):
    s = np.linspace(-8, 8, 1000)  # corners, at 0 and ±3, fall between the points
    h = 1e-5
    numeric = (transfer(s + h, name) - transfer(s - h, name)) / (2 * h)
    assert np.abs(transfer_slope(s, name) - numeric).max() < 1e-9
    assert np.abs(numeric).max() > 0.1


@pytest.mark.parametrize(
    ("name", "definition"),
    [("sigmoid", expit), ("tanh", np.tanh), ("hard-sigmoid", lambda s: np.clip((s + 3) / 6, 0, 1))],
)
def test_transfer_functions_are_what_their_names_say_at_every_magnitude(name, definition):
    s = np.concatenate([np.linspace(-20, 20, 401), [-1e30, -1e3, 1e3, 1e30]])
    assert np.abs(transfer(s, name) - definition(s)).max() < 1e-15
    single = transfer(s.astype(np.float32), name)
    assert single.dtype == np.float32 and np.abs(single - definition(s)).max() < 2e-6


def test_initial_weights_are_uniform_within_init_and_activities_zero():
    e = experiment("MA", (200, 100, 50), seeds=(0, 1), init=0.3)
    for name, array in of(build(e)).items():
        if name[0] in "sg":
            assert not array.any()
        else:
            assert 0.3 > np.abs(array).max() > 0.29
            assert array.std() == pytest.approx(0.3 / np.sqrt(3), rel=0.05)
