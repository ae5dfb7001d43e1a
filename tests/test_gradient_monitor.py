"""Gradient figures in metrics.csv, and the warning of phases that end too early."""

from __future__ import annotations

import logging

import matplotlib.pyplot as plt
import numpy as np
import pytest
from builders import of, same_bits, table, tiny, without_seconds

import ghostnet as gn
from ghostnet.cli.main import main
from ghostnet.engines import create
from ghostnet.gradients import presented


def test_alignment_grows_over_training_and_metrics_say_so(task, tmp_path):
    e = tiny(task, feedback="FA", epochs=4, seeds=(0, 1), init=0.3)
    gn.train(e, tmp_path / "run", progress=False, gradcheck_every=2)
    rows = [row for row in table(tmp_path / "run") if row["run"] == "1"]
    assert [bool(row["gradient_error_all"]) for row in rows] == [True, False, True, False, True]
    assert float(rows[-1]["alignment_1"]) < float(rows[0]["alignment_1"]) - 5
    assert {f"gradient_{kind}_{k}" for kind in ("error", "mean_error", "angle") for k in (1, 2, "all")} < rows[0].keys()


def test_gradients_are_looked_at_as_the_run_presents_them(task):
    checks = {"gradcheck_every": 1, "gradcheck_examples": 9}
    run = gn.train(tiny(task, epochs=1), engine="equilibrium", dtype="float64", progress=False, **checks)
    images = gn.data.load(task)
    x, y = gn.data.scale(images.train_images[:9], "float64"), np.eye(4)[images.train_labels[:9]]
    wanted = gn.gradcheck(run.network, x, y, causes=False, equilibrium=True).find(1)["relative_error"]
    assert run.metrics[-1]["gradient_error_1"] == pytest.approx(wanted, rel=1e-5)
    assert gn.gradcheck(run.network, x, y, causes=False).find(1)["relative_error"] != pytest.approx(wanted, rel=1e-2)


def test_the_norms_of_figure_3_are_those_of_the_weights_and_a_run_is_drawn_with_them(task, tmp_path):
    e = tiny(task, "MA", sizes=(16, 12, 8, 4), ghosts=(8, 4), eta=(1.0,) * 3, eta_ghost=(1.0,) * 2, epochs=3)
    trained = gn.train(e, tmp_path / "run", progress=False, gradcheck_every=1)
    w, last = trained.network.weights, trained.metrics[-1]
    for k in (1, 2):
        wanted = np.linalg.norm(w.W[k + 1] - w.W_pg[k]), np.linalg.norm(w.B[k] - w.W_gp[k])
        found = last[f"distance_pg_{k}"], last[f"distance_gp_{k}"]
        assert found == pytest.approx(wanted, rel=1e-5)
    assert main(["plot", str(tmp_path / "run")]) == 0
    assert plt.imread(tmp_path / "run.png").shape[1] > 4 * 400  # four panels
    assert main(["plot", str(tmp_path / "run"), "--variable", "e_1"]) == 2


def test_a_resumed_run_goes_on_with_its_checks(task, tmp_path):
    e = tiny(task, epochs=3)
    whole = gn.train(e, tmp_path / "run", progress=False, gradcheck_every=2)
    for newer in sorted((tmp_path / "run" / "checkpoints").glob("*.h5"))[1:]:
        newer.unlink()
    again = gn.resume(tmp_path / "run", progress=False)
    assert without_seconds(again.metrics) == without_seconds(whole.metrics)
    assert [row["gradient_error_all"] is None for row in again.metrics] == [False, True, False, True]


def test_metrics_without_checks_have_no_such_columns_and_checks_change_no_training(task):
    e = tiny(task)
    plain, checked = gn.train(e, progress=False), gn.train(e, progress=False, gradcheck_every=1)
    assert not any(name.startswith("gradient") for name in plain.metrics[0])
    assert same_bits(of(plain.network), of(checked.network))


@pytest.mark.parametrize(
    ("changes", "warned"), [({"free_steps": 4}, "free_steps"), ({"clamped_steps": 2}, "clamped_steps"), ({}, "")]
)
def test_training_warns_once_of_a_phase_that_ends_far_from_equilibrium(task, caplog, changes, warned):
    with caplog.at_level(logging.WARNING, "ghostnet"):
        gn.train(tiny(task, **changes), progress=False)
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == bool(warned) and all(warned in text for text in texts)


@pytest.mark.parametrize("engine", ["torch", "reference"])
def test_phases_are_looked_at_by_the_runs_own_engine_so_that_no_other_has_to_compile(task, monkeypatch, engine):
    made = []
    monkeypatch.setattr(presented, "create", lambda name, *rest: made.append(name) or create(name, *rest))
    gn.train(tiny(task, epochs=1), engine=engine, progress=False)
    assert set(made) == {engine}
