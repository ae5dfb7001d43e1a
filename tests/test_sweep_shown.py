"""Packed tasks show how far they are while they are trained, and go on together where they were stopped."""

from __future__ import annotations

import pytest
from builders import of, same_bits, sweep_settings, table, without_seconds

from ghostnet import Stopped, sweep
from ghostnet.runs import checkpoint
from ghostnet.sweep import Sweep
from ghostnet.sweep.ensembles import OwnDirectories, perform_together
from ghostnet.sweep.task import status

NAMES = ("seed=0", "seed=1")


def plan(task, **changes) -> Sweep:
    quick = {"feedback": "TF", "engine": "torch", "train_examples": 8, "epochs": 3, "seeds": [0, 1]}
    return Sweep(sweep_settings(task, **quick | changes))


@pytest.fixture
def shown(monkeypatch):
    """A function that is called with the ensemble's run after each time its tasks have been shown."""
    calls, show = [], OwnDirectories.show

    def showing(self, tasks, run):
        show(self, tasks, run)
        for call in calls:
            call(run)

    monkeypatch.setattr(OwnDirectories, "show", showing)
    return calls


def stop(run) -> None:
    if run.epoch == 1:
        raise Stopped("stopped by SIGTERM")


def test_metrics_and_status_of_every_task_grow_with_the_ensemble(task, tmp_path, shown):
    seen = []
    shown.append(lambda run: seen.append([(status(tmp_path / name), len(table(tmp_path / name))) for name in NAMES]))
    perform_together(plan(task).tasks, tmp_path, 1)
    assert len(seen) == 4
    for epoch, tasks in enumerate(seen):
        assert [(found["status"], found["epoch"], rows) for found, rows in tasks] == [("running", epoch, epoch + 1)] * 2
    assert [(row["run"], row["seed"]) for row in table(tmp_path / "seed=1")] == [("0", "1")] * 4
    assert {status(tmp_path / name)["status"] for name in NAMES} == {"complete"}


@pytest.mark.parametrize("epochs", [3, 4])
def test_an_ensemble_that_was_stopped_goes_on_as_one_with_or_without_more_epochs(task, tmp_path, shown, epochs):
    perform_together(plan(task, epochs=epochs).tasks, tmp_path / "whole", 1)
    shown.append(stop)
    assert [one.status for one in perform_together(plan(task).tasks, tmp_path / "out", 1)] == ["stopped"] * 2
    assert [(status(tmp_path / "out" / n)["status"], len(table(tmp_path / "out" / n))) for n in NAMES] == [
        ("stopped", 2)
    ] * 2
    shown.clear()
    outcomes = sweep.run(plan(task, epochs=epochs), tmp_path / "out", workers=1, progress=False)
    assert [(one.status, one.text) for one in outcomes] == [("complete", "")] * 2
    for name in NAMES:
        ours, whole = tmp_path / "out" / name, tmp_path / "whole" / name
        assert without_seconds(table(ours)) == without_seconds(table(whole))
        assert same_bits(of(checkpoint.newest(ours)), of(checkpoint.newest(whole)))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"sweep.toml", *NAMES}
    again = sweep.run(plan(task, epochs=epochs), tmp_path / "out", workers=1, progress=False)
    assert [one.status for one in again] == ["complete"] * 2


def test_an_ensemble_is_not_taken_for_one_of_other_settings(task, tmp_path, shown):
    shown.append(stop)
    perform_together(plan(task).tasks, tmp_path, 1)
    shown.clear()
    outcomes = perform_together(plan(task, init=0.3).tasks, tmp_path, 1)
    assert {(one.status, "holds a run with init = 0.5, not 0.3" in one.text) for one in outcomes} == {("failed", True)}
