"""The same sweep again: what is finished is known by its small files, and more epochs lengthen it."""

from __future__ import annotations

import pytest
from builders import of, same_bits, sweep_settings, tiny, without_seconds

import ghostnet as gn
from ghostnet import baselines, sweep
from ghostnet.files import hdf5
from ghostnet.runs import checkpoint, metrics
from ghostnet.sweep import Sweep

QUICK = {"feedback": "TF", "engine": "reference", "train_examples": 8}


def run(settings: dict, folder, **how) -> list[tuple[str, str]]:
    outcomes = sweep.run(Sweep(settings), folder, workers=1, progress=False, **how)
    return [(outcome.status, outcome.text) for outcome in outcomes]


def test_a_finished_sweep_asked_for_again_opens_no_checkpoint(task, tmp_path, monkeypatch):
    asked = sweep_settings(task, **QUICK, epochs=0, seeds=[0, 1])
    run(asked, tmp_path)
    with monkeypatch.context() as patch:
        patch.delattr(hdf5, "open_strictly")
        assert run(asked, tmp_path) == [("complete", "")] * 2
    config = tmp_path / "seed=1" / "config.toml"
    config.write_text(config.read_text().replace("beta = 0.1", "beta = 0.2"))
    (_, ours), (state, text) = run(asked, tmp_path)
    assert ours == "" and state == "failed" and "holds a run with beta = 0.2, not 0.1" in text
    ((state, text),) = run(asked | {"seeds": [1], "beta": 0.2}, tmp_path)
    assert state == "failed" and "beta = 0.2, but its checkpoint was made with beta = 0.1" in text


@pytest.mark.parametrize("method", ["MB", "DFA"])
def test_more_epochs_in_the_file_lengthen_what_is_finished(task, tmp_path, method):
    asked = sweep_settings(task, **QUICK, method=method, epochs=1, learning_rate=0.5)
    del asked["model"]
    assert run(asked, tmp_path) == run(asked | {"epochs": 3}, tmp_path) == [("complete", "")]
    e = tiny(task, epochs=3, train_examples=8)
    if method == "MB":
        whole = gn.train(e, engine="reference", progress=False)
    else:
        whole = baselines.train("DFA", e, learning_rate=0.5, progress=False)
    assert without_seconds(metrics.read(tmp_path / "seed=0" / "metrics.csv")) == without_seconds(whole.metrics)
    ours = of(checkpoint.newest(tmp_path / "seed=0"))
    names = ours if method == "MB" else ("W[1]", "W[2]")
    assert same_bits({name: ours[name] for name in names}, {name: of(whole.network)[name] for name in names})
    assert len(gn.load_sweep(tmp_path).epoch) == 4
    ((state, text),) = run(asked | {"epochs": 2}, tmp_path)
    assert state == "failed" and "epochs = 2: " in text and "has done 3; give 3 or more" in text
    assert run(asked | {"epochs": 3}, tmp_path) == [("complete", "")]


def test_packed_tasks_are_lengthened_too(task, tmp_path):
    asked = sweep_settings(task, **QUICK | {"engine": "torch"}, epochs=1, seeds=[0, 1])
    assert run(asked, tmp_path, pack=True) == [("complete", "")] * 2
    assert run(asked | {"epochs": 2}, tmp_path, pack=True) == [("complete", "")] * 2
    assert len(gn.load_sweep(tmp_path).epoch) == 3
