"""`ghostnet reproduce`: every script of a table or figure is a target, and its numbers are held to the stored ones."""

from __future__ import annotations

import configparser
import functools
import importlib
import json
import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from builders import command
from setuptools import find_packages

import ghostnet as gn
from ghostnet import data
from ghostnet.results import stored_numbers, targets
from ghostnet.results.stored_numbers import Numbers, Rule

ROOT = Path(__file__).parents[1]
SIMS = ROOT / "sims"
TARGETS = targets.targets()
HELD = [one for one in TARGETS.values() if one.numbers]
SCRIPTS = sorted({one.script for one in TARGETS.values()})


@pytest.fixture
def script(monkeypatch):
    """Imports a script of sims/ by its name; how Matplotlib draws is as before, afterwards."""
    monkeypatch.setattr(sys, "path", [str(SIMS), *sys.path])
    with plt.rc_context():
        yield importlib.import_module


def test_every_script_that_writes_a_table_or_figure_is_a_target_or_measures_this_machine():
    texts = {path.stem: path.read_text(encoding="utf-8") for path in SIMS.glob("*.py")}
    writing = {name for name, text in texts.items() if re.search(r"publish\w*\(.*", text) and "def main(" in text}
    assert {name for name in writing if not name.startswith(("bench_", "check_"))} == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_takes_a_directory_and_none_begins_one_of_its_own(script, monkeypatch, capsys, name):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit, match="0"):
        script(name).main()
    assert "--out DIR" in capsys.readouterr().out
    assert '"figures"' not in (SIMS / f"{name}.py").read_text(encoding="utf-8")  # destination.py says where they go


def test_the_page_of_programs_has_the_row_of_every_target_and_no_other():
    text = (ROOT / "docs" / "programs.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| what \| command \| CPU time \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    needs = {one.name: f" (extra `[{one.extra}]`)" if one.extra else "" for one in TARGETS.values()}
    assert table.splitlines() == [
        f"| {one.what}{needs[name]} | `ghostnet reproduce {name}` | {one.time} | {one.expected} |"
        for name, one in TARGETS.items()
    ]


def test_the_list_has_every_target_with_its_time_and_what_it_needs(capsys):
    code, out, err = command(capsys, "reproduce")
    assert (code, err) == (0, "") and command(capsys, "reproduce", "figure4", "--list") == (0, out, "")
    rows = [re.split(r" {2,}", line) for line in out.splitlines()[1:]]
    assert [row[:2] for row in rows] == [[one.name, one.time] for one in TARGETS.values()]
    assert [row[0] for row in rows if "[dp]" in row] == [one.name for one in TARGETS.values() if one.extra]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["figure7"], "unknown target 'figure7': did you mean 'figure6'? valid: table1, figure3, "),
        (["linear-fa"], "unknown target 'linear-fa': did you mean 'linear_fa'?"),
        (["linear_fa", "--check", "--quick"], "--quick makes other numbers than those that are stored; leave it or"),
        (["linear_fa", "--out", "taken"], "taken: can't be made (File exists); give a directory you may write to"),
        (["linear_fa", "--draw"], "unrecognized arguments: --draw"),
        (["--only", "mb-*", "table1"], "target: expected one before the options, such as figure4; --only takes all"),
        (["figure3", "--draw"], "sweep.toml: can't be read (No such file or directory)"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(script, capsys, monkeypatch, tmp_path, words, said):
    monkeypatch.chdir(tmp_path)
    Path("taken").touch()
    code, out, err = command(capsys, "reproduce", *words)
    assert code and out == "" and said in err.splitlines()[-1]
    assert {path.name for path in tmp_path.iterdir()} <= {"taken", "reproduced"}


def test_what_is_not_installed_is_named_before_anything_is_made(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(targets.importlib.util, "find_spec", lambda name: None)
    code, out, err = command(capsys, "reproduce", "privacy")
    assert (code, out) == (2, "") and err.endswith("needs the extra [dp]; pip install 'ghost-units[dp]'\n")
    assert list(tmp_path.iterdir()) == []


def test_an_installed_package_is_not_written_into(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(targets, "INSTALLED", True)
    monkeypatch.setattr(targets, "PACKAGE", tmp_path)
    code, out, err = command(capsys, "reproduce", "linear_fa", "--out", tmp_path / "figures")
    assert (code, out) == (2, "") and "is in the installed package" in err and list(tmp_path.iterdir()) == []


TABLE = """
[drift]
script = "script_of_drift"
words = ["--from", "0.5"]
what = "as stored"
cpu_minutes = 0.1
expected = ""
numbers = [{file = "drift.json", fields = "drifts.*", relative = 0.01}]
"""
SCRIPT = """
import argparse, json, pathlib

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--from", type=float)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--draw", action="store_true")
    given = vars(parser.parse_args())
    if given["draw"]:
        raise SystemExit("no complete run yet")
    drifts = {"0.02": 1.0, "0.01": given["from"]}
    (given["out"] / "drift.json").write_text(json.dumps({"date": "today", "drifts": drifts}))
"""


@pytest.fixture
def stored(monkeypatch, tmp_path) -> Path:
    """The stored numbers of a target of its own, drift, that makes 1 and 0.5; a file."""
    monkeypatch.setattr(targets, "SCRIPTS", tmp_path / "sims")
    monkeypatch.setattr(targets, "STORED", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sims").mkdir()
    (tmp_path / "sims" / "targets.toml").write_text(TABLE, encoding="utf-8")
    (tmp_path / "sims" / "script_of_drift.py").write_text(SCRIPT, encoding="utf-8")
    path = tmp_path / "drift.json"
    path.write_text('{"date": "then", "drifts": {"0.02": 1.001, "0.01": 0.5}}', encoding="utf-8")
    return path


def test_what_gives_the_stored_numbers_passes(stored, capsys):
    for _ in range(2):
        told = command(capsys, "reproduce", "drift", "--check")
        assert told == (0, "drift: 2 of 2 stored numbers compared, none differs\n", "")
    assert json.loads(Path("reproduced", "drift.json").read_text())["drifts"] == {"0.02": 1, "0.01": 0.5}


def test_a_stored_number_that_is_another_is_a_line_and_ends_with_1(stored, capsys):
    stored.write_text('{"drifts": {"0.02": 1.1, "0.01": 0.5, "0.1": 2}}', encoding="utf-8")
    code, out, err = command(capsys, "reproduce", "drift", "--out", stored.parent / "out", "--check")
    assert (code, err) == (1, "ghostnet: error: drift: 2 of 3 stored numbers compared, 2 differ or are missing\n")
    assert out.splitlines() == [
        "drift.json: drifts.0.02: 1, stored 1.1, may differ by 0.011",
        "drift.json: drifts.0.1: missing, stored 2",
    ]


def test_what_is_stored_is_read_before_it_is_written_over(stored, capsys):
    stored.write_text('{"drifts": {"0.02": 1.1}}', encoding="utf-8")
    assert command(capsys, "reproduce", "drift", "--out", stored.parent, "--check")[0] == 1
    assert command(capsys, "reproduce", "drift", "--out", stored.parent, "--check")[0] == 0


def test_a_script_that_ends_with_a_text_says_it(stored, capsys):
    assert command(capsys, "reproduce", "drift", "--draw") == (1, "", "ghostnet: error: no complete run yet\n")


@pytest.mark.parametrize("target", HELD, ids=lambda target: target.name)
def test_every_rule_decides_on_a_stored_number_and_a_number_that_is_another_differs(target):
    stored = stored_numbers.read(targets.STORED, target.numbers)
    assert {id(rule) for rule, _ in stored.values()} == {id(rule) for rule in target.numbers}
    assert stored_numbers.compare(stored, stored) == (len(stored), [])
    for place, (rule, (values, runs)) in stored.items():
        other = Numbers(tuple(2 * value + 1 for value in values), runs)
        if not np.isnan(values).any():
            (line, *_) = stored_numbers.compare(stored | {place: (rule, other)}, stored).differing
            assert line.startswith(f"{place[0]}: {place[1]}")


@pytest.mark.parametrize(("runs", "allowed"), [((1, 1), 0.42426), ((5, 5), 0.18973), ((1, 5), 0.32863)])
def test_means_may_differ_by_three_standard_errors(runs, allowed):
    rule, place = Rule("a.csv", "*", spread=0.1), ("a.csv", "x, test %")
    for off, lines in ((0.999 * allowed, 0), (1.001 * allowed, 1)):
        made, stored = ({place: (rule, Numbers((value,), n))} for value, n in zip((98 + off, 98.0), runs, strict=True))
        assert len(stored_numbers.compare(made, stored).differing) == lines


@pytest.mark.parametrize(
    ("rule", "made", "differs"),
    [
        (Rule("a", "*", relative=0.01), 100.9, False),
        (Rule("a", "*", relative=0.01), 101.1, True),
        (Rule("a", "*", absolute=0.5), 100.4, False),
        (Rule("a", "*", absolute=0.5), 99.4, True),
        (Rule("a", "*", relative=0.01, absolute=0.5), 98.6, False),
        (Rule("a", "*", relative=1), float("nan"), True),
    ],
)
def test_a_number_may_differ_by_what_its_rule_says(rule, made, differs):
    numbers = [{("a", "b"): (rule, Numbers((value,), 1))} for value in (made, 100.0)]
    assert bool(stored_numbers.compare(*numbers).differing) == differs


def test_what_was_not_made_is_missed_unless_parts_may_be_made():
    whole, part = Rule("a", "*"), Rule("a", "*", partial=True)
    stored = {("a", "b"): (whole, Numbers((1.0,), 1)), ("a", "c"): (part, Numbers((1.0,), 1))}
    assert stored_numbers.compare({}, stored) == (0, ["a: b: missing, stored 1"])


def test_numbers_are_read_as_they_are_written(tmp_path):
    rows = "cell,seeds,test %,layers\nx,5 of 5,98.19 ± 0.01,46.5 / 2.6\ny,not run,,\nz,1 of 5,nan,1e-3\n"
    (tmp_path / "t.csv").write_text(rows, encoding="utf-8")
    (tmp_path / "t.json").write_text(
        '{"a": {"0.5": [[1, 2], 3]}, "b": "text", "c": null, "d": [NaN]}', encoding="utf-8"
    )
    found = stored_numbers.read(
        tmp_path, [Rule("t.csv", "?, [tl]*", key=("cell",), count="seeds"), Rule("t.json", "*")]
    )
    numbers = {name: tuple(each) for (_, name), (_, each) in found.items()}
    assert {name: numbers.pop(name) for name in ("x, test %", "x, layers", "z, layers")} == {
        "x, test %": ((98.19,), 5), "x, layers": ((46.5, 2.6), 5), "z, layers": ((0.001,), 1)
    }  # fmt: skip
    assert {"a.0.5.0": ((1, 2), 2), "a.0.5.1": ((3,), 1)}.items() <= numbers.items()
    assert numbers.keys() == {"a.0.5.0", "a.0.5.1", "d", "z, test %"}


def test_the_wheel_has_every_package_and_beside_them_the_scripts_and_numbers():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = setup["options"]["packages"].split()
    assert sorted(listed) == sorted([*find_packages(ROOT, include=["ghostnet*"]), "ghostnet.sims", "ghostnet.figures"])
    folders = dict(line.split(" = ") for line in setup["options"]["package_dir"].strip().splitlines())
    assert folders == {"ghostnet.sims": "sims", "ghostnet.figures": "figures"}
    patterns = setup["options.package_data"]["ghostnet.figures"].split(", ")
    held = {rule.file for one in HELD for rule in one.numbers}
    assert held <= {path.name for pattern in patterns for path in targets.STORED.glob(pattern)}


def test_what_figure_4_records_is_there_when_its_file_is_gone(script, monkeypatch, tmp_path):
    figure4, digits = script("figure4"), data.load()
    monkeypatch.setattr(gn, "Simulator", functools.partial(gn.Simulator, engine="reference"))
    network = gn.build(gn.preset("mb-100-tf", free_steps=3, clamped_steps=2))
    recorded = figure4.trace(network, digits.test_images[:2], digits.test_labels[:2], tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    found = figure4.ends(figure4.traceplots.lane(recorded))
    assert {name: values.shape for name, values in found.items()} == dict.fromkeys(found, (2,))
    assert np.all(found["right_rate"] > 0) and np.all(found["nudged_error"] != found["free_error"])


def test_ghosts_that_were_trained_are_not_trained_again(script, monkeypatch, tmp_path):
    ghosts, few = script("ghosts"), {"train_examples": 4, "epochs": 1, "free_steps": 2, "clamped_steps": 2}
    asked = {"MB": ghosts.experiment(2, (20, 5), "MB", 0.1)}
    first = ghosts.trained(asked, tmp_path, few, "reference")
    assert len(first["MB"]["error"]) == 3 and 0 < first["MB"]["test"] < 100
    monkeypatch.setattr(gn.sweep.execution.pools, "processes", None)  # there is nothing left to do
    assert ghosts.trained(asked, tmp_path, few, "reference") == first
