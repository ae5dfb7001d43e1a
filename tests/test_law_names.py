"""A law by name: found where the user says and nowhere else, kept with the run, and the example of one learns."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from builders import command, experiment, refusal, tiny

import ghostnet as gn
from ghostnet import ConfigError, resume, train
from ghostnet.model.names import transfer

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_law.py"


@pytest.fixture
def somewhere(tmp_path, monkeypatch):
    """The current directory, with the example in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_law.py").write_text(EXAMPLE.read_text())
    yield tmp_path
    sys.modules.pop("own_law", None)
    gn.model.names._imported.cache_clear()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("own_law:softsing", "own_law has no softsing"),
        ("own_law:rho", "a function; expected a ghostnet.Transfer"),
        ("no_law:rho", "there is no module no_law"),
        ("own_law", "unknown transfer 'own_law'"),
        ("own_law.softsign", "unknown transfer"),
        ("runs/own_law:softsign", "unknown transfer"),
    ],
)
def test_a_name_that_leads_to_no_law_is_refused_in_one_line(somewhere, name, text):
    assert text in refusal(ConfigError, lambda: gn.Simulator(gn.build(experiment(transfer=name))))


def test_a_run_directory_is_never_imported_from(somewhere, monkeypatch):
    (somewhere / "provenance.json").write_text("{}")
    assert "lies in a run directory" in refusal(ConfigError, transfer, "own_law:softsign")


def test_a_run_keeps_the_law_and_is_not_resumed_with_another(somewhere, task, capsys):
    e = tiny(task, transfer="own_law:softsign", epochs=1)
    (somewhere / "e.toml").write_text(e.to_toml())
    assert command(capsys, "train", "--config", "e.toml", "--out", "run", "--quiet", "--engine", "torch")[0] == 0
    kept = json.loads((somewhere / "run" / "provenance.json").read_text())["laws"]["transfer"]
    assert kept["name"] == "own_law:softsign" and "return 0.5 + 0.5 * s" in kept["source"]
    (somewhere / "run" / "status.json").write_text('{"status": "stopped", "epoch": 1}')
    assert resume("run", progress=False).network.experiment == e
    sys.modules.pop("own_law")
    gn.model.names._imported.cache_clear()
    changed = EXAMPLE.read_text().replace("0.5 + 0.5 * s", "0.5 + 0.4 * s").replace("0.5 / ((1", "0.4 / ((1")
    (somewhere / "own_law.py").write_text(changed)
    importlib.invalidate_caches()
    text = refusal(ConfigError, resume, "run", progress=False)
    assert "transfer = own_law:softsign: its text is not the one that the run began with" in text


def test_a_run_keeps_the_model_and_is_not_resumed_with_another(somewhere, task, capsys):
    text = """
import ghostnet as gn
def post(e):
    return 0.2 * e
mb = gn.MODELS["MB"]
mine = gn.Model(mb.phases, (mb.rule("W_gp"), gn.Rule("W", post, "r", "eta", "end", decay=0.001)))
"""
    (somewhere / "own_law.py").write_text(text)
    (somewhere / "e.toml").write_text(tiny(task, epochs=1).to_toml())
    assert command(capsys, "train", "--config", "e.toml", "--model", "own_law:mine", "--out", "run", "--quiet",
                   "--engine", "torch")[0] == 0  # fmt: skip
    kept = json.loads((somewhere / "run" / "provenance.json").read_text())["laws"]["model"]
    assert kept["name"] == "own_law:mine" and "return 0.2 * e" in kept["source"] and "0.001" in kept["source"]
    assert resume("run", progress=False).network.experiment.model == "own_law:mine"
    for change in (
        ("0.2 * e", "0.3 * e"),
        ("decay=0.001", "decay=0.002"),
        ("mb.phases", "mb.phases[:1] + (gn.Phase('b', 1),)"),
    ):
        sys.modules.pop("own_law")
        gn.model.names._imported.cache_clear()
        (somewhere / "own_law.py").write_text(text.replace(*change))
        importlib.invalidate_caches()
        refused = refusal(ConfigError, resume, "run", progress=False)
        assert "model = own_law:mine: its text is not the one that the run began with" in refused, change


@pytest.mark.parametrize(
    ("file", "field", "name", "changes"),
    [
        ("own_law", "transfer", "softsign", {}),
        ("own_cost", "cost", "weighted", {}),
        ("own_rule", "model", "gainless", {"eta": (1.6, 0.4)}),
        ("own_phase", "model", "rested", {}),
    ],
)
def test_the_examples_learn(task, file, field, name, changes):
    spec = importlib.util.spec_from_file_location(file, EXAMPLE.with_name(f"{file}.py"))
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    e = tiny(task, **{field: getattr(example, name)}, epochs=6, **changes)
    rows = train(e, engine="torch", progress=False).metrics
    assert rows[-1]["test_accuracy"] > 0.9
