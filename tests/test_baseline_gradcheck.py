"""The gradient check of a baseline: its own update beside backprop's; and no check, of anything, divides by nothing."""

from __future__ import annotations

import csv
import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from builders import command, examples, found, learner, quick, refusal, task_batch, tiny

import ghostnet as gn
from ghostnet import ConfigError, FileError, baselines, build
from ghostnet.baselines import METHODS as ALL
from ghostnet.baselines import Baseline, contrastive, methods
from ghostnet.baselines.learner import Learner
from ghostnet.baselines.mlps import load
from ghostnet.baselines.rates import learning_rates
from ghostnet.gradients.likeness import FIGURES
from ghostnet.model.baseline import LOSSES
from ghostnet.model.network import tie_feedback
from ghostnet.results.gradients import report_figure

METHODS = [method for method in ALL if method != "CD"]  # which has no gradient check


def gradients_of(net: Learner, x, y, method: str | None = None) -> list:
    """Mean gradients of a batch by a method, or by the net's own."""
    if (method or net.baseline.method) == "CHL":
        return contrastive.gradients(net.phases(x, y))
    p, _, delta = found(net, x, y, method)
    return methods.gradients(delta, p.r)


@pytest.mark.parametrize(("method", "loss"), list(zip(METHODS, itertools.cycle(LOSSES), strict=False)))
def test_figures_are_those_of_the_methods_gradients(method, loss):
    net = learner(method, loss=loss, transfer="tanh")
    x, y = (values[:1].expand(2, -1, -1) for values in task_batch(net))
    report = baselines.gradcheck(net, x[0].numpy(), y[0].numpy())
    pair = [gradients_of(net, x, y, method) for method in (None, "BP")]
    pairs = [[gradients_of(net, x[:, [i]], y[:, [i]], method) for method in (None, "BP")] for i in range(6)]
    for run in (0, 1):
        for k in (1, 2, 3):
            G, T = (gradients[k][run].numpy() for gradients in pair)
            row = report.find(k, run=run)
            assert row["relative_error"] == pytest.approx(np.linalg.norm(G - T) / np.linalg.norm(T), abs=1e-12)
            assert row["norm_ratio"] == pytest.approx(np.linalg.norm(G) / np.linalg.norm(T))
            assert row["cosine"] == pytest.approx((G * T).sum() / np.linalg.norm(G) / np.linalg.norm(T))
            assert row["sign_agreement"] == pytest.approx((G * T > 0).mean())
            each = [[gradients[k][run] for gradients in one] for one in pairs]
            apart, size = (
                sum(float(m.norm()) for m in parts) for parts in ([a - b for a, b in each], [b for _, b in each])
            )
            assert report.find(k, over="mean", run=run)["relative_error"] == pytest.approx(apart / size, abs=1e-12)
    assert "relative error" in report.text(1) and report.verdict(1).startswith("the update of all layers is")


def test_backprop_is_off_by_nothing_and_no_other_method_is():
    x, y = (values[0].numpy() for values in task_batch(learner("BP")))
    for method in METHODS:
        total = baselines.gradcheck(learner(method), x, y).find()
        assert (total["relative_error"] == 0) == (method == "BP") and (total["angle"] > 0.1) == (method != "BP")


def test_figures_do_not_depend_on_how_examples_are_divided(monkeypatch):
    net = learner("DTP")
    x, y = (values[0].numpy() for values in task_batch(net))
    whole = baselines.gradcheck(net, x, y)
    monkeypatch.setattr("ghostnet.baselines.check._BLOCK", 4)
    parts = baselines.gradcheck(net, x, y)
    for one, other in zip(whole.figures, parts.figures, strict=True):
        assert [one[name] for name in FIGURES] == pytest.approx([other[name] for name in FIGURES], abs=1e-5)


@pytest.fixture(scope="module")
def runs(task, tmp_path_factory) -> dict:
    """A run directory of every method, two seeds, two hidden layers."""
    folder = tmp_path_factory.mktemp("runs")
    e = tiny(task, sizes=(16, 12, 9, 4), ghosts=(3, 3), eta=(1, 1, 1), eta_ghost=(1, 1), batch=4, seeds=(3, 1))
    for method in METHODS:
        baselines.train(method, e, folder / method, learning_rate=0.3, weights="fan-in", momentum=0.5, progress=False)
    return {method: folder / method for method in METHODS}


@pytest.mark.parametrize("method", METHODS)
def test_a_run_is_checked_as_its_newest_checkpoint_has_it(capsys, task, runs, tmp_path, method):
    images, table = gn.data.load(task), tmp_path / "figures.csv"
    x, y = gn.data.scale(images.test_images[3:9], "float64"), np.eye(4)[images.test_labels[3:9]]
    arguments = ("gradcheck", runs[method], "--examples", "3:9", "--part", "test", "--csv", table)
    code, out, err = command(capsys, *arguments)
    report = baselines.gradcheck(runs[method], x, y)
    assert (code, err) == (0, "") and out == f"{report.text(0)}\n\n{report.text(1)}\n"
    assert f"{method}, mse, 16-12-9-4, seed 1, 6 examples" in out
    assert list(csv.reader(table.read_text().splitlines())) == list(csv.reader(report.csv().splitlines()))
    assert (report.find()["relative_error"] == 0) == (method == "BP")
    paths = {"BP": [], "DRTP": [], "CHL": [], "DTP": ["W_2"], "IFA": ["W_3 … W_2"], "DFA": ["W_3 … W_2", "W_3"]}.get(
        method, ["W_2", "W_3"]
    )
    for k, path in enumerate(paths, start=1):
        assert f"B_{k} with the transpose of {path}: " in out


def test_a_loaded_learner_is_the_one_that_trained(task, tmp_path):
    e = tiny(task, batch=4, epochs=1)
    trained = baselines.train("DTP", e, tmp_path / "run", learning_rate=0.3, dtype="float64", progress=False)
    again = load(tmp_path / "run")
    for k in (1, 2):
        assert np.array_equal(again.W[k].numpy(), trained.network.weights.W[k])


@pytest.mark.parametrize(
    "option", ["--beta 0.1", "--dt 0.001", "--free-steps 5", "--clamped-steps 5", "--picture a.png", "--no-causes",
               "--autograd"]
)  # fmt: skip
def test_what_only_ghost_units_have_is_refused_for_a_baseline(capsys, runs, option):
    code, out, err = command(capsys, "gradcheck", runs["FA"], *option.split())
    assert (code, out) == (2, "") and err.startswith(f"ghostnet: error: {option.split()[0]} is for ghost units")
    assert len(err.splitlines()) == 1


def test_a_baselines_run_is_not_taken_for_ghost_units(capsys, task, runs, tmp_path):
    code, out, err = command(capsys, "record", runs["DFA"], "--out", tmp_path / "t.h5")
    assert (code, out, len(err.splitlines())) == (2, "", 1) and "the baseline DFA has no ghost units" in err
    assert not (tmp_path / "t.h5").exists()
    network = baselines.train("DFA", tiny(task, epochs=0), progress=False).network
    x = np.zeros((1, 16)), np.zeros((1, 4))
    assert "trained by DFA, without ghost units" in refusal(ConfigError, gn.gradcheck, network, *x)
    for name in ("plot", "info"):
        more = ("--out", tmp_path / "run.png") if name == "plot" else ()
        assert command(capsys, name, runs["DFA"], *more)[0] == 0


def test_wrong_use_is_one_line(capsys, task, runs, tmp_path):
    net = learner("FA")
    x, y = (values[0].numpy() for values in task_batch(net))
    assert "x has shape (6, 5)" in refusal(ConfigError, baselines.gradcheck, net, x[:, :5], y)
    assert "can't be read" in refusal(FileError, baselines.gradcheck, tmp_path / "none", x, y)
    gn.train(tiny(task, epochs=0), tmp_path / "ghosts", engine="reference", progress=False)
    assert "no table [baseline]" in refusal(ConfigError, baselines.gradcheck, tmp_path / "ghosts", x, y)
    for path in (runs["frSF"] / "checkpoints").iterdir():
        path.unlink()
    assert "no readable checkpoint" in refusal(FileError, baselines.gradcheck, runs["frSF"], x, y)


def saturated(W: list) -> list:
    return [None, *(1e4 * w for w in W[1:])]


def zero(W: list) -> list:
    return [None, *(0 * w for w in W[1:])]


@pytest.mark.parametrize("spoil", [zero, saturated])
@pytest.mark.parametrize("method", METHODS)
def test_a_baseline_whose_gradient_vanishes_is_told_so(method, spoil):
    net = learner(method)
    net.W = spoil(net.W)
    if spoil is zero:
        net.W[-1] = torch.ones_like(net.W[-1]) * -1e4  # outputs at 0, where the targets are
    x, y = (values[0].numpy() for values in task_batch(net))
    text = baselines.gradcheck(net, x, 0 * y).text()
    assert "nan" not in text and "inf" not in text and "-: nothing to compare" in text


@pytest.mark.parametrize("model", ["MB", "MA"])
@pytest.mark.parametrize(
    ("spoil", "change", "compares"),
    [
        (zero, lambda x, y: (x, y), True),
        (zero, lambda x, y: (x, 0 * y + 0.5), False),  # the outputs are right
        (saturated, lambda x, y: (x, y), False),
        (list, lambda x, y: (0 * x, y), True),
    ],
)
def test_ghost_units_whose_gradient_vanishes_are_told_so(model, spoil, change, compares):
    network = build(quick(model))
    network.weights = network.weights._replace(W=spoil(network.weights.W))
    tie_feedback(network)
    report = gn.gradcheck(network, *change(*examples(network.experiment)), autograd=True)  # warnings are errors here
    text = report.text()
    assert "nan" not in text and "inf" not in text and "-: nothing to compare" in text
    assert ("off backprop" in text) == compares and ("backprop's gradient is 0" in report.verdict()) != compares
    plt.close(report_figure(report))
    assert all(np.isnan(row["relative_error"]) or row["relative_error"] < 1e6 for row in report.figures)


def test_a_run_keeps_the_rates_it_was_trained_with(task, tmp_path):
    e = tiny(task, batch=4, epochs=0)
    baselines.train("FA", e, tmp_path / "run", momentum=0.5, progress=False)
    settings = Baseline(method="FA", momentum=0.5)
    assert load(tmp_path / "run").baseline.learning_rate == learning_rates(e, settings)
    assert isinstance(load(tmp_path / "run"), Learner)
