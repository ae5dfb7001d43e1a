"""A run that is given more epochs is the run that had them from the start, and no kill on the way takes it."""

from __future__ import annotations

import json

import pytest
from builders import assert_same_end, command, of, refusal, same_bits, table, tiny, without_seconds

from ghostnet import ConfigError, FileError, baselines, resume, train
from ghostnet.files import toml
from ghostnet.files.publishing import Place
from ghostnet.results.report import run_summary
from ghostnet.runs import checkpoint

DROPPED = {"learning_rate": 0.1, "dropout": 0.2, "momentum": 0.5}
WAYS = {
    "MB": lambda task, epochs, out=None: train(tiny(task, epochs=epochs, seeds=(3, 1)), out, engine="reference"),
    "MA, gradcheck": lambda task, epochs, out=None: train(tiny(task, "MA", epochs=epochs), out, gradcheck_every=1),
    "FA": lambda task, epochs, out=None: baselines.train("FA", tiny(task, epochs=epochs, seeds=(3, 1)), out, **DROPPED),
}


@pytest.fixture(params=WAYS)
def way(request, task):
    """Trains for so many epochs, in a directory or not."""
    return lambda *given: WAYS[request.param](task, *given)


def quick(task, epochs, out=None):
    return train(tiny(task, epochs=epochs, train_examples=8), out, engine="reference", progress=False)


def test_a_lengthened_run_is_the_long_one_to_the_same_bits(way, tmp_path):
    whole = way(5)
    way(2, tmp_path)
    before, first = table(tmp_path), (tmp_path / "checkpoints" / "epoch-0002.h5").read_bytes()
    assert_same_end(resume(tmp_path, epochs=3, progress=False), tmp_path, way(3))
    assert table(tmp_path)[: len(before)] == before
    assert (tmp_path / "checkpoints" / "epoch-0002.h5").read_bytes() == first
    assert_same_end(resume(tmp_path, epochs=5, progress=False), tmp_path, whole)
    assert toml.read(tmp_path / "config.toml")["epochs"] == 5
    assert json.loads((tmp_path / "provenance.json").read_text())["epochs"] == [2, 3, 5]
    assert checkpoint.newest(tmp_path).experiment.epochs == 5
    assert_same_end(resume(tmp_path, progress=False), tmp_path, whole)


def test_a_stopped_run_may_be_given_fewer_epochs_but_not_fewer_than_it_has_done(task, tmp_path):
    quick(task, 5, tmp_path)
    for epoch in (4, 5):
        (tmp_path / "checkpoints" / f"epoch-000{epoch}.h5").unlink()
    text = refusal(ConfigError, resume, tmp_path, epochs=2)
    assert text.startswith("epochs = 2: ") and "has done 3; give 3 or more" in text
    assert toml.read(tmp_path / "config.toml")["epochs"] == 5
    assert_same_end(resume(tmp_path, epochs=4), tmp_path, quick(task, 4))


def test_an_epoch_begun_counts_as_done(task, tmp_path):
    e = tiny(task, epochs=3)
    quick(task, 3, tmp_path)
    newest = checkpoint.load(tmp_path / "checkpoints" / "epoch-0002.h5")
    (tmp_path / "checkpoints" / "epoch-0003.h5").unlink()
    newest.shown, newest.configuration = 2, e.replace(train_examples=8)
    checkpoint.save(tmp_path, newest, "float64")
    assert "has begun epoch 3; give 3 or more" in refusal(ConfigError, resume, tmp_path, epochs=2)


@pytest.mark.parametrize("epochs", [-1, 2.5, "3", True, 10**10])
def test_no_number_of_epochs_is_refused_and_nothing_is_changed(task, tmp_path, epochs):
    quick(task, 1, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert "epochs = " in refusal(ConfigError, resume, tmp_path, epochs=epochs)
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize("files", [0, 1, 2, 3, 4])
def test_a_run_goes_on_whichever_file_was_the_last_before_a_kill(task, tmp_path, monkeypatch, files):
    whole, left = quick(task, 4), [files]
    quick(task, 2, tmp_path)
    publish = Place.publish

    def killed(self, name, content):
        if left[0] == 0:
            raise SystemExit
        left[0] -= 1
        return publish(self, name, content)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(Place, "publish", killed)
        resume(tmp_path, epochs=4)
    run_summary(tmp_path)
    asked = toml.read(tmp_path / "config.toml")["epochs"]
    assert asked == (2 if files < 3 else 4)
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["status"] == ("running" if files else "complete") and status["epoch"] == 2
    assert_same_end(resume(tmp_path), tmp_path, quick(task, asked))
    assert_same_end(resume(tmp_path, epochs=4), tmp_path, whole)


def test_a_number_written_by_hand_is_refused_before_and_after(task, tmp_path):
    quick(task, 2, tmp_path)
    config = tmp_path / "config.toml"

    def edit(before, after):
        config.write_text(config.read_text().replace(f"epochs = {before}", f"epochs = {after}"))

    edit(2, 7)
    assert "or resume with --epochs" in refusal(ConfigError, resume, tmp_path)
    assert "epochs = 7" in refusal(ConfigError, resume, tmp_path, epochs=9)
    edit(7, 2)
    resume(tmp_path, epochs=3)
    for number in (2, 7):
        edit(3, number)
        for call in (resume, checkpoint.newest, run_summary):
            assert f"epochs = {number}" in refusal(ConfigError, call, tmp_path)
        edit(number, 3)
    config.write_text(config.read_text().replace("beta = 0.1", "beta = 0.2"))
    assert "beta = 0.2" in refusal(ConfigError, resume, tmp_path, epochs=9)


@pytest.mark.parametrize("known", ["3", [], {}, None, [2, "3"]])
def test_what_provenance_says_of_epochs_is_not_believed_where_it_can_not_be(task, tmp_path, known):
    quick(task, 2, tmp_path)
    path = tmp_path / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"epochs": known}))
    config = tmp_path / "config.toml"
    config.write_text(config.read_text().replace("epochs = 2", "epochs = 3"))
    assert "epochs = 3" in refusal(ConfigError, resume, tmp_path)


def test_a_run_is_lengthened_from_the_command_line(task, tmp_path, capsys):
    quick(task, 1, tmp_path)
    code, out, _ = command(capsys, "resume", tmp_path, "--epochs", 2, "--quiet")
    assert code == 0 and out.startswith("after epoch 2:")
    code, _, err = command(capsys, "resume", tmp_path, "--epochs", 1)
    assert code == 2 and err.count("\n") == 1 and "epochs = 1" in err
    whole = quick(task, 2)
    assert same_bits(of(checkpoint.newest(tmp_path)), of(whole.network))
    assert without_seconds(resume(tmp_path).metrics) == without_seconds(whole.metrics)


def test_what_is_no_run_is_not_lengthened(tmp_path):
    refusal(FileError, resume, tmp_path, epochs=3)


@pytest.mark.parametrize("kind", ["ghosts", "a baseline"])
def test_epochs_between_evaluations_change_nothing_but_the_rows_that_there_are(task, tmp_path, kind):
    def trained(epochs, every, out=None):
        e = tiny(task, epochs=epochs, evaluate_every=every, train_examples=8, batch=1)
        if kind == "ghosts":
            return train(e, out, engine="reference", progress=False)
        return baselines.train("FA", e, out, progress=False, **DROPPED)

    whole, seen = trained(5, 1), []
    rare = trained(5, 2, tmp_path / "rare")
    assert [row["epoch"] for row in rare.metrics] == [0, 2, 4, 5]
    assert without_seconds(rare.metrics) == [
        row for row in without_seconds(whole.metrics) if row["epoch"] not in (1, 3)
    ]
    assert same_bits(of(rare.network), of(whole.network))
    trained(3, 2, tmp_path / "run")
    again = resume(tmp_path / "run", epochs=5, progress=False, callbacks=[lambda run: seen.append(run.epoch)])
    assert_same_end(again, tmp_path / "run", rare)
    assert seen == [4, 5]


def test_a_run_that_ends_sooner_than_asked_for_is_evaluated_where_it_ends(task, tmp_path):
    e = tiny(task, epochs=4, evaluate_every=2, train_examples=8)
    train(e, tmp_path, engine="reference", progress=False)
    (tmp_path / "checkpoints" / "epoch-0004.h5").unlink()
    ended = resume(tmp_path, epochs=3, progress=False)
    assert [row["epoch"] for row in ended.metrics] == [0, 2, 3]
    assert_same_end(ended, tmp_path, train(e.replace(epochs=3), engine="reference", progress=False))
