"""What torch is set to where we are called from, autocast or no_grad, is no setting of ours."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from builders import learner, tiny

from ghostnet import baselines, build, data, gradcheck


@contextlib.contextmanager
def float64_by_default():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "around",
    [lambda: torch.autocast("cpu", torch.bfloat16), torch.no_grad, torch.inference_mode, float64_by_default],
    ids=["autocast", "no_grad", "inference_mode", "float64"],
)
def test_what_torch_is_set_to_around_a_training_changes_nothing(task, plain, around):
    with around():
        assert everything(task) == plain


@pytest.fixture(scope="module")
def plain(task) -> list:
    return everything(task)


def everything(task) -> list:
    """What trainings and checks give, in their own types."""
    e = tiny(task, sizes=(16, 12, 9, 4), ghosts=(3, 3), eta=(1, 1, 1), eta_ghost=(1, 1), batch=4, epochs=1)
    images = data.load(task)
    x, y = data.scale(images.test_images[:6], "float64"), np.eye(4)[images.test_labels[:6]]

    settings = dict(learning_rate=0.1, momentum=0.5, optimizer="rmsprop", dropout=0.1, progress=False)
    found = list(baselines.train("DTP", e, **settings).metrics)
    for method in ("BP", "DFA"):
        how = {"architecture": "two-blocks", "loss": "cross-entropy", "learning_rate": 0.05, "progress": False}
        found += baselines.train(method, e.replace(train_examples=8), **how).metrics
    found = [{name: value for name, value in row.items() if name != "seconds"} for row in found]
    reports = baselines.gradcheck(learner("DFA"), x, y), gradcheck(build(e), x, y, causes=False, autograd=True)
    return [*found, *(report.text() for report in reports)]
