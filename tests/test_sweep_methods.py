"""A sweep over models and baselines: each task is trained by what fits it, and all are compared."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from builders import command, of, refusal, same_bits, sweep_settings, tiny, without_seconds

import ghostnet as gn
from ghostnet import ConfigError, baselines, sweep
from ghostnet.files import toml
from ghostnet.runs import checkpoint, metrics
from ghostnet.sweep import Sweep, ensembles, space
from ghostnet.sweep.task import perform

SETTINGS = {"feedback": "TF", "engine": "reference", "learning_rate": 0.5}


def plan(task, grid=None, experiments=None, **changes):
    settings = sweep_settings(task, **(SETTINGS | {"method": ["MB", "dfa"], "seeds": [0, 1]} | changes))
    del settings["model"]
    return Sweep({name: value for name, value in settings.items() if value is not None}, grid or {}, experiments or [])


def test_every_method_is_trained_by_what_fits_it(task, tmp_path):
    asked = plan(task)
    outcomes = sweep.run(asked, tmp_path, workers=1, progress=False)
    assert [(o.name, o.status) for o in outcomes] == [
        (f"method={method},seed={seed}", "complete") for method in ("MB", "DFA") for seed in (0, 1)
    ]
    whole = baselines.train("DFA", tiny(task, seeds=(1,)), learning_rate=0.5, progress=False)
    trained = of(checkpoint.newest(tmp_path / "method=DFA,seed=1"))
    assert all(np.array_equal(trained[name], of(whole.network)[name]) for name in ("W[1]", "W[2]"))
    found = metrics.read(tmp_path / "method=DFA,seed=1" / "metrics.csv")
    assert without_seconds(found) == without_seconds(whole.metrics)
    ghosts = gn.train(tiny(task, seeds=(1,)), engine="reference", progress=False)
    assert same_bits(of(checkpoint.newest(tmp_path / "method=MB,seed=1")), of(ghosts.network))
    results = gn.load_sweep(tmp_path)
    assert dict(results.sizes) == {"model": 2, "seed": 2, "epoch": 3}
    assert results.angle_1.sel(model="MB").isnull().all() and results.angle_1.sel(model="DFA").notnull().all()
    again = sweep.run(asked, tmp_path, workers=1, progress=False)
    assert [outcome.status for outcome in again] == ["complete"] * 4


def test_a_stopped_baseline_of_a_sweep_goes_on(task, tmp_path):
    (one,) = plan(task, method="dfa", seeds=0).tasks
    assert perform(one, tmp_path, 1).status == "complete"
    before = of(checkpoint.newest(tmp_path / one.name))
    (tmp_path / one.name / "status.json").write_text('{"status": "running", "epoch": 1}')
    (tmp_path / one.name / "checkpoints" / "epoch-0002.h5").unlink()
    assert perform(one, tmp_path, 1).status == "complete"
    assert same_bits(of(checkpoint.newest(tmp_path / one.name)), before)


def test_compare_shows_all_of_a_sweep(task, tmp_path, capsys):
    (tmp_path / "s.toml").write_text(plan(task, seeds=0, epochs=1).to_toml())
    code, _, err = command(capsys, "sweep", tmp_path / "s.toml", "--out", tmp_path / "out", "--quiet")
    assert (code, err) == (0, "")
    code, out, err = command(capsys, "compare", tmp_path / "out")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["run", "method=DFA,seed=0", "method=MB,seed=0"]


def test_a_sweep_of_methods_reads_back_the_same(task, tmp_path):
    for asked in (
        plan(task, momentum=0.5, loss="cross-entropy"),
        plan(task, {"method": ["MB", "bp", "FA"], "dropout": [0.0, 0.1]}, method=None),
        plan(task, {}, [{"name": "a", "method": "dfa"}, {"name": "b"}]),
        plan(task, {}, [{"name": "a", "method": ["bp", "DFA"]}, {"name": "b", "method": "FA"}, {"name": "c"}]),
        plan(task, {}, [{"name": "a", "method": ["bp", "DFA"]}, {"name": "b", "method": ["FA"]}], method=None),
    ):
        (tmp_path / "s.toml").write_text(asked.to_toml())
        again = sweep.read(tmp_path / "s.toml")
        assert (again, again.tasks) == (asked, asked.tasks)
        assert len({tuple(one.at) for one in asked.tasks}) == 1


def test_an_experiment_may_list_methods_of_its_own(task):
    listed = plan(task, {}, [{"name": "a", "method": ["bp", "DFA"]}, {"name": "b"}], method="FA", seeds=0).tasks
    assert [task.at for task in listed] == [
        {"experiment": "a", "model": "BP", "seed": 0},
        {"experiment": "a", "model": "DFA", "seed": 0},
        {"experiment": "b", "model": "FA", "seed": 0},
    ]
    assert [task.name for task in listed] == ["a,method=BP,seed=0", "a,method=DFA,seed=0", "b,method=FA,seed=0"]


def test_settings_of_baselines_are_theirs_and_not_the_models(task):
    ghosts, dfa = plan(task, seeds=0, clip=1.0, method=["MA-prime", "dfa"], ghosts=[4]).tasks
    assert (ghosts.experiment.clip, dfa.experiment.clip, dfa.baseline.clip) == (1.0, None, 1.0)
    assert ghosts.baseline is None and ghosts.experiment.model == "MA-prime"
    assert dfa.options == {} and ghosts.options == {"engine": "reference"}


def test_baselines_need_no_settings_of_ghosts(task):
    (one,) = Sweep({"method": "bp", "sizes": [16, 12, 4], "data": task, "train_examples": 80}).tasks
    assert one.experiment.sizes == (16, 12, 4) and one.baseline.method == "BP"


def test_the_ensembles_of_a_sweep_are_of_ghosts_only(task):
    tasks = plan(task, engine="torch").tasks
    assert [[one.at["model"] for one in job] for job in ensembles.pack(tasks)] == [["MB", "MB"]]


def test_a_directory_with_another_method_is_not_taken_for_this_one(task, tmp_path):
    def outcome(**changes):
        (one,) = sweep.run(plan(task, seeds=0, epochs=0, **changes), tmp_path, workers=1, progress=False)
        return one

    assert outcome(method="dfa").status == "complete"
    assert "baseline.method = DFA, not FA" in outcome(method="fa").text
    assert "baseline.learning_rate = (0.5,), not (0.1,)" in outcome(method="dfa", learning_rate=0.1).text
    assert "engine = baseline DFA, not reference" in outcome(method="MB").text
    assert outcome(method="dfa", learning_rate=None).status == "complete"
    assert "dtype = float32, not float64" in outcome(method="dfa", dtype="float64").text


WRONG = [
    ({"method": []}, "method = []"),
    ({"method": [["MB"]]}, "method = "),
    ({"method": 5}, "method = 5"),
    ({"method": ["MB", "dfaa"]}, "dfaa"),
    ({"method": ["MB", "MB"]}, "2 experiments"),
    ({"method": ["dfa", "DFA"]}, "2 experiments"),
    ({"model": "MB"}, "leave one of them out"),
    ({"loss": "absolute"}, "unknown loss"),
    ({"learning_rate": "fast"}, "learning_rate"),
    ({"dropout": 2.0}, "dropout = 2.0"),
    ({"speed": 1}, "unknown setting 'speed'"),
]


@pytest.mark.parametrize(("changes", "text"), WRONG, ids=str)
def test_what_cannot_be_trained_is_refused_before_anything_is_made(task, tmp_path, capsys, changes, text):
    settings = sweep_settings(task, **(SETTINGS | {"method": ["MB", "dfa"]}))
    del settings["model"]
    assert text in refusal(ConfigError, Sweep, settings | changes)
    if changes != {"method": [["MB"]]}:  # TOML would have it
        (tmp_path / "s.toml").write_text(toml.lines(settings | changes))
        assert command(capsys, "sweep", tmp_path / "s.toml", "--out", tmp_path / "out")[0] == 2
    assert not (tmp_path / "out").exists()


def test_the_sweep_and_the_search_of_the_documentation_are_such(tmp_path):
    text = (Path(__file__).parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
    block, searched = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "s.toml").write_text(block)
    assert [task.at for task in sweep.read(tmp_path / "s.toml").tasks] == [
        {"model": method, "seed": 0} for method in ("MB", "BP", "DFA")
    ]
    (tmp_path / "s.toml").write_text(searched)
    assert list(space.read(tmp_path / "s.toml").fields) == ["feedback", "eta_1", "beta", "clamped_steps"]
