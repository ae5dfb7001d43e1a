"""Several experiments packed into one ensemble learn what each learns alone."""

from __future__ import annotations

import numpy as np
from builders import distance, of, refusal, sweep_settings, table, tiny

import ghostnet as gn
from ghostnet import ConfigError, sweep
from ghostnet.files import jsonfile
from ghostnet.runs import checkpoint
from ghostnet.sweep import Sweep, ensembles
from ghostnet.sweep.ensembles import pack, perform_together
from ghostnet.sweep.task import perform, status


def test_packed_tasks_learn_what_they_learn_alone(task, tmp_path):
    base = sweep_settings(
        task, feedback="TF", engine="torch", dtype="float64", seeds=[0, 1], free_steps=20, clamped_steps=10
    )
    plan = Sweep(base, {"beta": [0.1, 0.2], "eta": [[8.0, 2.0], [4.0, 1.0]], "init": [0.5, 0.4]})
    assert [len(job) for job in pack(plan.tasks)] == [8, 8]
    assert not pack(Sweep(base | {"engine": "equilibrium"}).tasks)
    outcomes = sweep.run(plan, tmp_path / "packed", pack=True, workers=1, progress=False)
    assert [(outcome.name, outcome.status) for outcome in outcomes] == [(t.name, "complete") for t in plan.tasks]
    for one in plan.tasks[::5]:
        perform(one, tmp_path, 1)
        ours, alone = of(checkpoint.newest(tmp_path / "packed" / one.name)), of(checkpoint.newest(tmp_path / one.name))
        assert all(distance(ours[name], alone[name]) < 1e-10 for name in alone)
        kept, lone = table(tmp_path / "packed" / one.name), table(tmp_path / one.name)
        assert [(row["run"], row["seed"]) for row in kept] == [(row["run"], row["seed"]) for row in lone]
        np.testing.assert_allclose([float(r["test_mse"]) for r in kept], [float(r["test_mse"]) for r in lone], 1e-5)
    assert {path.name for path in (tmp_path / "packed").iterdir()} == {"sweep.toml", *(t.name for t in plan.tasks)}
    again = sweep.run(plan, tmp_path / "packed", pack=True, workers=1, progress=False)
    assert {outcome.status for outcome in again} == {"complete"}


def test_a_sweep_that_names_no_engine_is_complete_by_any_that_steps(task, tmp_path):
    plan = Sweep(sweep_settings(task, feedback="TF", seeds=[0, 1]))
    sweep.run(plan, tmp_path, only=["seed=0"], workers=1, progress=False)
    for packed in (True, True, False):
        outcomes = sweep.run(plan, tmp_path, pack=packed, workers=1, progress=False)
        assert [(one.status, one.text) for one in outcomes] == [("complete", "")] * 2
    engines = [jsonfile.read(tmp_path / one.name / "provenance.json")["engine"] for one in plan.tasks]
    assert engines == ["cpu", "torch"]
    named = Sweep(plan.settings | {"engine": "cpu"})
    assert [one.status for one in sweep.run(named, tmp_path, workers=1, progress=False)] == ["complete", "failed"]


def test_a_run_at_equilibrium_is_not_taken_for_a_stepped_one(task, tmp_path):
    plan = sweep_settings(task, feedback="TF", epochs=0)
    sweep.run(Sweep(plan | {"engine": "equilibrium"}), tmp_path, workers=1, progress=False)
    (one,) = sweep.run(Sweep(plan), tmp_path, workers=1, progress=False)
    assert one.status == "failed" and "engine = equilibrium, not cpu or reference or torch" in one.text


def test_each_packed_task_took_its_share_of_the_ensembles_seconds(task, tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(ensembles, "train", lambda *given, **how: trained.append(gn.train(*given, **how)))
    plan = Sweep(sweep_settings(task, feedback="TF", engine="torch", seeds=[0, 1, 2]))
    perform_together(plan.tasks, tmp_path, 1)
    whole = trained[0].metrics[-1]["seconds"]
    shares = [float(table(tmp_path / one.name)[-1]["seconds"]) for one in plan.tasks]
    assert whole > 0 and np.allclose(shares, whole / 3, atol=0.001)


def test_a_packed_task_that_diverges_leaves_the_ensemble_which_goes_on(task, tmp_path):
    plan = Sweep(
        sweep_settings(task, feedback="TF", engine="torch", dtype="float64"),
        {"eta": [[8.0, 2.0], [1e9, 1e9], [4.0, 1.0]]},
    )
    states = [outcome.status for outcome in perform_together(plan.tasks, tmp_path, 1)]
    assert sorted(states) == ["complete", "complete", "diverged"]
    assert [status(tmp_path / one.name)["status"] for one in plan.tasks] == ["complete", "diverged", "complete"]
    last = plan.tasks[-1]
    alone = gn.train(last.experiment, progress=False, **last.options).network
    ours = of(checkpoint.newest(tmp_path / last.name))
    assert all(distance(ours[name], array) < 1e-10 for name, array in of(alone).items())


def test_a_seed_twice_is_refused_outside_an_ensemble(task):
    assert "a seed twice gives the same network twice" in refusal(ConfigError, gn.train, tiny(task, seeds=(1, 2, 1)))
