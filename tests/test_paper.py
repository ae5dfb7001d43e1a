"""What is said of the paper's figures: every number comes from a run whose files are there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import ghostnet as gn
from ghostnet.files import toml
from ghostnet.model.experiment import from_mapping
from ghostnet.runs import metrics, store
from ghostnet.sweep.task import status

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "figures" / "results"
TASKS = gn.sweep.read(ROOT / "sims" / "table1.toml").tasks


@pytest.fixture
def table1(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "sims"), *sys.path])
    import table1

    return table1


def test_table_1_is_that_of_the_runs_in_figures(table1):
    assert (ROOT / "figures" / "table1.md").read_text() == table1.markdown(table1.table(gn.load_sweep(RESULTS)))


def test_every_run_in_figures_has_ended_and_is_one_of_table_1():
    tasks = {task.name: task for task in TASKS}
    for path in (path for path in RESULTS.iterdir() if path.is_dir()):
        task = tasks[path.name]
        assert from_mapping(toml.read(path / store.CONFIG)) == task.experiment
        state, rows = status(path), metrics.csv_rows((path / store.METRICS).read_text())
        last = {"complete": task.experiment.epochs, "diverged": state["epoch"]}[state["status"]]
        assert [row["epoch"] for row in rows] == list(range(last + 1))


def test_table_1_has_every_cell_of_the_paper_with_five_seeds(table1):
    cells = {f"{size}-tf" for size in table1.PAPER} | {f"{size}-fa" for size, row in table1.PAPER.items() if row[2]}
    assert len(cells) == 19
    for cell in cells:
        assert {task.at["seed"] for task in TASKS if task.at["experiment"] == cell} == {0, 1, 2, 3, 4}
