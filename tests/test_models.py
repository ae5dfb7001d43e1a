"""Models as data: rows that make no sense are refused, and every engine runs the others alike."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from builders import (
    OTHERS,
    TOLERANCE,
    distance,
    experiment,
    inputs,
    mirrored,
    of,
    order,
    refusal,
    running,
    simulator,
)

import ghostnet as gn
from ghostnet import ConfigError, Model, Phase, Rule
from ghostnet.gradients.backward import autograd
from ghostnet.gradients.fixedpoint import fixed_point
from ghostnet.gradients.presented import End, learned
from ghostnet.model import symbols
from ghostnet.model.laws import cancellation, difference, imitation
from ghostnet.model.models import MODELS, labels, shares
from ghostnet.model.network import mixtures
from ghostnet.primitives import tanh

SIZES = (20, 30, 25, 6)
MB = MODELS["MB"]
PHASES = MB.phases


def on_rates(rho_g, r_above):
    return r_above - rho_g


def squashed(e, slope):
    return tanh(3 * e) * slope


def from_activity(s, r_forward):
    return 0.1 * (s - r_forward)


OWN = {
    "ghosts follow rates": Model(PHASES, (dataclasses.replace(MODELS["mixed"].rule("W_pg"), post=on_rates), *MB.rules)),
    "other signals": Model(
        PHASES,
        (
            Rule("W_gp", squashed, "rho_g", "eta_ghost", "free", decay=3.0),
            Rule("W_pg", imitation, "r", "eta_ghost", ("free", "clamped"), decay=2.0),
            Rule("W", from_activity, "r", "eta", "clamped", decay=1.0),
        ),
    ),
    "a phase of rest": Model(
        (*PHASES, Phase("rest")),
        (Rule("W_gp", cancellation, "rho_g", "eta_ghost", ("free", "rest"), per_example=True), MB.rule("W")),
    ),
    "two nudges of its own": Model((*PHASES, Phase("again", nudge=-0.5)), MODELS["MA"].rules),
}
CHANGES = {
    "centred": {"nudges": (1, -1)},
    "three nudges": {"nudges": (0.5, -1, 2), "rule": "derivative"},
    "a negative nudge": {"nudges": (-1,), "feedback": "FA"},
    "decay": {"decay": (5.0, 3.0, 7.0), "seeds": (0, 1)},
    "centred, decay, batch of one": {"nudges": (1, -1), "decay": (5.0, 3.0, 7.0), "batch": 1, "feedback": "FA"},
    "partners": {"ghosts": SIZES[2:]},
    "the widths of one sweep": {"sizes": (20, 30, 10), "ghosts": (5,), "batch": 1, "decay": (5.0, 3.0, 7.0)},
}


def assert_agrees(engine: str, dtype: str, e: gn.Experiment) -> None:
    x, y = inputs(e, 2)
    tested, page = simulator(running(e), engine, dtype), simulator(running(e))
    for one in (tested, page):
        one.run(x, y)
    got, expected = of(tested.network), of(page.network)
    assert max(distance(got[name], expected[name]) for name in expected) <= TOLERANCE[dtype]


def changed(model: str, changes: dict) -> gn.Experiment:
    """An experiment of a model with such changes, as far as they fit it."""
    changes = dict(changes)
    if MODELS[model].paired and "ghosts" in changes:
        changes["ghosts"] = changes.get("sizes", SIZES)[2:]
    if "decay" in changes and not MODELS[model].rule("W_pg"):
        changes["decay"] = (changes["decay"][0], 0.0, changes["decay"][2])
    return experiment(model, changes.pop("sizes", SIZES), **changes)


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_engines_agree_on_nudges_and_decay(engine, dtype, model, changes):
    assert_agrees(engine, dtype, changed(model, changes))


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("model", OWN.values(), ids=OWN)
@pytest.mark.parametrize("changes", [{}, {"nudges": (1, -1)}, {"ghosts": SIZES[2:], "batch": 1}], ids=str)
def test_engines_agree_on_models_of_ones_own(engine, model, changes):
    assert_agrees(engine, "float64", experiment(model, SIZES, **changes))


@pytest.mark.parametrize("engine", OTHERS)
def test_what_an_engine_cannot_run_is_refused_with_the_rule_and_an_engine_that_can(engine):
    rules = (dataclasses.replace(MB.rule("W_gp"), pre="g"), MB.rule("W"))
    e = experiment(Model(PHASES, rules), SIZES)
    text = refusal(ConfigError, gn.Simulator, gn.build(e), engine)
    assert "pre = g of W_gp's rule" in text and text.endswith("take the reference engine")
    gn.Simulator(gn.build(e), "reference").present(*inputs(e))


@pytest.mark.parametrize("nudges", [(1,), (1, -1), (2, -1, 0.5)])
def test_shares_give_the_slope_by_the_nudge_and_cancel_what_does_not_depend_on_it(nudges):
    phases = MB.with_nudges(nudges)
    weights = np.array(shares(phases)[1:])
    assert weights @ nudges == pytest.approx(1)
    assert len(nudges) == 1 or weights.sum() == pytest.approx(0)


def test_phases_taken_several_times_have_names_of_their_own():
    assert labels(MB.with_nudges((1,))) == ("free", "clamped")
    assert labels(MB.with_nudges((1, -1, 0.5))) == ("free", "clamped+", "clamped-", "clamped+0.5")


@pytest.mark.parametrize(("nudges", "power"), [((1,), 1), ((1, -1), 2), ((-1, 2), 1)])
def test_centred_nudging_is_off_backprop_by_the_square_of_beta(nudges, power):
    """MA with exact ghosts against autograd: the error falls as β, or as β² where the nudges' cubes cancel."""
    e = experiment("MA", (8, 7, 6, 4), batch=3, init=0.6, nudges=nudges)
    network, (x, y) = mirrored(e), inputs(e)
    wanted, betas, off = (
        autograd([None, *(w[0] for w in network.weights.W[1:])], x, y, e.transfer),
        (0.04, 0.02, 0.01),
        [],
    )
    for beta in betas:
        ends = []
        for phase, share in zip(e.phases[1:], shares(e.phases)[1:], strict=True):
            strength = beta * phase.nudge
            state = fixed_point(network.weights, x[None], y[None], strength, network.constants)
            ends.append(End(gn.Network(e, network.weights, state), strength, share))
        update = learned(ends, x, y).update
        summed = [update[1].T @ x, *(u.sum(0) for u in update[2:])]
        off.append(max(distance(u / beta, w) for u, w in zip(summed, wanted[1:], strict=True)))
    assert order(betas, off) == pytest.approx(power, abs=0.25)


@pytest.mark.parametrize("model", ["mixed", "MB"])
@pytest.mark.parametrize("feedback", ["TF", "FA"])
def test_the_equilibrium_engine_is_long_stepping_with_two_nudges(model, feedback):
    """From the same fast weights, which the free phase of both leaves as they are: every array of the network."""
    e = experiment(model, SIZES, feedback=feedback, init=0.2, batch=2, eta_ghost=(0.0, 0.0), nudges=(1, -1),
                   free_steps=400, clamped_steps=400)  # fmt: skip
    e = e.replace(eta_imitation=(0.0, 0.0)) if model == "mixed" else e
    settled = simulator(running(e), "equilibrium", settle_tol=1e-13, max_sweeps=200)
    settled.present(*inputs(e))
    still = gn.Network(e, settled.network.weights._replace(W=running(e).weights.W), running(e).state)
    stepped = simulator(still)
    stepped.present(*inputs(e))
    got, expected = of(settled.network), of(stepped.network)
    assert max(distance(got[name], expected[name]) for name in expected if name[0] == "W") < 1e-6


def test_ghosts_imitate_their_partners_or_mixtures_of_the_units_above():
    """(4') at equilibrium: W_pg moves by μ (P u - g) r^T / ‖r‖², μ = 1 - exp(-η ‖r‖² T)."""
    e = experiment("mixed", SIZES, batch=1, eta=(0.0,) * 3, ghosts=(25, 4))
    network, (x, y) = running(e), inputs(e, 1)
    before, P = network.weights, mixtures(e)
    assert P[1] is None and P[2].shape == (1, 4, 6) and 0.2 < P[2].std() < 0.7
    tested = simulator(network, "equilibrium")
    tested.run(x, y)
    u = gn.model.equations.feedforward(before.W, x[0][None], e.transfer)
    for k in (1, 2):
        r = gn.model.equations.transfer(u[k], e.transfer)[0, 0]
        wanted = u[k + 1][0, 0] if P[k] is None else P[k][0] @ u[k + 1][0, 0]
        share = 1 - np.exp(-3.0 * (r @ r) * e.free_steps * e.dt)
        moved = share * np.outer(wanted - before.W_pg[k][0] @ r, r) / (r @ r)
        assert distance(tested.network.weights.W_pg[k][0] - before.W_pg[k][0], moved) < 1e-10


@pytest.mark.parametrize(
    "e",
    [
        experiment("mixed", (12, 9, 5), init=0.5, batch=2),
        experiment("MB", (12, 9, 5), init=0.5, batch=2, nudges=(1, -1)),
        experiment("MA", (12, 9, 5), init=0.5, batch=2, nudges=(1, -1), decay=(1.0, 1.0, 1.0)),
        experiment(OWN["a phase of rest"], (12, 9, 5), init=0.5, batch=2),
        experiment(OWN["other signals"], (12, 9, 5), init=0.5, batch=2),
    ],
    ids=["mixed", "centred", "centred MA", "own phase", "own rules"],
)
def test_the_causes_of_a_gradients_error_add_up_for_every_model(e):
    e = e.replace(dt=0.005, free_steps=150, clamped_steps=40, beta=0.1)
    draw = np.random.default_rng(0)
    x, y = draw.uniform(size=(4, 12)), np.eye(5)[draw.integers(5, size=4)]
    network = running(e)
    before = of(network)
    report = gn.gradcheck(network, x, y)
    assert all(np.array_equal(before[name], array) for name, array in of(network).items())
    for k in (1, 2, "all"):
        parts = [part for part, _ in report.parts(k).values()]
        assert sum(parts) == pytest.approx(report.find(k)["relative_error"], rel=1e-9)


REFUSED = {
    "matrix": (lambda: Rule("V", cancellation, "r", "eta", "end"), "unknown matrix 'V'"),
    "post": (lambda: Rule("W", imitation, "r", "eta", "end"), "unknown argument of W's post 's_above'"),
    "law": (lambda: Rule("W", np.tanh, "r", "eta", "end"), "expected a law as a Python function"),
    "pre": (lambda: Rule("W", difference, "rho_g", "eta", "end"), "unknown pre of W 'rho_g'"),
    "rate": (lambda: Rule("W", difference, "r", "beta", "end"), "unknown rate of W 'beta'"),
    "lateral rate": (lambda: Rule("W", difference, "r", "eta_ghost", "end"), "unknown rate of W 'eta_ghost'"),
    "rate of W": (lambda: Rule("W_gp", cancellation, "rho_g", "eta", "free"), "unknown rate of W_gp 'eta'"),
    "once": (lambda: Rule("W_gp", cancellation, "rho_g", "eta_ghost", "end"), "a rule that acts once is W's"),
    "owned": (lambda: Rule("W", difference, "r", "eta", "end", per_example=True), "only W_gp may be owned"),
    "decay": (lambda: Rule("W", difference, "r", "eta", "end", decay=-1.0), "decay = -1.0"),
    "no rule": (lambda: Model(PHASES, ()), "expected one for W"),
    "two rules": (lambda: Model(PHASES, (*MB.rules, MB.rule("W"))), "expected one for W, and one for a matrix"),
    "phase": (
        lambda: Model(PHASES, (Rule("W", difference, "r", "eta", "sleep"),)),
        "unknown phase of W's rule 'sleep'",
    ),
    "free": (lambda: Model(PHASES[1:], MB.rules), "expected a free one (nudge 0) first"),
    "nudged": (lambda: Model(PHASES[:1], MB.rules), "expected a nudged one"),
    "same phase": (lambda: Model((*PHASES, PHASES[1]), MB.rules), "expected different names"),
    "no rows": (lambda: Model(("free", "clamped"), MB.rules), "expected Phases, got str, str"),
    "no decay": (lambda: experiment("MB", decay=(0.0, 1.0, 0.0)), "decay of W_pg = 1.0: MB has no rule for W_pg"),
    "decays": (lambda: experiment("MB", decay=(0.1,)), "decay has 1 values: expected 3, of W, W_pg, W_gp"),
    "imitation": (lambda: experiment("mixed", eta_imitation=()), "eta_imitation has 0 values: mixed takes 1"),
    "no imitation": (lambda: experiment("MB", eta_imitation=(1.0,)), "eta_imitation has 1 values: MB takes 0"),
    "nudges": (lambda: experiment("MB", nudges=()), "nudges is empty"),
    "same nudges": (lambda: experiment("MB", nudges=(1, 1)), "nudges = (1.0, 1.0): expected different"),
    "no nudge": (lambda: experiment("MB", nudges=(0,)), "nudges = (0.0,)"),
}


@pytest.mark.parametrize(("make", "text"), REFUSED.values(), ids=REFUSED)
def test_rows_that_make_no_sense_are_refused_by_name(make, text):
    assert text in refusal(ConfigError, make)


def test_the_table_of_symbols_is_in_the_documents_the_recorder_and_the_experiment():
    document = (Path(__file__).parents[1] / "docs" / "symbols.md").read_text(encoding="utf-8")
    assert document.endswith(symbols.table())
    e = experiment("mixed", SIZES)
    chosen = gn.Recorder(variables=tuple(symbols.ACTIVITIES), weights=tuple(symbols.WEIGHTS)).select(e)
    assert {v.symbol for v in (*chosen.variables, *chosen.matrices)} == {*symbols.ACTIVITIES, *symbols.WEIGHTS}
    shapes = {name: array.shape for name, array in of(running(e)).items()}
    for v in chosen.matrices:
        assert shapes[f"{v.symbol}[{v.k}]"][-2:] == tuple(map(len, v.units))
    assert set(symbols.CONSTANTS) <= set(vars(e))
