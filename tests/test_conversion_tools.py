"""Converted modules under torch.compile, torch.func, several threads and Opacus; and their input's gradient."""

from __future__ import annotations

import copy
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from builders import convertible, distance, feedback_layers, images, refusal
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import ghostnet as gn
from ghostnet import ConfigError
from ghostnet.baselines import convert

EXACT = 1e-12
each_method = pytest.mark.parametrize("method", ["fa", "frsf", "usf", "kp", "dfa", "drtp"])


def example(method: str) -> tuple[nn.Module, torch.Tensor, torch.Tensor, dict]:
    """A converted module that has run, its inputs and labels, and what else it takes."""
    (x, labels), net = images(), convert(convertible("cnn"), method)
    given = {"targets": functional.one_hot(labels, 4).double() / len(x)} if method == "drtp" else {}
    net(x, **given)
    return net, x, labels, given


def gradients(net: nn.Module, x: torch.Tensor, labels: torch.Tensor, **given) -> dict:
    found = torch.autograd.grad(functional.cross_entropy(net(x, **given), labels), list(net.parameters()))
    return dict(zip(dict(net.named_parameters()), found, strict=True))


def far(a: dict, b: dict) -> float:
    return max(distance(a[name].numpy(), b[name].numpy()) for name in b)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, of its tracer
@each_method
def test_compiled_whole_it_learns_alike(method):
    net, x, labels, given = example(method)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    plain = gradients(net, x, labels, **given)
    found = torch.autograd.grad(functional.cross_entropy(compiled(x, **given), labels), list(net.parameters()))
    assert far(dict(zip(plain, found, strict=True)), plain) <= EXACT


def test_compiling_before_a_convolution_has_its_direct_feedback_is_refused():
    compiled = torch.compile(convert(convertible("cnn"), "dfa"), fullgraph=True, backend="aot_eager")
    with pytest.raises(Exception, match="run the module once before"):
        compiled(images()[0])


@each_method
def test_gradients_of_examples_apart_by_vmap_add_up(method):
    net, x, labels, given = example(method)

    def loss(parameters, x, label, given):
        one = {name: values[None] for name, values in given.items()}
        return functional.cross_entropy(functional_call(net, parameters, x[None], one), label[None])

    parameters = {name: p.detach() for name, p in net.named_parameters()}
    scaled = {name: len(x) * values for name, values in given.items()}
    each = vmap(grad(loss), (None, 0, 0, 0))(parameters, x, labels, scaled)
    assert far({name: values.mean(0) for name, values in each.items()}, gradients(net, x, labels, **given)) <= EXACT


@each_method
def test_passes_in_several_threads_keep_apart(method):
    net, x, labels, given = example(method)
    alone = [gradients(net, x[i:], labels[i:], **{k: v[i:] for k, v in given.items()}) for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            jobs = [
                pool.submit(gradients, net, x[i:], labels[i:], **{k: v[i:] for k, v in given.items()}) for i in range(4)
            ]
            assert max(far(job.result(), own) for job, own in zip(jobs, alone, strict=True)) <= EXACT


def test_data_parallel_takes_it():
    net, x, *_ = example("dfa")
    assert torch.equal(nn.DataParallel(net)(x), net(x))


@each_method
def test_a_copy_made_after_a_pass_that_failed_is_whole(method):
    net, x, labels, given = example(method)
    with pytest.raises((ConfigError, RuntimeError)):
        net(x[:, :, :3], **given)
    assert far(gradients(copy.deepcopy(net), x, labels, **given), gradients(net, x, labels, **given)) == 0


@each_method
def test_gradients_of_examples_apart_by_opacus_add_up(method):
    pytest.importorskip("opacus")
    net, x, labels, given = example(method)
    plain = gradients(net, x, labels, **given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        private = gn.torch.for_opacus(net)
        functional.cross_entropy(private(x, **given), labels).backward()
    found = {name: p.grad_sample.mean(0) for name, p in net.named_parameters()}
    assert far(found, plain) <= EXACT


def test_opacus_is_refused_layers_that_mix_examples():
    pytest.importorskip("opacus")
    net = convert(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), "fa")
    assert "1, BatchNorm1d, keeps statistics" in refusal(ConfigError, gn.torch.for_opacus, net)


@pytest.mark.parametrize("method", ["fa", "dfa"])
def test_activations_computed_anew_learn_alike_or_are_refused(method):
    class Frugal(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 5)), nn.Linear(5, 4)
            self.frugal = True

        def forward(self, x):
            return self.head(checkpoint(self.body, x, use_reentrant=False) if self.frugal else self.body(x))

    net, x = convert(Frugal(), method).double(), torch.rand(3, 6).double()
    labels = torch.tensor([0, 1, 3])
    if method == "dfa":
        assert "ran outside of a pass" in refusal(ConfigError, gradients, net, x, labels)
        return
    found = gradients(net, x, labels)
    net.frugal = False
    assert far(found, gradients(net, x, labels)) <= EXACT


def test_a_warning_says_once_that_the_inputs_gradient_is_the_methods():
    original, (x, labels) = convertible("mlp"), images()
    net = convert(original, "fa")
    x.requires_grad_()
    with pytest.warns(UserWarning, match=r"fa: the gradient of this module's input is the method's"):
        loss = functional.cross_entropy(net(x), labels)
    gradient = torch.autograd.grad(loss, x)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net(x)
        convert(original, "dfa")(x.detach())
    true = torch.autograd.grad(functional.cross_entropy(original(x), labels), x)[0]
    assert distance(gradient.numpy(), true.numpy()) > 0.1
    found = original.load_state_dict(net.state_dict(), strict=False)  # as the warning says
    assert not found.missing_keys and len(found.unexpected_keys) == len(feedback_layers(net))


@pytest.mark.parametrize("method", ["ifa", "dtp"])
def test_chains_learn_in_plain_passes_of_any_type_and_refuse_to_be_traced(method):
    net, x, labels = convert(convertible("mlp"), method), *images()
    parameters = {name: p.detach() for name, p in net.named_parameters()}

    def loss(parameters):
        return functional.cross_entropy(functional_call(net, parameters, (x,)), labels)

    assert "not for torch.compile and torch.func" in refusal(ConfigError, grad(loss), parameters)
    with pytest.raises(Exception, match="not for torch"):
        torch.compile(net, fullgraph=True, backend="aot_eager")(x)
    with torch.no_grad():
        assert torch.equal(net(x), convertible("mlp")(x))
    small = copy.deepcopy(net).float()
    with torch.autocast("cpu", torch.bfloat16):
        C = functional.cross_entropy(small(x.float()).float(), labels)
    found = torch.autograd.grad(C, small[1].weight)[0]
    assert found.dtype == torch.float32
    true = torch.autograd.grad(functional.cross_entropy(net(x), labels), net[1].weight)[0]
    assert distance(found.numpy(), true.numpy()) < 0.1


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, of its tracer
def test_mirrors_are_compiled_whole():
    net, x, labels, _ = example("wm")
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    found = []
    for module in (compiled, net):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            C = functional.cross_entropy(module(x), labels)  # compiled, the noise is drawn on the way back
            found.append(torch.autograd.grad(C, list(net.parameters()), materialize_grads=True))
    assert max(float((a - b).abs().max()) for a, b in zip(*found, strict=True)) <= EXACT


@pytest.mark.parametrize("method", ["wm", "ifa", "dtp"])
def test_opacus_is_refused_methods_without_a_gradient_of_one_example(method):
    pytest.importorskip("opacus")
    net = convert(convertible("mlp"), method)
    assert f"1 learns by {method}" in refusal(ConfigError, gn.torch.for_opacus, net)


def test_a_second_derivative_is_refused_and_not_the_methods():
    net, x, labels, _ = example("fa")
    first = torch.autograd.grad(functional.cross_entropy(net(x), labels), list(net.parameters()), create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        first[0].square().sum().backward()
