"""A sweep's settings: checked before anything is made, written as they read back, and fit to name directories."""

from __future__ import annotations

import math
import tomllib
import unicodedata

import numpy as np
import pytest
from builders import command, refusal
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostnet import ConfigError, sweep
from ghostnet.model.experiment import from_toml
from ghostnet.sweep import Sweep

MB = {"preset": "mb-100-tf"}
MOST_BYTES = 120  # of a directory's name; some encrypted file systems take 143

OPTIONS = [
    ("engine", ["gpu", 5, ["cpu"], ""]),
    ("dtype", ["float16", 64]),
    ("gradcheck_every", ["x", math.nan, math.inf, -1, 2.0, True, 10**20]),
    ("gradcheck_examples", [0, "many", 0.5]),
    ("device", [0, True, "cu\nda"]),
    ("fast_matmul", ["yes", 1, 0]),
    ("settle_tol", [math.inf, -math.inf, math.nan, 0, -1e-5, "small", True]),
    ("max_sweeps", [0, 1.5, math.inf, "x"]),
]
WRONG = [(name, value) for name, values in OPTIONS for value in values] + [
    *(("preset", value) for value in ([1], 5, "", "mb-100-tf\n", "mb\0", {"a": 1}, True)),
    *(("data", value) for value in ("", "a\0b", "a\nb", 5, ["mnist"])),
    *(("model", value) for value in ("MB\x1b", 3, ["MB"])),
    *(("eta", value) for value in ([[1, 2], [3, 4]], [math.nan, 1], {"a": 1}, b"ab")),
    *(("beta", value) for value in (math.inf, None, [0.1, 0.2], 1j, 10**400, 16**5000)),
    *(("clip", value) for value in (None, math.nan)),
    *(("seeds", value) for value in ([], [0.5], [[0]], "01", -1)),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda value: str(value)[:30] if value != 16**5000 else "huge")
def test_a_wrong_setting_is_refused_by_its_name_wherever_it_stands(name, value):
    assert name in refusal(ConfigError, Sweep, MB | {name: value})
    assert name in refusal(ConfigError, Sweep, MB, {}, [MB | {name: value}])
    if name != "seeds":
        assert name in refusal(ConfigError, Sweep, MB, {name: [value]})


@pytest.mark.parametrize("name", ["", 5, None, ["a"], "a\0b", "a\nb", "\x1b[31m", "half\udc80", "a\u2028b"])
def test_an_experiments_name_is_printable_text(name):
    assert "name = " in refusal(ConfigError, Sweep, MB, {}, [{"name": name}])


def test_nothing_is_made_for_a_wrong_sweep(capsys, tmp_path):
    file, out = tmp_path / "sweep.toml", tmp_path / "out"
    for text in (
        "[grid]\ngradcheck_every = ['x']",
        "settle_tol = inf",
        "[[experiments]]\nname = ''",
        "x = " + "[" * 50_000,
    ):
        file.write_text(f'preset = "mb-100-tf"\n{text}\n')
        code, printed, err = command(capsys, "sweep", file, "--out", out)
        assert (code, printed, len(err.splitlines())) == (2, "", 1) and not out.exists()


def test_nothing_is_made_for_tasks_that_are_none(tmp_path):
    refusal(ConfigError, sweep.run, Sweep(MB), tmp_path / "out", only=["no\nsuch"])
    assert not (tmp_path / "out").exists()


def test_a_sweep_of_too_many_tasks_is_refused_before_they_are_made():
    values = [0.1 + i / 100 for i in range(100)]
    text = refusal(ConfigError, Sweep, MB, {name: values for name in ("beta", "dt", "init", "tau", "settle_tol")})
    assert text.startswith("grid: 10000000000 combinations")


NAMES = [
    "x" * 300, "é" * 200, "🧠" * 100, "a/b", "/", ".", "..", ".hidden", "-rf", "--help", "~root", "a b", "\u3000", "*",
    "[a]", "e\u0301" * 60, "a" * 93, "a" * 94,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_name_makes_a_directory_that_its_pattern_finds(tmp_path, name):
    plan = Sweep(MB, {}, [{"name": name, "seeds": [0, 2**63 - 1]}, {"name": f"{name}."}])
    names = [task.name for task in plan.tasks]
    assert len(set(names)) == 3 and all(len(one.encode()) <= MOST_BYTES for one in names)
    assert all(one[0] not in ".-~" and "/" not in one and one.isprintable() | (name == "\u3000") for one in names)
    for one in names:
        (tmp_path / one).mkdir()
        assert [task.name for task in plan.matching([one])] == [one]
    assert [task.name for task in plan.matching(["*,seed=[0]"])] == [names[0], names[2]]
    assert plan.tasks[0].at == {"experiment": name, "seed": 0} and names == [task.name for task in plan.tasks]


def test_names_that_differ_only_where_they_are_cut_or_replaced_are_kept_apart():
    eta = [[*range(1, 41), last] for last in (1, 2)]
    deep = {"sizes": [784, *[10] * 41], "ghosts": [5] * 40, "eta_ghost": [1] * 40}
    names = [task.name for task in Sweep(MB | deep, {"eta": eta}).tasks]
    assert len(set(names)) == 2 and {name[:40] for name in names} == {"mb-100-tf,eta=1 2 3 4 5 6 7 8 9 10 11 12 "[:40]}
    assert len({task.name for task in Sweep(MB, {"data": ["/a/b", "/a-b"]}).tasks}) == 2


@pytest.mark.parametrize(("one", "other"), [("Small", "small"), ("é", "e\u0301"), ("ß", "SS")])
def test_names_that_some_file_systems_take_for_one_are_refused(one, other):
    assert unicodedata.normalize("NFC", one.casefold()) == unicodedata.normalize("NFC", other.casefold())
    assert "would share the run directory" in refusal(ConfigError, Sweep, MB, {}, [{"name": one}, {"name": other}])


@pytest.mark.parametrize("grid", [{"beta": [1, 1.0]}, {"eta": [[1, 2], [1, 2]]}, {"gradcheck_every": [1, 1]}])
def test_a_value_twice_in_a_grid_is_refused(grid):
    assert "2 experiments" in refusal(ConfigError, Sweep, MB, grid)


def test_what_numpy_and_ranges_give_names_and_reads_back_as_plain_numbers(tmp_path):
    plan = Sweep(
        MB | {"seeds": range(2), "eta": (4, 0.04), "gradcheck_every": np.int64(1)},
        {"beta": [*np.linspace(0.1, 0.3, 3)], "eta_ghost": [(20,), np.array([10.0])], "init": [np.float32(0.1)]},
    )
    assert plan.tasks[0].name == "mb-100-tf,beta=0.1,eta_ghost=20,init=0.10000000149011612,seed=0"
    (tmp_path / "sweep.toml").write_text(plan.to_toml())
    again = sweep.read(tmp_path / "sweep.toml")
    assert again == plan and again.tasks == plan.tasks


text = st.text(st.characters(), max_size=120)
reals, counts = st.floats(), st.integers(-5, 2**70)
SETTINGS = {
    "preset": st.sampled_from(["mb-100-tf", "ma-100-fa", "mb-300-300-tf"]) | text,
    "data": text, "beta": reals, "eta": st.lists(reals, max_size=3), "clip": reals | st.none(), "settle_tol": reals,
    "epochs": counts | reals, "max_sweeps": counts, "gradcheck_every": counts | reals, "device": text,
    "fast_matmul": st.booleans(), "dtype": st.sampled_from(["float32", "float64"]) | text,
}  # fmt: skip
seeds = st.lists(counts, min_size=1, max_size=2)
entries = st.fixed_dictionaries({"name": text}, optional=SETTINGS | {"seeds": seeds})


@settings(deadline=None, derandomize=True, max_examples=150)
@given(
    st.fixed_dictionaries({}, optional=SETTINGS | {"seeds": seeds}),
    st.fixed_dictionaries({}, optional={n: st.lists(v, min_size=1, max_size=2) for n, v in SETTINGS.items()}),
    st.lists(entries, max_size=2),
)
def test_a_sweep_is_refused_in_one_line_or_reads_back_the_same(base, grid, listed):
    try:
        plan = Sweep(MB | base, grid, listed)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1
        return
    assert reads_back(plan)


valid = {
    "data": st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1), "beta": st.floats(1e-15, 1e15),
    "eta": st.lists(st.floats(0, 1e15), min_size=2, max_size=2), "epochs": st.integers(0, 10**9),
    "settle_tol": st.floats(0, math.inf, exclude_min=True, exclude_max=True), "max_sweeps": st.integers(1, 10**6),
    "fast_matmul": st.booleans(), "engine": st.sampled_from(["cpu", "torch"]), "gradcheck_every": st.integers(0, 10**9),
}  # fmt: skip
named = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=200)


@settings(deadline=None, derandomize=True)
@given(
    st.fixed_dictionaries({}, optional=valid),
    st.fixed_dictionaries(
        {}, optional={n: st.lists(v, min_size=1, max_size=2, unique_by=str) for n, v in valid.items()}
    ),
    st.lists(named, max_size=2, unique_by=lambda name: unicodedata.normalize("NFC", name.casefold())),
)
def test_every_valid_sweep_reads_back_the_same(base, grid, names):
    grid = {name: values[:1] if name == "fast_matmul" else values for name, values in grid.items()}
    assert reads_back(Sweep(MB | base, grid, [{"name": name} for name in names]))


def reads_back(plan: Sweep) -> bool:
    tables = tomllib.loads(plan.to_toml())
    again = Sweep(**{n: tables.pop(n) for n in ("grid", "experiments") if n in tables}, settings=tables)
    assert all(from_toml(task.experiment.to_toml()) == task.experiment for task in plan.tasks)
    assert all(len(task.name.encode()) <= MOST_BYTES for task in plan.tasks)
    return again == plan and again.tasks == plan.tasks
