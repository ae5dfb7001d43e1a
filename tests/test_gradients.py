"""The audit of ghost-unit gradients: its targets, its figures, and that every cause answers to what it names."""

from __future__ import annotations

import csv
import io
import math
import re

import numpy as np
import pytest
from builders import (
    command,
    distance,
    examples,
    experiment,
    inputs,
    mirrored,
    of,
    order,
    quick,
    refusal,
    running,
    same_bits,
    tiny,
)

import ghostnet as gn
from ghostnet import ConfigError, DivergenceError, build
from ghostnet.gradients.backward import autograd, autograd_difference, backward, transposed
from ghostnet.gradients.causes import CAUSES
from ghostnet.gradients.likeness import figures, moments
from ghostnet.model.experiment import TRANSFERS

DEPTHS = [(8, 7, 4), (8, 7, 6, 4), (8, 7, 6, 5, 4), (8, 7, 6, 5, 5, 4)]
BETAS = (1e-2, 1e-3, 1e-4)
MODELS = ("MA", "MA-prime", "MB")


@pytest.mark.parametrize("transfer", TRANSFERS)
@pytest.mark.parametrize("sizes", DEPTHS)
def test_the_backward_pass_is_that_of_autograd(sizes, transfer):
    e = experiment("MA", sizes, transfer=transfer, init=0.6, seeds=(2,))  # some of its rectified units are on
    W, (x, y) = [None, *(w[0] for w in build(e).weights.W[1:])], inputs(e)
    own, theirs = backward(W, transposed(W), x, y, transfer), autograd(W, x, y, transfer)
    for k in range(1, e.depth + 1):
        assert distance(own.gradient(k), theirs[k]) < 1e-12
    assert autograd_difference(W, x, y, transfer) < 1e-12


def test_delta_is_the_derivative_by_the_rates():
    e = experiment("MA", (8, 7, 6, 4), init=0.6)
    W, (x, y) = [None, *(w[0] for w in build(e).weights.W[1:])], inputs(e)
    back = backward(W, transposed(W), x, y, "sigmoid")

    for k in (2, 3):
        slope = np.zeros_like(back.r[k])
        for index in np.ndindex(slope.shape):
            up, down = back.r[k].copy(), back.r[k].copy()
            up[index] += 1e-6
            down[index] -= 1e-6
            slope[index] = (_cost(W, k, up, y) - _cost(W, k, down, y)) / 2e-6
        assert distance(back.delta[k], -slope) < 1e-8


def _cost(W, k, r_k, y):
    for W_above in W[k + 1 :]:
        r_k = 1 / (1 + np.exp(-r_k @ W_above.T))
    return 0.5 * np.square(y - r_k).sum()


@pytest.mark.parametrize("sizes", DEPTHS)
def test_MA_with_exact_ghosts_is_off_backprop_in_proportion_to_beta(sizes):
    off = []
    for beta in BETAS:
        e = quick("MA", sizes, beta=beta, free_steps=300, clamped_steps=100, init=0.6)
        network, (x, y) = mirrored(e), examples(e)
        report = gn.gradcheck(network, x, y)
        parts = [report.parts(k) for k in range(1, e.depth + 1)]
        errors = [report.find(k, "error")["relative_error"] for k in range(1, e.depth + 1)]
        off.append([*errors, *(p["finite beta"][1] for p in parts)])  # (6) once the phases have converged
        assert max(p[cause][1] for p in parts for cause in ("ghost circuit", "feedback", "unexplained")) < 1e-7
    for by_beta in zip(*off, strict=True):
        assert order(BETAS, by_beta) == pytest.approx(1, abs=0.1)
        assert by_beta[-1] < 1e-3


@pytest.mark.parametrize("feedback", ["TF", "FA"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("sizes", [(8, 4), (12, 9, 5), (12, 9, 7, 5)])
def test_a_check_leaves_the_network_as_it_is_and_the_parts_add_up(model, feedback, sizes):
    e = quick(model, sizes, feedback=feedback, seeds=(3, 8), eta_ghost=(1.0,) * (len(sizes) - 2))
    network = running(e)
    before = {name: array.copy() for name, array in of(network).items()}
    x, y = examples(e, 5)
    report = gn.gradcheck(network, x, y, autograd=True)
    assert same_bits(before, of(network)) and network.experiment == e and network.presentations == 0
    assert report.autograd_difference < 1e-12
    for run in (0, 1):
        for layer in (*range(1, e.depth + 1), "all"):
            for over in ("summed", "mean"):
                total = sum(part for part, _ in report.parts(layer, over, run).values())
                assert total == pytest.approx(report.find(layer, over=over, run=run)["relative_error"], rel=1e-9)
            assert report.parts(layer, run=run)["unexplained"][1] < 1e-6


def test_figures_are_their_definitions():
    draw = np.random.default_rng(0)
    ghost, target = draw.normal(size=(2, 9, 30))
    target[:, :5] = 0
    found = figures(moments(ghost.sum(0)[None], target.sum(0)[None]), moments(ghost, target))
    norm = np.linalg.norm
    assert found["summed"]["relative_error"] == pytest.approx(norm((ghost - target).sum(0)) / norm(target.sum(0)))
    ratios = norm(ghost - target, axis=1) / norm(target, axis=1)
    assert found["median"]["relative_error"] == pytest.approx(np.median(ratios))
    assert found["mean"]["relative_error"] == pytest.approx(np.average(ratios, weights=norm(target, axis=1)))
    cosine = float(ghost.sum(0) @ target.sum(0) / norm(ghost.sum(0)) / norm(target.sum(0)))
    assert found["summed"]["cosine"] == pytest.approx(cosine)
    assert found["summed"]["angle"] == pytest.approx(math.degrees(math.acos(cosine)))
    agree = np.sign(ghost.sum(0)) == np.sign(target.sum(0))
    assert found["summed"]["sign_agreement"] == pytest.approx(agree[5:].mean())


@pytest.mark.parametrize("model", ["MB", "MA"])
def test_the_update_reported_is_the_update_of_training(model):
    """The summed update against the change of W in one presentation, where η is too small to move W meanwhile."""
    e = quick(model, eta=(1e-7, 1e-7), eta_ghost=(20.0,) if model == "MB" else (0.0,), batch=6)
    network, (x, y) = running(e), examples(e)
    simulator = gn.Simulator(network, "reference")
    simulator.present(x, y)
    steps = 1 if model == "MB" else e.dt * e.clamped_steps
    W = network.weights.W
    after = simulator.network.weights.W
    moved = [None, *((after[k] - W[k])[0] / (1e-7 * e.beta * steps) for k in (1, 2))]
    back = backward([None, *(w[0] for w in W[1:])], transposed([None, *(w[0] for w in W[1:])]), x, y, "sigmoid")
    report = gn.gradcheck(network, x, y, causes=False)
    for k in (1, 2):
        apart = np.linalg.norm(moved[k] - back.gradient(k)) / np.linalg.norm(back.gradient(k))
        assert report.find(k)["relative_error"] == pytest.approx(apart, rel=1e-5)


def test_figures_depend_neither_on_the_batch_nor_on_the_company_of_an_example():
    e = quick("MB", batch=1)
    network, (x, y) = running(e), examples(e)
    together, alone_ = (
        gn.gradcheck(network, x, y),
        [gn.gradcheck(network, x[i : i + 1], y[i : i + 1]) for i in range(6)],
    )
    each = [one.find(1)["relative_error"] for one in alone_]
    assert together.find(1, over="median")["relative_error"] == pytest.approx(np.median(each), rel=1e-9)


@pytest.mark.parametrize(
    ("cause", "short", "long"),
    [("free phase", {"free_steps": 20}, {"free_steps": 60}),
     ("clamped phase", {"clamped_steps": 5}, {"clamped_steps": 20}),
     ("finite beta", {"beta": 0.4}, {"beta": 0.1})],
)  # fmt: skip
def test_a_cause_shrinks_with_what_it_names_and_the_others_stay(cause, short, long):
    sizes = []
    for changes in (short, long):
        e = quick("MB", beta=0.2).replace(**changes)
        sizes.append({name: size for name, (_, size) in gn.gradcheck(build(e), *examples(e)).parts(1).items()})
    assert sizes[1][cause] < 0.5 * sizes[0][cause]
    for other in {"finite beta", "ghost circuit"} - {cause}:
        assert sizes[1][other] == pytest.approx(sizes[0][other], rel=0.2)


def test_the_ghost_circuit_is_to_blame_for_the_plateau_of_MB_and_not_with_exact_ghosts():
    e = quick("MB", beta=1e-3, init=1.0, free_steps=600)
    x, y = examples(e)
    report = gn.gradcheck(build(e), x, y)
    total = report.find(1)["relative_error"]
    assert total > 0.02 and report.parts(1)["ghost circuit"][1] == pytest.approx(total, rel=0.05)
    assert report.parts(2)["ghost circuit"][1] < 0.01 * total
    exact = gn.gradcheck(mirrored(quick("MA", beta=1e-3, init=1.0, free_steps=600)), x, y)
    assert exact.parts(1)["ghost circuit"][1] < 1e-7


def test_random_feedback_is_told_from_its_transpose_copied_in():
    e = quick("MB", feedback="FA", free_steps=600, beta=0.01)
    network, (x, y) = build(e), examples(e)
    copied = build(e)
    copied.weights = copied.weights._replace(B=transposed(copied.weights.W))
    random, by_hand = gn.gradcheck(network, x, y), gn.gradcheck(copied, x, y)
    assert random.alignment[0]["angle"] > 60 and by_hand.alignment[0]["angle"] < 1e-5
    assert random.parts(1)["feedback"][1] > 0.5 and by_hand.parts(1)["feedback"][1] < 1e-9
    assert random.find(1)["relative_error"] > 0.5 > 0.1 > by_hand.find(1)["relative_error"]
    assert random.find(1, against="feedback alignment")["relative_error"] < 0.1
    assert by_hand.find(1, against="feedback alignment")["relative_error"] == by_hand.find(1)["relative_error"]


def test_a_run_directory_is_checked_as_its_newest_checkpoint_has_it(capsys, task, tmp_path):
    network = gn.train(tiny(task), tmp_path / "run", dtype="float64", progress=False).network
    code, out, _ = command(capsys, "gradcheck", tmp_path / "run", "--no-causes", "--examples", ":7")
    assert code == 0 and out == gn.gradcheck(network, *shown(task), causes=False).text() + "\n"


def shown(task):
    images = gn.data.load(task)
    return gn.data.scale(images.train_images[:7], "float64"), np.eye(4)[images.train_labels[:7]]


def test_a_run_at_equilibrium_is_checked_there_unless_steps_are_asked_for(capsys, task, tmp_path):
    network = gn.train(tiny(task), tmp_path / "run", engine="equilibrium", dtype="float64", progress=False).network
    check = ("gradcheck", tmp_path / "run", "--no-causes", "--examples", ":7")
    at_rest, stepped = (
        gn.gradcheck(network, *shown(task), causes=False, equilibrium=rested).text() + "\n" for rested in (True, False)
    )
    steps = str(network.experiment.free_steps)
    assert at_rest != stepped
    for options, wanted in (((), at_rest), (("--no-equilibrium",), stepped), (("--free-steps", steps), stepped)):
        assert command(capsys, *check, *options)[:2] == (0, wanted)


def test_weak_nudges_teach_little_but_rounding_in_float32(capsys):
    check = ("gradcheck", "mb-100-tf", "--no-causes", "--examples", ":3", "--equilibrium", "--beta", "1e-6")
    rounded, exact = (command(capsys, *check, "--dtype", dtype)[1] for dtype in ("float32", "float64"))
    assert "at equilibrium in float32 " in rounded and "float32" not in exact
    layer_1 = re.compile(r"^1 +(\S+) %", re.MULTILINE)
    assert float(layer_1.search(rounded)[1]) > 2 * float(layer_1.search(exact)[1])


@pytest.mark.parametrize("feedback", ["TF", "FA"])
def test_at_equilibrium_a_check_finds_what_long_phases_come_to(feedback):
    rates = {"eta": (4.0, 0.04), "eta_ghost": (20.0,), "eta_imitation": (0.01,)}
    network = running(quick("mixed", feedback=feedback, free_steps=12, **rates))
    long = running(network.experiment.replace(free_steps=4000, clamped_steps=400))
    short, rested, stepped = (
        gn.gradcheck(net, *examples(net.experiment), causes=False, equilibrium=at_rest).find(1)["relative_error"]
        for net, at_rest in ((network, False), (network, True), (long, False))
    )
    assert rested == pytest.approx(stepped, rel=0.01)  # W_gp's way there differs a little (docs/equilibrium.md)
    assert abs(short - stepped) > 0.05 * stepped


WRONG = [
    (lambda x, y: (x[:, :5], y), "x has shape (6, 5): expected (examples, 12)"),
    (lambda x, y: (x, y[0]), "y has shape (5,)"),
    (lambda x, y: (x[:0], y[:0]), "x has no examples"),
    (lambda x, y: (x, y[:3]), "x has 6 examples, y 3"),
    (lambda x, y: (x * np.nan, y), "x[0, 0] is nan: expected finite numbers from 0 to 1"),
]


@pytest.mark.parametrize(("spoil", "text"), WRONG)
def test_wrong_use_is_one_line(spoil, text):
    e = quick()
    assert text in refusal(ConfigError, gn.gradcheck, build(e), *spoil(*examples(e)))


def test_a_network_that_diverges_is_one_line_that_names_the_phase():
    e = quick(eta_ghost=(1e5,))
    text = refusal(DivergenceError, gn.gradcheck, build(e), *examples(e))
    assert "free phase" in text and "seed 0" in text


def test_the_command_prints_and_writes_what_was_found(capsys, task, tmp_path, monkeypatch):
    network = build(tiny(task, feedback="FA"))
    monkeypatch.setattr("ghostnet.cli.gradcheck.network", lambda name: network)
    picture, table_ = tmp_path / "a.png", tmp_path / "a.csv"
    code, out, err = command(
        capsys, "gradcheck", "mb-100-fa", "--examples", "3:9", "--csv", table_, "--picture", picture, "--beta", 0.05
    )
    assert (code, err) == (0, "") and "6 examples" in out and out.rstrip().endswith(".")
    assert all(cause in out for cause in CAUSES)
    rows = list(csv.DictReader(io.StringIO(table_.read_text())))
    assert {row["table"] for row in rows} == {"figures", "causes", "residuals", "alignment", "settling"}
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(("mb-50-tf",), "unknown preset"), (("no/such/run",), "expected a run directory or a preset"),
     (("mb-100-tf", "--examples", "5:5"), "examples = 5:5"), (("mb-100-tf", "--dt", "0.5"), "dt = 0.5"),
     (("mb-100-tf", "--examples", "5:60001"), "examples = 5:60001"),
     (("mb-100-tf", "--picture", "a.doc"), "expected a name ending in"),
     (("mb-100-tf", "--picture", "a.png", "--no-causes"), "leave out --no-causes")],
)  # fmt: skip
def test_wrong_arguments_are_one_line(capsys, arguments, text):
    code, _, err = command(capsys, "gradcheck", *arguments)
    assert code == 2 and text in err and len(err.splitlines()) == 1
