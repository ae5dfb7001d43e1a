"""Files are written where they were meant to go and nowhere else, on any file system, by one process at a time."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import threading
import time

import pytest
from builders import command, refusal, table, tiny

from ghostnet import ConfigError, FileError, Recorder, Simulator, baselines, resume, train
from ghostnet.baselines.learner import Learner
from ghostnet.data import read_idx
from ghostnet.errors import DataError
from ghostnet.files import jsonfile, toml
from ghostnet.files.publishing import publish
from ghostnet.results import comparison
from ghostnet.results.report import run_summary
from ghostnet.runs import checkpoint, store
from ghostnet.sweep.task import status


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002, 0o000])
def test_the_umask_says_who_may_read_what_is_written(task, tmp_path, mask):
    before = os.umask(mask)
    try:
        publish(tmp_path / "a.csv", b"1")
        train(tiny(task, epochs=0), tmp_path / "run", engine="reference", progress=False)
    finally:
        os.umask(before)
    files = [tmp_path / "a.csv", *(path for path in (tmp_path / "run").rglob("*") if path.is_file())]
    assert len(files) == 7 and {mode(path) for path in files} == {0o666 & ~mask}
    assert mode(tmp_path / "run") == mode(tmp_path / "run" / "checkpoints") == 0o777 & ~mask


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("failing", ["fsync", "open"])
def test_directories_that_cannot_be_synced_are_written_into(task, tmp_path, monkeypatch, failing):
    real = getattr(os, failing)

    def call(what, *arguments, **options):
        found = what if failing == "open" else os.readlink(f"/proc/self/fd/{what}")
        reading = failing == "fsync" or (arguments[0] & os.O_ACCMODE == os.O_RDONLY and not arguments[0] & os.O_PATH)
        folder = os.path.isdir(found) or found == "."
        if folder and reading:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(what, *arguments, **options)

    monkeypatch.setattr(os, failing, call)
    publish(tmp_path / "a.csv", b"1")
    train(tiny(task, epochs=0), tmp_path / "run", engine="reference", progress=False)
    assert (tmp_path / "a.csv").read_bytes() == b"1" and len(table(tmp_path / "run")) == 1


def test_a_name_as_long_as_the_file_system_takes_can_be_published(tmp_path):
    path = tmp_path / ("x" * 251 + ".csv")
    publish(path, b"1")
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_default_directories_of_one_second_are_different(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda _: "20260101-000000")
    first = "runs/mb-100-tf-20260101-000000"
    with store.default_directory("mb-100-tf") as a, store.default_directory("mb-100-tf") as b:
        assert [str(a), str(b)] == [first, f"{first}-2"] and a.is_dir() and b.is_dir()
        (b / "kept").touch()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [b.name]  # what stayed empty is gone
    (tmp_path / "runs" / b.name / "kept").unlink()
    (tmp_path / "runs" / b.name).rmdir()
    (tmp_path / "runs").rmdir()
    (tmp_path / "runs").touch()
    with pytest.raises(FileError, match="can't be made"), store.default_directory("mb-100-tf"):
        pass


@pytest.mark.parametrize("arguments", [("train",), ("baseline", "bp")])
def test_trainings_started_in_one_second_take_different_directories(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda *_: "20260101-000000")
    options = ("--epochs", 0, "--train-examples", 10, "--batch", 1, "--quiet")
    for _ in range(2):
        assert command(capsys, *arguments, "mb-100-tf", *options)[0] == 0
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert len(names) == 2 and names[1] == f"{names[0]}-2"
    assert all((tmp_path / "runs" / name / "status.json").exists() for name in names)


def test_a_refused_training_leaves_no_default_directory(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command(capsys, "train", "mb-100-tf", "--data", "nowhere")[0] == 74
    assert not list(tmp_path.iterdir())


def test_of_two_that_begin_at_once_in_one_directory_one_is_refused(task, tmp_path, monkeypatch):
    """Whoever looked at the directory before the other had begun looks again once it is his."""
    e, first = tiny(task, epochs=0), []
    lock = store.RunDirectory._lock

    def late(self):
        if not first:
            first.append(None)
            train(e, tmp_path / "run", engine="reference", progress=False)
        lock(self)

    monkeypatch.setattr(store.RunDirectory, "_lock", late)
    assert "not empty" in refusal(ConfigError, train, e.replace(epochs=1), tmp_path / "run", engine="reference")
    assert toml.read(tmp_path / "run" / "config.toml")["epochs"] == 0


def moved_after_one_epoch(monkeypatch, run, then):
    """In the first epoch of a training in `run`, its directory is moved and `then` done in its place."""
    present = Simulator.run_examples

    def moving(self, dataset, order):
        monkeypatch.setattr(Simulator, "run_examples", present)
        run.rename(run.with_name("moved"))
        then()
        return present(self, dataset, order)

    monkeypatch.setattr(Simulator, "run_examples", moving)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("record", [None, Recorder(("s",), every=10)])
def test_a_run_whose_directory_was_moved_ends_and_leaves_the_next_one_of_that_name_alone(
    task, tmp_path, monkeypatch, record
):
    run, later = tmp_path / "run", {}

    def another():
        train(tiny(task, "MA", epochs=1), run, engine="reference", progress=False, record=record)
        later.update(contents(run))

    moved_after_one_epoch(monkeypatch, run, another)
    text = refusal(FileError, train, tiny(task), run, engine="reference", progress=False, record=record)
    assert "moved or replaced" in text and FileError.exit_code == 74
    assert later and contents(run) == later
    assert json.loads((tmp_path / "moved" / "status.json").read_text())["status"] == "running"
    assert resume(tmp_path / "moved", progress=False).metrics[-1]["epoch"] == 2  # nothing that was kept is lost


def test_a_run_whose_directory_was_moved_makes_no_other(task, tmp_path, monkeypatch):
    moved_after_one_epoch(monkeypatch, tmp_path / "run", lambda: None)
    refusal(FileError, train, tiny(task), tmp_path / "run", engine="reference", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_where_it_began_whatever_the_working_directory_becomes(task, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    present = Simulator.run_examples

    def away(self, dataset, order):
        os.chdir(tmp_path / "elsewhere")
        return present(self, dataset, order)

    monkeypatch.setattr(Simulator, "run_examples", away)
    train(tiny(task), "run", engine="reference", progress=False)
    assert len(table(tmp_path / "run")) == 3 and not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("name", ["checkpoints", "traces"])
def test_a_directory_of_a_run_that_leads_elsewhere_is_refused(task, tmp_path, name):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    train(tiny(task, epochs=0), run, engine="reference", progress=False)
    if (run / name).exists():
        (run / name).rename(elsewhere)
    else:
        elsewhere.mkdir()
    for n in range(5):
        (elsewhere / f"epoch-000{n}.h5").touch()
    (run / name).symlink_to(elsewhere)
    before = contents(elsewhere)
    text = refusal(FileError, resume, run, progress=False)
    assert str(run / name) in text and "symbolic link" in text
    assert contents(elsewhere) == before


def test_a_directory_of_a_run_that_comes_to_lead_elsewhere_is_refused_on_the_way(task, tmp_path, monkeypatch):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    elsewhere.mkdir()
    present = Simulator.run_examples

    def replacing(self, dataset, order):
        if not (run / "checkpoints").is_symlink():
            (run / "checkpoints").rename(tmp_path / "before")
            (run / "checkpoints").symlink_to(elsewhere)
        return present(self, dataset, order)

    monkeypatch.setattr(Simulator, "run_examples", replacing)
    assert "symbolic link" in refusal(FileError, train, tiny(task), run, engine="reference", progress=False)
    assert not list(elsewhere.iterdir()) and json.loads((run / "status.json").read_text())["status"] == "failed"


@pytest.mark.parametrize("name", ["config.toml", "provenance.json", "status.json", "metrics.csv", ".lock"])
def test_a_file_of_a_run_that_leads_elsewhere_is_refused(task, tmp_path, name):
    run = tmp_path / "run"
    train(tiny(task, epochs=0), run, engine="reference", progress=False)
    (run / name).rename(tmp_path / "elsewhere")
    (run / name).symlink_to(tmp_path / "elsewhere")
    before = (tmp_path / "elsewhere").read_bytes()
    assert str(run) in refusal(FileError, resume, run, progress=False)
    assert (tmp_path / "elsewhere").read_bytes() == before


READERS = {
    "status.json": status,
    "provenance.json": resume,
    "config.toml": resume,
    "metrics.csv": lambda run: comparison.read([run]),
    "checkpoints/epoch-0000.h5": lambda run: checkpoint.load(run / "checkpoints" / "epoch-0000.h5"),
}


@pytest.mark.parametrize("kind", ["pipe", "device", "directory"])
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_regular_file_is_refused_at_once(task, tmp_path, name, kind):
    run = tmp_path / "run"
    train(tiny(task, epochs=0), run, engine="reference", progress=False)
    (run / name).unlink()
    make_odd(run / name, kind)
    assert str(run / name) in at_once(lambda: refusal(FileError, READERS[name], run))
    if name.startswith("checkpoints"):
        assert "no readable checkpoint" in at_once(lambda: refusal(FileError, checkpoint.newest, run))
    else:
        assert name in at_once(lambda: refusal(FileError, run_summary, run))


def make_odd(path, kind):
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()


def at_once(call):
    """What a call returns, which must not wait for ever."""
    found = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()
    thread.join(20)
    assert found, "it hangs, or raised something else"
    return found[0]


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_an_image_file_that_is_no_regular_file_is_refused_at_once(task, tmp_path, kind):
    make_odd(tmp_path / "odd", kind)
    assert "not a regular file" in at_once(lambda: refusal(DataError, read_idx, tmp_path / "odd"))


def test_a_file_larger_than_any_of_its_kind_is_refused_unread(tmp_path):
    for name, call in (("a.toml", toml.read), ("a.json", jsonfile.read)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(1 << 40)
        assert "larger than" in refusal(FileError, call, tmp_path / name)


def test_a_baseline_writes_only_where_it_began(task, tmp_path, monkeypatch):
    step, run = Learner.step, tmp_path / "run"

    def moving(self, *batch):
        if run.exists():
            run.rename(tmp_path / "moved")
        return step(self, *batch)

    monkeypatch.setattr(Learner, "step", moving)
    assert "moved or replaced" in refusal(FileError, baselines.train, "BP", tiny(task), run, learning_rate=0.1)
    assert not run.exists()


def test_the_command_line_ends_with_74_where_its_directory_was_moved(settings, tmp_path, monkeypatch, capsys):
    moved_after_one_epoch(monkeypatch, tmp_path / "run", lambda: None)
    options = ("--config", settings, "--engine", "reference", "--out", tmp_path / "run", "--quiet")
    code, out, err = command(capsys, "train", *options)
    assert (code, out) == (74, "") and len(err.splitlines()) == 1 and "moved or replaced" in err
