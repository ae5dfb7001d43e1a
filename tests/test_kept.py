"""Files as 0.1.0 left them (tests/kept): text is read on, the rest refused in a line that says what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import ghostnet as gn
from ghostnet.cli.main import main

KEPT = Path(__file__).parent / "kept" / "0.1.0"


@pytest.fixture
def kept(tmp_path, monkeypatch) -> Path:
    """A copy, to see that nothing of it changes."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(KEPT, tmp_path / "kept")


def files(folder: Path) -> dict[str, bytes]:
    """What a directory holds, but for the lock that whoever looks at a run takes."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize(
    "command",
    [
        ["resume", "kept/run"],
        ["resume", "kept/run", "--epochs", "2"],
        ["gradcheck", "kept/run"],
        ["record", "kept/run"],
        ["plot", "kept/trace.h5"],
        ["view", "kept/trace.h5"],
        ["info", "kept/trace.h5"],
    ],
    ids=" ".join,
)
def test_what_0_1_wrote_in_other_formats_is_refused_in_one_line_and_stays_as_it_was(command, kept, capsys):
    before = files(kept)
    assert main(command) == 74
    (line,) = capsys.readouterr().err.splitlines()
    assert "ghostnet 0.1" in line and "with that version" in line
    assert files(kept) == before


def test_no_run_begins_over_one_of_0_1(kept):
    before = files(kept)
    assert main(["train", "mb-100-tf", "--train-examples", "10", "--out", "kept/run"]) == 2
    assert files(kept) == before


def test_traces_of_0_1_are_refused_in_python_too(kept):
    with pytest.raises(gn.FileError, match=r"of ghostnet 0\.1; go on with that version"):
        gn.open_trace(kept / "trace.h5")


def test_verify_names_every_file_of_0_1(kept, capsys):
    assert main(["verify", "kept/run", "kept/trace.h5"]) != 0
    said = capsys.readouterr().out
    assert said.count("of ghostnet 0.1") == 3


@pytest.mark.parametrize("command", [["info", "kept/run"], ["compare", "kept/run", "kept/run"], ["plot", "kept/run"]])
def test_what_runs_of_0_1_say_in_text_is_read(command, kept):
    assert main(command) == 0
