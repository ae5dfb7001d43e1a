"""Callbacks see every evaluation of a live run, and may end it; whatever they do, its checkpoint is kept."""

from __future__ import annotations

import json

import pytest
import torch
from builders import assert_same_end, of, refusal, same_bits, table, tiny, without_seconds

import ghostnet as gn
from ghostnet import ConfigError, Simulator, baselines, resume, train
from ghostnet.baselines.learner import Learner
from ghostnet.runs import checkpoint


def ghosts(task, out=None, **given):
    return train(tiny(task, epochs=3, seeds=(3, 1)), out, engine="reference", progress=False, **given)


def dfa(task, out=None, **given):
    e = tiny(task, epochs=3, batch=4, seeds=(3, 1))
    return baselines.train("DFA", e, out, learning_rate=0.5, progress=False, **given)


def cnn(task, out=None, **given):
    e = baselines.mlp((16, 4), data=task, batch=4, epochs=3, seeds=(3, 1), train_examples=20)
    how = {"architecture": "two-blocks", "loss": "cross-entropy", "learning_rate": 0.05, "progress": False}
    return baselines.train("FA", e, out, **how, **given)


each_kind = pytest.mark.parametrize("fit", [ghosts, dfa, cnn])


def status(out) -> dict:
    return json.loads((out / "status.json").read_text())


@each_kind
def test_a_callback_is_called_after_each_evaluation_with_the_run(task, tmp_path, fit):
    seen = []

    def look(run: gn.Run) -> None:
        name = checkpoint.in_order(run.path / "checkpoints")[-1].name
        seen.append((run.epoch, len(run.metrics), len(table(run.path)), name))

    result = fit(task, tmp_path, callbacks=[look])
    assert seen == [(n, 2 * n + 2, 2 * n + 2, f"epoch-000{n}.h5") for n in range(4)]
    assert without_seconds(result.metrics) == without_seconds(fit(task).metrics) and result.stopped is None


@each_kind
def test_a_callback_sees_what_is_trained(task, fit):
    kinds, networks = [], []

    def look(run):
        live = vars(run.trainable)
        kinds.append({"simulator", "learner", "modules"} & live.keys())
        networks.append(run.network)
        assert run.path is None and run.experiment.seeds == (3, 1)

    result = fit(task, callbacks=(look,))
    assert kinds == [{{ghosts: "simulator", dfa: "learner", cnn: "modules"}[fit]}] * 4
    if fit is cnn:
        assert len(result.network) == 2
    else:
        assert same_bits(of(networks[-1]), of(result.network)) and not same_bits(of(networks[0]), of(result.network))


@each_kind
def test_a_callback_may_stop_a_run_which_then_goes_on_to_the_same_bits(task, tmp_path, fit):
    later = []

    def stop(run):
        if run.epoch == 1:
            run.stop("good enough")

    result = fit(task, tmp_path, callbacks=[stop, lambda run: later.append(run.epoch)])
    assert result.stopped == "good enough" and result.metrics[-1]["epoch"] == 1 and later == [0, 1]
    found = status(tmp_path)
    assert (found["status"], found["reason"], found["epoch"]) == ("stopped", "good enough", 1)
    again = resume(tmp_path, progress=False, callbacks=[lambda run: later.append(run.epoch)])
    assert later == [0, 1, 2, 3] and again.stopped is None
    assert "reason" not in status(tmp_path) and status(tmp_path)["status"] == "complete"
    whole = fit(task)
    assert without_seconds(again.metrics) == without_seconds(whole.metrics)
    if fit is not cnn:
        assert_same_end(again, tmp_path, whole)


@each_kind
def test_a_callbacks_exception_ends_the_run_as_failed_and_it_goes_on(task, tmp_path, fit):
    def fail(run):
        if run.epoch == 2:
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fit(task, tmp_path, callbacks=[fail])
    assert (status(tmp_path)["status"], status(tmp_path)["checkpoint"]) == ("failed", "epoch-0002.h5")
    assert without_seconds(resume(tmp_path, progress=False).metrics) == without_seconds(fit(task).metrics)


@each_kind
def test_training_within_a_callback_is_a_matter_of_its_own(task, tmp_path, fit):
    inner = []

    def probe(run):
        inner.append(fit(task).metrics)
        torch.rand(3)

    assert without_seconds(fit(task, tmp_path, callbacks=[probe]).metrics) == without_seconds(inner[-1])


def test_a_diverging_run_was_seen_until_then(task, tmp_path):
    seen = []
    with pytest.raises(gn.DivergenceError):
        train(tiny(task, eta=(1e9, 1e9)), tmp_path, engine="torch", callbacks=[lambda run: seen.append(run.epoch)])
    assert seen == [0]


@pytest.mark.parametrize("callbacks", [print, [1], "f", None, {"a": print}])
@pytest.mark.parametrize("call", [ghosts, dfa, lambda task, out, **given: resume(out, **given)])
def test_what_is_no_list_of_functions_is_refused_before_anything_is_made(task, tmp_path, monkeypatch, call, callbacks):
    for kind, method in ((Simulator, "__init__"), (Learner, "__init__")):
        monkeypatch.setattr(kind, method, None)
    assert "callbacks: expected a list of functions" in refusal(
        ConfigError, call, task, tmp_path / "run", callbacks=callbacks
    )
    assert not (tmp_path / "run").exists()
