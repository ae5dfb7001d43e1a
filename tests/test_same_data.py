"""A run's data are found from any working directory, and are those it began with to its end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from builders import (
    assert_same_end,
    command,
    idx_bytes,
    noise,
    refusal,
    small_parts,
    sweep_settings,
    tiny,
    write_parts,
)

from ghostnet import DataError, baselines, data, resume, sweep, train
from ghostnet.files import toml
from ghostnet.model.experiment import from_mapping
from ghostnet.runs import checkpoint
from ghostnet.sweep import Sweep, ensembles
from ghostnet.sweep.task import perform, status


@pytest.fixture
def here(task, tmp_path, monkeypatch) -> Path:
    """A working directory with a copy of the task as digits/; another directory there has other digits/."""
    shutil.copytree(task, tmp_path / "one" / "digits")
    shutil.copytree(task, tmp_path / "two" / "digits")
    change(tmp_path / "two" / "digits")
    monkeypatch.chdir(tmp_path / "one")
    return tmp_path / "one"


def change(folder: Path) -> None:
    """Other labels in place of those of an IDX directory."""
    labels = data.load(folder).train_labels
    (folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.roll(labels, 1)))


def stopped(out: Path) -> None:
    """Make a finished run one that was killed in its last epoch."""
    (out / "status.json").write_text('{"status": "running", "epoch": 1}')
    (out / "checkpoints" / "epoch-0002.h5").unlink()


@pytest.mark.parametrize("given", ["digits", "../one/digits", "~/digits"])
def test_a_run_takes_its_data_from_where_it_began(here, tmp_path, monkeypatch, given):
    with monkeypatch.context() as patch:
        patch.setenv("HOME", str(here))
        e, out = tiny(given), tmp_path / "run"
    whole = train(e, out, engine="reference")
    assert Path(e.data).is_absolute() and Path(e.data).samefile(here / "digits")
    assert toml.read(out / "config.toml")["data"] == e.data == checkpoint.newest(out).experiment.data
    stopped(out)
    monkeypatch.chdir(tmp_path / "two")
    assert_same_end(resume(out), out, whole)


def test_a_relative_path_in_a_file_or_option_is_kept_absolute(here, capsys):
    (here / "e.toml").write_text(tiny("mnist", epochs=0).to_toml().replace('"mnist"', '"digits"'))
    for number, options in enumerate([(), ("--data", "./digits")]):
        out = here / f"run-{number}"
        assert (
            command(capsys, "train", "--config", "e.toml", "--engine", "reference", "--out", out, "--quiet", *options)[
                0
            ]
            == 0
        )
        assert from_mapping(toml.read(out / "config.toml")).data == str(here / "digits")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_a_data_sets_name_stays_a_name(here, name):
    (here / name).mkdir()
    assert tiny(name).data == name and tiny(f"./{name}").data == str(here / name)


def test_a_hash_is_that_of_the_arrays_wherever_they_lie(tmp_path):
    parts = small_parts()
    plain = data.load(write_parts(tmp_path / "a", parts)).sha256
    packed = [f"{name}.gz" for name in ("train-images.idx3-ubyte", "train-labels.idx1-ubyte")]
    packed += ["t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"]
    assert data.load(write_parts(tmp_path / "b", parts, packed)).sha256 == plain
    assert len(plain) == 64 and data.load().sha256 == data.load().sha256 != plain


@pytest.mark.parametrize("part", range(4))
def test_a_hash_changes_with_any_value_and_with_what_belongs_to_which_part(tmp_path, part):
    parts = small_parts()
    whole = data.Dataset("a", *(array.reshape(len(array), -1) if array.ndim == 3 else array for array in parts))
    arrays = {name: array.copy() for name, array in vars(whole).items() if isinstance(array, np.ndarray)}
    changed = arrays[list(arrays)[part]]
    changed.flat[-1] += 1
    assert data.Dataset("a", **arrays).sha256 != whole.sha256
    e = tiny("mnist", sizes=(6, 5, 4))
    halves = noise(e, 60, 40), noise(e, 40, 60)
    assert halves[0].sha256 != halves[1].sha256


def assert_refuses_other_data(out: Path, digits: Path, go_on) -> None:
    stopped(out)
    had = json.loads((out / "provenance.json").read_text())["data_sha256"]
    assert had == data.load(digits).sha256
    change(digits)
    text = refusal(DataError, go_on, out)
    assert text.startswith(f"{out}: ") and str(digits) in text
    assert had[:12] in text and data.load(digits).sha256[:12] in text


def test_a_run_does_not_go_on_with_other_data(here):
    train(tiny("digits"), here / "run", engine="reference")
    assert_refuses_other_data(here / "run", here / "digits", resume)


def test_a_baseline_does_not_go_on_with_other_data(here):
    baselines.train("BP", tiny("digits"), here / "run", learning_rate=0.1)
    assert_refuses_other_data(here / "run", here / "digits", resume)


def test_a_packed_ensemble_does_not_go_on_with_other_data(here, monkeypatch):
    tasks = Sweep(sweep_settings("digits", feedback="TF", engine="torch", seeds=[0, 1])).tasks
    monkeypatch.setattr(ensembles, "_divide", lambda *given: None)
    monkeypatch.setattr(ensembles.shutil, "rmtree", lambda path: None)
    ensembles.perform_together(tasks, here, 1)
    place = ensembles.directory(tasks, here)
    assert_refuses_other_data(place, here / "digits", resume)
    ends = ensembles.perform_together(tasks, here, 1)
    assert {(one.status, one.exit_code) for one in ends} == {("failed", 74)}


def test_a_divided_ensemble_keeps_the_hash(here):
    tasks = Sweep(sweep_settings("digits", feedback="TF", engine="torch", epochs=0, seeds=[0, 1])).tasks
    ensembles.perform_together(tasks, here, 1)
    for one in tasks:
        assert (
            json.loads((here / one.name / "provenance.json").read_text())["data_sha256"] == data.load("digits").sha256
        )


def test_data_that_are_gone_are_to_be_put_back(here):
    train(tiny("digits"), here / "run", engine="reference")
    stopped(here / "run")
    (here / "digits").rename(here / "elsewhere")
    text = refusal(DataError, resume, here / "run")
    assert str(here / "digits") in text and "no such file or directory" in text and "put the data there" in text


@pytest.mark.parametrize("kept", ["", "nothing", 5])
def test_a_run_without_a_hash_is_refused_in_one_line(here, kept):
    train(tiny("digits", epochs=0), here / "run", engine="reference")
    path = here / "run" / "provenance.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in known.items() if name != "data_sha256"}))
    assert "data_sha256" in refusal(DataError, resume, here / "run")
    path.write_text(json.dumps(known | {"data_sha256": kept}))
    refusal(DataError, resume, here / "run")


def test_a_sweeps_tasks_take_their_data_from_where_it_began(here, tmp_path, monkeypatch):
    base = sweep_settings("digits", feedback="TF", engine="reference", epochs=0) | {"data": "digits"}
    plans = [
        Sweep(base),
        Sweep(base, {"data": ["digits", "./digits/../digits"]}),
        Sweep(base, {}, [base | {"name": "a"}]),
    ]
    for plan in plans:
        assert {one.experiment.data for one in plan.tasks} <= {str(here / "digits"), str(here / "digits/../digits")}
        (tmp_path / "sweep.toml").write_text(plan.to_toml())
        tasks = plan.tasks
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path / "two")
            again = sweep.read(tmp_path / "sweep.toml")
            assert (again, again.tasks) == (plan, tasks)


def test_a_sweep_does_not_mix_data(here):
    plan = Sweep(sweep_settings("digits", feedback="TF", engine="reference", epochs=0))
    (one,) = plan.tasks
    assert perform(one, here / "out", 1).status == "complete"
    (again,) = sweep.run(plan, here / "out", workers=1, progress=False)
    assert again.status == "complete"
    change(here / "digits")
    (other,) = sweep.run(plan, here / "out", workers=1, progress=False)
    assert other.status == "failed" and "SHA-256" in other.text and str(here / "digits") in other.text
    shutil.rmtree(here / "digits")  # what isn't there is not other data
    assert sweep.run(plan, here / "out", workers=1, progress=False)[0].status == "complete"
    assert status(here / "out" / one.name)["status"] == "complete"
