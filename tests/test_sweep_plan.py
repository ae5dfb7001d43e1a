"""What a sweep's tables and file ask for, as tasks."""

from __future__ import annotations

import pytest
from builders import refusal

import ghostnet as gn
from ghostnet import ConfigError, sweep
from ghostnet.sweep import Sweep


def test_a_sweep_is_every_combination_of_list_grid_and_seeds():
    plan = Sweep(
        {"epochs": 3, "seeds": [4, 5]},
        {"beta": [0.1, 0.2], "eta": [[4, 0.04], [8, 0.2]]},
        [{"preset": "mb-100-tf"}, {"preset": "mb-100-tf", "name": "small", "seeds": [9], "epochs": 1}],
    )
    names = [task.name for task in plan.tasks]
    assert len(names) == 2 * 2 * (2 + 1)
    assert names[0] == "mb-100-tf,beta=0.1,eta=4 0.04,seed=4" and names[-1] == "small,beta=0.2,eta=8 0.2,seed=9"
    first, last = plan.tasks[0], plan.tasks[-1]
    assert first.experiment == gn.preset("mb-100-tf", epochs=3, seeds=(4,), beta=0.1, eta=(4, 0.04))
    assert last.experiment.epochs == 1 and last.at == {"experiment": "small", "beta": 0.2, "eta": "8 0.2", "seed": 9}


def test_patterns_choose_tasks_in_their_order():
    plan = Sweep({"seeds": [0, 1]}, {}, [{"preset": "mb-100-tf"}, {"preset": "mb-100-fa"}, {"preset": "ma-100-tf"}])
    assert [task.name for task in plan.matching(["ma-*", "mb-*,seed=0"])] == [
        "mb-100-tf,seed=0", "mb-100-fa,seed=0", "ma-100-tf,seed=0", "ma-100-tf,seed=1"
    ]  # fmt: skip
    assert "only = 'mc-*': matches no task" in refusal(ConfigError, plan.matching, ["mb-*", "mc-*"])


def test_a_file_says_the_same_as_the_sweep(tmp_path):
    path = tmp_path / "sweep.toml"
    plan = Sweep({"preset": "mb-100-tf", "engine": "equilibrium"}, {"beta": [0.1, 0.2]}, [{"name": "a", "epochs": 2}])
    path.write_text(plan.to_toml())
    assert sweep.read(path) == plan
    assert plan.tasks[0].options == {"engine": "equilibrium"}


WRONG = [
    (({"presett": "mb-100-tf"},), "did you mean 'preset'?"),
    (({"preset": "mb-100-tf"}, {"betta": [1]}), "did you mean 'beta'?"),
    (({"preset": "mb-100-tf"}, {"seeds": [1]}), "unknown setting 'seeds'"),
    (({"preset": "mb-100-tf"}, {"beta": 0.1}), "grid: beta = 0.1: expected a list"),
    (({"preset": "mb-100-tf"}, {"beta": [-1.0]}), "beta = -1.0: expected a positive number"),
    (({}, {}, [{"epochs": 2}]), "expected a name or a preset"),
    (
        ({}, {}, [{"preset": "mb-100-tf"}, {"preset": "mb-100-tf"}]),
        "2 experiments would share the run directory mb-100-tf,seed=0",
    ),
    (({"preset": "mb-100-tf"}, {"beta": [0.1, 0.1]}), "would share the run directory"),
    (({},), "missing fields model"),
    (([],), "settings = []: expected a table"),
    (({"preset": "mb-100-tf"}, ["beta"]), "expected a table, [grid]"),
    (({"preset": "mb-100-tf"}, {}, {"name": "a"}), "each headed [[experiments]]"),
]


@pytest.mark.parametrize(("tables", "text"), WRONG)
def test_a_wrong_sweep_is_one_line(tables, text):
    assert text in refusal(ConfigError, Sweep, *tables)
