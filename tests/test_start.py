"""Training from a given network: its weights and activities at epoch 0, in the run's checkpoints, and said of it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from builders import assert_same_end, of, refusal, running, same_bits, tiny, without_seconds

from ghostnet import ConfigError, FileError, Simulator, baselines, build, data, resume, train
from ghostnet.engines import ENGINES
from ghostnet.files.publishing import Place
from ghostnet.model.order import presentation_order


def wild(e):
    """A network of the experiment's shapes that no seed draws, in the midst of something."""
    network, draw = running(e), np.random.default_rng(7)
    for layers in network.weights:
        layers[1:] = [draw.normal(0, 0.3, array.shape) for array in layers[1:]]
    network.presentations = 1234
    return network


@pytest.mark.parametrize("engine", ENGINES)
def test_training_goes_on_from_the_network_that_is_given(task, engine):
    e = tiny(task, epochs=0, feedback="FA", seeds=(0, 1))
    start = wild(e)
    before = {name: array.copy() for name, array in of(start).items()}
    result = train(e, start=start, engine=engine, dtype="float64")
    assert same_bits(of(result.network), before) and result.network.presentations == 0
    assert result.metrics[0]["test_mse"] == pytest.approx(
        Simulator(start, engine, "float64").evaluate(data.load(task))["test"].mse[0], rel=1e-5
    )
    train(e.replace(epochs=1), start=start, engine=engine, dtype="float64")
    assert same_bits(of(start), before)


@pytest.mark.parametrize("feedback", ["TF", "FA"])
def test_two_trainings_in_turn_are_presentations_in_turn(task, feedback):
    e = tiny(task, "MA", feedback=feedback, epochs=1)
    first = train(e, dtype="float64").network
    by_hand = Simulator(first, dtype="float64")
    again = train(e, start=first, dtype="float64").network
    by_hand.run_examples(data.load(task), presentation_order(e, 1))
    assert same_bits(of(again), of(by_hand.network))


def test_a_baseline_may_begin_what_ghosts_end(task):
    e = tiny(task, epochs=2)
    taught = baselines.train("BP", e, learning_rate=1.0, progress=False)
    result = train(e, start=taught.network, engine="reference")
    assert result.metrics[0]["test_accuracy"] == taught.metrics[-1]["test_accuracy"]


@pytest.mark.parametrize("files", [4, 5, 6, 8, 11])
def test_a_killed_run_goes_on_from_its_start(task, tmp_path, monkeypatch, files):
    e = tiny(task, feedback="FA", train_examples=20)
    start, publish, left = wild(e), Place.publish, [files]
    whole = train(e, start=start, engine="reference")

    def killed(self, name, content):
        left[0] -= 1
        if left[0] == 0:
            raise SystemExit
        return publish(self, name, content)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(Place, "publish", killed)
        train(e, tmp_path, start=start, engine="reference")
    if files == 4:  # nothing but what was asked for
        assert "began from a network that it was given" in refusal(FileError, resume, tmp_path)
        return
    assert_same_end(resume(tmp_path), tmp_path, whole)


def test_a_run_says_which_network_it_began_from(task, tmp_path):
    e, said = tiny(task, epochs=0, feedback="FA"), []
    start = wild(e)
    for number in range(3):
        train(e, tmp_path / str(number), start=start, engine="reference")
        said.append(json.loads((tmp_path / str(number) / "provenance.json").read_text())["start_sha256"])
        start.weights.W[1][0, 0, 0] += number
    assert said[0] == said[1] != said[2] and re.fullmatch("[0-9a-f]{64}", said[0])
    train(e, tmp_path / "drawn", engine="reference")
    assert "start_sha256" not in json.loads((tmp_path / "drawn" / "provenance.json").read_text())


def test_without_a_checkpoint_such_a_run_is_not_begun_from_another_network(task, tmp_path):
    train(tiny(task, epochs=1), tmp_path, start=wild(tiny(task)), engine="reference")
    for path in (tmp_path / "checkpoints").iterdir():
        path.unlink()
    assert "train anew" in refusal(FileError, resume, tmp_path)


OTHERS = [
    ({"sizes": (16, 13, 4)}, "W[1] has shape (1, 13, 16): expected (1, 12, 16)"),
    ({"ghosts": (5,)}, "W_pg[1] has shape (1, 5, 12): expected (1, 3, 12)"),
    ({"seeds": (0, 1)}, "W[1] has shape (2, 12, 16): expected (1, 12, 16)"),
    ({"batch": 2}, "W_gp[1] has shape (1, 2, 12, 3): expected (1, 1, 12, 3)"),
]


@pytest.mark.parametrize(("changes", "text"), OTHERS)
def test_a_network_that_does_not_fit_is_refused_before_anything_is_made(task, tmp_path, changes, text):
    told = refusal(ConfigError, train, tiny(task), tmp_path / "run", start=build(tiny(task, **changes)))
    assert told.startswith("start: ") and text in told and not (tmp_path / "run").exists()


def test_what_is_no_network_is_refused(task):
    assert "start is a str" in refusal(ConfigError, train, tiny(task), start="runs/demo")
    broken = wild(tiny(task))
    broken.weights.W[1][0, 0, 0] = np.nan
    assert "start: W[1][0, 0, 0] is nan" in refusal(ConfigError, train, tiny(task), start=broken)


def test_metrics_are_those_of_a_run_without_a_directory(task, tmp_path):
    e = tiny(task)
    runs = [train(e, out, start=wild(e), engine="reference") for out in (None, tmp_path)]
    assert without_seconds(runs[0].metrics) == without_seconds(runs[1].metrics)
