"""Baselines start as ghost networks do, are measured, and train; their methods are in test_methods.py."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from builders import (
    assert_same_end,
    by_autograd,
    distance,
    experiment,
    found,
    inputs,
    learner,
    loss_of,
    of,
    refusal,
    states,
    task_batch,
    tiny,
)

from ghostnet import ConfigError, DivergenceError, Simulator, baselines, build, data, preset, resume
from ghostnet.baselines import METHODS, Baseline, measures, methods
from ghostnet.baselines.learner import Learner
from ghostnet.baselines.mlps import MLP
from ghostnet.baselines.rates import learning_rates
from ghostnet.engines.evaluation import evaluate
from ghostnet.model.baseline import CONTRASTIVE, LOSSES, BaselineRun
from ghostnet.model.equations import Weights
from ghostnet.model.order import presentation_order

EXACT = 1e-12
TWO, THREE = (16, 12, 9, 4), (16, 12, 9, 7, 4)


def test_by_default_backprop_steps_as_far_as_the_ghost_units_do():
    e = experiment(sizes=TWO[:2] + TWO[3:], batch=3, free_steps=400, clamped_steps=400, init=0.05, beta=0.01)
    x, y = inputs(e)
    ghosts, net = Simulator(build(e), "reference"), Learner(e, Baseline(method="BP"), "float64")
    before = [w.clone() for w in net.W[1:]]
    ghosts.present(x, y)
    net.step(torch.from_numpy(x)[None], torch.from_numpy(y)[None])
    for k in (1, 2):
        change = net.W[k] - before[k - 1]
        assert distance(ghosts.network.weights.W[k] - before[k - 1].numpy(), change.numpy()) < 0.05
    assert learning_rates(preset("ma-500-tf", batch=1), baselines.Baseline(method="BP")) == pytest.approx((0.2, 0.2))


def test_initial_weights_are_the_ghost_units():
    e = tiny("mnist", feedback="FA", sizes=TWO, ghosts=(3, 3), eta=(1, 1, 1), eta_ghost=(1, 1), seeds=(3, 1))
    weights, net = build(e).weights, Learner(e, Baseline(method="FA"), "float64")
    for k in (1, 2, 3):
        assert np.array_equal(net.W[k].numpy(), weights.W[k])
    for k in (1, 2):
        assert np.array_equal(net.B[k].numpy(), weights.B[k])
    wide = Learner(e, Baseline(method="DFA", weights="fan-in"), "float64")
    assert np.allclose(wide.W[2].numpy(), weights.W[2] / e.init / np.sqrt(12), rtol=1e-12)
    assert float(wide.B[1].abs().max()) <= 0.5 and wide.B[1].shape == (2, 12, 4)


def test_the_score_is_the_ghost_units_score(task):
    e, images = tiny(task, seeds=(0, 1)), data.load(task)
    net = Learner(e, Baseline(method="BP"), "float64")
    W = [None, *(w.numpy() for w in net.W[1:])]
    theirs = evaluate(Weights(W, [], [], []), images.test_images, images.test_labels, "sigmoid", "float64", 1)
    accuracy, mse, _ = measures.score(net, torch.tensor(images.test_images), torch.tensor(images.test_labels).long())
    assert accuracy.tolist() == theirs.accuracy.tolist()
    assert np.allclose(mse, theirs.mse, rtol=1e-12)


def test_angles_are_those_between_gradients():
    net = learner("DFA", seeds=(2,))
    x, y = task_batch(net)
    p, _, own = found(net, x, y)
    true = by_autograd(net, x, y)
    angle = measures.angles(net, x[0], y[0])
    for k in (1, 2):
        a, b = methods.gradients(own, p.r)[k].flatten(), true[k].flatten()
        assert np.isclose(angle[f"angle_{k}"][0], np.degrees(np.arccos(float(a @ b / a.norm() / b.norm()))), rtol=1e-9)
    assert measures.angles(learner("BP"), x[0], y[0])["angle_1"] == pytest.approx([0, 0], abs=1e-5)


def test_alignments_are_angles_between_feedback_and_what_backprop_takes():
    net = learner("FA", seeds=(2,))
    own, true = net.B[1].flatten(), net.W[2].mT.flatten()
    wanted = np.degrees(np.arccos(float(own @ true / own.norm() / true.norm())))
    assert measures.alignments(net)["alignment_1"][0] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_metrics_have_the_loss_the_norms_and_the_length_of_the_last_update(task, loss):
    e = tiny(task, batch=4, seeds=(3, 1), epochs=1)
    net = MLP(BaselineRun(e, Baseline(method="FA", learning_rate=0.5, loss=loss)), data.load(task), "float64", 1)
    x, y = net._images.batch(torch.arange(80)[None].expand(2, -1), torch.float64)
    last = e.presentations_per_epoch - 1
    net.present(1, 0, last)
    before = [W.clone() for W in net.learner.W[1:]]
    net.present(1, last, last + 1)
    rows = net.evaluate(1)[1]
    for run, row in enumerate(rows):
        losses = loss_of(net.learner, net.learner.W, x, y)
        assert row["train_loss"] == pytest.approx(float(losses[run].mean()), rel=1e-5)
        for k, (W, old) in enumerate(zip(net.learner.W[1:], before, strict=True), start=1):
            assert row[f"norm_W_{k}"] == pytest.approx(float(W[run].norm()), rel=1e-5)
            ratio = float((W[run] - old[run]).norm() / old[run].norm())
            assert row[f"update_ratio_{k}"] == pytest.approx(ratio, rel=1e-5)


def test_scores_during_training_are_those_of_every_example_before_it_was_learned_from(task):
    e = tiny(task, batch=4, seeds=(3, 1))
    run = BaselineRun(e, Baseline(method="DFA", learning_rate=0.5, train_scores="during"))
    dataset = data.load(task)
    net, alone = MLP(run, dataset, "float64", 1), MLP(run, dataset, "float64", 1).learner
    net.present(1, 0, 7), net.present(1, 7, 20)
    scores = []
    for shown in torch.from_numpy(presentation_order(e, 1)):
        images, labels = (values[shown] for values in net._images.train)
        each = [measures.score(alone, images[run], labels[run]) for run in (0, 1)]
        scores.append([[figure[run] for figure in each[run]] for run in (0, 1)])
        alone.step(*net._images.batch(shown, alone.dtype))
    found = net.evaluate(1)[0]
    assert np.stack(found["train"], -1) == pytest.approx(np.mean(scores, 0), abs=EXACT)
    assert np.array_equal(found["test"].mse, measures.score(net.learner, *net._images.test).mse)


def test_dropout_drops_and_keeps_the_mean_and_its_units_learn_nothing():
    net = learner("FA", (16, 400, 4), dropout=0.25)
    x, y = task_batch(net)
    mask = net._masks(x, None)[1]
    assert set(mask.unique().tolist()) == {0.0, 1 / 0.75}
    assert float(mask.mean()) == pytest.approx(1, abs=0.03)
    p = methods.forward(net.W, x, net.transfer, [None, mask])
    delta = net.credit(p, methods.output_error(p.u, y, "mse"), y)
    assert bool((delta[1][mask == 0] == 0).all()) and bool((p.r[1][mask == 0] == 0).all())


def test_adversarial_examples_raise_the_loss_within_their_bound():
    for method in ("BP", "DFA"):
        net = learner(method, loss="cross-entropy", adversarial=0.1)
        x, y = task_batch(net)
        attack = net._adversarial(x, y)
        assert float((attack - x).abs().max()) <= 0.1 + EXACT and 0 <= float(attack.min()) <= float(attack.max()) <= 1
        clean, hit = (-(y * methods.forward(net.W, a, net.transfer).u.log_softmax(-1)).sum(-1) for a in (x, attack))
        assert bool((hit > clean).all())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_the_task(task, method, tmp_path):
    e = tiny(task, sizes=TWO, ghosts=(3, 3), eta=(1, 1, 1), eta_ghost=(1, 1), epochs=15, batch=4, seeds=(0, 1))
    how = {"loss": "cross-entropy", "learning_rate": 0.5, "weights": "fan-in", "transfer": "tanh"}
    if method == "CD":  # a machine has one hidden layer of binary units
        e, how = tiny(task, epochs=15, batch=4, seeds=(0, 1)), how | {"transfer": "sigmoid", "bias": True}
    trained = baselines.train(method, e, **how)
    assert all(row["test_accuracy"] > 0.9 for row in trained.metrics[-2:])  # chance: 0.25


def test_seeds_do_not_depend_on_their_neighbours(task):
    settings = dict(dropout=0.2, learning_rate=0.5, dtype="float64")
    both = baselines.train("FA", tiny(task, seeds=(0, 1), batch=4), **settings).metrics
    alone = baselines.train("FA", tiny(task, seeds=(1,), batch=4), **settings).metrics
    for a, b in zip((row for row in both if row["seed"] == 1), alone, strict=True):
        a, b = ({key: v for key, v in row.items() if key not in ("run", "seconds")} for row in (a, b))
        assert a == pytest.approx(b, rel=1e-5, abs=1e-9)


def test_training_leaves_torchs_own_random_numbers_and_threads_alone(task):
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    baselines.train("DTP", tiny(task), dropout=0.2, learning_rate=0.1)
    assert torch.equal(before, torch.random.get_rng_state()) and torch.get_num_threads() == threads


def test_a_diverging_baseline_says_so_and_keeps_its_metrics(task, tmp_path):
    with pytest.raises(DivergenceError, match=r"epoch \d: seed 0 diverged: .* try learning_rate = "):
        baselines.train("FA", tiny(task), tmp_path / "run", learning_rate=1e30, transfer="relu", loss="cross-entropy")
    assert '"diverged"' in (tmp_path / "run" / "status.json").read_text()
    assert (tmp_path / "run" / "metrics.csv").exists()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"method": "backprop"}, "unknown method 'BACKPROP'"),
        ({"frozen": 3}, "frozen = 3: none of 3 W_k would learn"),
        ({"frozen": -1}, "frozen = -1: expected"),
        ({"method": "WM", "feedback_noise": 0.0}, "feedback_noise = 0: WM mirrors"),
        ({"method": "CHL", "clip": 1.0}, "CHL takes none"),
        ({"loss": "msee"}, "did you mean 'mse'"),
        ({"noise": 1.0}, "noise without clipping"),
        ({"learning_rate": (1.0, 2.0)}, "learning_rate has 2 values: expected 1, or 3"),
        ({"learning_rate": 1.0, "clip": 0.0}, "clip = 0.0: expected a positive number"),
        ({"learning_rate": -1.0}, "expected a number of 0 or more"),
        ({"dropout": 1.0}, "expected less than 1"),
        ({"transfer": "swish"}, "unknown transfer"),
        ({"learning_rates": 1.0}, "did you mean 'learning_rate'"),
        ({"dtype": "float16"}, "expected float32 or float64"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(task, settings, text):
    e = tiny(task, sizes=TWO, ghosts=(3, 3), eta=(1, 1, 1), eta_ghost=(1, 1))
    settings = {"method": "FA"} | settings
    assert text in refusal(ConfigError, baselines.train, settings.pop("method"), e, **settings)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("method", METHODS)
def test_a_gpu_learns_what_a_processor_does(task, tmp_path, method):
    e = tiny(task, seeds=(3, 1), batch=4, epochs=2)
    how = {"learning_rate": 0.1, "dtype": "float64", "momentum": 0.5, "loss": "cross-entropy", "progress": False}
    how |= {} if method in CONTRASTIVE else {"dropout": 0.2}
    there, here = (baselines.train(method, e, device=device, **how) for device in ("cuda", "cpu"))
    pair = [states(a.network) if method == "CD" else of(a.network) for a in (there, here)]
    assert all(np.allclose(a, b, rtol=1e-10, atol=1e-10) for a, b in zip(*(p.values() for p in pair), strict=True))
    baselines.train(method, e.replace(epochs=1), tmp_path, device="cuda", **how)
    assert_same_end(resume(tmp_path, epochs=2), tmp_path, there)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_there_is_not_is_refused_before_anything_is_made(task, tmp_path):
    how = {"device": "cuda", "learning_rate": 0.1}
    assert "finds no CUDA GPU" in refusal(ConfigError, baselines.train, "FA", tiny(task), tmp_path / "run", **how)
    assert not (tmp_path / "run").exists()


def test_the_package_does_not_import_torch():
    code = "import sys, ghostnet; ghostnet.baselines.Baseline; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
