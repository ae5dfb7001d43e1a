"""Experiments: the paper's settings by name, TOML there and back, and one line for every value that can't be run."""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib

import pytest
from builders import experiment, refusal
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ghostnet import PRESETS, ConfigError, Experiment, FileError, preset
from ghostnet.files import toml
from ghostnet.model.checks import FEEDBACKS, LARGEST_REAL, LEAST_REAL, MOST, MOST_STORED
from ghostnet.model.experiment import RULES, TRANSFERS, from_mapping
from ghostnet.model.models import MODELS

_ONE_MA = ("MA", 100, 0.001, 10.0, (200, 200), 0.2, 200, (0.1, 0.1), (0.05,), None)
_MB = ("MB", 1, 0.005, 0.1)
# The paper's Tables 2, 3 and 4: sizes, ghosts, model, batch, dt, beta, (free, clamped) steps, init, epochs, eta,
# eta_ghost, clip. tau is 0.01 in all of them.
PAPER = {
    "ma-100-tf": ((784, 100, 10), (10,), *_ONE_MA),
    "ma-100-fa": ((784, 100, 10), (10,), *_ONE_MA),
    "ma-300-tf": ((784, 300, 10), (10,), *_ONE_MA),
    "ma-300-fa": ((784, 300, 10), (10,), *_ONE_MA),
    "ma-500-tf": ((784, 500, 10), (10,), *_ONE_MA),
    "ma-500-fa": ((784, 500, 10), (10,), *_ONE_MA),
    "ma-500-500-tf": ((784, 500, 500, 10), (500, 10), "MA", 100, 0.001, 10.0, (200, 200), 0.1, 300,
                      (0.01, 0.01, 0.01), (0.01, 0.01), None),
    "ma-500-500-fa": ((784, 500, 500, 10), (500, 10), "MA", 100, 0.001, 10.0, (200, 200), 0.1, 300,
                      (0.05, 0.05, 0.05), (0.02, 0.02), None),
    "ma-prime-500-tf": ((784, 500, 10), (10,), "MA-prime", 100, 0.001, 0.2, (200, 200), 0.2, 100,
                        (0.2, 0.2), (0.03,), 2.0),
    "mb-100-tf": ((784, 100, 10), (5,), *_MB, (100, 40), 0.05, 50, (4.0, 0.04), (20.0,), None),
    "mb-100-fa": ((784, 100, 10), (5,), *_MB, (100, 40), 0.05, 50, (8.0, 0.2), (20.0,), None),
    "mb-300-tf": ((784, 300, 10), (5,), *_MB, (100, 40), 0.05, 50, (4.0, 0.04), (20.0,), None),
    "mb-300-fa": ((784, 300, 10), (5,), *_MB, (100, 40), 0.05, 50, (8.0, 0.2), (20.0,), None),
    "mb-500-tf": ((784, 500, 10), (5,), *_MB, (100, 40), 0.05, 50, (4.0, 0.04), (20.0,), None),
    "mb-500-fa": ((784, 500, 10), (5,), *_MB, (100, 40), 0.05, 50, (8.0, 0.2), (20.0,), None),
    "mb-300-300-tf": ((784, 300, 300, 10), (20, 5), *_MB, (140, 40), 0.05, 50, (40.0, 0.1, 0.005), (20.0, 20.0), None),
    "mb-300-300-fa": ((784, 300, 300, 10), (20, 5), *_MB, (100, 40), 0.05, 50, (200.0, 2.0, 0.02), (20.0, 20.0), None),
    "mb-500-500-tf": ((784, 500, 500, 10), (20, 5), *_MB, (140, 40), 0.05, 50, (40.0, 0.1, 0.01), (20.0, 20.0), None),
    "mb-500-500-fa": ((784, 500, 500, 10), (20, 5), *_MB, (100, 40), 0.05, 50, (200.0, 1.0, 0.01), (20.0, 20.0), None),
}  # fmt: skip


def test_the_presets_are_the_columns_of_the_papers_tables():
    papers = {name: e for name, e in PRESETS.items() if e.model != "mixed"}
    for name, e in papers.items():
        steps = (e.free_steps, e.clamped_steps)
        ours = (e.sizes, e.ghosts, e.model, e.batch, e.dt, e.beta, steps, e.init, e.epochs, e.eta, e.eta_ghost, e.clip)
        assert ours == PAPER[name], name
        assert (e.tau, e.feedback, e.rule, e.transfer) == (0.01, name[-2:].upper(), "difference", "sigmoid"), name
        assert (e.data, e.train_examples, e.seeds) == ("mnist", 55_000, (0,)), name
    assert papers.keys() == PAPER.keys()


@pytest.mark.parametrize("name", [name for name in PAPER if name.startswith("mb")])
def test_a_mixed_preset_is_mbs_with_a_ghost_for_every_unit_above(name):
    mb, mixed = PRESETS[name], PRESETS[name.replace("mb", "mixed")]
    assert mixed.ghosts == mb.sizes[2:] and set(mixed.eta_imitation) == {0.01}
    assert [rate * m for rate, m in zip(mixed.eta_ghost, mixed.ghosts, strict=True)] == pytest.approx(
        [100] * len(mb.ghosts)
    )
    same = {"model": "MB", "ghosts": mb.ghosts, "eta_ghost": mb.eta_ghost, "eta_imitation": ()}
    assert mixed.replace(**same) == mb


def test_a_preset_may_be_named_in_full_or_with_its_feedback_and_changed():
    assert preset("mb-500", feedback="FA") == preset("mb-500-fa") == PRESETS["mb-500-fa"]
    changed = preset("mb-500", feedback="TF", seeds=(1, 2), beta=0.05)
    assert (changed.seeds, changed.beta) == ((1, 2), 0.05)
    assert changed.replace(seeds=(0,), beta=0.1) == PRESETS["mb-500-tf"]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_comes_back_from_toml(tmp_path, name):
    (tmp_path / "config.toml").write_text(PRESETS[name].to_toml())
    assert from_mapping(toml.read(tmp_path / "config.toml")) == PRESETS[name]


rates = st.floats(0, 1e12)
positive = st.floats(LEAST_REAL, LARGEST_REAL)


@settings(deadline=None, derandomize=True)
@given(
    fields=st.fixed_dictionaries(
        {
            "feedback": st.sampled_from(FEEDBACKS), "rule": st.sampled_from(RULES), "beta": positive, "init": positive,
            "transfer": st.sampled_from(TRANSFERS), "eta": st.tuples(rates, rates), "eta_ghost": st.tuples(rates),
            "seeds": st.lists(st.integers(0, MOST_STORED), min_size=1, max_size=4, unique=True).map(tuple),
            "data": st.text(st.characters(exclude_categories=("C", "Z")), min_size=1),
            "epochs": st.integers(0, MOST), "free_steps": st.integers(1, MOST),
        }
    ),
    model=st.sampled_from(list(MODELS)),
    clip=positive,
)  # fmt: skip
@example({"data": "".join(filter(str.isprintable, map(chr, range(256))))}, "MA", 1.0)
def test_every_experiment_comes_back_from_toml(fields, model, clip):
    e = experiment(model, clip=clip if model == "MA-prime" else None, **fields)
    assert from_mapping(tomllib.loads(e.to_toml())) == e


@pytest.mark.parametrize("text", ["mni\x7fst", "\x00", "two\nlines", "half\ud800"])
def test_text_that_toml_can_not_hold_is_refused(text):
    assert "data = " in refusal(ConfigError, experiment, data=text)


def test_an_experiment_is_frozen_hashable_and_equal_by_value():
    e = experiment("MB")
    with pytest.raises(dataclasses.FrozenInstanceError):
        e.beta = 1.0
    assert e == experiment("MB", sizes=[20, 37, 10], eta_ghost=20) and len({e, experiment("MB")}) == 1
    assert e != e.replace(beta=0.25) and e.beta == 0.5
    assert isinstance(e.replace(seeds=range(3)).seeds, tuple)


_NUMBERS = ("tau", "dt", "beta", "init")
_COUNTS = ("free_steps", "clamped_steps", "batch", "train_examples")
REFUSED = [  # model, changes, what the line has to say: the field, the value it got, what it takes
    *(("MB", {name: value}, f"{name} = {float(value)}", "positive") for name in _NUMBERS
      for value in (0, -1, math.nan, math.inf)),
    *(("MB", {name: value}, f"{name} = {value}", "at least 1") for name in _COUNTS for value in (0, -3)),
    *(("MB", {name: "many"}, f"{name} = 'many'", "expected") for name in (*_NUMBERS, *_COUNTS, "epochs", "clip")),
    *(("MB", {name: None}, f"{name} = None", "expected")
      for name in (*_NUMBERS, *_COUNTS[:3], "sizes", "eta", "seeds")),
    *(("MB", {name: True}, f"{name} = True", "expected") for name in ("tau", "batch", "seeds", "eta")),
    *(("MB", {"eta": (rate, 0.1)}, f"eta = {rate}", "0 or more") for rate in (-0.1, math.nan, math.inf)),
    *(("MB", {"eta_ghost": (rate,)}, f"eta_ghost = {rate}", "0 or more") for rate in (-0.1, math.nan, math.inf)),
    *(("MA-prime", {"clip": value}, f"clip = {value}", "MA-prime") for value in (None, 0.0, -2.0, math.nan, math.inf)),
    *(("MB", {name: value}, f"{name} = {value}", f"at most {MOST}") for name in (*_COUNTS, "epochs")
      for value in (MOST + 1, 2**63, 10**20)),
    *(("MB", {"sizes": (20, value, 10)}, f"sizes = {value}", f"at most {MOST}") for value in (MOST + 1, 2**63, 10**10)),
    *(("MB", {"ghosts": (value,)}, f"ghosts = {value}", f"at most {MOST}") for value in (MOST + 1, 2**63, 10**10)),
    *(("MB", {"seeds": (0, value)}, f"seeds = {value}", f"at most {MOST_STORED}") for value in (2**63, 10**20)),
    *(("MB", {name: value}, f"{name} = {value}", "a number from 1e-15 to 1e+15") for name in _NUMBERS
      for value in (1e-308, 5e-324, 1e-16)),
    *(("MB", {name: value}, f"{name} = {value}", "a number from 1e-15 to 1e+15") for name in ("tau", "beta", "init")
      for value in (1e308, 1e16)),
    *(("MA-prime", {"clip": value}, f"clip = {value}", "a number from 1e-15 to 1e+15") for value in (1e-308, 1e308)),
    *(("MB", {"eta": (value, 0.1)}, f"eta = {value}", "at most 1e+15") for value in (1e16, 1e308)),
    *(("MB", {"eta_ghost": (value,)}, f"eta_ghost = {value}", "at most 1e+15") for value in (1e16, 1e308)),
    ("MB", {"dt": 1e-9}, "dt = 1e-09", "1e-06 tau or more"),
    ("MB", {"tau": 1e15}, "dt = 0.002", "1e-06 tau or more"),
    ("MB", {"dt": 0.02}, "dt = 0.02", "2 tau = 0.02"),
    ("MB", {"dt": 0.5}, "dt = 0.5", "below tau = 0.01"),
    ("MB", {"epochs": -1}, "epochs = -1", "0 or more"),
    ("MB", {"batch": 2.5}, "batch = 2.5", "int"),
    ("MB", {"batch": math.nan}, "batch = nan", "int"),
    ("MB", {"batch": math.inf}, "batch = inf", "int"),
    ("MB", {"batch": 101}, "batch = 101", "100 training examples"),
    ("MB", {"sizes": (784,), "ghosts": ()}, "sizes = (784,)", "input, hidden and output"),
    ("MB", {"sizes": ()}, "sizes = ()", "input, hidden and output"),
    ("MB", {"sizes": (20, 0, 10)}, "sizes = (20, 0, 10)", "at least 1"),
    ("MB", {"sizes": (20, -5, 10)}, "sizes = (20, -5, 10)", "at least 1"),
    ("MB", {"sizes": (20, 30.5, 10)}, "sizes = (20, 30.5, 10)", "int"),
    ("MB", {"sizes": "20-30-10"}, "sizes = '20-30-10'", "int"),
    ("MB", {"sizes": (20, 30, 25, 10)}, "ghosts has 1 values", "expected 2"),
    ("MB", {"ghosts": (0,)}, "ghosts = (0,)", "at least 1"),
    ("MB", {"ghosts": (5, 5)}, "ghosts has 2 values", "expected 1"),
    ("MB", {"eta": (0.1,)}, "eta has 1 values", "expected 2"),
    ("MB", {"eta_ghost": (20, 20)}, "eta_ghost has 2 values", "expected 1"),
    ("MA", {"ghosts": (5,)}, "ghosts = (5,)", "(10,)"),
    ("MA-prime", {"ghosts": (37,)}, "ghosts = (37,)", "(10,)"),
    ("MA", {"clip": 2.0}, "clip = 2.0", "MA-prime"),
    ("MB", {"clip": 2.0}, "clip = 2.0", "MA-prime"),
    ("MB", {"seeds": ()}, "seeds is empty", "at least one"),
    ("MB", {"seeds": (0, -1)}, "seeds = (0, -1)", "0 or more"),
    ("MB", {"seeds": (0.5,)}, "seeds = (0.5,)", "int"),
    ("MB", {"model": "MA_prime"}, "unknown model 'MA_prime'", "did you mean 'MA-prime'?"),
    ("MB", {"model": 3}, "model = 3", "str"),
    ("MB", {"feedback": "DFA"}, "unknown feedback 'DFA'", "valid: TF, FA"),
    ("MB", {"feedback": "tf\nfa"}, "unknown feedback 'tf\\nfa'", "valid: TF, FA"),
    ("MB", {"rule": "diference"}, "unknown rule 'diference'", "did you mean 'difference'?"),
    ("MB", {"transfer": "swish"}, "unknown transfer 'swish'", "valid: sigmoid, tanh, hard-sigmoid"),
    ("MB", {"data": 5}, "data = 5", "str"),
    ("MB", {"free_step": 5}, "unknown field 'free_step'", "did you mean 'free_steps'?"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "changes", "got", "takes"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_run_is_refused_by_field_value_and_remedy(model, changes, got, takes):
    valid = experiment(model)
    for text in (
        refusal(ConfigError, valid.replace, **changes),
        refusal(ConfigError, from_mapping, dataclasses.asdict(valid) | changes),
    ):
        assert got in text and takes in text[text.index(got) :]


@pytest.mark.parametrize(
    ("function", "near"),
    [
        (lambda: preset("mb-50-tf"), "unknown preset 'mb-50-tf': did you mean 'mb-500-tf'?"),
        (lambda: preset("mb-500"), "unknown preset 'mb-500': did you mean 'mb-500-"),
        (
            lambda: preset("ma-prime-500", feedback="FA"),
            "unknown preset 'ma-prime-500-fa': did you mean 'ma-prime-500-tf'",
        ),
        (lambda: preset("mb-500-tf", epoch=3), "unknown field 'epoch': did you mean 'epochs'?"),
        (lambda: PRESETS["mb-500-tf"].replace(learning_rate=3), "unknown field 'learning_rate'"),
    ],
)
def test_an_unknown_name_gets_the_nearest_and_all_valid_ones(function, near):
    text = refusal(ConfigError, function)
    assert text.startswith(near)
    valid = PRESETS if "preset" in near else Experiment.__dataclass_fields__
    assert re.search("valid: (.*)$", text)[1].split(", ") == list(valid)


def test_missing_fields_are_named_all_at_once():
    fields = dataclasses.asdict(experiment())
    del fields["tau"], fields["eta"]
    assert "missing fields tau, eta" in refusal(ConfigError, from_mapping, fields)


@pytest.mark.parametrize("content", [b"epochs = = 2\n", b"epochs = 2\nepochs = 3\n", b"\xff\xfe\0", b"[model", b"a"])
def test_a_file_that_is_not_toml_is_refused_by_its_path(tmp_path, content):
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    assert refusal(ConfigError, toml.read, path).startswith(f"{path}: not TOML")


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_an_input_error_naming_it(tmp_path, name):
    with pytest.raises(FileError, match="can't be read") as caught:
        toml.read(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value) and caught.value.exit_code == 74
