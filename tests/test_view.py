"""What the page of `ghostnet view` holds is the trace, to the error that it tells of."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from builders import command, experiment, inputs, refusal, running, tiny

from ghostnet import ConfigError, FileError, Recorder, Simulator, open_trace, train
from ghostnet.traces.view import view
from ghostnet.traces.view_coding import LINEAR, LOG, Coded, decode, encode
from ghostnet.traces.view_sources import Choice

SIZES = (20, 30, 25, 6)


@pytest.fixture
def trace(tmp_path) -> Path:
    e = experiment("MB", SIZES, seeds=(0, 4))
    simulator = Simulator(running(e), "cpu", "float32")
    recorder = Recorder(("s", "r", "g", "e"), weights=("W_2",), units={"unit_1": [2, 9]}, every=3)
    examples = np.arange(3 * 2 * 7).reshape(3, 2, 7)
    with simulator.recording(recorder, tmp_path / "t.h5", lambda n: (1, examples[n])):
        simulator.run(*inputs(e, 3))
    return tmp_path / "t.h5"


def held(page: Path) -> tuple[list[dict], dict[str, str]]:
    """What a page says of its traces, and its payloads by id."""
    text = page.read_text("utf-8")
    about = json.loads(re.search(r'id="about">(.*?)</script>', text, re.DOTALL)[1])
    return about, dict(re.findall(r'id="(data-[^"]+)">([^<]*)</script>', text))


@pytest.mark.parametrize("kind", [LINEAR, LOG])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_code_is_as_exact_as_it_says(kind, dtype):
    draw = np.random.default_rng(0)
    values = (draw.normal(size=(7, 500)) * 10.0 ** draw.integers(-8, 2, size=(7, 500))).astype(dtype)
    coded = encode(values, kind)
    away = np.abs(decode(coded) - values) / (np.abs(values) if kind == LOG else 1)
    assert 0 < away.max() <= coded.error * (1 + 1e-5) and coded.error < 1e-3 * (1 if kind == LOG else np.ptp(values))


@pytest.mark.parametrize("kind", [LINEAR, LOG])
def test_zero_what_never_moves_and_what_is_no_number_are_kept(kind):
    values = np.array([[0.0, -2.5, np.nan, np.inf, -np.inf, 2.5], [0.0] * 6])
    assert np.allclose(decode(encode(values, kind)), values, equal_nan=True, atol=1e-4)
    assert np.allclose(decode(encode(np.full((2, 3), 7.0), kind)), 7)
    assert np.array_equal(decode(encode(np.zeros((1, 3)), kind)), np.zeros((1, 3)))
    assert np.isnan(decode(encode(np.full((1, 3), np.nan), kind))).all()


def test_the_page_holds_what_the_trace_does(trace, tmp_path):
    (about,), payloads = held(view([trace], tmp_path / "page.html"))
    opened = open_trace(trace)
    for name, told in about["variables"].items():
        expected = opened[name] if name in opened else np.linalg.norm(opened[name.removeprefix("norm_")], axis=3)
        series = np.moveaxis(np.asarray(expected).reshape(len(opened.time), 2, 7, -1), 0, -1)
        shape = (series.size // len(opened.time), len(opened.time))
        found = decode(Coded(told["kind"], told["low"], told["step"], shape, payloads[f"data-0-{name}"]))
        size = np.maximum(np.abs(series.reshape(shape)), 1e-30) if told["is"] == "relative" else 1
        away = np.abs(found - series.reshape(shape)) / size
        assert away.max() <= told["error"] * 1.1, name
        assert len(told["units"]) * 14 == shape[0], name
    for name in ("step", "row_steps"):
        counts = np.cumsum(np.frombuffer(zlib.decompress(base64.b64decode(payloads[f"data-0-{name}"]), 31), "<i4"))
        assert np.array_equal(counts, opened[name])
    assert {"norm_e_1", "norm_e_3", "s_1", "g_2"} < about["variables"].keys() and about["variables"]["s_1"]["of"] == 30
    assert about["config"] == opened.attrs["config_toml"] and about["seeds"] == [0, 4]


def test_presentations_tell_class_example_phases_and_what_the_network_said_before_the_target_was_shown(trace, tmp_path):
    (about,), _ = held(view([trace], tmp_path / "page.html"))
    opened = open_trace(trace)
    assert about["phases"] == ["free", "weakly clamped"]
    for p, one in enumerate(about["presentations"]):
        rows = slice(*one["rows"])
        assert (one["n"], one["epoch"]) == (p, 1) and np.all(opened.presentation[rows] == p)
        assert one["label"] == opened.label[rows.start].to_numpy().tolist()
        assert one["index"] == opened.example_index[rows.start].to_numpy().tolist()
        assert [phase for phase, _, _ in one["phases"]] == [0, 1]
        end = one["phases"][0][2] - 1
        assert opened.phase[end] == 0 and opened.phase[end + 1] == 1
        assert one["said"] == opened.r_3[end].argmax("unit_3").to_numpy().tolist()


def test_without_all_outputs_nothing_is_said_to_be_missed(trace, tmp_path):
    (about,), _ = held(view([trace], tmp_path / "page.html", Choice(units=slice(0, 2))))
    assert not any("said" in one for one in about["presentations"])
    assert about["variables"]["s_2"]["units"] == [0, 1]
    assert "of 2 of 25 units" in about["variables"]["norm_e_2"]["about"]


def test_a_part_of_a_trace_is_that_of_the_whole(trace, tmp_path):
    (about,), payloads = held(view([trace], tmp_path / "page.html", Choice(("e_1",), None, slice(1, 2))))
    assert [one["n"] for one in about["presentations"]] == [1]
    assert set(payloads) == {"data-0-e_1", "data-0-norm_e_1", "data-0-step", "data-0-row_steps"}
    none = Choice(None, None, slice(7, 9))
    assert "nothing of it is chosen" in refusal(ConfigError, view, [trace], tmp_path / "page.html", none)


def test_a_page_over_the_ceiling_is_refused_with_what_to_leave_out(trace, tmp_path):
    text = refusal(ConfigError, view, [trace], tmp_path / "page.html", ceiling=1e-3)
    assert "more than 0.001" in text and "e_2 of t.h5" in text and "--variables" in text
    assert not (tmp_path / "page.html").exists()


def test_the_page_needs_nothing_else_and_nothing_in_it_ends_its_elements(trace, tmp_path):
    odd = trace.rename(tmp_path / "<b>'\"&.h5")
    text = view([odd, odd], tmp_path / "page.html").read_text("utf-8")
    assert not re.search(r'(src|href)="(?!data:)', text) and "http" not in text.replace(
        "http://www.w3.org/2000/svg", ""
    )
    assert "<b>'" not in text and len(held(tmp_path / "page.html")[0]) == 2
    for code in re.findall(r'"data:text/javascript;base64,([^"]+)"', text):
        assert b'from "./' not in base64.b64decode(code)


def test_a_run_is_shown_with_all_that_was_recorded_of_it(task, tmp_path):
    e = tiny(task, seeds=(0, 1))
    train(e, tmp_path / "run", record=Recorder(("s_2",), presentations=slice(0, None, 20)))
    (about,), _ = held(view([tmp_path / "run"], tmp_path / "page.html"))
    assert about["name"] == "run" and [one["n"] for one in about["presentations"]] == list(range(0, 160, 20))
    assert {one["epoch"] for one in about["presentations"]} == {1, 2}
    train(e.replace(epochs=1), tmp_path / "bare")
    assert "no traces in it" in refusal(FileError, view, [tmp_path / "bare"], tmp_path / "page.html")


def test_view_from_the_command_line(capsys, monkeypatch, trace):
    page, opened = trace.with_name("t.h5.html"), []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert command(capsys, "view", trace, "--variables", "s_1", "e_1", "--open") == (0, f"{page}\n", "")
    assert opened == [page.as_uri()] and set(held(page)[0][0]["variables"]) == {"s_1", "e_1", "norm_e_1"}
    code, out, err = command(capsys, "view", trace, "--variables", "q_1")
    assert (code, out) == (74, "") and "no variable 'q_1'" in err
    code, out, err = command(capsys, "view", trace, "--variables", "W_2")
    assert (code, out) == (2, "") and "unknown variable" in err and len(err.splitlines()) == 1
