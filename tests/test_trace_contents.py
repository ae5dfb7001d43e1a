"""A sealed trace with wrong contents is refused wherever it is read: nothing is drawn or told that can't be."""

from __future__ import annotations

import numpy as np
import pytest
from builders import command, experiment, inputs, refusal, resealed, rewritten, running

from ghostnet import FileError, Recorder, Simulator, open_trace
from ghostnet.traces.summary import summary


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """Two presentations of a network of two seeds, with weights."""
    e = experiment("MB", (20, 30, 25, 6), seeds=(0, 4))
    simulator = Simulator(running(e), "reference")
    path = tmp_path_factory.mktemp("traces") / "t.h5"
    recorder = Recorder(("s", "r", "g", "e"), weights=("W_2",), every=5, units={"unit_1": [2, 9]})
    with simulator.recording(recorder, path):
        simulator.run(*inputs(e, 2))
    return path


def put(name, at, new):
    return lambda file: file[name].__setitem__(at, new)


def replaced(name, make):
    """A dataset replaced by make(its values), with what was said of it."""

    def change(file):
        values, about = file[name][()], {n: v for n, v in file[name].attrs.items() if n.startswith("_Netcdf4")}
        del file[name]
        file[name] = make(values)
        file[name].attrs.update(about)

    return change


def gone(name):
    return lambda file: file.__delitem__(name)


def of(name, attribute, value):
    return lambda file: file[name].attrs.__setitem__(attribute, value)


CHANGES = {
    "label of no class": put("label", (3, 0, 1), 99),
    "label is negative": put("label", (0, 1, 0), -5),
    "label is a float": replaced("label", lambda values: values.astype(float)),
    "labels of a run less": replaced("label", lambda values: values[:, :1]),
    "no labels": gone("label"),
    "time is nan": put("time", 2, np.nan),
    "time is infinite": put("time", -1, np.inf),
    "time is negative": put("time", 0, -1.0),
    "time goes back": put("time", 3, 0.0),
    "time is a text": replaced("time", lambda values: "noon"),
    "time is a group": lambda file: (file.__delitem__("time"), file.create_group("time")),
    "phase is a text": replaced("phase", lambda values: "free"),
    "phase of no name": put("phase", 1, 2),
    "phase is negative": put("phase", 1, -1),
    "phases in a table": replaced("phase", lambda values: values[:, None]),
    "a phase less": replaced("phase", lambda values: values[:-1]),
    "step is negative": put("step", 0, -1),
    "presentation is negative": put("presentation", 0, -1),
    "epoch is negative": put("epoch", 0, -1),
    "example of no number": put("example_index", (0, 0, 0), -2),
    "a run that isn't there": put("run", 1, 2),
    "a place that isn't in the batch": put("example", 0, 7),
    "a unit that isn't there": put("unit_3", 0, 6),
    "a ghost that isn't there": put("ghost_1", 0, -1),
    "activities of integers": replaced("s_1", lambda values: values.astype(int)),
    "activities of a unit less": replaced("s_1", lambda values: values[..., :1]),
    "activities are a text": replaced("s_1", lambda values: "none"),
    "axes that aren't there": of("s_1", "_Netcdf4Coordinates", np.array([0, 1, 2, 77])),
    "an axis too few": of("s_1", "_Netcdf4Coordinates", np.array([0, 1, 2])),
    "axes are a text": of("s_1", "_Netcdf4Coordinates", "time run"),
    "an axis of two numbers": of("unit_1", "_Netcdf4Dimid", np.array([0, 1])),
    "an axis of the same number": of("unit_1", "_Netcdf4Dimid", 0),
    "settings deep as a well": rewritten("config_toml", lambda value: "a = " + "[" * 50_000),
    "settings that can't be": rewritten("config_toml", lambda value: value.replace("batch = 7", "batch = 0")),
    "settings of other sizes": rewritten("config_toml", lambda value: value.replace("25, 6]", "25, 1]")),
    "settings are no text": rewritten("config_toml", lambda value: 5.0),
    "no settings": lambda file: file.attrs.__delitem__("config_toml"),
    "a seed that can't be": put("seed", 0, -1),
    "rows of negative length": put("row_steps", 0, -1),
    "provenance deep as a well": rewritten("provenance_json", lambda value: "[" * 500_000),
    "provenance is a list": rewritten("provenance_json", lambda value: "[]"),
    "no provenance": lambda file: file.attrs.__delitem__("provenance_json"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_sealed_trace_with_wrong_contents_is_refused(trace, tmp_path, change):
    path = resealed(trace, CHANGES[change], tmp_path / "t.h5")
    assert str(path) in refusal(FileError, open_trace, path)


@pytest.mark.parametrize("change", ["label of no class", "time is nan", "phase is a text", "settings deep as a well"])
def test_a_sealed_trace_with_wrong_contents_is_one_line_and_exit_74(trace, tmp_path, capsys, change):
    path = resealed(trace, CHANGES[change], tmp_path / "t.h5")
    for arguments in (("plot", path), ("plot", path, "--variable", "s_1"), ("info", path)):
        code, out, err = command(capsys, *arguments)
        assert (code, out) == (74, "") and len(err.splitlines()) == 1 and str(path) in err


def test_what_is_left_alone_is_read(trace, tmp_path):
    path = resealed(trace, lambda file: None, tmp_path / "t.h5")
    assert open_trace(path).identical(open_trace(trace)) and "2 presentations" in summary(path)


def test_activities_may_be_anything_as_those_of_a_run_that_diverged_are(trace, tmp_path):
    path = resealed(trace, put("s_1", (0, 0, 0, 0), np.nan), tmp_path / "t.h5")
    assert np.isnan(open_trace(path).s_1[0, 0, 0, 0])


def test_a_part_that_goes_on_with_other_settings_is_refused(trace, tmp_path):
    first = resealed(trace, lambda file: None, tmp_path / "t.h5")
    resealed(trace, put("run", slice(None), [1, 0]), tmp_path / "t-0002.h5")
    assert "do not fit together" in refusal(FileError, open_trace, first)
