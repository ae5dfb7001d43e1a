"""Layers that learn by feedback keep the face of torch's: class, attributes, keys of the state; as drop-ins, too."""

from __future__ import annotations

import pytest
import torch
from builders import convertible, feedback_layers, images, refusal
from torch import nn
from torch.nn import functional

import ghostnet as gn
from ghostnet import ConfigError
from ghostnet.baselines import convert

METHODS = ("fa", "frsf", "usf", "brsf", "kp", "wm", "dfa", "drtp")
each_method = pytest.mark.parametrize("method", METHODS)


def gradients(net: nn.Module, x: torch.Tensor, labels: torch.Tensor) -> list:
    return list(torch.autograd.grad(functional.cross_entropy(net(x), labels), list(net.parameters())))


def same(a: list, b: list) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.norm, self.fc = gn.torch.lenet(1, 12, 4), nn.LayerNorm(4), nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(self.norm(self.body(x)))


@each_method
def test_a_converted_module_and_its_layers_are_what_they_were(method):
    net = convert(Named(), method)
    assert type(net) is Named and type(net.body) is nn.Sequential and type(net.norm) is nn.LayerNorm
    fc, conv = net.fc, net.body[0]
    assert isinstance(fc, nn.Linear) and isinstance(conv, nn.Conv2d)
    assert (fc.in_features, conv.kernel_size) == (4, (5, 5))
    short = method.upper()
    assert str(fc) == f"{short}Linear(in_features=4, out_features=4, bias=True)"
    assert type(fc) is getattr(gn.torch, f"{short}Linear") and type(conv) is getattr(gn.torch, f"{short}Conv2d")


def test_the_plain_method_is_a_copy():
    original = convertible("cnn")
    net = convert(original, "bp")
    assert [type(layer) for layer in net.modules()] == [type(layer) for layer in original.modules()]
    assert same(list(net.parameters()), list(original.parameters()))
    assert not {id(p) for p in net.parameters()} & {id(p) for p in original.parameters()}


@each_method
@pytest.mark.parametrize("ran", [False, True])
def test_states_of_the_original_and_of_the_converted_load_into_each_other(method, ran):
    original, other, (x, _) = convertible("cnn"), convertible("cnn"), images()
    for parameter in other.parameters():
        parameter.data.neg_()
    net = convert(original, method, seed=4)
    if ran:
        net(x, **({"targets": torch.zeros(5, 4)} if method == "drtp" else {}))
    feedback = [layer.feedback if layer.feedback is None else layer.feedback.clone() for layer in feedback_layers(net)]
    net.load_state_dict(other.state_dict())  # strictly
    assert same([p for name, p in net.named_parameters() if "feedback" not in name], list(other.parameters()))
    for layer, B in zip(feedback_layers(net), feedback, strict=True):
        assert torch.equal(layer.feedback, B) if B is not None else layer.feedback is None
    assert set(original.state_dict()) <= set(net.state_dict())
    found = original.load_state_dict(net.state_dict(), strict=False)
    assert not found.missing_keys and {key.rpartition(".")[2] for key in found.unexpected_keys} <= {"feedback", "seed"}
    assert same(list(original.parameters()), list(other.parameters()))


def test_a_layer_held_in_two_places_stays_one():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = self.second = nn.Linear(4, 4)
            self.listed = [self.first]

        def forward(self, x):
            return self.second(self.listed[0](x))

    net = convert(Twice(), "fa")
    assert net.first is net.second is net.listed[0] and type(net.first) is gn.torch.FALinear


def drop_ins(method: str, **options) -> nn.Sequential:
    conv, linear = (getattr(gn.torch, f"{method.upper()}{kind}") for kind in ("Conv2d", "Linear"))
    return nn.Sequential(
        conv(1, 3, 3, stride=2, bias=False, **options), nn.Tanh(), conv(3, 2, 3, **options), nn.Tanh(), nn.Flatten(),
        linear(2, 4, dtype=torch.float64, **options),
    ).double()  # fmt: skip


@each_method
def test_drop_ins_learn_as_a_converted_module_does(method):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = drop_ins(method, **({"outputs": 4} if method in ("dfa", "drtp") else {}))
        plain = nn.Sequential(nn.Conv2d(1, 3, 3, stride=2, bias=False), nn.Tanh(), nn.Conv2d(3, 2, 3), nn.Tanh(),
                              nn.Flatten(), nn.Linear(2, 4)).double()  # fmt: skip
    (x, labels), given = images(), {}
    if method in ("dfa", "drtp"):
        gn.torch.connect(net)
    if method == "drtp":
        given = {"targets": functional.one_hot(labels, 4).double() / 5}
    converted = convert(plain, method)
    found = []
    for module in (net, converted):
        converted.load_state_dict(net.state_dict())
        with torch.random.fork_rng():
            torch.manual_seed(1)
            loss = functional.cross_entropy(module(x, **given), labels)
            found.append(list(torch.autograd.grad(loss, list(module.parameters()), materialize_grads=True)))
    assert same(*found)


def test_torchs_generator_decides_the_feedback_of_drop_ins():
    def made(seed):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return [gn.torch.FALinear(5, 4).feedback for _ in range(2)]

    (first, second), again, other = made(0), made(0), made(1)
    assert same([first, second], again) and not torch.equal(first, second) and not torch.equal(first, other[0])
    assert 0 < first.abs().max() <= 0.5  # 1/√4


def test_sign_concordant_feedback_is_as_large_as_random_feedback():
    fa, usf = gn.torch.FALinear(400, 300), gn.torch.USFLinear(400, 300)
    assert usf.downward().norm() == pytest.approx(float(fa.downward().norm()), rel=0.01)
    assert torch.equal(usf.downward().sign(), usf.weight.sign())


class Tied(nn.Module):
    """A dense layer whose outputs go past the last one."""

    def __init__(self):
        super().__init__()
        self.body, self.aside, self.head = nn.Linear(6, 5), nn.Linear(5, 4), nn.Linear(5, 4)

    def forward(self, x):
        h = self.body(x)
        return self.aside(h) + self.head(h)


class Reversed(nn.Module):
    """The layer that runs first is registered last."""

    def __init__(self):
        super().__init__()
        self.head, self.middle, self.body = nn.Linear(5, 4), nn.Linear(6, 5), nn.Linear(6, 6)

    def forward(self, x):
        return self.head(self.middle(self.body(x)))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (Tied, "direct feedback: aside reaches the outputs around the last layer"),
        (Reversed, "the layer that was registered last did not run"),
    ],
)
def test_direct_feedback_refuses_outputs_that_do_not_all_come_from_the_last_layer(make, text):
    net = convert(make(), "dfa")
    assert text in refusal(ConfigError, net, torch.rand(3, 6))
    convert(make(), "fa")(torch.rand(3, 6)).sum().backward()


def test_direct_feedback_refuses_a_part_of_the_network_by_itself():
    net = convert(gn.torch.mlp(6, 5, 5, 4), "dfa")
    assert "a layer ran outside of a pass of its network" in refusal(ConfigError, net[:4], torch.rand(3, 6))
    with torch.no_grad():
        assert net[:4](torch.rand(3, 6)).shape == (3, 5)
    layer = gn.torch.DFALinear(5, 4, outputs=4)
    assert "expected connect(net)" in refusal(ConfigError, layer, torch.rand(3, 5, requires_grad=True))


def test_targets_are_asked_for_by_drtp_alone_and_have_the_shape_of_outputs():
    drtp, dfa = (convert(gn.torch.mlp(6, 5, 4), method) for method in ("drtp", "dfa"))
    x, y = torch.rand(3, 6), torch.rand(3, 4)
    assert "call net(x, targets=y)" in refusal(ConfigError, drtp, x)
    assert "targets has shape (3, 2): expected 3 x 4" in refusal(ConfigError, drtp, x, targets=y[:, :2])
    assert "targets: dfa takes none" in refusal(ConfigError, dfa, x, targets=y)
    with torch.no_grad():
        assert torch.equal(drtp(x), drtp(x, targets=y))


@pytest.mark.parametrize(
    ("make", "method", "text"),
    [
        (lambda: nn.MultiheadAttention(4, 2), "fa", "the module itself: MultiheadAttention has parameters of its own"),
        (lambda: nn.Bilinear(4, 4, 4), "dfa", "Bilinear has parameters of its own"),
        (lambda: nn.LazyLinear(4), "fa", "LazyLinear has no weights yet"),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), "fa", "ParametrizationList has parameters"),
        (lambda: nn.ConvTranspose2d(1, 1, 2), "kp", "own forward pass, and not KPConvTranspose2d(1, 1"),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), "dfb", "unknown method 'dfb'"),
    ],
)
def test_what_no_method_is_defined_for_is_refused_in_one_line(make, method, text):
    assert text in refusal(ConfigError, convert, make(), method)


def test_direct_layers_ask_for_the_number_of_outputs():
    assert "outputs is left out" in refusal(ConfigError, gn.torch.DFALinear, 5, 4)
    net = nn.Sequential(gn.torch.DFALinear(5, 4, outputs=3), gn.torch.DFALinear(4, 4, outputs=3))
    assert "outputs = 3: the last layer has 4" in refusal(ConfigError, gn.torch.connect, net)
    assert "no layer that learns by DFA, DRTP, IFA or DTP" in refusal(ConfigError, gn.torch.connect, gn.torch.mlp(5, 4))
    assert "connected already" in refusal(ConfigError, gn.torch.connect, convert(gn.torch.mlp(5, 4), "dfa"))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: gn.torch.mlp(5), "sizes = (5,): expected inputs and outputs"),
        (lambda: gn.torch.lenet(1, 30), "side = 30: expected 12, 16, 20"),
        (lambda: gn.torch.resnet(18), "depth = 18: expected 6 m + 2"),
    ],
)
def test_impossible_networks_are_refused_in_one_line(make, text):
    assert text in refusal(ConfigError, make)


def test_residual_networks_have_the_papers_layers_and_parameters():
    for depth, millions in ((20, 0.27), (56, 0.85)):  # He et al. 2016, table 6
        net = gn.torch.resnet(depth)
        weights = [p for p in net.parameters() if p.ndim > 1]
        assert len(weights) == depth and round(sum(p.numel() for p in net.parameters()) / 1e6, 2) == millions
        assert net.eval()(torch.rand(1, 3, 32, 32)).shape == (1, 10)
