"""One set of methods: torch modules and convolutional networks learn by what the MLPs of test_methods.py learn by.

Dense modules are held to the page of equations, convolutional ones to formulas without autograd, with biases and
without, float64; the updates of MLPs are held to closed forms in test_methods.py and test_contrastive.py.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from builders import distance, feedback_layers, found, learner, refusal, task_batch
from torch import nn
from torch.nn import functional

import ghostnet as gn
from ghostnet import ConfigError, baselines, data
from ghostnet.baselines import Baseline, convert, methods
from ghostnet.baselines.architectures import of_rows
from ghostnet.baselines.cnn import CNN
from ghostnet.engines.tensors import scale
from ghostnet.model.baseline import BaselineRun
from ghostnet.model.order import presentation_order

EXACT = 1e-12
SIZES = (6, 5, 7, 8, 4)
CONVOLUTIONAL = ("bp", "fa", "dfa", "drtp", "usf", "frsf", "brsf", "kp", "wm")
BIAS = pytest.mark.parametrize("bias", [False, True])


def seeded(function, *arguments, seed: int = 1):
    """What a function gives where torch's generator begins there."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return function(*arguments)


def far(own, wanted) -> float:
    return max(distance(a.detach().numpy(), b.detach().numpy()) for a, b in zip(own, wanted, strict=True))


def dense(method: str, bias: bool, **settings) -> tuple:
    """An MLP baseline and the module that is the same network and learns alike."""
    net = learner(method, SIZES, seeds=(0,), batch=3, loss="cross-entropy", transfer="tanh", bias=bias, **settings)
    pairs = itertools.pairwise(SIZES)
    layers = [part for n, m in pairs for part in (nn.Linear(n, m, bias=bias), nn.Tanh())][:-1]
    module = convert(nn.Sequential(*layers).double(), method)
    for k, layer in enumerate(module[::2], start=1):
        layer.weight.data.copy_(net.W[k][0])
        if bias:
            layer.bias.data.copy_(net.bias[k][0, 0])
        if k > 1 and method not in ("BP", "uSF", "brSF"):
            layer.feedback.data.copy_(net.B[k - 1][0].T)
        if k > 1 and method == "uSF":
            layer.feedback.fill_(float(net.B[k - 1].max()))
    return net, module


@BIAS
@pytest.mark.parametrize("method", [method for method in baselines.METHODS if method not in ("CHL", "CD")])
def test_dense_modules_learn_by_every_method_as_the_page_of_equations_says(method, bias):
    net, module = dense(method, bias)
    x, y = task_batch(net)
    if method == "brSF":  # magnitudes of the modules', as torch's generator draws them on the way up
        layers = feedback_layers(module)[1:]
        net.B[1:] = seeded(lambda: [(layer.feedback * torch.rand_like(layer.weight)).T[None] for layer in layers])
    given = {"targets": y[0] / 3} if method == "DRTP" else {}
    C = functional.cross_entropy(seeded(lambda: module(x[0], **given)), y[0])
    own = torch.autograd.grad(C, [p for name, p in module.named_parameters() if "feedback" not in name])
    p, _, delta = found(net, x, y)
    wanted = [w[0] for w in methods.gradients(delta, p.r)[1:]]
    if bias:
        wanted = [g for w, d in zip(wanted, delta[1:], strict=True) for g in (w, d[0].mean(0))]
    assert far(own, wanted) <= EXACT


@BIAS
def test_the_inverses_of_a_module_descend_their_own_losses(bias):
    net, module = dense("DTP", bias)
    layers, (x, _) = module[::2], task_batch(net)
    for layer in layers:
        layer.feedback_noise = 0.3
    y = seeded(module, x[0])
    own = torch.autograd.grad(y.square().sum(), [layer.feedback for layer in layers[1:-1]])
    r = [None, *(p[0] for p in net.forward(x).r[1:])]
    noise = seeded(lambda: [0.3 * torch.randn_like(a) for a in r[1:-1]])
    b = net.bias or [0] * 5
    for k in (1, 2):
        h = r[k] + noise[k - 1]
        B = net.B[k][0].T.clone().requires_grad_()
        back = torch.tanh(torch.tanh(h @ net.W[k + 1][0].T + b[k + 1]) @ B)
        (wanted,) = torch.autograd.grad((back - h).square().sum() / 6, B)
        assert distance(own[k - 1].numpy(), wanted.numpy()) <= EXACT


def test_the_first_target_is_as_far_down_the_gradient_as_its_step_says():
    net, module = dense("DTP", False, target_step=0.25)
    module[-1].target_step = 0.25
    x, y = task_batch(net)
    C = functional.cross_entropy(module(x[0]), y[0])
    p, _, delta = found(net, x, y)
    own = torch.autograd.grad(C, [layer.weight for layer in module[::2]])
    assert far(own, [w[0] for w in methods.gradients(delta, p.r)[1:]]) <= EXACT


def without_biases(net: nn.Module) -> nn.Module:
    for layer in net:
        if hasattr(layer, "bias"):
            layer.bias = None
    return net


def convolutional(method: str, bias: bool) -> nn.Module:
    """The architecture for images of 4 x 4, converted, weights and biases drawn."""
    plain, draw = of_rows("three-convolutions", (16, 4)).double(), torch.Generator().manual_seed(1)
    for parameter in plain.parameters():
        parameter.data.uniform_(-0.5, 0.5, generator=draw)
    net = convert(plain if bias else without_biases(plain), method, 4)
    zero = {"targets": torch.zeros(1, 4)} if method == "drtp" else {}
    net(torch.zeros(1, 16).double(), **zero)  # direct feedback is drawn
    return net


def layers_of(net: nn.Module) -> list:
    return [layer for layer in net if hasattr(layer, "weight")]


def closed_form(net: nn.Module, method: str, x: torch.Tensor, y: torch.Tensor) -> dict[str, list[torch.Tensor]]:
    """Gradients of the mean cross-entropy by layer, without autograd; what is drawn, as torch's generator draws it."""
    layers, n = layers_of(net), len(x)
    r, activities, chosen, random = [x.reshape(n, 1, 4, 4)], [], [], []
    for k, layer in enumerate(layers[:-1]):
        a = torch.tanh(functional.conv2d(r[-1], layer.weight, layer.bias, padding=layer.padding) if k < 3 else
                       functional.linear(r[-1].flatten(1), layer.weight, layer.bias))  # fmt: skip
        pooled, index = functional.max_pool2d(a, 2, return_indices=True) if k < 2 else (a, None)
        r.append(pooled), activities.append(a), chosen.append(index)
    for layer in layers[1:]:
        W = layer.weight
        drawn = {"brsf": lambda W=W: torch.rand_like(W), "wm": lambda W=W: torch.randn(n, W[0].numel(), dtype=W.dtype)}
        random.append(drawn.get(method, lambda: None)())
    u = functional.linear(r[-1], layers[-1].weight, layers[-1].bias)
    e = (u.softmax(1) - y) / n
    delta = [None] * 4 + [e]
    for k in (3, 2, 1, 0):
        above, B = layers[k + 1], getattr(layers[k + 1], "feedback", None)
        W, sign = above.weight, above.weight.sign()
        if method in ("dfa", "drtp"):
            error = ((e if method == "dfa" else y / n) @ B.flatten(1)).reshape(r[k + 1].shape)
        else:
            down = {"bp": lambda W=W: W, "usf": lambda B=B, s=sign: B * s, "frsf": lambda B=B, s=sign: B.abs() * s,
                    "brsf": lambda B=B, s=sign, M=random[k]: B * M * s}.get(method, lambda B=B: B)()  # fmt: skip
            error = (
                delta[k + 1] @ down if k > 1 else functional.conv_transpose2d(delta[k + 1], down, padding=above.padding)
            )
        error = error.reshape(r[k + 1].shape)
        if k < 2:
            error = functional.max_unpool2d(error, chosen[k], 2, output_size=activities[k].shape)
        delta[k] = error * (1 - activities[k] ** 2)
    weights = [
        torch.nn.grad.conv2d_weight(r[k], layer.weight.shape, delta[k], padding=layer.padding) if k < 3
        else delta[k].T @ r[k].flatten(1) for k, layer in enumerate(layers)
    ]  # fmt: skip
    mirrored = []
    if method == "wm":
        for layer, h in zip(layers[1:], random, strict=True):
            W = layer.weight
            mirrored.append(layer.feedback - ((W.flatten(1) @ h.T) @ h / n).reshape(W.shape))
    biases = [d.sum((0, 2, 3)) if d.ndim > 2 else d.sum(0) for d in delta]
    return {"weight": weights, "bias": biases, "feedback": {"kp": weights[1:], "wm": mirrored}.get(method, [])}


@BIAS
@pytest.mark.parametrize("method", CONVOLUTIONAL)
def test_closed_forms_of_a_convolutional_network(method, bias):
    net, draw = convolutional(method, bias), torch.Generator().manual_seed(2)
    x, y = torch.rand(5, 16, generator=draw).double(), torch.eye(4).double()[[0, 3, 1, 1, 2]]
    with torch.no_grad():
        wanted = seeded(closed_form, net, method, x, y)
    given = {"targets": y / 5} if method == "drtp" else {}
    C = functional.cross_entropy(seeded(lambda: net(x, **given)), y)
    for kind in ("weight", "bias", "feedback") if bias else ("weight", "feedback"):
        layers = layers_of(net)[kind == "feedback" :]
        if wanted[kind]:
            own = torch.autograd.grad(C, [getattr(layer, kind) for layer in layers], retain_graph=True)
            assert far(own, wanted[kind]) <= EXACT


@pytest.mark.parametrize("frozen", [0, 2])
@pytest.mark.parametrize("method", CONVOLUTIONAL)
def test_a_convolutional_baseline_steps_along_them(task, method, frozen):
    e = baselines.mlp((16, 4), data=task, batch=4, train_examples=80)
    names = {name.lower(): name for name in baselines.METHODS}
    how = {"architecture": "three-convolutions", "loss": "cross-entropy", "learning_rate": 0.1, "frozen": frozen}
    cnn = CNN(BaselineRun(e, Baseline(method=names[method], feedback_rate=0.2, **how)), data.load(task), "float64", 1)
    (net,), (images, labels) = cnn.modules, cnn._images.train
    shown = torch.from_numpy(presentation_order(e, 1))[0, 0]
    x, y = scale(images[shown], torch.float64), torch.eye(4).double()[labels[shown]]
    with torch.no_grad():  # what a pass draws is drawn from where the epoch begins
        wanted = seeded(closed_form, net, method, x, y, seed=cnn.seed_of_epoch(0, 1))
    before = [(layer.weight.detach().clone(), layer.bias.detach().clone()) for layer in layers_of(net)]
    feedback = [layer.feedback.detach().clone() for layer in layers_of(net)] if wanted["feedback"] else []
    cnn.present(1, 0, 1)
    for k, (layer, (W, b)) in enumerate(zip(layers_of(net), before, strict=True)):
        rate = 0.1 * (k >= frozen)
        pairs = [(layer.weight, W - rate * wanted["weight"][k]), (layer.bias, b - rate * wanted["bias"][k])]
        if k and feedback:
            rate = rate if method == "kp" else 0.2
            pairs.append((layer.feedback, feedback[k] - rate * wanted["feedback"][k - 1]))
        assert max(float((now - then).detach().abs().max()) for now, then in pairs) <= EXACT


@BIAS
def test_the_signal_of_indirect_feedback_climbs_through_convolutions(bias):
    draw = torch.Generator().manual_seed(1)
    plain = nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=bias), nn.ReLU(inplace=True), nn.Conv2d(3, 2, 3, stride=2, padding=1, bias=bias),
        nn.Tanh(), nn.Conv2d(2, 2, 1, bias=bias), nn.Softplus(), nn.Flatten(),
        nn.Linear(18, 7, bias=bias), nn.Tanh(), nn.Dropout(0.5), nn.Linear(7, 4, bias=bias),
    ).double()  # fmt: skip
    for parameter in plain.parameters():
        parameter.data.uniform_(-0.5, 0.5, generator=draw)
    net, x = convert(plain, "ifa"), torch.rand(5, 1, 8, 8, generator=draw).double()
    y = torch.eye(4).double()[[0, 3, 1, 1, 2]]
    C = functional.cross_entropy(seeded(net, x), y)
    first, second, point, third, head = layers_of(net)
    own = torch.autograd.grad(C, [layer.weight for layer in layers_of(net)])
    with torch.no_grad():
        r1 = torch.relu(functional.conv2d(x, first.weight, first.bias))
        r2 = torch.tanh(functional.conv2d(r1, second.weight, second.bias, stride=2, padding=1))
        u = functional.conv2d(r2, point.weight, point.bias)
        r = functional.softplus(u)
        a3 = torch.tanh(functional.linear(r.flatten(1), third.weight, third.bias))
        mask = seeded(functional.dropout, torch.ones_like(a3))
        e = (functional.linear(mask * a3, head.weight, head.bias).softmax(1) - y) / 5
        d1 = torch.tensordot(e, second.feedback, 1) * (r1 > 0)
        d2 = functional.conv2d(d1, second.weight, stride=2, padding=1) * (1 - r2**2)
        d = functional.conv2d(d2, point.weight) * u.sigmoid()
        d3 = functional.linear(d.flatten(1), third.weight) * (1 - a3**2) * mask
        wanted = [
            torch.nn.grad.conv2d_weight(x, first.weight.shape, d1),
            torch.nn.grad.conv2d_weight(r1, second.weight.shape, d2, stride=2, padding=1),
            torch.nn.grad.conv2d_weight(r2, point.weight.shape, d), d3.T @ r.flatten(1), e.T @ (mask * a3),
        ]  # fmt: skip
    assert far(own, wanted) <= EXACT


@pytest.mark.parametrize("method", ["ifa", "dtp"])
def test_layers_by_themselves_make_a_chain_once_they_are_connected(method):
    made = getattr(gn.torch, f"{method.upper()}Linear")
    sizes = itertools.pairwise((6, 5, 7, 4))
    one, two, three = seeded(lambda: [made(n, m, outputs=4) for n, m in sizes])
    net = nn.Sequential(one, nn.Tanh(), nn.Sequential(two, nn.Tanh()), three).double()
    gn.torch.connect(net)
    plain = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 4)).double()
    twin = convert(plain, method)
    twin.load_state_dict(dict(zip(twin.state_dict(), net.state_dict().values(), strict=True)))
    x, labels = seeded(torch.rand, 3, 6).double(), torch.tensor([0, 1, 3])
    losses = [functional.cross_entropy(seeded(module, x), labels) for module in (net, twin)]
    own, wanted = (
        torch.autograd.grad(C, list(module.parameters()), materialize_grads=True)
        for C, module in zip(losses, (net, twin), strict=True)
    )
    assert all(torch.equal(a, b) for a, b in zip(own, wanted, strict=True)) and float(own[0].norm()) > 0


NO_CHAIN = [
    ("ifa", lambda: of_rows("three-convolutions", (16, 4)), "in nn.Sequential; 3, MaxPool2d, is none"),
    ("ifa", lambda: gn.torch.resnet(8), "in nn.Sequential; 1, BatchNorm2d, is none"),
    ("dtp", lambda: gn.torch.lenet(), "dtp: inverses are defined for Linear layers"),
    ("dtp", lambda: nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4)), "1, LayerNorm, is none"),
    ("dtp", lambda: nn.ModuleDict({"a": nn.Linear(4, 4)}), "the module itself, ModuleDict, is none"),
    ("ifa", lambda: nn.Sequential(*2 * [nn.Linear(4, 4)]), "1 is used a second time"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "make", "text"), NO_CHAIN)
def test_what_is_no_chain_is_refused_in_one_line(method, make, text):
    assert text in refusal(ConfigError, convert, make(), method)
