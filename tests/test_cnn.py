"""The convolutional networks train by every method, from the same weights, without touching torch's generator."""

from __future__ import annotations

import pytest
import torch
from builders import COLUMNS, refusal

from ghostnet import ConfigError, DivergenceError, data
from ghostnet.baselines import cnn

SETTINGS = dict(batch=4, train_examples=80, learning_rate=0.05, momentum=0.9)


@pytest.mark.parametrize("method", ["BP", "FA", "DFA"])
@pytest.mark.parametrize("build", [cnn.two_blocks, cnn.three_convolutions])
def test_every_method_learns_the_task(task, build, method):
    net, before = build(4, 4), torch.random.get_rng_state()
    rows = cnn.fit(net, method, data.load(task), epochs=8, **SETTINGS)
    assert ",".join(rows[0]) == COLUMNS
    assert rows[-1]["test_accuracy"] > 0.9 and rows[-1]["test_mse"] < rows[0]["test_mse"]  # chance: 0.25
    assert torch.equal(before, torch.random.get_rng_state())


def test_methods_start_from_the_same_weights_and_repeat_exactly(task):
    images = data.load(task)
    first, again, other = (
        [
            {k: v for k, v in row.items() if k != "seconds"}
            for row in cnn.fit(cnn.two_blocks(4, 4), m, images, epochs=1, **SETTINGS)
        ]
        for m in ("DFA", "DFA", "BP")
    )
    assert first == again and first[0] == other[0] and first[1] != other[1]


def test_what_cannot_be_trained_is_refused_in_one_line(task):
    images, net = data.load(task), cnn.two_blocks(4, 4)
    assert "unknown method" in refusal(ConfigError, cnn.fit, net, "IFA", images, epochs=1, **SETTINGS)
    assert "train_examples = 999" in refusal(
        ConfigError, cnn.fit, net, "FA", images, epochs=1, **(SETTINGS | {"train_examples": 999})
    )
    assert "not finite" in refusal(
        DivergenceError, cnn.fit, net, "BP", images, epochs=3, **(SETTINGS | {"learning_rate": 1e20})
    )
