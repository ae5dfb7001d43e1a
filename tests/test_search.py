"""A search: what it asks for, trials as run directories, and the same trials however often it was stopped."""

from __future__ import annotations

import json

import pytest
from builders import command, refusal, sweep_settings

from ghostnet import ConfigError
from ghostnet.runs import configuration
from ghostnet.sweep import space
from ghostnet.sweep.space import Search
from ghostnet.sweep.task import status

optuna = pytest.importorskip("optuna")
from ghostnet.sweep import search  # noqa: E402

FIELDS = {
    "feedback": ["TF", "FA"],
    "eta_2": {"low": 0.5, "high": 5.0, "log": True},
    "free_steps": {"low": 20, "high": 60, "step": 20},
}


def asked(task, fields=FIELDS, **changes) -> Search:
    quick = {"engine": "reference", "train_examples": 8, "epochs": 2}
    return Search(
        sweep_settings(task, **quick | changes) | ({} if "feedback" in fields else {"feedback": "TF"}), fields
    )


def trials(study) -> list[tuple]:
    return [(found.number, found.state.name, found.params, found.value) for found in study.trials]


class Killed(BaseException):
    """What no handler of errors takes for one."""


def test_a_search_that_was_stopped_goes_on_with_the_trials_it_would_have_had(task, tmp_path, monkeypatch):
    whole = search.run(asked(task), tmp_path / "whole", 4)
    tell, told = optuna.Study.tell, []

    def killed(self, number, *given, **how):
        told.append(number)
        if told.count(1) == 1 and number == 1:
            raise Killed
        return tell(self, number, *given, **how)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(optuna.Study, "tell", killed)
        search.run(asked(task), tmp_path / "stopped", 2)
    with (tmp_path / "stopped" / search.JOURNAL).open("a") as journal:
        journal.write('{"op_code":4,"half of a l')
    again = search.run(asked(task), tmp_path / "stopped", 4)
    assert trials(again) == trials(whole) and {state for _, state, *_ in trials(whole)} == {"COMPLETE"}


def test_a_trial_is_a_run_of_its_values_with_all_seeds(task, tmp_path):
    study = search.run(asked(task, seeds=[3, 5]), tmp_path, 2)
    for found in study.trials:
        e = configuration.read(tmp_path / search.directory(found.number))
        assert e.seeds == (3, 5) and e.eta == (8.0, found.params["eta_2"])
        assert (e.feedback, e.free_steps) == (found.params["feedback"], found.params["free_steps"])
        assert sorted(found.intermediate_values) == [1, 2] and found.value == found.intermediate_values[2]
    assert e.free_steps in (20, 40, 60) and 0.5 <= e.eta[1] <= 5


def test_a_pruned_trial_ends_early_and_stays_so(task, tmp_path, monkeypatch):
    always = optuna.pruners.ThresholdPruner(lower=2.0)
    monkeypatch.setattr(optuna.pruners, "MedianPruner", lambda: always)

    def killed(*given, **how):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(optuna.Study, "tell", killed)
        search.run(asked(task), tmp_path, 1)
    study = search.run(asked(task), tmp_path, 2)
    assert [found.state.name for found in study.trials] == ["PRUNED", "PRUNED"]
    for number in (0, 1):
        found = status(tmp_path / search.directory(number))
        assert (found["status"], found["epoch"]) == ("stopped", 1) and found["reason"].startswith(
            "pruned after epoch 1"
        )
    assert "best" not in search.table(asked(task), study)


def test_trials_that_diverge_or_are_impossible_leave_the_others_alone(task, tmp_path):
    fields = {"eta": [[8.0, 2.0], [1e9, 1e9]], "dt": [0.005, 0.0195, 0.0196, 0.0197, 0.0051], "tau": [0.01, 0.0095]}
    wanted = asked(task, fields)
    study = search.run(wanted, tmp_path, 6)
    states = {found.state.name for found in study.trials}
    assert states == {"COMPLETE", "PRUNED", "FAIL"}


def test_the_command_line_shows_every_trial_and_the_best(task, tmp_path, capsys):
    file, out = tmp_path / "s.toml", tmp_path / "out"
    file.write_text(asked(task).to_toml())
    assert space.read(file).to_toml() == asked(task).to_toml()
    code, printed, err = command(capsys, "search", file, "--out", out, "--trials", 2)
    assert (code, err) == (0, "")
    heading, first, second, _, best = printed.splitlines()
    assert heading.split() == ["trial", "status", *FIELDS, "epochs", "test_accuracy"]
    assert first.split()[:2] == ["trial-0000", "complete"] and second.split()[-2] == "2"
    assert best.startswith("best: trial-000") and "eta_2 = " in best
    assert all(json.loads(line) for line in (out / search.JOURNAL).read_text().splitlines())
    file.write_text(asked(task, epochs=3).to_toml())
    code, _, err = command(capsys, "search", file, "--out", out, "--trials", 2)
    assert code == 2 and "holds another search" in err and err.count("\n") == 1


WRONG = [
    ({}, "expected a table, [search]"),
    ({"beta": 0.1}, "beta = 0.1: expected a list of choices, or low and high"),
    ({"beta": []}, "at least one choice"),
    ({"beta": {"low": 0.1}}, "expected numbers, low below high"),
    ({"beta": {"low": 0.2, "high": 0.1}}, "low below high"),
    ({"beta": {"low": 0.1, "high": 0.2, "lag": True}}, "did you mean 'log'?"),
    ({"beta": {"low": 0.1, "high": 0.2, "log": 1}}, "expected true or false"),
    ({"free_steps": {"low": 1, "high": 9, "log": True, "step": 2}}, "log takes low > 0, and no step"),
    ({"betta": [0.1]}, "did you mean 'beta'?"),
    ({"beta": {"low": -0.1, "high": 0.2}}, "beta = -0.1: expected a positive number"),
    ({"eta_3": [0.1]}, "eta_3: there is no such eta"),
    ({"seeds": [[0], [1]]}, "seeds"),
]


@pytest.mark.parametrize(("fields", "text"), WRONG, ids=str)
def test_a_wrong_search_is_one_line(task, fields, text):
    assert text in refusal(ConfigError, asked, task, fields)


def test_an_objective_is_one_that_every_run_has(task):
    settings = sweep_settings(task, feedback="TF")
    assert "unknown objective" in refusal(ConfigError, Search, settings, {"beta": [0.1]}, "accuracy")
