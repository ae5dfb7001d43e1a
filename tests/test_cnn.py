"""The convolutional networks train by every method, from the same weights, without touching torch's generator."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
import torch
from builders import COLUMNS, refusal, resealed, same_bits, states, without_seconds

from ghostnet import ConfigError, DivergenceError, FileError, Stopped, baselines, data, resume
from ghostnet.baselines import Baseline
from ghostnet.baselines.check import gradcheck
from ghostnet.baselines.cnn import CNN
from ghostnet.cli.main import main
from ghostnet.model.baseline import BaselineRun
from ghostnet.results import comparison
from ghostnet.runs import checkpoint

HOW = dict(architecture="two-blocks", loss="cross-entropy", learning_rate=0.05, momentum=0.9)
METHODS = [method for method in baselines.METHODS if method not in ("IFA", "DTP", "CHL", "CD")]
HANDING = ("FA", "uSF", "frSF", "brSF", "KP", "WM")  # something stands in the place of W
LAYERS = {"one-block": 2, "two-blocks": 3, "three-convolutions": 5}  # with weights


def fit(task, method, out=None, epochs=1, seeds=(0,), sizes=(16, 4), train_examples=80, **changes):
    e = baselines.mlp(sizes, data=task, batch=4, epochs=epochs, seeds=seeds, train_examples=train_examples)
    return baselines.train(method, e, out, progress=False, **(HOW | changes))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("architecture", LAYERS)
def test_every_method_learns_the_task(task, architecture, method):
    before = torch.random.get_rng_state()
    how = {"optimizer": "adam", "momentum": 0.0, "learning_rate": 0.002}
    rows = fit(task, method, epochs=12, architecture=architecture, **how).metrics
    layers = LAYERS[architecture]
    measured = [f"angle_{k}" for k in range(1, layers)]
    measured += [f"alignment_{k}" for k in range(1, layers) if method in HANDING]
    measured += [f"{kind}_{k}" for kind in ("norm_W", "update_ratio") for k in range(1, layers + 1)]
    assert ",".join(rows[0]) == f"{COLUMNS},train_loss,test_loss,{','.join(measured)}"
    best = max(row["test_accuracy"] for row in rows)
    assert best > (0.6 if method == "DRTP" else 0.9) and rows[-1]["test_mse"] < rows[0]["test_mse"]  # chance: 0.25
    assert torch.equal(before, torch.random.get_rng_state())


def test_methods_start_from_the_same_weights_and_repeat_exactly(task):
    first, again, other = (without_seconds(fit(task, method).metrics) for method in ("DFA", "DFA", "BP"))
    assert first == again and first[1] != other[1]
    assert {name: value for name, value in first[0].items() if "angle" not in name} == {
        name: value for name, value in other[0].items() if "angle" not in name
    }


def test_angles_are_those_to_the_gradient_of_the_same_weights(task):
    e = baselines.mlp((16, 4), data=task, batch=4, seeds=(0, 1), train_examples=80)
    dataset = data.load(task)
    start = CNN(BaselineRun(e, Baseline(method="BP", **HOW)), dataset, "float64", 1)
    assert all(max(row["angle_1"], row["angle_2"]) < 1e-4 for row in start.evaluate(0)[1])
    cnn = CNN(BaselineRun(e, Baseline(method="FA", **HOW)), dataset, "float64", 1)
    rows = cnn.evaluate(0)[1]
    images, labels = (part[:80] for part in cnn._images.train)
    for run in (0, 1):
        pair = []
        for made in (cnn, start):
            module = made.modules[run].eval()
            loss = torch.nn.functional.cross_entropy(module(images.double() / 255), labels)
            pair.append([g for g in torch.autograd.grad(loss, list(module.parameters())) if g.ndim > 1])
        for k, (a, b) in enumerate(zip(*pair, strict=True), start=1):
            degrees = np.degrees(np.arccos(float((a * b).sum() / a.norm() / b.norm()).__round__(15)))
            assert k == 3 or rows[run][f"angle_{k}"] == pytest.approx(degrees, rel=1e-5)
    assert rows[0]["angle_1"] > 20


def test_the_length_of_the_last_update_is_measured(task):
    e = baselines.mlp((16, 4), data=task, batch=4, train_examples=80)
    cnn = CNN(BaselineRun(e, Baseline(method="DFA", **HOW)), data.load(task), "float64", 1)
    cnn.present(1, 0, 19)
    before = [p.detach().clone() for p in cnn.modules[0].parameters() if p.ndim > 1]
    cnn.present(1, 19, 20)
    after = [p.detach() for p in cnn.modules[0].parameters() if p.ndim > 1]
    (row,) = cnn.evaluate(1)[1]
    for k, (old, new) in enumerate(zip(before, after, strict=True), start=1):
        assert row[f"update_ratio_{k}"] == pytest.approx(float((new - old).norm() / old.norm()), rel=1e-5)
        assert row[f"norm_W_{k}"] == pytest.approx(float(new.norm()), rel=1e-5)


def test_a_seed_gives_what_it_gives_alone(task):
    both, alone = (fit(task, "DFA", seeds=seeds) for seeds in ((3, 1), (1,)))
    assert [row | {"run": 0} for row in without_seconds(both.metrics) if row["seed"] == 1] == without_seconds(
        alone.metrics
    )
    assert same_bits(states(both.network[1:]), states(alone.network))


MEANS = [
    ("BP", {}),
    ("FA", {"optimizer": "adamw", "momentum": 0.0, "learning_rate": 0.01, "weight_decay": 0.1}),
    ("DFA", {"lr_schedule": "cosine"}),
    ("brSF", {"frozen": 1}),
    ("KP", {"weight_decay": 0.01}),
    ("WM", {"feedback_rate": 0.1}),
    ("DFA", {"clip": 1.0, "target_epsilon": 9.0}),
]


@pytest.mark.parametrize(("method", "changes"), MEANS)
@pytest.mark.parametrize("call", [2, 5])
def test_a_stopped_run_goes_on_to_the_same_bits(task, tmp_path, monkeypatch, method, changes, call):
    if "clip" in changes:
        pytest.importorskip("opacus")
    whole, present, left = fit(task, method, epochs=3, seeds=(3, 1), **changes), CNN.present, [call]

    def counting(self, *chunk):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        present(self, *chunk)

    with monkeypatch.context() as patch:
        patch.setattr(CNN, "present", counting)
        with pytest.raises(Stopped, match="ghostnet resume"):
            fit(task, method, tmp_path, epochs=3, seeds=(3, 1), **changes)
    again = resume(tmp_path, progress=False)
    assert without_seconds(again.metrics) == without_seconds(whole.metrics)
    assert same_bits(states(again.network), states(whole.network))


def test_a_run_directory_is_that_of_a_baseline(task, tmp_path, capsys):
    fit(task, "FA", tmp_path, epochs=1)
    assert json.loads((tmp_path / "status.json").read_text())["status"] == "complete"
    assert 'architecture = "two-blocks"' in (tmp_path / "config.toml").read_text()
    assert main(["info", str(tmp_path)]) == main(["resume", str(tmp_path), "--epochs", "2", "--quiet"]) == 0
    (curves,) = comparison.read([tmp_path])
    assert curves.epoch.tolist() == [0, 1, 2]
    assert "two-blocks" in refusal(ConfigError, gradcheck, tmp_path, [], [])
    assert "convolutional" in refusal(FileError, checkpoint.newest, tmp_path)


ARRAYS = {
    "a weight is missing": lambda file: file.__delitem__("extra_module.1.weight"),
    "an array too many": lambda file: file.__setitem__("extra_module.1.speed", [1.0]),
    "half of the momenta": lambda file: file.__delitem__("extra_optimizer.momentum_buffer.0"),
    "no state of torch's generator": lambda file: file["extra_generator"].__setitem__((0, slice(0, 24)), 255),
}


@pytest.mark.parametrize("change", ARRAYS)
def test_a_run_goes_on_from_the_checkpoint_before_one_with_wrong_arrays(task, tmp_path, change):
    whole = fit(task, "BP", tmp_path, epochs=2)
    newest = tmp_path / "checkpoints" / "epoch-0002.h5"
    resealed(newest, ARRAYS[change], newest)
    again = resume(tmp_path, progress=False)
    assert without_seconds(again.metrics) == without_seconds(whole.metrics)
    assert same_bits(states(again.network), states(whole.network))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"method": "IFA"}, "method = IFA: not for two-blocks: it sends its signal up"),
        ({"method": "DTP"}, "method = DTP: not for two-blocks: it has inverses of dense layers"),
        ({"method": "CHL"}, "method = CHL: not for two-blocks: it settles dense layers"),
        ({"method": "CD"}, "method = CD: not for two-blocks: it trains a Boltzmann machine"),
        ({"frozen": 3}, "frozen = 3: none of 3 W_k would learn"),
        ({"train_examples": 999}, "train_examples = 999"),
        ({"bias": True}, "bias = True"),
        ({"loss": "mse"}, "loss = mse"),
        ({"dropout": 0.5}, "dropout = 0.5"),
        ({"learning_rate": (0.1, 0.1)}, "learning_rate has 2 values"),
        ({"architecture": "resnet"}, "unknown architecture"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(task, tmp_path, changes, text):
    assert text in refusal(ConfigError, fit, task, out=tmp_path / "run", **({"method": "FA"} | changes))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("label", "names"), [(1, ("data_batch_1.bin", "test_batch.bin")), (2, ("train.bin", "test.bin"))]
)
@pytest.mark.parametrize("architecture", ["two-blocks", "three-convolutions"])
def test_images_in_three_colours_are_learned_from_files_of_cifar(tmp_path, label, names, architecture):
    """Classes differ in which colour is strong: the planes have to be where the networks look for them."""
    draw = np.random.default_rng(0)
    for name, count in zip(names, (120, 60), strict=True):
        classes = draw.integers(3, size=count)
        pixels = draw.integers(120, size=(count, 3, 1024))
        pixels[np.arange(count), classes] += 100
        records = np.column_stack([np.zeros((count, label - 1)), classes, pixels.reshape(count, -1)])
        (tmp_path / name).write_bytes(records.astype(np.uint8).tobytes())
    e = baselines.mlp((3072, 3), data=tmp_path, batch=10, epochs=3)
    how = HOW | {"architecture": architecture, "learning_rate": 0.01}
    assert baselines.train("DFA", e, progress=False, **how).metrics[-1]["test_accuracy"] > 0.9  # chance: 0.33


def test_a_loss_that_is_not_finite_is_divergence(task):
    text = refusal(DivergenceError, fit, task, "BP", epochs=3, learning_rate=1e20)
    assert text.startswith("epoch 1: seed 0 diverged: the loss is not finite; try learning_rate = ")


@pytest.mark.parametrize(("architecture", "side", "layers"), [("lenet", 12, 5), ("resnet-20", 4, 20)])
def test_deeper_networks_begin_with_scales_of_one_and_measure_angles_as_they_are(tmp_path, architecture, side, layers):
    """BP is no angle from BP, running means and all; biases begin at 0, the scales of normalisation at 1."""
    images = np.arange(8, dtype=np.float32)[:, None] / 8 * np.ones(side**2, np.float32)
    np.savez(tmp_path / "d.npz", x_train=images, y_train=np.arange(8) % 2, x_test=images, y_test=np.arange(8) % 2)
    e = baselines.mlp((side**2, 2), data=str(tmp_path / "d.npz"), batch=4, train_examples=8)
    run = BaselineRun(e, Baseline(method="BP", **(HOW | {"architecture": architecture})))
    cnn = CNN(run, data.load(e.data), "float64", 1)
    of_units = {name: p for name, p in cnn.modules[0].named_parameters() if p.ndim == 1}
    assert all((p == (0 if name.endswith("bias") else 1)).all() for name, p in of_units.items())
    cnn.present(1, 0, 2)
    (row,) = cnn.evaluate(1)[1]
    angles = [value for name, value in row.items() if name.startswith("angle_")]
    assert len(angles) == layers - 1 and max(angles) < 1e-4
