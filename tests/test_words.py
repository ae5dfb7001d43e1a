"""How the command line takes words: options with several values next to positional ones, and its version."""

from __future__ import annotations

from importlib import metadata

import pytest
from builders import command

import ghostnet
from ghostnet.cli.main import _parser

SWALLOWED = [
    (
        "train --seeds 0 1 mb-500-tf --epochs 2",
        {"preset": "mb-500-tf", "seeds": [0, 1], "epochs": 2},
    ),
    (
        "train --eta 0.1 -0.01 --sizes 784 9 10 mb-500-tf",
        {"preset": "mb-500-tf", "eta": [0.1, -0.01], "sizes": [784, 9, 10]},
    ),
    ("train --seed 0 1 mb-500-tf", {"preset": "mb-500-tf", "seeds": [0, 1]}),
    ("train --seeds 0 1 -- mb-500-tf", {"preset": "mb-500-tf", "seeds": [0, 1]}),
    ("train mb-500-tf --seeds 0 1", {"preset": "mb-500-tf", "seeds": [0, 1]}),
    ("train --seeds 3 --config e.toml", {"preset": None, "seeds": [3]}),
    (
        "baseline --learning-rate 16 0.16 bp mb-500-tf",
        {"method": "bp", "preset": "mb-500-tf", "learning_rate": [16, 0.16]},
    ),
    (
        "baseline bp --seeds 0 1 mb-500-tf --learning-rate 1",
        {"method": "bp", "preset": "mb-500-tf", "seeds": [0, 1], "learning_rate": [1]},
    ),
]


@pytest.mark.parametrize(("words", "expected"), SWALLOWED)
def test_a_preset_after_numbers_is_not_taken_for_one(words, expected):
    parsed = vars(_parser().parse_args(words.split()))
    assert {name: parsed[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("record --variables s e runs/demo", "write them before --classes"),
        ("sweep --only *,seed=0 beta.toml", "write them before --only"),
        ("train mb-500-tf --seeds zero", "argument --seeds: invalid int value: 'zero'"),
        ("train mb-500-tf --seeds 0 one", "unrecognized arguments: one"),
        ("baseline bp mb-500-tf --learning-rate", "argument --learning-rate: expected at least one argument"),
    ],
)
def test_words_in_the_wrong_place_are_answered_with_the_right_one(capsys, words, named):
    code, out, err = command(capsys, *words.split())
    assert (code, out) == (2, "") and named in err.splitlines()[-1]


def test_the_version_is_that_of_the_distribution(capsys):
    assert command(capsys, "--version") == (0, f"ghostnet {metadata.version('ghost-units')}\n", "")
    assert ghostnet.__version__ == metadata.version("ghost-units")
