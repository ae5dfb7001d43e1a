"""The convolutional networks train by every method, from the same weights, without touching torch's generator."""

from __future__ import annotations

import json
import os
import signal

import pytest
import torch
from builders import COLUMNS, refusal, resealed, same_bits, states, without_seconds

from ghostnet import ConfigError, DivergenceError, FileError, Stopped, baselines, resume
from ghostnet.baselines.check import gradcheck
from ghostnet.baselines.cnn import CNN
from ghostnet.cli.main import main
from ghostnet.results import comparison
from ghostnet.runs import checkpoint

HOW = dict(architecture="two-blocks", loss="cross-entropy", learning_rate=0.05, momentum=0.9)
METHODS = ["BP", "FA", "DFA"]


def fit(task, method, out=None, epochs=1, seeds=(0,), sizes=(16, 4), train_examples=80, **changes):
    e = baselines.mlp(sizes, data=task, batch=4, epochs=epochs, seeds=seeds, train_examples=train_examples)
    return baselines.train(method, e, out, progress=False, **(HOW | changes))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("architecture", ["two-blocks", "three-convolutions"])
def test_every_method_learns_the_task(task, architecture, method):
    before = torch.random.get_rng_state()
    rows = fit(task, method, epochs=8, architecture=architecture).metrics
    assert ",".join(rows[0]).startswith(f"{COLUMNS},train_loss,test_loss")
    assert rows[-1]["test_accuracy"] > 0.9 and rows[-1]["test_mse"] < rows[0]["test_mse"]  # chance: 0.25
    assert torch.equal(before, torch.random.get_rng_state())


def test_methods_start_from_the_same_weights_and_repeat_exactly(task):
    first, again, other = (without_seconds(fit(task, method).metrics) for method in ("DFA", "DFA", "BP"))
    assert first == again and first[0] == other[0] and first[1] != other[1]


def test_a_seed_gives_what_it_gives_alone(task):
    both, alone = (fit(task, "DFA", seeds=seeds) for seeds in ((3, 1), (1,)))
    assert [row | {"run": 0} for row in without_seconds(both.metrics) if row["seed"] == 1] == without_seconds(
        alone.metrics
    )
    assert same_bits(states(both.network[1:]), states(alone.network))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("call", [2, 5])
def test_a_stopped_run_goes_on_to_the_same_bits(task, tmp_path, monkeypatch, method, call):
    whole, present, left = fit(task, method, epochs=3, seeds=(3, 1)), CNN.present, [call]

    def counting(self, *chunk):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        present(self, *chunk)

    with monkeypatch.context() as patch:
        patch.setattr(CNN, "present", counting)
        with pytest.raises(Stopped, match="ghostnet resume"):
            fit(task, method, tmp_path, epochs=3, seeds=(3, 1))
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
    "half of the momenta": lambda file: file.__delitem__("extra_momentum.0"),
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
        ({"method": "IFA"}, "method = IFA: two-blocks learns by BP, FA, DFA"),
        ({"train_examples": 999}, "train_examples = 999"),
        ({"loss": "mse"}, "loss = mse"),
        ({"dropout": 0.5}, "dropout = 0.5"),
        ({"learning_rate": (0.1, 0.1)}, "learning_rate has 2 values"),
        ({"architecture": "resnet"}, "unknown architecture"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(task, tmp_path, changes, text):
    assert text in refusal(ConfigError, fit, task, out=tmp_path / "run", **({"method": "FA"} | changes))
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_is_divergence(task):
    text = refusal(DivergenceError, fit, task, "BP", epochs=3, learning_rate=1e20)
    assert text.startswith("epoch 1: seed 0 diverged: the loss is not finite; try learning_rate = ")
