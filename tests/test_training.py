"""What training promises: it learns, every example once an epoch, and a directory that says how it went."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from builders import COLUMNS, TINY, experiment, of, refusal, same_bits, table, tiny, without_seconds
from scipy.special import expit

from ghostnet import ConfigError, DataError, DivergenceError, FileError, Simulator, build, data, resume, train
from ghostnet.files import toml
from ghostnet.files.publishing import publish
from ghostnet.model.experiment import from_mapping
from ghostnet.model.order import presentation_order
from ghostnet.runs import store


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("feedback", ["TF", "FA"])
@pytest.mark.parametrize("model", TINY)
def test_a_network_learns_what_it_is_shown(task, model, feedback):
    rows = train(tiny(task, model, feedback=feedback, epochs=6, seeds=(0, 1))).metrics
    for run in (0, 1):
        first, *_, last = [row for row in rows if row["run"] == run]
        assert last["test_accuracy"] > 0.9 and last["train_accuracy"] > 0.9  # chance: 0.25
        assert first["test_accuracy"] < 0.5 and last["test_mse"] < 0.7 * first["test_mse"]


@pytest.mark.parametrize("engine", ["cpu", "reference", "torch"])
def test_training_is_the_presentations_of_every_epoch_in_their_order(task, engine):
    e = tiny(task, "MA", seeds=(5, 2))
    trained = train(e, engine=engine, dtype="float64").network
    by_hand, images = Simulator(build(e), engine, "float64"), data.load(task)
    for epoch in (1, 2):
        for shown in presentation_order(e, epoch):
            x = data.scale(images.train_images[shown], "float64")
            by_hand.present(x, data.one_hot(images.train_labels[shown], 4, "float64"))
    assert trained.presentations == by_hand.presentations == 16
    assert same_bits(of(trained), of(by_hand.network))


@pytest.mark.parametrize("engine", ["cpu", "torch"])
def test_metrics_are_those_of_the_mlp_on_the_images_of_the_experiment(task, engine):
    e = tiny(task, seeds=(0, 1))
    trained, images = train(e, engine=engine, dtype="float64"), data.load(task)
    last = trained.metrics[-1]
    W = [array[1] for array in trained.network.weights.W[1:]]
    parts = {
        "train": (images.train_images[:80], images.train_labels[:80]),
        "test": (images.test_images, images.test_labels),
    }
    for part, (x, labels) in parts.items():
        rates = expit(expit(x / 255 @ W[0].T) @ W[1].T)
        assert last[f"{part}_accuracy"] == pytest.approx(np.mean(rates.argmax(1) == labels), abs=1e-6)
        assert last[f"{part}_mse"] == pytest.approx(np.mean((np.eye(4)[labels] - rates) ** 2), rel=1e-5)


@pytest.mark.parametrize("examples", [80, 83])
def test_an_epoch_shows_every_example_once_in_an_order_of_its_seed_and_epoch(task, examples):
    e = tiny(task, "MA", seeds=(0, 7), train_examples=examples)
    orders = {epoch: presentation_order(e, epoch) for epoch in (1, 2)}
    assert orders[1].shape == (8, 2, 10)
    shown = [orders[epoch][:, run].ravel() for epoch in (1, 2) for run in (0, 1)]
    for one in shown:  # a last partial batch is left out
        assert len(set(one)) == 80 and set(one) <= set(range(examples))
    assert len({tuple(one) for one in shown}) == 4
    assert np.array_equal(presentation_order(e, 1), orders[1])
    assert np.array_equal(presentation_order(e.replace(seeds=(7,)), 2), orders[2][:, 1:])


def test_metrics_do_not_depend_on_threads_nor_on_company(task):
    e = tiny(task, seeds=(0, 1, 2))
    one, two = (train(e, threads=threads).metrics for threads in (1, 2))
    assert without_seconds(one) == without_seconds(two)
    alone = without_seconds(train(e.replace(seeds=(1,))).metrics)
    assert alone == [row | {"run": 0} for row in without_seconds(one) if row["seed"] == 1]


def test_a_run_directory_says_what_was_run_and_how_it_went(task, tmp_path):
    e, out = tiny(task, seeds=(3, 1)), tmp_path / "runs" / "demo"
    result = train(e, out, engine="cpu", dtype="float64", threads=2)
    written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    checkpoints = {f"checkpoints/epoch-000{epoch}.h5" for epoch in range(3)}
    assert written == checkpoints | {".lock", "config.toml", "provenance.json", "status.json", "metrics.csv"}
    assert from_mapping(toml.read(out / "config.toml")) == e == result.network.experiment
    assert json.loads((out / "status.json").read_text()) == {
        "status": "complete", "epoch": 2, "presentation": 0, "checkpoint": "epoch-0002.h5",
        "config_sha256": hashlib.sha256((out / "config.toml").read_bytes()).hexdigest(),
    }  # fmt: skip
    provenance = json.loads((out / "provenance.json").read_text())
    assert (provenance["engine"], provenance["dtype"], provenance["threads"]) == ("cpu", "float64", 2)
    assert {"python", "numpy", "numba"} <= provenance["versions"].keys()
    assert provenance["argv"] and provenance["cpu"] and provenance["platform"] and "commit" in provenance
    assert (out / "metrics.csv").read_text().splitlines()[0] == COLUMNS
    rows = table(out)
    assert [(row["epoch"], row["run"], row["seed"]) for row in rows] == [
        (epoch, run, seed) for epoch in "012" for run, seed in (("0", "3"), ("1", "1"))
    ]
    assert rows == [{key: str(value) for key, value in row.items()} for row in result.metrics]
    assert float(rows[0]["seconds"]) == 0 <= float(rows[2]["seconds"]) <= float(rows[4]["seconds"])


def test_without_out_nothing_is_written(task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(tiny(task, epochs=1))
    assert not files(tmp_path)


def test_no_epochs_measure_the_initial_network(task):
    result = train(tiny(task, epochs=0))
    assert [row["epoch"] for row in result.metrics] == [0]
    assert same_bits(of(result.network), of(Simulator(build(tiny(task))).network))


def test_a_directory_in_use_is_refused_and_left_as_it_was(task, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    text = refusal(ConfigError, train, tiny(task), tmp_path)
    assert f"out = {tmp_path}: exists and is not empty" in text
    assert files(tmp_path) == {"notes.txt": b"mine"}
    assert "out = " in refusal(ConfigError, train, tiny(task), tmp_path / "notes.txt")
    assert files(tmp_path) == {"notes.txt": b"mine"}
    (tmp_path / "empty").mkdir()
    train(tiny(task, epochs=0), tmp_path / "empty")
    assert (tmp_path / "empty" / "metrics.csv").exists()


def test_a_directory_that_cannot_be_made_is_an_output_error_naming_it(task, tmp_path):
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file" / "run") in refusal(FileError, train, tiny(task), tmp_path / "file" / "run")


def test_divergence_keeps_the_metrics_until_then_and_says_so(task, tmp_path):
    e = tiny(task, eta=(1e9, 1e9), seeds=(6,))
    text = refusal(DivergenceError, train, e, tmp_path / "run")
    assert text.startswith("epoch 1: diverged: seed 6, presentation ") and "try dt = 0.0025" in text
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["status"], status["epoch"], status["checkpoint"]) == ("diverged", 0, "epoch-0000.h5")
    assert [row["epoch"] for row in table(tmp_path / "run")] == ["0"]


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "stopped"), (RuntimeError, "failed")])
def test_a_run_that_ends_early_says_how(task, tmp_path, monkeypatch, error, status):
    def interrupt(self, dataset, order):
        raise error

    monkeypatch.setattr(Simulator, "run_examples", interrupt)
    with pytest.raises(error):
        train(tiny(task), tmp_path / "run")
    found = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (found["status"], found["epoch"]) == (status, 0)
    assert len(table(tmp_path / "run")) == 1


def test_a_file_is_published_whole_or_the_old_one_stays(tmp_path, monkeypatch):
    path = tmp_path / "metrics.csv"
    publish(path, b"old")
    publish(path, b"new")
    assert files(tmp_path) == {"metrics.csv": b"new"}

    def full(*arguments):
        raise OSError(28, "No space left on device")

    for failing in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(store.os, failing, full)
            text = refusal(FileError, publish, path, b"newer")
        assert text.startswith(f"{path}: can't be written (No space left on device")
        assert files(tmp_path) == {"metrics.csv": b"new"}


@pytest.mark.parametrize(
    ("error", "changes", "text"),
    [
        (ConfigError, {"sizes": (15, 12, 4)}, "needs 16 inputs"),
        (ConfigError, {"sizes": (16, 12, 5)}, "needs 4 outputs"),
        (ConfigError, {"train_examples": 101}, "train_examples = 101"),
        (DataError, {"data": "no-such-folder"}, "no-such-folder': no such file or directory"),
    ],
)
def test_what_does_not_fit_the_data_is_refused_before_anything_is_written(task, tmp_path, error, changes, text):
    assert text in refusal(error, train, tiny(task, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_default_engine_is_compiled_and_single_precision(task, tmp_path):
    train(tiny(task, epochs=0), tmp_path / "run")
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert (provenance["engine"], provenance["dtype"]) == ("cpu", "float32")
    assert Simulator(build(experiment())).dtype == np.float32


def test_no_threads_are_refused_and_the_directory_is_left_free(task, tmp_path):
    assert "threads = 0" in refusal(ConfigError, train, tiny(task), tmp_path / "run", threads=0)
    assert not files(tmp_path)
    train(tiny(task, epochs=0), tmp_path / "run")
    with pytest.raises(ConfigError, match="threads = 0") as held:  # as a notebook holds the last error
        resume(tmp_path / "run", threads=0)
    assert resume(tmp_path / "run").metrics and held
