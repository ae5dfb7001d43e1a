"""What a trace file promises: every reader opens it without a warning, it explains itself, it is whole."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from builders import command, experiment, inputs, refusal, running

from ghostnet import FileError, Recorder, Simulator, open_trace
from ghostnet.files import hdf5
from ghostnet.model.experiment import from_mapping
from ghostnet.traces import recording
from ghostnet.traces.summary import summary

ROOT = Path(__file__).parents[1]
SIZES = (20, 30, 25, 6)


@pytest.fixture
def trace(tmp_path) -> Path:
    """Three presentations of a network, everything recorded."""
    e = experiment("MB", SIZES, seeds=(0, 4))
    simulator = Simulator(running(e), "cpu", "float32")
    recorder = Recorder(("s", "r", "g", "e"), weights=("W_gp", "W_2"), units={"unit_1": [2, 9]})
    with simulator.recording(recorder, tmp_path / "t.h5"):
        simulator.run(*inputs(e, 3))
    return tmp_path / "t.h5"


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
@pytest.mark.parametrize("group", [None, "plot"])
def test_xarray_opens_it_without_a_warning_and_reads_the_same(trace, engine, group):
    ours = open_trace(trace)
    with xr.open_dataset(trace, engine=engine, group=group) as theirs:
        theirs = theirs.load()
    if group:
        assert np.array_equal(theirs.time, ours.time - ours.time[0])
        assert np.array_equal(theirs.r_3_unit_4, ours.r_3[:, 0, 0, 4])
        return
    assert set(theirs.coords) == set(ours.coords) and set(theirs.seed.to_numpy()) == {0, 4}
    assert len(theirs.isel(run=0, example=0).groupby("label")) > 0
    for name, values in ours.variables.items():
        assert theirs[name].dims == values.dims and theirs[name].dtype == values.dtype, name
        assert np.array_equal(theirs[name], values), name
    assert theirs.config_toml == ours.attrs["config_toml"]


def test_the_file_explains_itself(trace):
    with h5py.File(trace) as file:
        root = {name: thing for name, thing in file.items() if isinstance(thing, h5py.Dataset)}
        for name, data in root.items():
            assert data.dtype.kind in "iuf", name
            if data.ndim:
                assert (data.compression, data.compression_opts, data.shuffle) == ("gzip", 1, True)
                assert data.is_scale or all(len(axis) == 1 for axis in data.dims), name
            if data.ndim and not data.is_scale and data.dims[0][0].name == "/time":
                assert len(data) == len(root["time"]) == 60 and data.maxshape[0] is None, name
        assert root["phase"].attrs["flag_values"].tolist() == [0, 1]
        assert root["phase"].attrs["flag_meanings"] == b"free weakly_clamped"
        assert root["unit_1"][:].tolist() == [2, 9] and root["run"][:].tolist() == [0, 1]
        assert root["s_1"].attrs["symbol"] == b"s_1" and root["time"].attrs["units"] == b"s"
        assert root["W_gp_1"].shape == (3, 2, 7, 2, 5) and root["W_2"].shape == (3, 2, 25, 2)
        assert json.loads(file.attrs["provenance_json"])["engine"] == "cpu"
        plot = file[file.attrs["default"]]
        assert (file.attrs["NX_class"], plot.attrs["NX_class"]) == (b"NXroot", b"NXdata")
        lines = [plot.attrs["signal"], *plot.attrs["auxiliary_signals"]]
        assert plot.attrs["axes"] == b"time" and len(lines) == 6
        assert plot[lines[0]].attrs["long_name"].decode() == plot.attrs["title"]  # which H5Web takes for its heading
        assert all(plot[line].shape == plot["time"].shape == (60,) for line in lines)


def test_a_file_holds_what_record_returns(tmp_path):
    e = experiment("MA", SIZES)
    x, y = inputs(e)
    direct = Simulator(running(e)).record(x, y, weights=("W", "B"))
    simulator = Simulator(running(e))
    with simulator.recording(Recorder(weights=("W", "B")), tmp_path / "t.h5"):
        simulator.present(x, y)
    opened = open_trace(tmp_path / "t.h5")
    assert direct.drop_attrs().equals(opened.drop_attrs())
    assert opened.attrs["config_toml"] == e.to_toml() == direct.attrs["config_toml"]
    some = open_trace(tmp_path / "t.h5", ["e_1"])
    assert set(some.data_vars) == {"e_1"} and np.array_equal(some.label, opened.label)
    assert "no variable 'e_9'" in refusal(FileError, open_trace, tmp_path / "t.h5", ["e_9"])


def test_segments_of_another_record_are_not_taken_for_a_continuation(monkeypatch, tmp_path):
    e = experiment("MB", SIZES)
    xs, ys = inputs(e, 4)
    for size in (20_000, 1 << 26):
        monkeypatch.setattr(recording, "SEGMENT_BYTES", size)
        simulator = Simulator(running(e))
        with simulator.recording(Recorder(("s",)), tmp_path / "t.h5"):
            simulator.run(xs, ys)
        assert (tmp_path / "t-0002.h5").exists() and open_trace(tmp_path / "t.h5").sizes["time"] == 80
    assert 0 < open_trace(tmp_path / "t-0002.h5").sizes["time"] < 80  # each is complete in itself


def test_a_segment_is_sealed_after_its_time(monkeypatch, tmp_path):
    e = experiment("MB", SIZES)
    xs, ys = inputs(e, 3)
    monkeypatch.setattr(recording, "SEGMENT_SECONDS", -1.0)
    simulator = Simulator(running(e))
    with simulator.recording(Recorder(), tmp_path / "t.h5") as files:
        for i in range(3):
            simulator.run(xs[i : i + 1], ys[i : i + 1])
            assert len(files.paths) == i + 1 and open_trace(tmp_path / "t.h5").sizes["time"] == 20 * (i + 1)


def test_a_missing_segment_is_said(monkeypatch, tmp_path):
    e = experiment("MB", SIZES)
    simulator = Simulator(running(e))
    monkeypatch.setattr(recording, "SEGMENT_BYTES", 20_000)
    with simulator.recording(Recorder(("s",)), tmp_path / "t.h5") as files:
        simulator.run(*inputs(e, 8))
    assert len(files.paths) > 3
    files.paths[1].unlink()
    assert "t-0002.h5: missing" in refusal(FileError, open_trace, tmp_path / "t.h5")


def test_a_row_says_how_many_steps_it_stands_for_so_that_gaps_can_be_seen(tmp_path):
    e = experiment("MB", SIZES)
    simulator = Simulator(running(e))
    with simulator.recording(Recorder(("s",), every=7, presentations=slice(0, None, 2)), tmp_path / "t.h5"):
        simulator.run(*inputs(e, 3))
    trace = open_trace(tmp_path / "t.h5")
    assert trace.row_steps.to_numpy().tolist() == [7, 5, 7, 1] * 2
    before = trace.step - trace.row_steps
    assert (before[1:].to_numpy() == trace.step[:-1].to_numpy()).tolist() == [True] * 3 + [False] + [True] * 3


FULL = """
import resource, sys
sys.path[:0] = ["tests", "."]
from builders import experiment, inputs, running
import ghostnet as gn
from builders import experiment, inputs, running
from ghostnet.traces import recording
recording.SEGMENT_BYTES = 200_000
e = experiment("MB", (20, 30, 25, 6))
xs, ys = inputs(e, 8)
simulator = gn.Simulator(running(e), "reference")
try:
    with simulator.recording(gn.Recorder(("s",)), sys.argv[1]) as files:
        simulator.run(xs[:4], ys[:4])
        assert files.paths
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        simulator.run(xs[4:], ys[4:])
except gn.FileError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def test_a_full_disk_is_one_line_and_leaves_what_was_whole(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, tmp_path / "t.h5"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (74, ""), done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert "t-000" in done.stdout and "bytes needed" in done.stdout and "free" in done.stdout
    assert all(path.name.startswith("t") and path.suffix == ".h5" for path in tmp_path.iterdir())
    assert open_trace(tmp_path / "t.h5").sizes["time"] > 0


def test_verify_reads_all_and_names_what_is_damaged(capsys, trace, tmp_path):
    whole = trace.read_bytes()
    other = tmp_path / "copies" / "other.h5"
    other.parent.mkdir()
    other.write_bytes(whole)
    assert command(capsys, "verify", tmp_path) == (0, f"{other}: as it was sealed\n{trace}: as it was sealed\n", "")
    place = whole.index(b"NXdata")
    other.write_bytes(whole[:place] + b"X" + whole[place + 1 :])
    code, out, err = command(capsys, "verify", other, trace)
    assert code == 74 and "SHA-256" in out.splitlines()[0] and out.splitlines()[1] == f"{trace}: as it was sealed"
    assert err == "ghostnet: error: 1 of 2 files can't be relied on\n"


def test_values_are_read_when_they_are_needed_and_only_from_the_file_that_was_opened(trace):
    opened, expected = open_trace(trace), open_trace(trace).load()
    key = {"time": slice(50, 3, -4), "unit_1": 1, "example": [0, 2]}
    assert opened.s_1.isel(key).identical(expected.s_1.isel(key))
    assert opened.s_1.isel(time=slice(0)).shape == (0, *expected.s_1.shape[1:])
    whole = trace.read_bytes()
    trace.unlink()
    assert "can't be read" in refusal(FileError, opened.r_2.load)
    trace.write_bytes(hdf5.image(lambda file: file.create_dataset("a", data=np.arange(3))))
    assert "another file" in refusal(FileError, opened.r_2.load)
    trace.write_bytes(whole)
    assert opened.r_2.identical(expected.r_2)


@pytest.mark.parametrize("place", ["missing/t.h5", "file/t.h5", "/proc/t.h5"])
def test_where_nothing_can_be_written_is_one_line_and_exit_code_74(capsys, tmp_path, place):
    (tmp_path / "file").write_text("")
    code, out, err = command(
        capsys, "record", "mb-100-tf", "--out", tmp_path / place, "--units", "0:2", "--engine", "reference",
        "--examples", "0:1", "--every", "50",
    )  # fmt: skip
    assert (code, out) == (74, "") and err.startswith("ghostnet: error: ") and len(err.splitlines()) == 1
    assert "t.h5" in err and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_record_info_and_plot_from_the_command_line(capsys, tmp_path):
    path = tmp_path / "t.h5"
    options = ("--out", path, "--examples", "2:4", "--engine", "reference", "--every", "10")
    assert command(capsys, "record", "mb-100-fa", *options, "--no-learning") == (0, f"{path}\n", "")
    trace = open_trace(path)
    assert trace.example_index[:: len(trace.time) // 2, 0, 0].to_numpy().tolist() == [2, 3]
    assert trace.sizes["time"] == 28 and from_mapping(tomllib.loads(trace.config_toml)).batch == 1
    code, out, _ = command(capsys, "info", path)
    assert code == 0 and "2 presentations" in out and "20 rows free, 8 rows weakly clamped" in out
    assert "s_1" in out and 'feedback = "FA"' in out and "classes   0, 1" in out
    assert command(capsys, "plot", path) == (0, f"{path}.png\n", "")
    picture = tmp_path / "e.pdf"
    assert command(capsys, "plot", path, "--variable", "e_1", "--units", "0:8", "--out", picture)[0] == 0
    assert (tmp_path / "t.h5.png").read_bytes()[1:4] == b"PNG" and picture.read_bytes()[:4] == b"%PDF"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("record", "mb-100-tf", "--examples", "3:2"), 2, "expected A:B"),
        (("record", "mb-100-tf", "--examples", "9999:10001"), 2, "examples = 9999:10001: expected A:B"),
        (("record", "ma-100-tf", "--examples", "0:3"), 2, "do not fill batches of 100"),
        (("record", "mb-100-tf", "--variables", "q"), 2, "unknown variable 'q'"),
        (("plot", "{text}"), 74, "not an HDF5 file"),
        (("plot", "{missing}"), 74, "can't be read"),
        (("plot", "{trace}", "--variable", "s_7"), 74, "no variable 's_7'"),
        (("plot", "{trace}", "--variable", "s_2", "--units", "90:99"), 2, "units = 90:99"),
        (("plot", "{trace}", "--run", "2"), 2, "run = 2: the trace has 2"),
        (("plot", "{trace}", "--out", "x.docx"), 2, "no such picture format"),
        (("info", "{text}"), 74, "not an HDF5 file"),
        (("info", "{other}"), 74, "not a trace"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(capsys, tmp_path, trace, arguments, code, text):
    paths = {name: tmp_path / name for name in ("text", "missing", "other")} | {"trace": trace}
    paths["text"].write_text("no trace\n")
    paths["other"].write_bytes(hdf5.image(lambda file: file.create_dataset("a", data=np.arange(3))))
    before = set(tmp_path.iterdir())
    got, out, err = command(capsys, *(argument.format(**paths) for argument in arguments))
    assert (got, out) == (code, "") and text in err.splitlines()[-1] and set(tmp_path.iterdir()) == before


def test_the_summary_of_a_record_without_weights_or_rows_is_readable(tmp_path):
    e = experiment("MB", SIZES)
    simulator = Simulator(running(e))
    with simulator.recording(Recorder(("e_1",), every=100), tmp_path / "t.h5"):
        simulator.run(*inputs(e, 1))
    text = summary(tmp_path / "t.h5")
    assert "1 rows free, 1 rows weakly clamped" in text and "e_1" in text
