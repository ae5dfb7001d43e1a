"""Converted modules in every number format that torch's own layers take, and what their state_dict keeps."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from builders import convertible, distance, feedback_layers, images, refusal
from torch import nn
from torch.nn import functional

from ghostnet import ConfigError
from ghostnet.baselines import convert

pytestmark = pytest.mark.filterwarnings("ignore:.*the gradient of this module's input is the method's")
BOTH = pytest.mark.parametrize("method", ["fa", "dfa"])
KINDS = pytest.mark.parametrize("kind", ["mlp", "cnn"])
HALVES = pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])


def learned(net: nn.Module, x: torch.Tensor, labels: torch.Tensor, half: torch.dtype | None = None) -> list:
    """The outputs and the gradients of x and of every parameter, under autocast to `half` if that is given."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", half, enabled=half is not None):
        outputs = net(x)
        loss = functional.cross_entropy(outputs, labels)
    return [outputs.detach(), *torch.autograd.grad(loss, [x, *net.parameters()])]


def far(a: list, b: list) -> float:
    return max(distance(p.double().numpy(), q.double().numpy()) for p, q in zip(a, b, strict=True))


def as_itself(original: nn.Module) -> nn.Module:
    """Converted to FA whose B is W: all that it gives has to be what the module gives."""
    net = convert(original, "fa", 4)
    for layer in feedback_layers(net):
        layer.feedback = layer.weight.detach().clone()
    return net


@HALVES
@KINDS
def test_under_autocast_a_layer_is_torchs_own(kind, half):
    original, (x, labels) = convertible(kind).float(), images(torch.float32)
    own, theirs = (learned(net, x, labels, half) for net in (as_itself(original), original))
    assert [a.dtype for a in own] == [b.dtype for b in theirs] == [half] + [torch.float32] * (len(own) - 1)
    assert torch.equal(own[0], theirs[0])
    assert far(own, theirs) <= 4 * torch.finfo(half).eps  # the order of sums


@HALVES
@BOTH
@KINDS
def test_autocast_changes_gradients_by_no_more_than_its_rounding(kind, method, half):
    original, (x, labels) = convertible(kind).float(), images(torch.float32)
    net = convert(original, method, 4)
    plain, cast = learned(net, x, labels), learned(net, x, labels, half)
    with torch.autocast("cpu", half):
        assert torch.equal(cast[0], original(x))
    assert {g.dtype for g in cast[1:]} == {torch.float32}
    assert far(cast, plain) <= 32 * torch.finfo(half).eps  # another maximum may win a pool


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@BOTH
@KINDS
@pytest.mark.parametrize("when", ["before", "after the first pass"])
def test_a_module_of_any_type_learns_in_it(kind, method, dtype, when):
    net, (x, labels) = convert(convertible(kind), method, 4), images()
    exact = learned(net, x, labels) if when != "before" else None
    net.to(dtype)
    cast = learned(net, x.to(dtype), labels)
    assert {g.dtype for g in cast} == {dtype} and {B.dtype for B in feedback(net)} == {dtype}
    assert far(cast, exact or learned(net.double(), x, labels)) <= 32 * torch.finfo(dtype).eps


class Cast(nn.Module):
    def __init__(self, dtype: torch.dtype):
        super().__init__()
        self.dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(self.dtype)


@BOTH
def test_layers_of_several_types_hand_down_errors_in_theirs(method):
    original, (x, labels) = convertible("mlp"), images()
    whole, mixed = convert(original, method, 4), copy.deepcopy(original)
    mixed[3] = nn.Sequential(Cast(torch.float32), mixed[3].float(), Cast(torch.float64))
    mixed = convert(mixed, method, 4)
    found = learned(mixed, x, labels)
    assert [g.dtype for g in found[2:]] == [p.dtype for p in mixed.parameters()]
    assert far(found, learned(whole, x, labels)) <= 8 * torch.finfo(torch.float32).eps


@BOTH
@pytest.mark.parametrize("bias", [True, False])
def test_one_image_without_a_batch_learns_as_a_batch_of_one(method, bias):
    draw = torch.Generator().manual_seed(3)
    layers = [
        nn.Conv2d(1, 4, 3, bias=bias),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 3, bias=bias),
        nn.ReLU(inplace=True),
    ]
    net = convert(nn.Sequential(*layers, nn.Flatten(-3), nn.Linear(96, 4, bias=bias)).double(), method, 4)
    for parameter in net.parameters():
        parameter.data.uniform_(-0.5, 0.5, generator=draw)
    x, labels = images()
    one, batch = learned(net, x[0], labels[0]), learned(net, x[:1], labels[:1])
    assert far(one[2:], batch[2:]) <= 1e-12 and torch.allclose(one[1], batch[1][0])


def feedback(net: nn.Module) -> list:
    return [layer.feedback for layer in feedback_layers(net)]


def saved(net: nn.Module) -> dict:
    """A state as it comes back from a file, read with weights only."""
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@BOTH
@KINDS
@pytest.mark.parametrize("ran", [{"saved"}, {"loading"}, {"saved", "loading"}, set()])
def test_a_state_carries_its_feedback_whatever_had_run(kind, method, ran):
    original, (x, labels) = convertible(kind), images()
    seven, zero = convert(original, method, 4, seed=7), convert(original, method, 4, seed=0)
    for name, net in (("saved", seven), ("loading", zero)):
        if name in ran:
            net(x)
    state = saved(seven)
    zero.load_state_dict(state)  # strictly
    assert far(learned(zero, x, labels), learned(seven, x, labels)) == 0
    assert all(torch.equal(a, b) for a, b in zip(feedback(zero), feedback(seven), strict=True))


@BOTH
@KINDS
@pytest.mark.parametrize("ran", [False, True])
def test_a_deep_copy_learns_alike_and_shares_nothing(kind, method, ran):
    net, (x, labels) = convert(convertible(kind), method, 4, seed=3), images()
    if ran:
        learned(net, x, labels)
    twin = copy.deepcopy(net)
    assert far(learned(twin, x, labels), learned(net, x, labels)) == 0
    for buffer in twin.buffers():
        buffer.zero_()
    assert all(bool(B.any()) for B in feedback(net))


def test_images_of_another_size_are_refused_once_the_feedback_is_drawn():
    layers = [*convertible("cnn")[:5], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)]
    net = convert(nn.Sequential(*layers).double(), "dfa", 4)
    large = torch.rand(2, 1, 12, 12).double()
    net(torch.rand(2, 1, 8, 8).double())
    assert "dfa: an example of 4 x 6 x 6 reached DFAConv2d(4, 6" in refusal(ConfigError, net, large)
    net(torch.rand(5, 1, 8, 8).double())
    with torch.no_grad():
        assert net(large).shape == (2, 4)  # nothing is learned


def test_outputs_that_give_no_error_for_every_example_are_refused():
    class Pairs(nn.Module):
        def forward(self, x):
            return x.unflatten(0, (-1, 2)).mean(1)

    net = convert(nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 5), Pairs(), nn.Linear(5, 4)), "dfa", 4)
    text = refusal(ConfigError, net, torch.rand(6, 6))
    assert "one for each of (3,) examples, a layer's input of (6,)" in text


@pytest.mark.parametrize("seed", [-1, 2**63, 0.5, "7"])
def test_impossible_seeds_are_refused_in_one_line(seed):
    assert f"seed = {seed!r}" in refusal(ConfigError, convert, convertible("cnn"), "dfa", 4, seed)
