"""A point in a name is part of the name: files named after a value, such as fig-0.05, do not overwrite each other."""

from __future__ import annotations

import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from builders import command, experiment, inputs, refusal, running, sweep_settings, tiny

from ghostnet import ConfigError, Recorder, Simulator, open_trace, sweep, train
from ghostnet.files import toml
from ghostnet.files.figures import publish_figure, publish_picture
from ghostnet.sweep import results
from ghostnet.traces import recording


@pytest.fixture(scope="module")
def run(task, tmp_path_factory):
    """A run directory."""
    path = tmp_path_factory.mktemp("runs") / "run"
    train(tiny(task, epochs=1, train_examples=4, free_steps=2, clamped_steps=2), path, engine="reference")
    return path


@pytest.fixture
def figure():
    figure = plt.figure(figsize=(1, 1))
    yield figure
    plt.close(figure)


@pytest.mark.parametrize(
    ("given", "written"),
    [("fig-0.05", "fig-0.05.png"), ("fig", "fig.png"), ("fig-0.05.svg", "fig-0.05.svg"), ("v1.2b", "v1.2b.png")],
)
def test_a_picture_without_a_format_becomes_png_under_its_whole_name(tmp_path, figure, given, written):
    assert publish_picture(figure, tmp_path / given) == tmp_path / written
    assert [path.name for path in tmp_path.iterdir()] == [written]


def test_a_format_that_there_is_not_is_refused(tmp_path, figure):
    assert "no such picture format" in refusal(ConfigError, publish_picture, figure, tmp_path / "a.docx")


def test_a_figure_and_its_facts_have_its_whole_name(tmp_path, figure):
    for beta in ("0.05", "0.1"):
        publish_figure(figure, tmp_path / f"beta-{beta}")
    expected = {f"beta-{beta}.{suffix}" for beta in ("0.05", "0.1") for suffix in ("png", "pdf", "json")}
    assert {path.name for path in tmp_path.iterdir()} == expected


@pytest.mark.parametrize("given", ["fig-0.05", "fig-0.05.pdf"])
def test_compare_writes_its_files_under_the_whole_name(run, tmp_path, capsys, given):
    code, _, err = command(capsys, "compare", run, "--out", tmp_path / given)
    assert (code, err) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {"fig-0.05.png", "fig-0.05.pdf", "fig-0.05.json"}


@pytest.mark.parametrize("options", [(), ("--out", "{0}")])
def test_a_run_is_plotted_under_its_whole_name(run, tmp_path, capsys, options):
    path = tmp_path / "beta-0.05"
    shutil.copytree(run, path)
    code, out, err = command(capsys, "plot", path, *(option.format(path) for option in options))
    assert (code, out, err) == (0, f"{path}.png\n", "")
    assert {path.name for path in tmp_path.iterdir()} == {"beta-0.05", "beta-0.05.png"}


def test_the_directory_at_hand_is_plotted_beside_itself(run, tmp_path, capsys, monkeypatch):
    shutil.copytree(run, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    assert command(capsys, "plot", ".") == (0, f"{tmp_path / 'run.png'}\n", "")


@pytest.mark.parametrize(
    ("first", "second"), [("t-0.05", "t-0.05-0002"), ("t.0.05.h5", "t.0.05-0002.h5"), ("t", "t-0002")]
)
def test_a_long_trace_goes_on_under_its_whole_name(tmp_path, monkeypatch, first, second):
    e = experiment("MB", (6, 5, 4), free_steps=4, clamped_steps=4)
    monkeypatch.setattr(recording, "SEGMENT_SECONDS", -1.0)
    simulator = Simulator(running(e), "reference")
    xs, ys = inputs(e, 2)
    with simulator.recording(Recorder(("s",)), tmp_path / first) as files:
        for i in range(2):
            simulator.run(xs[i : i + 1], ys[i : i + 1])
    assert [path.name for path in files.paths[:2]] == [first, second]
    assert open_trace(tmp_path / first).sizes["time"] == 16


def test_the_sweep_of_a_file_without_suffix_has_a_directory_of_the_whole_name(task, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beta-0.05").write_text(toml.lines(sweep_settings(task, feedback="TF")))
    asked = []
    monkeypatch.setattr(sweep, "run", lambda plan, out, **how: asked.append(out) or [])
    monkeypatch.setattr(results, "table", str)
    assert command(capsys, "sweep", "beta-0.05") == (0, "runs/beta-0.05\n", "")
    assert asked == [Path("runs/beta-0.05")]
