"""A network as a torch module and back, and as a file of weights: the same numbers everywhere."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import safetensors.numpy
import torch
from builders import examples, experiment, noise, of, refusal, running, same_bits
from torch import nn

import ghostnet as gn
from ghostnet import ConfigError, DataError, FileError
from ghostnet.engines.evaluation import evaluate
from ghostnet.model.equations import State
from ghostnet.model.experiment import TRANSFERS
from ghostnet.primitives import abs

SIZES = (20, 9, 7, 6)


def rho(s):
    return 0.5 + 0.5 * s / (1 + abs(s))


def slope(s, r):
    return 0.5 / ((1 + abs(s)) * (1 + abs(s)))


OWN = gn.Transfer(rho, slope)
each_transfer = pytest.mark.parametrize("transfer", [*TRANSFERS, OWN], ids=[*TRANSFERS, "own"])


@each_transfer
def test_a_module_gives_the_outputs_of_its_run(transfer):
    net = running(experiment("MB", SIZES, transfer=transfer, seeds=(0, 1, 4), train_examples=None))
    x, _ = examples(net.experiment, 1100)
    found = net.outputs(x)
    assert found.shape == (3, 1100, 6)
    for run in range(3):
        module = net.to_torch(run, "float64")
        assert np.allclose(module(torch.tensor(x)).detach(), found[run], rtol=0, atol=1e-12)
        assert np.allclose(net.to_torch(run)(torch.tensor(x).float()).detach(), found[run], rtol=0, atol=1e-5)


@each_transfer
def test_a_module_is_the_network_that_it_came_from(transfer):
    e = experiment("MB", SIZES, transfer=transfer, seeds=(4,))
    net = gn.build(e)
    assert same_bits(of(gn.from_torch(net.to_torch(dtype="float64"), e)), of(net))


@pytest.mark.parametrize("feedback", ["TF", "FA"])
def test_of_a_module_come_W_and_under_TF_B_and_the_rest_is_drawn(feedback):
    e = experiment("MB", SIZES, feedback=feedback, seeds=(0, 1))
    drawn = gn.build(e)
    module = nn.Sequential(*(layer for n, m in itertools.pairwise(SIZES)
                             for layer in (nn.Linear(n, m, bias=False), nn.Sigmoid())))  # fmt: skip
    for taken in (gn.from_torch(module, e), gn.from_torch(module[:-1], e)):
        for k in (1, 2, 3):
            weight = module[2 * k - 2].weight.detach().numpy()
            assert all(np.array_equal(W, weight) for W in taken.weights.W[k])
        for k in (1, 2):
            assert np.array_equal(
                taken.weights.B[k], taken.weights.W[k + 1].mT if feedback == "TF" else drawn.weights.B[k]
            )
            assert np.array_equal(taken.weights.W_pg[k], drawn.weights.W_pg[k])
            assert np.array_equal(taken.weights.W_gp[k], drawn.weights.W_gp[k])
    gn.Simulator(taken)


def linear(inputs: int, units: int, bias: bool = False) -> nn.Linear:
    return nn.Linear(inputs, units, bias=bias)


def spoiled() -> nn.Linear:
    layer = linear(20, 9)
    layer.weight.data[2, 3] = torch.nan
    return layer


WRONG = [
    (linear(20, 9), "module is a Linear: expected a torch.nn.Sequential"),
    (
        nn.Sequential(linear(20, 6)),
        "module has 1 layers: expected 4, Linear and Sigmoid in turn, for sizes = (20, 9, 6)",
    ),
    (nn.Sequential(linear(20, 9, True), nn.Sigmoid(), linear(9, 6)), "module[0] has a bias"),
    (nn.Sequential(linear(20, 8), nn.Sigmoid(), linear(8, 6)), "module[0] is a Linear of 20 to 8: expected 20 to 9"),
    (nn.Sequential(linear(20, 9), nn.Tanh(), linear(9, 6)), "module[1] is Tanh(): expected Sigmoid()"),
    (nn.Sequential(linear(20, 9), nn.Sigmoid(), nn.Dropout()), "module[2] is a Dropout: expected a Linear of 9 to 6"),
    (nn.Sequential(spoiled(), nn.Sigmoid(), linear(9, 6)), "W[1][0, 2, 3] is nan"),
]


@pytest.mark.parametrize(("module", "text"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_a_module_of_another_kind_is_refused_by_the_layer(module, text):
    assert text in refusal(ConfigError, gn.from_torch, module, experiment("MB", (20, 9, 6)))


def test_another_law_than_the_experiments_is_refused():
    e = experiment("MB", (20, 9, 6), transfer=OWN)
    other = gn.build(e.replace(transfer=gn.Transfer(lambda s: 0.5 * s, lambda s, r: 0.5))).to_torch()
    assert "module[1] is Rate(): expected Rate()" in refusal(ConfigError, gn.from_torch, other, e)
    e = experiment("MB", (20, 9, 6), transfer="softplus")
    module = nn.Sequential(linear(20, 9), nn.Softplus(beta=2), linear(9, 6))
    assert "module[1] is Softplus(beta=2" in refusal(ConfigError, gn.from_torch, module, e)
    module = nn.Sequential(linear(20, 9), nn.LeakyReLU(0.2), linear(9, 6))
    text = refusal(ConfigError, gn.from_torch, module, e.replace(transfer="leaky-relu"))
    assert "module[1] is LeakyReLU(negative_slope=0.2" in text


def test_making_a_module_draws_nothing_from_torch():
    before = torch.get_rng_state()
    gn.build(experiment("MB", SIZES)).to_torch()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("given", "text"), [({"run": 1}, "run = 1: expected an integer from 0 to 0"),
                                             ({"dtype": "float16"}, "unknown dtype 'float16'")])  # fmt: skip
def test_a_run_or_type_that_there_is_not_is_refused(given, text):
    assert text in refusal(ConfigError, gn.build(experiment("MB", SIZES)).to_torch, **given)


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_predictions_are_what_is_scored(transfer):
    """Also where several rates are at their bound."""
    e = experiment("MB", SIZES, seeds=(0, 1), transfer=transfer, init=20.0)
    net, images = running(e), noise(e, test=2050)
    pixels, labels = images.part("test")
    score = evaluate(net.weights, pixels, labels, e.transfer, "float64", 1)
    assert np.allclose((net.predict(pixels) == labels).mean(-1), score.accuracy)
    for shown in (pixels.reshape(-1, 4, 5), torch.tensor(pixels), pixels / 255):
        assert np.array_equal(net.outputs(shown), net.outputs(pixels))


@pytest.mark.parametrize(("x", "error", "text"), [
    (np.zeros((3, 19)), ConfigError, "x has shape (3, 19): expected (examples, 20)"),
    (np.full((3, 20), 255.0), ConfigError, "x[0, 0] is 255.0: expected finite numbers from 0 to 1"),
    (np.zeros((3, 20), int), DataError, "x: holds int64: expected uint8"),
    (np.zeros(20), DataError, "x: of shape (20,): expected (examples, …)"),
    ("x", DataError, "x: holds <U1"),
])  # fmt: skip
def test_what_are_no_images_is_refused(x, error, text):
    assert text in refusal(error, gn.build(experiment("MB", SIZES)).predict, x)


@pytest.mark.parametrize("model", ["MA", "MB"])
@pytest.mark.parametrize("transfer", ["tanh", OWN], ids=["tanh", "own"])
def test_saved_weights_come_back_to_the_last_bit(tmp_path, model, transfer):
    e = experiment(model, SIZES, transfer=transfer, seeds=(0, 4))
    net = running(e)
    net.presentations, net.method = 17, "DFA"
    net.save(tmp_path / "w.safetensors")
    found = gn.Network.load(tmp_path / "w.safetensors")
    assert (found.experiment, found.presentations, found.method) == (e, 17, "DFA")
    at_rest = dataclasses.replace(net, state=State(*([None, *map(np.zeros_like, a[1:])] for a in net.state)))
    assert same_bits(of(found), of(at_rest))
    others = safetensors.numpy.load_file(tmp_path / "w.safetensors")
    assert np.array_equal(others["W_1"], net.weights.W[1])


def test_a_part_of_a_file_of_weights_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    gn.build(experiment("MB", (6, 5, 4))).save(path)
    content = path.read_bytes()
    for end in range(0, len(content), 97):
        path.write_bytes(content[:end])
        assert refusal(FileError, gn.Network.load, path).startswith(f"{path}: no network's weights (")


def about(**changes) -> dict:
    net = gn.build(experiment("MB", (6, 5, 4)))
    return {"config_toml": net.experiment.to_toml(), "presentations": "0"} | changes


@pytest.mark.parametrize(("arrays", "metadata", "text"), [
    ({}, about(), "W_1 is not there as float64 of shape (1, 5, 6)"),
    ({"W_1": np.zeros((1, 5, 7))}, about(), "W_1 is not there"),
    ({"W_1": np.zeros((1, 5, 6), np.float32)}, about(), "W_1 is not there"),
    ({"W_2": np.full((1, 4, 5), np.nan)}, about(), "W[2][0, 0, 0] is nan"),
    (None, {}, "holds no experiment"),
    (None, about(config_toml="x = 1"), "unknown field 'x'"),
    (None, about(presentations="-1"), "presentations = -1"),
    (None, about(presentations="many"), "invalid literal"),
])  # fmt: skip
def test_a_file_of_something_else_is_refused(tmp_path, arrays, metadata, text):
    path = tmp_path / "w.safetensors"
    gn.build(experiment("MB", (6, 5, 4))).save(path)
    whole = safetensors.numpy.load_file(path)
    path.write_bytes(safetensors.numpy.save({} if arrays == {} else whole | (arrays or {}), metadata))
    assert text in refusal(FileError, gn.Network.load, path)


@pytest.mark.parametrize("place", [".", "missing.safetensors"])
def test_a_file_of_weights_that_can_not_be_read_or_written_is_named(tmp_path, place):
    assert refusal(FileError, gn.Network.load, tmp_path / place).startswith(f"{tmp_path / place}: can't be read")
    net = gn.build(experiment("MB", (6, 5, 4)))
    assert "can't be written" in refusal(FileError, net.save, tmp_path / "nowhere" / "w")
