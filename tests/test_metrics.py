"""metrics.csv and status.json are taken for what they say only where a run can have written it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from builders import COLUMNS, refusal, sweep_settings, table, tiny

from ghostnet import FileError, load_sweep, train
from ghostnet.files.publishing import publish
from ghostnet.results import comparison
from ghostnet.results.report import run_summary
from ghostnet.runs import metrics, store
from ghostnet.sweep.plan import Sweep
from ghostnet.sweep.task import perform

ROW = "{run},{seed},{epoch},0.5,0.5,0.1,0.1,{seconds}"


def written(folder, *rows, columns=COLUMNS):
    """A metrics.csv of these rows (run, seed, epoch, seconds)."""
    names = ("run", "seed", "epoch", "seconds")
    lines = [row if isinstance(row, str) else ROW.format(**dict(zip(names, row, strict=True))) for row in rows]
    (folder / "metrics.csv").write_text("\n".join([columns, *lines]) + "\n")
    return folder


SOUND = [(0, 7, 0, 0), (1, 3, 0, 0), (0, 7, 1, 2.5), (1, 3, 1, 2.5)]
WRONG = {
    "a foreign run": [*SOUND, (7, 7, 2, 3)],
    "a huge run": [*SOUND, (10**40, 7, 2, 3)],
    "a run without a number": [*SOUND, ("", 7, 2, 3)],
    "a negative run": [(-1, 7, 0, 0)],
    "half a run": [(0.5, 7, 0, 0)],
    "a run twice": [*SOUND[:3], SOUND[2], SOUND[3]],
    "runs in another order": [SOUND[1], SOUND[0]],
    "another seed": [*SOUND[:3], (1, 4, 1, 2.5)],
    "a negative epoch": [(0, 7, -5, 0)],
    "a huge epoch": [(0, 7, 10**30, 0)],
    "half an epoch": [(0, 7, 0.5, 0)],
    "an epoch again": [*SOUND, *SOUND[:2]],
    "a run that is ahead": [*SOUND[:3], (1, 3, 2, 2.5)],
    "seconds nan": [(0, 7, 0, "nan")],
    "seconds inf": [(0, 7, 0, "inf")],
    "negative seconds": [(0, 7, 0, -1)],
    "no seconds": [(0, 7, 0, "")],
    "endless seconds": [(0, 7, 0, "9" * 5000)],
    "a text": [(0, 7, 0, "soon")],
    "an accuracy above 1": ["0,7,0,1.5,0.5,0.1,0.1,0"],
    "an accuracy that is nan": ["0,7,0,nan,0.5,0.1,0.1,0"],
    "an error too large for a float": ["0,7,0,0.5,0.5," + "9" * 400 + ",0.1,0"],
    "a value too few": ["0,7,0,0.5,0.5,0.1,0.1"],
    "a value too many": ["0,7,0,0.5,0.5,0.1,0.1,0,0"],
    "an open quote": ['0,7,0,0.5,0.5,0.1,0.1,"0'],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_metrics_that_no_run_writes_are_refused(tmp_path, wrong):
    path = written(tmp_path, *WRONG[wrong])
    for call, argument in ((metrics.read, path / "metrics.csv"), (comparison.read, [path])):
        assert "metrics.csv" in refusal(FileError, call, argument)


@pytest.mark.parametrize("columns", ["a,b", COLUMNS.replace("seed", "run"), COLUMNS.replace("seconds", "time"), ""])
def test_metrics_of_other_columns_are_refused(tmp_path, columns):
    refusal(FileError, metrics.read, written(tmp_path, *SOUND, columns=columns) / "metrics.csv")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x00" * 100, b"run" * 100_000])
def test_what_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "metrics.csv").write_bytes(content)
    refusal(FileError, comparison.read, [tmp_path])


def test_metrics_as_a_run_writes_them_are_read(task, tmp_path):
    rows = train(tiny(task, seeds=(7, 3)), tmp_path, engine="reference", gradcheck_every=2, progress=False).metrics
    assert metrics.read(tmp_path / "metrics.csv") == rows and len(table(tmp_path)) == 6
    (curves,) = comparison.read([tmp_path])
    assert curves.epoch.tolist() == [0, 1, 2] and curves.columns["seconds"].shape == (3, 2)


def test_metrics_without_rows_are_those_of_a_run_that_just_began(tmp_path):
    (tmp_path / "metrics.csv").touch()
    assert metrics.read(tmp_path / "metrics.csv") == []
    assert "no comparable run" in refusal(FileError, comparison.read, [tmp_path])


STATES = [
    {}, {"status": "done"}, {"status": None}, {"status": ["complete"]}, {"status": "running", "epoch": "1"},
    {"status": "running", "epoch": -1}, {"status": "running", "epoch": 1.5}, {"status": "running", "epoch": True},
    {"status": "running", "epoch": 10**400}, {"status": "running", "presentation": []},
]  # fmt: skip


@pytest.mark.parametrize("state", STATES, ids=str)
def test_a_status_that_no_run_has_is_refused(task, tmp_path, state):
    train(tiny(task, epochs=0), tmp_path, engine="reference", progress=False)
    (tmp_path / "status.json").write_text(json.dumps(state))
    for call in (store.read_status, run_summary):
        assert "status.json" in refusal(FileError, call, tmp_path)


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", "{", "\x00", "9" * 5000, '"text"'])
@pytest.mark.parametrize("name", ["status.json", "provenance.json"])
def test_what_is_no_json_object_is_refused(task, tmp_path, name, content):
    train(tiny(task, epochs=0), tmp_path, engine="reference", progress=False)
    (tmp_path / name).write_text(content)
    assert name in refusal(FileError, run_summary, tmp_path)


def performed(task, folder, **changes) -> Sweep:
    """A sweep whose tasks are complete."""
    plan = Sweep(sweep_settings(task, feedback="TF", epochs=1, engine="reference", **changes))
    publish(folder / "sweep.toml", plan.to_toml().encode())
    assert all(perform(one, folder, 1).status == "complete" for one in plan.tasks)
    return plan


def test_the_results_of_a_sweep_name_the_file_that_cannot_be_read(task, tmp_path):
    names = [one.name for one in performed(task, tmp_path, seeds=[0, 1]).tasks]
    status, before = tmp_path / names[0] / "status.json", (tmp_path / names[0] / "status.json").read_text()
    status.write_text('{"status": "running", "epoch": "x"}')
    assert load_sweep(tmp_path).status.values.tolist() == ["unreadable", "complete"]
    status.write_text(before)
    written(tmp_path / names[1], (9, 9, 9, 9))
    assert str(tmp_path / names[1] / "metrics.csv") in refusal(FileError, load_sweep, tmp_path)


def test_a_task_whose_configuration_was_edited_is_not_counted_as_the_edited_one(task, tmp_path):
    (one,) = performed(task, tmp_path).tasks
    path, edited = tmp_path / one.name / "config.toml", replace(one, experiment=one.experiment.replace(beta=0.2))
    path.write_text(path.read_text().replace("beta = 0.1", "beta = 0.2"))
    outcome = perform(edited, tmp_path, 1)
    assert outcome.status == "failed" and "beta = 0.2" in outcome.text and "beta = 0.1" in outcome.text
