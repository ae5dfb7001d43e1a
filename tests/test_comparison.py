"""`ghostnet baseline`, `ghostnet compare`, and `ghostnet info` of what a baseline left."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from builders import COLUMNS, command, refusal, tiny, without_seconds

from ghostnet import ConfigError, FileError, baselines, train
from ghostnet.files import toml
from ghostnet.model.baseline import baseline_from_mapping
from ghostnet.results import comparison
from ghostnet.runs import metrics


@pytest.fixture(scope="module")
def runs(task, tmp_path_factory):
    """A ghost-unit run and a DFA run, two seeds each."""
    folder, e = tmp_path_factory.mktemp("runs"), tiny(task, seeds=(0, 1))
    train(e, folder / "ghosts", engine="reference")
    baselines.train("DFA", e.replace(batch=4), folder / "dfa", learning_rate=0.5)
    return folder


def test_metrics_of_a_baseline_begin_with_the_ghost_units_columns(runs):
    header, *rows = (runs / "dfa" / "metrics.csv").read_text().splitlines()
    measured = "train_loss,test_loss,angle_1,alignment_1,norm_W_1,norm_W_2,update_ratio_1,update_ratio_2"
    assert header == f"{COLUMNS},{measured}"
    assert header.startswith((runs / "ghosts" / "metrics.csv").read_text().splitlines()[0])
    assert len(rows) == 6


def test_the_configuration_of_a_baseline_can_be_read_again_and_shown(runs, capsys):
    fields = toml.read(runs / "dfa" / "config.toml")
    assert baseline_from_mapping(fields["baseline"]) == baselines.Baseline(method="DFA", learning_rate=0.5)
    code, out, _ = command(capsys, "info", runs / "dfa")
    assert code == 0 and "baseline DFA" in out and '[baseline]\nmethod = "DFA"' in out


def test_a_baseline_is_trained_from_the_command_line(task, tmp_path, capsys):
    code, out, err = command(
        capsys, "baseline", "fa", "mb-100-tf", "--epochs", 1, "--train-examples", 200, "--batch", 20, "--out",
        tmp_path / "run", "--learning-rate", 1, 0.1, "--loss", "cross-entropy", "--quiet",
    )  # fmt: skip
    assert (code, err) == (0, "") and out.startswith("after epoch 1:   train accuracy")
    kept = toml.read(tmp_path / "run" / "config.toml")["baseline"]
    assert (kept["method"], kept["learning_rate"], kept["loss"]) == ("FA", [1, 0.1], "cross-entropy")
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "complete"


def test_a_baseline_is_trained_from_a_file_which_options_win_over(runs, tmp_path, capsys):
    config = runs / "dfa" / "config.toml"
    again = ("baseline", "dfa", "--config", config, "--quiet", "--out")
    assert command(capsys, *again, tmp_path / "same")[0] == 0
    same, first = (without_seconds(metrics.read(path / "metrics.csv")) for path in (tmp_path / "same", runs / "dfa"))
    assert same == first
    assert (tmp_path / "same" / "config.toml").read_text() == config.read_text()
    other = ("baseline", "fa", "--config", config, "--quiet", "--learning-rate", 0.25, "--bias", "--epochs", 1, "--out")
    assert command(capsys, *other, tmp_path / "other")[0] == 0
    kept = toml.read(tmp_path / "other" / "config.toml")
    found = kept["epochs"], kept["baseline"]["method"], kept["baseline"]["learning_rate"], kept["baseline"]["bias"]
    assert found == (1, "FA", [0.25], True)
    code, _, err = command(capsys, "baseline", "fa")
    assert code == 2 and "or --config FILE" in err and err.count("\n") == 1


def test_an_unknown_method_is_one_line_and_exit_code_2(capsys):
    code, out, err = command(capsys, "baseline", "dfaa", "mb-100-tf")
    assert (code, out) == (2, "") and "did you mean 'DFA'" in err and err.count("\n") == 1


def test_the_table_says_what_metrics_csv_says(runs, tmp_path, capsys):
    code, out, err = command(capsys, "compare", runs / "ghosts", runs / "dfa", "--out", tmp_path / "picture")
    assert (code, err) == (0, "")
    heading, ghosts, dfa = out.splitlines()
    assert heading.split()[:3] == ["run", "seeds", "epochs"]
    with (runs / "dfa" / "metrics.csv").open(newline="") as file:
        last = [row for row in csv.DictReader(file) if row["epoch"] == "2"]
    test = [100 * float(row["test_accuracy"]) for row in last]
    assert f"{np.mean(test):.2f} ± {np.std(test, ddof=1):.2f}" in dfa
    assert f"{np.mean([float(row['angle_1']) for row in last]):.1f}°" in dfa and "°" not in ghosts
    assert {path.name for path in tmp_path.iterdir()} == {"picture.png", "picture.pdf", "picture.json"}


def test_a_run_that_is_still_writing_is_compared_up_to_its_last_whole_evaluation(tmp_path):
    (tmp_path / "metrics.csv").write_text(f"{COLUMNS}\n0,0,0,0.1,0.1,1,1,0\n1,1,0,0.3,0.1,1,1,0\n0,0,1,0.5,0.5,1,1,2\n")
    (curves,) = comparison.read([tmp_path])
    assert curves.epoch.tolist() == [0] and curves.mean("train_accuracy") == pytest.approx([0.2])


def test_what_cannot_be_compared_is_refused_in_one_line(tmp_path, runs):
    (tmp_path / "metrics.csv").write_text("a,b\n1,2\n")
    assert "no comparable run" in refusal(FileError, comparison.read, [tmp_path])
    assert "no comparable run" in refusal(FileError, comparison.read, [tmp_path / "nowhere"])
    assert "method" in refusal(ConfigError, baseline_from_mapping, {})


def test_help_imports_no_torch():
    code = "import sys, runpy\ntry: runpy.run_module('ghostnet')\nexcept SystemExit: assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, "--help"], check=True, capture_output=True)
