"""Settings as TOML: what is written reads back, and what can't be read or run is one line, whatever it holds."""

from __future__ import annotations

import datetime
import json
import math
import tomllib

import numpy as np
import pytest
from builders import command, experiment, refusal
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostnet import ConfigError, FileError, preset
from ghostnet.files import toml
from ghostnet.model.experiment import from_mapping, from_toml

scalars = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(st.characters(exclude_categories=["Cs"]))
)
UNREADABLE = {
    "brackets": "x = " + 50_000 * "[",
    "closed brackets": "x = " + 50_000 * "[" + 50_000 * "]",
    "tables": "x = " + 20_000 * "{a = ",
    "digits": "x = " + 5_000 * "9",
    "escape": "x = \x1b",
    "delete": 'x = "\x7f"',
    "half a character": "x = '\\udc80'\n[",
}


@settings(deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from("abc"), st.one_of(scalars, st.lists(scalars))))
def test_every_value_comes_back_from_toml_with_the_same_bits(values):
    found = tomllib.loads(toml.lines(values))
    assert json.dumps(found, sort_keys=True) == json.dumps(values, sort_keys=True)


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_what_can_not_be_parsed_is_refused_in_one_line_by_its_path(tmp_path, text):
    path = tmp_path / "broken.toml"
    path.write_text(text)
    assert refusal(ConfigError, toml.read, path).startswith(f"{path}: not TOML (")
    assert refusal(ConfigError, from_toml, text).startswith("not TOML (")


def test_a_path_that_can_not_be_is_an_input_error():
    assert "can't be read" in refusal(FileError, toml.read, "a\0b")


def test_a_file_nested_too_deep_ends_a_command_with_one_line(capsys, tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text(UNREADABLE["brackets"])
    for arguments in (("train", "--config", path), ("sweep", path)):
        code, out, err = command(capsys, *arguments)
        assert (code, out, len(err.splitlines())) == (2, "", 1) and "nested too deep" in err


deep = [0]
for _ in range(900):
    deep = [deep]
NO_VALUES = [deep, {"a": 1}, {0, 1}, b"abc", datetime.date(2019, 11, 20), 1j, np.datetime64("2019"), "text", [None]]


@pytest.mark.parametrize("name", ["sizes", "eta", "seeds", "beta", "epochs"])
@pytest.mark.parametrize("value", NO_VALUES, ids=lambda value: str(type(value).__name__))
def test_what_is_no_number_or_sequence_of_them_is_refused_by_its_field(name, value):
    assert refusal(ConfigError, experiment().replace, **{name: value}).startswith(f"{name} = ")


@pytest.mark.parametrize("name", ["free_steps", "beta", "seeds", "eta"])
def test_a_number_of_too_many_digits_to_print_is_refused_in_a_short_line(name):
    assert len(refusal(ConfigError, experiment().replace, **{name: 16**5000})) < 300


def test_a_long_value_is_shown_cut():
    assert len(refusal(ConfigError, experiment().replace, sizes=[0.5] * 100_000)) < 400


@pytest.mark.parametrize("name", [[1], 5, None, b"mb-500-tf", {"a": 1}, deep])
def test_a_preset_that_is_no_name_is_refused(name):
    assert "preset = " in refusal(ConfigError, preset, name)
    assert "preset" in refusal(ConfigError, preset, "mb-500", feedback=name or 0)


@pytest.mark.parametrize("key", ["name", "preset", "self", "out"])
def test_a_key_that_is_no_field_is_refused_whatever_it_is_called(capsys, tmp_path, key):
    (tmp_path / "e.toml").write_text(f'{key} = "x"\n')
    code, _, err = command(capsys, "train", "mb-100-tf", "--config", tmp_path / "e.toml", "--quiet")
    assert code == 2 and f"unknown field {key!r}" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("data", ["", "a\0b", "~\0", "a\x1b[2J", "two\u2028lines", "half\udc80"])
def test_data_that_names_nothing_is_refused(data):
    assert refusal(ConfigError, experiment, data=data).startswith("data = ")


@pytest.mark.parametrize("data", ["/d/a\u3000b", "/d/a\u00a0b", "/d/é", "/d/\\", '/d/"'])
def test_a_directory_of_any_printable_name_comes_back_from_toml(data):
    e = experiment(data=data)
    assert e.data == data and from_mapping(tomllib.loads(e.to_toml())) == e


def test_a_real_of_any_kind_is_its_nearest_float():
    e = experiment(beta=np.float32(0.1), eta=np.array([2, 0.25]), seeds=np.arange(2), batch=np.int8(7))
    assert (e.beta, e.eta, e.seeds, e.batch) == (float(np.float32(0.1)), (2.0, 0.25), (0, 1), 7)
    assert type(e.beta) is float and type(e.batch) is int and math.isfinite(e.beta)
