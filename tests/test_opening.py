"""Text from anywhere takes no more time and memory than its length says."""

from __future__ import annotations

import tomllib
import tracemalloc

import pytest
from builders import experiment

from ghostnet.files import toml

DEEP = [
    "a." * 300_000 + "a = 1",
    "[" + "'a' . " * 2000 + "a]",
    "a = " + "[" * 50_000,
    "a = {" + '"a".' * 5000 + "a = 1}",
]


@pytest.mark.parametrize("text", DEEP, ids=["dots", "table", "brackets", "inline"])
def test_what_is_deep_as_a_well_is_refused_before_it_takes_memory(text):
    tracemalloc.start()
    with pytest.raises(tomllib.TOMLDecodeError):
        toml.loads(text)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 50_000_000


@pytest.mark.parametrize(
    "text",
    [experiment().to_toml(), f"a = {[0.1] * 100_000}", 'a = "' + "x" * 1_000_000 + '"', "a" * 1_000_000 + " = 1"],
)
def test_all_else_is_parsed_as_ever(text):
    assert toml.loads(text) == tomllib.loads(text)
