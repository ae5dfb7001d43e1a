"""Networks of many shapes, converted: what they learn is what autograd gives for the same method put another way."""

from __future__ import annotations

import copy

import pytest
import torch
from builders import distance, feedback_layers
from torch import nn
from torch.func import functional_call

from ghostnet import baselines
from ghostnet import torch as layers

EXACT = 1e-12
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # torch's own


class Sum(nn.Module):
    """x + inner(x), of which there may be several, one inside another."""

    def __init__(self, *inner: nn.Module):
        super().__init__()
        self.inner = nn.Sequential(*inner)

    def forward(self, x):
        return x + self.inner(x)


class Fork(nn.Module):
    """Branches side by side, joined as channels."""

    def __init__(self, *branches: nn.Module):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


class Gate(nn.Module):
    """x times what a layer makes of its mean over positions."""

    def __init__(self, channels: int):
        super().__init__()
        self.gate = nn.Linear(channels, channels)

    def forward(self, x):
        return x * self.gate(x.mean((2, 3))).sigmoid()[..., None, None]


class Attention(nn.Module):
    """One head over positions (n, positions, units)."""

    def __init__(self, units: int):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(units, units) for _ in range(3))

    def forward(self, x):
        return (self.query(x) @ self.key(x).mT).softmax(-1) @ self.value(x)


class Recurrent(nn.Module):
    """The same layer at every position."""

    def __init__(self, units: int):
        super().__init__()
        self.step = nn.Linear(2 * units, units)

    def forward(self, x):
        h = torch.zeros_like(x[:, 0])
        for position in x.unbind(1):
            h = self.step(torch.cat([h, position], 1)).tanh()
        return h


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(1)


class Heads(nn.Module):
    """Two dense layers that read the same units, each an output."""

    def __init__(self, units: int):
        super().__init__()
        self.one, self.other = nn.Linear(units, 4), nn.Linear(units, 4)

    def forward(self, x):
        return torch.stack([self.one(x), self.other(x)], 1)


class Own(nn.Linear):
    """A subclass that adds nothing to the forward pass."""


class Squashed(nn.Linear):
    """A subclass with a forward pass of its own, in which W stands twice."""

    def forward(self, x):
        return super().forward(x).tanh() + 2 * x @ self.weight.T


class Standardised(nn.Conv2d):
    """A convolution of weights without a mean."""

    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight - weight.mean((1, 2, 3), keepdim=True), bias)


def chain(*parts: nn.Module, head: int | None = None, pool: nn.Module | None = None):
    """The parts, pooled, flattened and read out, if by a dense layer."""
    if head is None:
        return lambda: nn.Sequential(*map(copy.deepcopy, parts))
    pool = pool or nn.Identity()
    return lambda: nn.Sequential(*map(copy.deepcopy, parts), pool, nn.Flatten(), nn.Linear(head, 4))


def conv(i: int, o: int, **options) -> nn.Conv2d:
    return nn.Conv2d(i, o, 3, **({"padding": 1} | options))


ROW, IMAGE, WORDS, SERIES, VOLUME = (3, 6), (3, 2, 6, 6), (3, 5), (3, 2, 9), (2, 1, 5, 5, 5)
POOL, T = nn.AdaptiveAvgPool2d(1), nn.Tanh()
NETWORKS = {
    "dense": (ROW, chain(nn.Linear(6, 5), T, nn.Linear(5, 5), nn.ReLU(inplace=True), nn.Linear(5, 4))),
    "dense without bias": (ROW, chain(nn.Linear(6, 5, bias=False), T, nn.Linear(5, 4, bias=False))),
    "MLP": (IMAGE, lambda: layers.mlp(72, 9, 8, 4, transfer=nn.Tanh)),
    "subclass": (ROW, chain(Own(6, 5), T, Own(5, 5), T, Own(5, 4))),
    "own forward": (ROW, chain(Squashed(6, 5), T, Squashed(5, 5, bias=False), T, Squashed(5, 4))),
    "own weights": (IMAGE, chain(conv(2, 3), T, Standardised(3, 3, 3), T, head=48)),
    "batch norm": (ROW, chain(nn.Linear(6, 5), nn.BatchNorm1d(5), T, nn.Linear(5, 5), nn.BatchNorm1d(5), T, head=5)),
    "layer norm": (ROW, chain(nn.LayerNorm(6), nn.Linear(6, 5), nn.LayerNorm(5), nn.PReLU(5), nn.Linear(5, 4))),
    "RMS norm": (ROW, chain(nn.Linear(6, 5), nn.RMSNorm(5), T, nn.Linear(5, 5), T, nn.Linear(5, 4))),
    "convolutions": (IMAGE, chain(conv(2, 4), T, conv(4, 4, stride=2, groups=2), T, conv(4, 3, dilation=2), head=3)),
    "in place": (IMAGE, chain(conv(2, 4), nn.ReLU(inplace=True), conv(4, 3), nn.ReLU(inplace=True), head=108)),
    "same": (IMAGE, chain(conv(2, 3), nn.Conv2d(3, 3, (2, 4), padding="same", dilation=(1, 2)), head=108)),
    "valid": (IMAGE, chain(conv(2, 3), conv(3, 3, padding="valid"), head=48)),
    "reflect": (IMAGE, chain(conv(2, 3), conv(3, 3, padding_mode="reflect"), head=108)),
    "circular": (IMAGE, chain(conv(2, 3), conv(3, 3, padding="same", padding_mode="circular"), head=108)),
    "replicate": (IMAGE, chain(conv(2, 3), conv(3, 3, stride=2, padding_mode="replicate"), head=27)),
    "depthwise": (IMAGE, chain(conv(2, 4), conv(4, 4, groups=4), nn.Conv2d(4, 6, 1), T, head=6, pool=POOL)),
    "pooled head": (IMAGE, chain(conv(2, 4), T, conv(4, 4), T, nn.Conv2d(4, 4, 1), POOL, nn.Flatten())),
    "group norm": (IMAGE, chain(conv(2, 4), nn.GroupNorm(2, 4), T, conv(4, 4), nn.InstanceNorm2d(4), head=144)),
    "series": (SERIES, chain(nn.Conv1d(2, 4, 3), T, nn.MaxPool1d(2), nn.Conv1d(4, 3, 2, padding="same"), head=9)),
    "volume": (VOLUME, chain(nn.Conv3d(1, 2, 3), T, nn.Conv3d(2, 2, 2, stride=2), T, head=2)),
    "transposed": (IMAGE, chain(conv(2, 4, stride=3), T, nn.ConvTranspose2d(
        4, 4, 3, stride=2, padding=1, output_padding=1, groups=2), T, head=64)),
    "transposed series": (SERIES, chain(
        nn.Conv1d(2, 4, 3), nn.ConvTranspose1d(4, 3, 3, dilation=2, output_padding=1), T, head=36)),
    "autoencoder": (IMAGE, chain(
        conv(2, 4, stride=2), T, conv(4, 2), T, nn.ConvTranspose2d(2, 3, 2, stride=2), T, conv(3, 2))),
    "words": (WORDS, chain(nn.Embedding(7, 6), nn.Linear(6, 5), T, nn.Linear(5, 5), Mean(), nn.Linear(5, 4))),
    "bag of words": (WORDS, chain(nn.EmbeddingBag(7, 6), nn.Linear(6, 5), T, nn.Linear(5, 4))),
    "positions": (WORDS, chain(nn.Embedding(7, 6), nn.Linear(6, 5), T, nn.Linear(5, 4))),
    "attention": (WORDS, chain(
        nn.Embedding(7, 6), Sum(nn.LayerNorm(6), Attention(6)), Sum(nn.Linear(6, 8), T, nn.Linear(8, 6)), Mean(),
        nn.Linear(6, 4))),
    "recurrent": (WORDS, chain(nn.Embedding(7, 6), Recurrent(6), nn.Linear(6, 4))),
    "residual": (ROW, chain(nn.Linear(6, 5), Sum(nn.Linear(5, 7), T, Sum(nn.Linear(7, 7)), nn.Linear(7, 5)), head=5)),
    "branches": (IMAGE, chain(conv(2, 4), Fork(conv(4, 3), nn.Conv2d(4, 2, 1)), nn.BatchNorm2d(5), T, head=180)),
    "gate": (IMAGE, chain(conv(2, 4), Gate(4), conv(4, 4), Gate(4), head=4, pool=POOL)),
    "LeNet": ((2, 1, 12, 12), lambda: layers.lenet(1, 12, 4)),
    "ResNet": ((3, 3, 8, 8), lambda: layers.resnet(8, classes=4)),
}  # fmt: skip


def network(name: str) -> tuple[nn.Module, torch.Tensor]:
    """A float64 network, its weights in general position, and inputs for it."""
    shape, make = NETWORKS[name]
    draw = torch.Generator().manual_seed(1)
    with torch.random.fork_rng():
        net = make().double()
    for parameter in net.parameters():
        parameter.data.uniform_(-0.6, 0.6, generator=draw)
    if shape == WORDS:
        return net, torch.randint(7, shape, generator=draw)
    return net, torch.rand(shape, generator=draw, dtype=torch.float64)


def targets(y: torch.Tensor) -> torch.Tensor:
    return torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)


def loss(y: torch.Tensor) -> torch.Tensor:
    return (y - targets(y)).square().sum() / len(y)


def learned(net: nn.Module, x: torch.Tensor, **given) -> dict[str, torch.Tensor]:
    """The gradient of every parameter but B, by its name."""
    named = dict(net.named_parameters())
    found = torch.autograd.grad(loss(net(x, **given)), list(named.values()))
    return {name: g for name, g in zip(named, found, strict=True) if not name.endswith("feedback")}


def far(a: dict, b: dict) -> float:
    assert list(a) == list(b)
    largest = max(g.abs().max() for g in b.values())
    return max(float((a[name] - b[name]).abs().max() / largest) for name in a)


def downward(layer) -> torch.Tensor:
    """What stands for W on the way down, by the definition of the method."""
    B, W = layer.feedback.detach(), layer.weight.detach()
    return {"fa": B, "kp": B, "frsf": B.abs() * W.sign(), "usf": B * W.sign()}[layer.method]


def by_two_passes(original: nn.Module, net: nn.Module, x: torch.Tensor) -> dict:
    """FA and kin for autograd alone: every layer is W of x held, plus what is 0 and has the derivative of B x."""
    original, fed = copy.deepcopy(original), feedback_layers(net)
    for layer, other in zip([p for p in original.modules() if isinstance(p, baselines.layers.KINDS)], fed, strict=True):
        plain, B = copy.deepcopy(layer), downward(other)

        def forward(x, forward=layer.forward, plain=plain, B=B):
            by_feedback = functional_call(plain, {"weight": B}, x)
            return forward(x.detach()) + (by_feedback - by_feedback.detach())

        layer.forward = forward
    return learned(original, x)


def by_hand(original: nn.Module, net: nn.Module, x: torch.Tensor, y: torch.Tensor | None = None) -> dict:
    """DFA and DRTP in two steps: e from the loss, then a loss whose gradient at every layer's input is B^T e."""
    original, fed, inputs, head = copy.deepcopy(original), feedback_layers(net), [], []
    layers = [layer for layer in original.modules() if isinstance(layer, baselines.layers.KINDS)]
    for layer, other in zip(layers, fed, strict=True):

        def forward(x, forward=layer.forward, other=other, last=layer is layers[-1]):
            inputs.append((x, other.feedback))
            y = forward(x.detach())
            head.extend([y] * last)
            return y

        layer.forward = forward
    value = loss(original(x))
    (e,) = torch.autograd.grad(value, head, retain_graph=True)
    if not isinstance(layers[-1], nn.Linear):
        e = e.flatten(2).sum(2)
    for x, B in inputs:
        if x.requires_grad:
            signal = torch.tensordot(e if y is None else y, B, 1)
            value = value + (x * signal.reshape(len(x), *(1,) * (x.ndim - signal.ndim), *signal.shape[1:])).sum()
    named = dict(original.named_parameters())
    return dict(zip(named, torch.autograd.grad(value, list(named.values())), strict=True))


@pytest.mark.parametrize("method", ["fa", "frsf", "usf", "kp"])
@pytest.mark.parametrize("name", NETWORKS)
def test_aligned_methods_are_autograd_with_other_weights_on_the_way_down(name, method):
    if method == "kp" and name in ("transposed", "transposed series", "autoencoder", "own forward", "own weights"):
        pytest.skip("refused")
    original, x = network(name)
    net = baselines.convert(original, method, seed=3)
    found = learned(net, x)
    assert far(found, by_two_passes(original, net, x)) <= EXACT
    assert far(found, learned(original, x)) > 1e-3


@pytest.mark.parametrize("method", ["dfa", "drtp"])
@pytest.mark.parametrize("name", NETWORKS)
def test_direct_methods_are_a_loss_whose_gradient_at_every_layers_input_is_the_signal(name, method):
    original, x = network(name)
    net = baselines.convert(original, method, seed=3)
    y = None
    if method == "drtp":
        y = torch.linspace(-1, 1, len(x) * feedback_layers(net)[-1].outputs, dtype=torch.float64).reshape(len(x), -1)
        if name == "positions":
            y = y[:, None].expand(-1, x.shape[1], -1)
    found = learned(net, x, **({} if y is None else {"targets": y}))
    assert far(found, by_hand(original, net, x, y)) <= EXACT
    assert far(found, learned(original, x)) > 1e-3


@pytest.mark.parametrize("method", ["fa", "frsf", "dfa"])
@pytest.mark.parametrize("name", NETWORKS)
def test_whatever_the_method_outputs_are_the_original_s(name, method):
    original, x = network(name)
    assert torch.equal(baselines.convert(original, method)(x), original(x))


def test_magnitudes_of_brsf_are_redrawn_at_every_pass():
    original, x = network("dense")
    net = baselines.convert(original, "brsf")
    first, second, third = feedback_layers(net)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        found, later = learned(net, x), learned(net, x)
        torch.manual_seed(5)
        for layer in (second, third):  # the first hands nothing down
            layer.drawn = layer.feedback * torch.rand_like(layer.weight) * layer.weight.detach().sign()
    r0, r1 = x, torch.tanh(first(x)).detach()
    r2 = second(r1).relu().detach()
    e = 2 * (third(r2) - targets(third(r2))).detach() / len(x)
    d2 = (e @ third.drawn) * (r2 > 0)
    d1 = (d2 @ second.drawn) * (1 - r1**2)
    assert distance(found["2.weight"].numpy(), (d2.T @ r1).numpy()) <= EXACT
    assert distance(found["0.weight"].numpy(), (d1.T @ r0).numpy()) <= EXACT
    assert far(later, found) > 1e-3


def test_under_kolen_pollack_feedback_learns_as_weights_do_and_decay_unites_them():
    original, x = network("convolutions")
    net = baselines.convert(original, "kp")
    optimizer = torch.optim.SGD(net.parameters(), 0.05, weight_decay=0.5)
    apart = [(layer.feedback - layer.weight).detach().clone() for layer in feedback_layers(net)]
    for _ in range(5):
        optimizer.zero_grad()
        loss(net(x)).backward()
        assert all(torch.equal(layer.feedback.grad, layer.weight.grad) for layer in feedback_layers(net))
        optimizer.step()
    for layer, before in zip(feedback_layers(net), apart, strict=True):
        now = (layer.feedback - layer.weight).detach()
        assert (now - before * (1 - 0.05 * 0.5) ** 5).abs().max() <= EXACT


def test_several_heads_learn_by_feedback_alignment():
    original, x = nn.Sequential(nn.Linear(6, 5), T, nn.Linear(5, 5), T, Heads(5)).double(), network("dense")[1]
    net = baselines.convert(original, "fa")
    assert far(learned(net, x), by_two_passes(original, net, x)) <= EXACT
