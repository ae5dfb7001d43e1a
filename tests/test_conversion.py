"""Converted modules: FA with B = W is autograd, DFA is its closed form, and neither is backprop."""

from __future__ import annotations

import pytest
import torch
from builders import convertible, distance, feedback_layers, found, images, learner, refusal, task_batch
from torch import nn
from torch.nn import functional

from ghostnet import ConfigError
from ghostnet.baselines import convert

EXACT = 1e-12


def gradients(net: nn.Module, x, labels) -> list:
    return list(torch.autograd.grad(functional.cross_entropy(net(x), labels), list(net.parameters())))


def far(a: list, b: list) -> list[float]:
    return [distance(p.numpy(), q.numpy()) for p, q in zip(a, b, strict=True)]


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_the_forward_pass_and_the_original_are_left_alone(kind):
    original, (x, _) = convertible(kind), images()
    before = [p.clone() for p in original.parameters()]
    for method in ("fa", "dfa"):
        assert torch.equal(convert(original, method, 4)(x), original(x))
    assert all(torch.equal(a, b) for a, b in zip(before, original.parameters(), strict=True))


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_feedback_alignment_with_the_weights_themselves_is_autograd(kind):
    original, (x, labels) = convertible(kind), images()
    net = convert(original, "fa", 4)
    for layer in feedback_layers(net):
        layer.feedback = layer.weight.detach().clone()
    assert max(far(gradients(net, x, labels), gradients(original, x, labels))) <= EXACT


@pytest.mark.parametrize("method", ["fa", "dfa"])
@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_only_the_last_layer_learns_as_by_backprop(kind, method):
    original, (x, labels) = convertible(kind), images()
    errors = far(gradients(convert(original, method, 4), x, labels), gradients(original, x, labels))
    assert max(errors[-2:]) <= EXACT and min(errors[:-2]) > 0.1


def test_closed_forms_of_an_mlp():
    original, (x, labels) = convertible("mlp"), images()
    W = [None, *(layer.weight.detach() for layer in original if isinstance(layer, nn.Linear))]
    b = [None, *(layer.bias.detach() for layer in original if isinstance(layer, nn.Linear))]
    r0 = x.flatten(1)
    r1 = torch.tanh(r0 @ W[1].T + b[1])
    r2 = torch.tanh(r1 @ W[2].T + b[2])
    e = ((r2 @ W[3].T + b[3]).softmax(1) - functional.one_hot(labels, 4)) / 5
    for method in ("fa", "dfa"):
        net = convert(original, method, 4)
        own = gradients(net, x, labels)
        B1, B2 = (layer.feedback for layer in feedback_layers(net)[1:])
        d2 = (e @ B2) * (1 - r2**2)
        d1 = ((d2 if method == "fa" else e) @ B1) * (1 - r1**2)
        assert max(far(own, [d1.T @ r0, d1.sum(0), d2.T @ r1, d2.sum(0), e.T @ r2, e.sum(0)])) <= EXACT


@pytest.mark.parametrize("method", ["FA", "DFA"])
@pytest.mark.parametrize("loss", ["cross-entropy", "mse"])
def test_a_method_is_the_same_for_modules_and_for_the_baselines_own_networks(method, loss):
    """The page of equations; its B_k, of hidden layer k, is what the layer above hands down by."""
    net = learner(method, (6, 5, 7, 4), seeds=(0,), batch=3, loss=loss, transfer="tanh")
    (x, y), sizes = task_batch(net), ((6, 5), (5, 7), (7, 4))
    p, _, delta = found(net, x, y)
    layers = [layer for n, m in sizes for layer in (nn.Linear(n, m, bias=False), nn.Tanh())][:-1]
    end = [nn.Sigmoid()] if loss == "mse" else []
    module = convert(nn.Sequential(*layers, *end).double(), method)
    for layer, W, B in zip(feedback_layers(module), net.W[1:], net.B, strict=True):
        layer.weight.data.copy_(W[0])
        if B is not None:
            layer.feedback.copy_(B[0].T)
    outputs, y = module(x[0]), y[0]
    C = (outputs - y).square().sum() / 2 if loss == "mse" else functional.cross_entropy(outputs, y, reduction="sum")
    expected = [(d.mT @ r)[0] for d, r in zip(delta[1:], p.r, strict=True)]
    assert max(far(list(torch.autograd.grad(C, list(module.parameters()))), expected)) <= EXACT


def test_direct_feedback_reaches_a_convolution_in_the_shape_of_what_it_gave():
    original, (x, labels) = convertible("cnn"), images()
    net = convert(original, "dfa", 4)
    own = gradients(net, x, labels)
    first = original[0]
    e = (original(x).softmax(1) - functional.one_hot(labels, 4)) / 5
    arrives = torch.tensordot(e, feedback_layers(net)[1].feedback, 1).detach()
    surrogate = (original[2](original[1](first(x))) * arrives).sum()  # its gradient is B^T e through pooling and f'
    assert max(far(own[:2], torch.autograd.grad(surrogate, [first.weight, first.bias]))) <= EXACT


def test_two_passes_learned_from_together_keep_their_errors_apart():
    net, (x, labels) = convert(convertible("mlp"), "dfa", 4), images()
    apart = [gradients(net, x[i : i + 1], labels[i : i + 1]) for i in (0, 1)]
    losses = [functional.cross_entropy(net(x[i : i + 1]), labels[i : i + 1]) for i in (0, 1)]
    together = torch.autograd.grad(sum(losses), list(net.parameters()))
    assert max(far(list(together), [a + b for a, b in zip(*apart, strict=True)])) <= EXACT


def test_one_hidden_layer_makes_feedback_direct():
    original, (x, labels) = nn.Sequential(*convertible("mlp")[:3], nn.Linear(12, 4).double()), images()
    fa, dfa = (convert(original, method, 4) for method in ("fa", "dfa"))
    assert max(far(gradients(fa, x, labels), gradients(dfa, x, labels))) <= EXACT


def test_feedback_is_the_seeds():
    first, again, other = (
        feedback_layers(convert(convertible("cnn"), "fa", 4, seed))[1].feedback for seed in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize(
    ("layers", "method", "output_dim", "text"),
    [
        ([nn.Linear(4, 4), nn.LSTM(4, 4), nn.Linear(4, 4)], "fa", 4, "unsupported layer 1: LSTM"),
        ([nn.Linear(4, 4)], "dfa", 10, "output_dim = 10: the last layer, 0, has 4 outputs"),
        ([nn.ReLU()], "fa", 4, "no Linear, Conv or ConvTranspose layer"),
        ([nn.Linear(4, 4)], "dafa", 4, "did you mean 'dfa'"),
        ([convert(nn.Sequential(nn.Linear(4, 4)), "fa", 4)], "fa", 4, "converted already"),
    ],
)
def test_what_cannot_be_converted_is_refused_in_one_line(layers, method, output_dim, text):
    assert text in refusal(ConfigError, convert, nn.Sequential(*layers), method, output_dim)
