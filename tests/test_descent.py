"""Parameters follow gradients as torch's optimizers and schedulers have it, formed or not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from builders import assert_same_end, distance, learner, refusal, task_batch, tiny

from ghostnet import ConfigError, baselines, resume
from ghostnet.baselines import Baseline
from ghostnet.baselines.descent import rate_factor
from ghostnet.model.baseline import OPTIMIZERS

EXACT = 1e-12
RATES = (0.5, 0.25, 0.125)
THEIRS = {
    "sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
}  # fmt: skip
WAYS = [
    (optimizer, momentum, decay)
    for optimizer, momentum, decay in itertools.product(OPTIMIZERS, (0.0, 0.9), (0.0, 0.1))
    if not momentum or optimizer in ("sgd", "rmsprop")
]


@pytest.mark.parametrize(("optimizer", "momentum", "decay"), WAYS)
@pytest.mark.parametrize("bias", [False, True])
def test_backprop_with_an_optimizer_is_torchs_module_with_it(optimizer, momentum, decay, bias):
    how = {"optimizer": optimizer, "momentum": momentum, "weight_decay": decay, "bias": bias, "loss": "cross-entropy"}
    net = learner("BP", seeds=(0,), transfer="tanh", learning_rate=RATES, **how)
    sizes = net.experiment.sizes
    linears = [torch.nn.Linear(n, m, bias=bias).double() for n, m in itertools.pairwise(sizes)]
    for k, linear in enumerate(linears, start=1):
        linear.weight.data.copy_(net.W[k][0])
        if bias:
            linear.bias.data.copy_(net.bias[k][0, 0])
    pairs = list(zip(linears, RATES, strict=True))
    groups = [{"params": [linear.weight], "lr": rate, "weight_decay": decay} for linear, rate in pairs]
    groups += [{"params": [linear.bias], "lr": rate, "weight_decay": 0} for linear, rate in pairs if bias]
    theirs = THEIRS[optimizer](groups, **({"momentum": momentum} if momentum else {}))
    a, b, c = linears
    module = torch.nn.Sequential(a, torch.nn.Tanh(), b, torch.nn.Tanh(), c)
    for seed in range(4):
        x, y = task_batch(net, seed)
        net.step(x, y)
        theirs.zero_grad()
        torch.nn.functional.cross_entropy(module(x[0]), y[0]).backward()
        theirs.step()
    for k, linear in enumerate(linears, start=1):
        assert distance(net.W[k][0].numpy(), linear.weight.detach().numpy()) <= EXACT
        assert not bias or distance(net.bias[k][0, 0].numpy(), linear.bias.detach().numpy()) <= EXACT


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine"])
def test_rates_are_those_of_torchs_schedulers(schedule):
    b, epochs = Baseline(method="BP", lr_schedule=schedule, lr_step_epochs=3, lr_step_factor=0.5), 10
    optimizer = torch.optim.SGD([torch.zeros(1)], 1.0)
    scheduler = {
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0),
        "step": lambda: torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.5),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs),
    }[schedule]()
    for epoch in range(1, epochs + 1):
        assert rate_factor(b, epoch, epochs) == pytest.approx(scheduler.get_last_lr()[0], abs=EXACT)
        optimizer.step()
        scheduler.step()


def test_an_epoch_is_trained_at_its_rates(task):
    e = tiny(task, epochs=3, batch=4)
    halved = baselines.train("FA", e, learning_rate=0.5, lr_schedule="step", lr_step_epochs=2, lr_step_factor=0.0)
    constant = baselines.train("FA", e.replace(epochs=2), learning_rate=0.5)
    for k in (1, 2):
        assert np.array_equal(halved.network.weights.W[k], constant.network.weights.W[k])


def test_a_cosine_is_not_lengthened(task, tmp_path):
    e = tiny(task, epochs=2, batch=4)
    whole = baselines.train("FA", e, tmp_path, learning_rate=0.5, lr_schedule="cosine")
    assert "lr_schedule = cosine" in refusal(ConfigError, resume, tmp_path, epochs=3)
    assert_same_end(resume(tmp_path), tmp_path, whole)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"optimizer": "adam", "momentum": 0.9}, "momentum = 0.9: adam has its own"),
        ({"train_scores": "during", "dropout": 0.5}, "train_scores = during: not with dropout"),
        ({"lr_step_epochs": 0}, "lr_step_epochs = 0: expected"),
        ({"bias": "yes"}, "bias = 'yes': expected true or false"),
        ({"weight_decay": -1.0}, "weight_decay = -1.0"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(settings, text):
    assert text in refusal(ConfigError, Baseline, **({"method": "BP"} | settings))
