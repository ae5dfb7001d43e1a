"""The command line: exit codes, one line per error, and which setting wins."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from builders import command

from ghostnet import PRESETS
from ghostnet.files import toml
from ghostnet.model.experiment import from_mapping

ROOT = Path(__file__).parents[1]


def test_training_ends_with_its_accuracy_and_directory_and_exit_code_0(capsys, settings, tmp_path):
    code, out, err = command(capsys, "train", "--config", settings, "--out", tmp_path / "run", "--quiet")
    assert (code, err) == (0, "")
    percent = r"\d+\.\d\d ± \d+\.\d\d %"
    line = re.fullmatch(rf"after epoch 1:   train accuracy {percent}   test accuracy {percent}   \((.*)\)\n", out)
    assert line[1] == str(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "complete"


def test_an_option_wins_over_the_file_and_the_file_over_the_preset(capsys, task, tmp_path):
    (tmp_path / "some.toml").write_text(
        f"data = {json.dumps(task)}\nsizes = [16, 12, 4]\nepochs = 1\nfree_steps = 7\nseeds = [4]\ntrain_examples = 9\n"
    )
    code, *_ = command(
        capsys, "train", "mb-100-fa", "--config", tmp_path / "some.toml", "--epochs", 0, "--seeds", 8, 9,
        "--eta", 0.5, 0.25, "--out", tmp_path / "run", "--quiet",
    )  # fmt: skip
    e = from_mapping(toml.read(tmp_path / "run" / "config.toml"))
    assert code == 0
    assert (e.epochs, e.seeds, e.eta) == (0, (8, 9), (0.5, 0.25))  # options
    assert (e.free_steps, e.sizes, e.train_examples) == (7, (16, 12, 4), 9)  # file
    assert (e.feedback, e.clamped_steps, e.eta_ghost) == ("FA", 40, (20.0,))  # preset


def test_every_setting_is_an_option(capsys, settings, task, tmp_path):
    given = {
        "model": "MA-prime", "feedback": "FA", "sizes": (16, 9, 4), "ghosts": (4,), "tau": 0.02, "dt": 0.004,
        "beta": 0.3, "free_steps": 5, "clamped_steps": 6, "eta": (0.5, 0.25), "eta_ghost": (0.1,), "init": 0.15,
        "batch": 3, "rule": "derivative", "clip": 1.5, "transfer": "tanh", "epochs": 0, "seeds": (2,), "data": task,
        "train_examples": 30,
    }  # fmt: skip
    options = []
    for name, value in given.items():
        options += [f"--{name.replace('_', '-')}", *(value if isinstance(value, tuple) else (value,))]
    options += ["--out", tmp_path / "run", "--quiet", "--engine", "reference"]
    code, *_ = command(capsys, "train", "--config", settings, *options)
    assert code == 0
    assert from_mapping(toml.read(tmp_path / "run" / "config.toml")) == from_mapping(given)


@pytest.mark.parametrize("preset", ["mb-100-tf", "mb-100-fa", "ma-100-tf"])
def test_a_preset_may_be_changed_by_a_whole_file_and_names_the_default_directory(
    capsys, settings, tmp_path, monkeypatch, preset
):
    monkeypatch.chdir(tmp_path)
    code, _, err = command(capsys, "train", preset, "--config", settings, "--epochs", 0, "--quiet")
    assert (code, err) == (0, "")
    (made,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(rf"{preset}-\d{{8}}-\d{{6}}", made.name)
    assert toml.read(made / "config.toml") == toml.read(settings) | {"epochs": 0}


BAD_ARGUMENTS = [
    (("train", "mb-50-tf"), "unknown preset 'mb-50-tf': did you mean 'mb-500-tf'?"),
    (("train",), "preset: expected a name"),
    (("train", "mb-100-tf", "--dt", "0.02"), "dt = 0.02"),
    (("train", "mb-100-tf", "--eta", "1"), "eta has 1 values: expected 2"),
    (("train", "mb-100-tf", "--transfer", "swish"), "unknown transfer 'swish'"),
    (("train", "mb-100-tf", "--threads", "0"), "threads = 0"),
    (("train", "mb-100-tf", "--threads", "-2"), "threads = -2"),
    (("train", "mb-100-tf", "--engine", "reference", "--dtype", "float32"), "the reference engine is float64 only"),
    (("train", "mb-100-tf", "--sizes", "100", "100", "10"), "mnist needs 784 inputs"),
    (("train", "--config", "{broken}"), "not TOML"),
    (("train", "--config", "{misspelt}"), "unknown field 'epoch': did you mean 'epochs'?"),
    (("train", "--config", "{partial}"), "missing fields model"),
    (("train", "--config", "{settings}", "--out", "{used}"), "exists and is not empty"),
]
IO_ERRORS = [
    (("train", "--config", "{missing}"), "missing.toml: can't be read"),
    (("train", "--config", "{settings}", "--data", "{missing}"), "missing.toml"),
    (("train", "--config", "{settings}", "--out", "{settings}/run"), "tiny.toml/run"),
    (("info", "{missing}"), "missing.toml: no readable run directory"),
    (("info", "{used}"), "used: no readable run directory"),
]
DIVERGING = [(("train", "--config", "{settings}", "--eta", "1e9", "1e9"), "epoch 1: diverged: seed ")]


@pytest.mark.parametrize(
    ("code", "arguments", "text"),
    [(code, *case) for code, cases in ((2, BAD_ARGUMENTS), (3, DIVERGING), (74, IO_ERRORS)) for case in cases],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else None,
)
def test_an_error_is_one_line_and_an_exit_code(capsys, settings, tmp_path, monkeypatch, code, arguments, text):
    monkeypatch.chdir(tmp_path)
    paths = {name: tmp_path / f"{name}.toml" for name in ("broken", "misspelt", "partial", "missing")}
    paths |= {"settings": settings, "used": tmp_path / "used"}
    paths["broken"].write_text("epochs = = 2")
    paths["misspelt"].write_text(settings.read_text() + "epoch = 3\n")
    paths["partial"].write_text("epochs = 3\n")
    paths["used"].mkdir()
    (paths["used"] / "status.json").write_text("{}")
    got, out, err = command(
        capsys, *(argument.format(**paths) for argument in arguments), *["--quiet"] * (arguments[0] == "train")
    )
    assert (got, out) == (code, "")
    assert err.startswith("ghostnet: error: ") and len(err.splitlines()) == 1 and text in err


@pytest.mark.parametrize(
    "arguments", [(), ("trian",), ("train", "mb-100-tf", "--epoch-count", "3"), ("train", "--tau", "x")]
)
def test_arguments_that_cannot_be_parsed_give_exit_code_2(capsys, arguments):
    code, out, err = command(capsys, *arguments)
    assert (code, out) == (2, "") and "error: " in err.splitlines()[-1]


def test_presets_lists_every_one_with_its_sizes(capsys):
    code, out, err = command(capsys, "presets")
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("m")}
    assert (code, err) == (0, "") and lines.keys() == PRESETS.keys()
    assert all("-".join(map(str, e.sizes)) in lines[name] for name, e in PRESETS.items())


def test_info_shows_status_result_and_settings(capsys, settings, tmp_path):
    command(
        capsys,
        "train",
        "--config",
        settings,
        "--out",
        tmp_path / "run",
        "--dtype",
        "float64",
        "--threads",
        1,
        "--quiet",
    )
    code, out, _ = command(capsys, "info", tmp_path / "run")
    assert code == 0
    assert out.startswith(f"{tmp_path / 'run'}: complete, epoch 1\nafter epoch 1:   train accuracy ")
    assert "engine cpu, float64, 1 threads" in out and out.endswith(settings.read_text())


DAMAGED = [
    *(
        (name, content)
        for name in ("status.json", "provenance.json")
        for content in (b"", b"[]", b"null", b"{}", b"\xff")
    ),
    *(("metrics.csv", content) for content in (b"\xff\0", b"run,epoch\n0\n")),
    *(("config.toml", content) for content in (b"", b"[]", b"\xff", b"sizes = 3\n")),
]


@pytest.mark.parametrize(("name", "content"), DAMAGED)
def test_info_on_a_damaged_run_is_an_error_of_one_line(capsys, settings, tmp_path, name, content):
    command(capsys, "train", "--config", settings, "--epochs", 0, "--out", tmp_path / "run", "--quiet")
    (tmp_path / "run" / name).write_bytes(content)
    code, _, err = command(capsys, "info", tmp_path / "run")
    assert code in (2, 74) and len(err.splitlines()) == 1 and err.startswith("ghostnet: error: ")


def test_doctor_shows_what_this_installation_runs_on(capsys):
    code, out, err = command(capsys, "doctor")
    assert (code, err) == (0, "")
    for name in ("python", "numpy", "numba", "torch", "processor", "one run", "BLAS", "kernel cache", "GPU"):
        assert re.search(f"^{name} +\\S", out, re.MULTILINE), name


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["presets"], ["info", "nowhere"]])
def test_help_and_tables_import_neither_torch_nor_numba(arguments):
    command = [sys.executable, "-X", "importtime", "-m", "ghostnet.cli.main", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == (74 if arguments[0] == "info" else 0)
    imported = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))
    assert "ghostnet.model.experiment" in imported
    assert not imported & {"torch", "numba", "scipy", "matplotlib", "h5py", "pooch"}


def test_a_reader_who_has_seen_enough_is_no_error():
    command = [sys.executable, "-m", "ghostnet", "presets"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141  # as of a command ended by SIGPIPE
