"""What a run learns from when it is given data, or takes all there are; and what it goes on with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from builders import assert_same_end, command, of, refusal, same_bits, sweep_settings, tiny

import ghostnet as gn
from ghostnet import ConfigError, DataError, data, resume, sweep
from ghostnet.data import npz
from ghostnet.files import toml
from ghostnet.sweep import Sweep


def own(task) -> data.Dataset:
    """The task as floats, its classes called by name."""
    whole = data.load(task)
    names = np.array(["ant", "bee", "cat", "dog"])
    x, x_test = (data.scale(whole.part(part)[0], "float32") for part in ("train", "test"))
    return gn.dataset(x, names[whole.train_labels], x_test, names[whole.test_labels])


@pytest.fixture
def digits(task, tmp_path) -> Path:
    """The task as a .npz file."""
    return write(tmp_path / "digits.npz", data.load(task))


def write(path: Path, whole: data.Dataset, roll: int = 0) -> Path:
    labels = np.roll(whole.train_labels, roll)
    parts = whole.train_images.reshape(-1, 4, 4), labels, whole.test_images.reshape(-1, 4, 4), whole.test_labels
    np.savez(path, **dict(zip(npz.KEYS, parts, strict=True)))
    return path


def stop(out: Path) -> None:
    """Make a finished run of two epochs one that was killed in its second."""
    (out / "status.json").write_text('{"status": "running", "epoch": 1}')
    (out / "checkpoints" / "epoch-0002.h5").unlink()


def ghosts(e, out, **given):
    return gn.train(e, out, engine="reference", progress=False, **given)


def backprop(e, out, **given):
    return gn.baselines.train("BP", e, out, learning_rate=0.1, progress=False, **given)


each_kind = pytest.mark.parametrize("train", [ghosts, backprop])


@each_kind
def test_a_run_that_was_given_arrays_goes_on_when_it_is_given_them_again(task, tmp_path, train):
    e, out = tiny("mnist", train_examples=None), tmp_path / "run"
    whole = train(e, out, data=own(task))
    kept = toml.read(out / "config.toml")
    assert (kept["data"], kept["train_examples"]) == ("arrays", 100)
    assert json.loads((out / "provenance.json").read_text())["data_sha256"] == own(task).sha256
    stop(out)
    text = refusal(DataError, resume, out)
    assert text.startswith(str(out)) and "began with arrays" in text and "give them again" in text
    assert "began with data of SHA-256" in refusal(DataError, resume, out, data=data.load(task))
    assert_same_end(resume(out, data=own(task)), out, whole)


@each_kind
def test_a_run_that_was_given_a_file_finds_it_again(digits, tmp_path, train):
    out = tmp_path / "run"
    whole = train(tiny("mnist", train_examples=None), out, data=gn.dataset(digits))
    assert toml.read(out / "config.toml")["data"] == str(digits)
    stop(out)
    assert_same_end(resume(out), out, whole)


@pytest.mark.parametrize("given", ["digits.npz", Path("digits.npz"), "~/digits.npz", Path("~/digits.npz")])
def test_a_file_is_named_in_every_way(digits, tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tiny(given).data == str(digits)
    (task,) = Sweep(sweep_settings("mnist", feedback="TF") | {"data": given}).tasks
    assert task.experiment.data == str(digits)


def test_a_path_is_never_a_data_sets_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tiny(Path("mnist")).data == str(tmp_path / "mnist") and tiny("mnist").data == "mnist"


def test_arrays_have_to_be_given(tmp_path):
    assert "data = arrays: stands for arrays that a Python program gave" in refusal(
        DataError, gn.train, tiny("arrays"), tmp_path / "run"
    )


@pytest.mark.parametrize("given", ["mnist", 5, ()])
def test_what_is_given_for_data_has_to_be_a_data_set(given):
    assert "expected what `ghostnet.dataset` gives" in refusal(ConfigError, gn.train, tiny("mnist"), data=given)


@each_kind
def test_examples_left_out_are_all_there_are(task, tmp_path, train):
    left_out, said = tmp_path / "a", tmp_path / "b"
    one, other = train(tiny(task, train_examples=None), left_out), train(tiny(task, train_examples=100), said)
    assert (left_out / "config.toml").read_bytes() == (said / "config.toml").read_bytes()
    assert same_bits(of(one.network), of(other.network))
    text = (left_out / "config.toml").read_text()
    (left_out / "config.toml").write_text(text.replace("train_examples = 100\n", ""))
    assert "train_examples" in refusal(ConfigError, resume, left_out)


def test_a_batch_beyond_all_examples_is_refused(task):
    assert "batch = 101: only 100 training examples" in refusal(
        ConfigError, gn.train, tiny(task, train_examples=None, batch=101)
    )


def test_the_examples_of_a_preset_are_those_of_mnist(task):
    assert gn.preset("mb-100-tf").train_examples == gn.preset("mb-100-tf", data="mnist").train_examples == 55_000
    assert gn.preset("mb-100-tf", data=task).train_examples is None
    assert gn.preset("mb-100", feedback="TF", data=task, train_examples=7).train_examples == 7


def test_an_epoch_without_a_number_of_examples_has_no_length():
    assert "train_examples" in refusal(ConfigError, lambda: tiny("mnist", train_examples=None).presentations_per_epoch)


@pytest.mark.parametrize("pack", [False, True])
def test_a_sweep_takes_all_examples_and_goes_on_with_them(digits, task, tmp_path, pack):
    settings = sweep_settings(task, feedback="TF", epochs=1, seeds=[0, 1]) | {"data": str(digits)}
    settings["engine"] = "torch" if pack else "reference"
    del settings["train_examples"]
    for _ in range(2):
        ends = sweep.run(Sweep(settings), tmp_path / "out", workers=1, pack=pack, progress=False)
        assert [(end.status, end.text) for end in ends] == [("complete", "")] * 2
    for end in ends:
        assert toml.read(tmp_path / "out" / end.name / "config.toml")["train_examples"] == 100


SIZES = ("--sizes", "16", "12", "4")


def test_the_command_line_trains_on_a_file(digits, tmp_path, capsys):
    few = ("--data", digits, "--epochs", "1", "--quiet", "--out")
    code, _, error = command(capsys, "train", "mb-100-tf", "--engine", "equilibrium", *SIZES, *few, tmp_path / "a")
    assert code == 0, error
    code, _, error = command(capsys, "baseline", "bp", "mb-100-tf", *SIZES, *few, tmp_path / "b")
    assert code == 0, error
    assert all(toml.read(tmp_path / name / "config.toml")["train_examples"] == 100 for name in "ab")
    code, _, error = command(capsys, "train", "mb-100-tf", *few, tmp_path / "c")
    assert code == 2 and f"sizes = (784, 100, 10): {digits} needs 16 inputs" in error


@pytest.fixture
def run(digits, tmp_path) -> Path:
    """A run on the file digits.npz."""
    ghosts(tiny(str(digits), "MA", train_examples=None), tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("words", [("record", "--examples", "0:10"), ("gradcheck", "--examples", "0:4", "--no-causes")])
def test_a_network_is_shown_its_own_data_or_others_that_are_named(
    run, digits, task, tmp_path, capsys, monkeypatch, words
):
    monkeypatch.chdir(tmp_path)
    name, *options = words
    assert command(capsys, name, run, *options)[0] == 0
    shutil.copy(digits, tmp_path / "before.npz")
    write(digits, data.load(task), roll=1)
    code, _, error = command(capsys, name, run, *options)
    assert code == 74 and f"{run}: began with data of SHA-256" in error and len(error.splitlines()) == 1
    for other in (digits, tmp_path / "before.npz", task):
        assert command(capsys, name, run, *options, "--data", other)[0] == 0
    code, _, error = command(capsys, name, run, *options, "--data", "mnist")
    assert code == 2 and "mnist needs 784 inputs" in error


def test_the_gradients_of_a_baseline_are_checked_on_its_own_data(digits, task, tmp_path, capsys):
    backprop(tiny(str(digits), train_examples=None), tmp_path / "run")
    assert command(capsys, "gradcheck", tmp_path / "run", "--examples", "0:4")[0] == 0
    write(digits, data.load(task), roll=1)
    code, _, error = command(capsys, "gradcheck", tmp_path / "run", "--examples", "0:4")
    assert code == 74 and "began with data of SHA-256" in error
