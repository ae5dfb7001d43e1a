"""Methods for chains of layers, whose signals go from unit to unit: IFA, upwards, and DTP, which inverts each layer.

Of a chain u_k = W_k r_{k-1} + b_k, r_k = f_k(u_k), with ε_k the error that r_k gets, and autograd's δ_k = f' ⊙ ε_k:

    IFA   ε_1 = B^T e,  ε_k = W_k δ_{k-1}                                      Nøkland 2016, arXiv:1609.01596
    DTP   ε_k = r_k - t_k,  t_{N-1} = r_{N-1} - target_step W_N^T e,
          t_k = r_k - g_k(r_{k+1}) + g_k(t_{k+1}),  g_k(r) = f_k(B^T r)        Lee et al. 2015, arXiv:1412.7525
          the B of every layer but the first and the last learns, by the gradient of the mean of
          ½ ‖g_k(f_{k+1}(W_{k+1} h + b_{k+1})) - h‖², h = r_k + noise

A chain is an nn.Sequential, in others or not, of layers and of transfer functions that take units one by one. IFA's
layers may be convolutions, as these are matrices, too; pooling is no part of a chain, as a signal of so many units
would not fit the fewer above it. DTP's inverses, as published, are of dense layers.

W_N^T e is a target for one example, so the loss has to be a mean over examples, as torch's losses are.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ghostnet.baselines import feedback
from ghostnet.baselines.direct import Connected, Direct, Pass
from ghostnet.baselines.layers import Upward, bound, positions, uniform
from ghostnet.errors import ConfigError
from ghostnet.model.modules import Rate
from ghostnet.model.typed import require

_TRANSFER = (
    nn.CELU, nn.ELU, nn.GELU, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.PReLU,
    nn.ReLU, nn.SELU, nn.SiLU, nn.Sigmoid, nn.Softplus, nn.Softsign, nn.Tanh, Rate,
)  # fmt: skip
_PASSING = (nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout)


class Indirect(Direct):
    """IFA: the B of the second layer brings e to the first, whose signal then climbs by the W."""

    method = "ifa"

    def draw(self, seed: int, index: int, outputs: int | None) -> None:
        require(not self.own_forward, f"ifa: takes layers with torch's own forward pass, and not {self}")
        super().draw(seed, index, outputs)

    @classmethod
    def arrange(cls, net: nn.Module, layers: list[Any]) -> None:
        _chain(cls.method, net)

    def forward(self, x: Tensor, *others: Any) -> Tensor:
        if not torch.is_grad_enabled():
            return self.upward(x, *others)
        under_way = _eager(self)
        if under_way.below is not None:
            self._link(x, under_way.below, under_way)
        y = self.upward(x.detach(), *others)
        if self.head:
            send = functools.partial(_climbed, under_way.links)
            return self.finish(under_way, feedback.sent(y, positions(self), send, under_way.tokens))
        under_way.below = y if y.requires_grad else y.requires_grad_()  # a frozen layer passes its signal on, too
        return y.clone()  # a transfer function in place would change what its slope is asked for

    def climbed(self, delta: Tensor) -> Tensor:
        """W δ of errors at the layer's input."""
        held = {f"layer.{name}": p.detach() for name, p in self.named_parameters()}
        if "layer.bias" in held:
            held["layer.bias"] = torch.zeros_like(held["layer.bias"])
        return functional_call(Upward(self), held, (delta,))

    def _link(self, x: Tensor, below: Tensor, under_way: Pass) -> None:
        """For the head: f' of the units that x is of."""
        (slope,) = torch.autograd.grad(x, below, torch.ones_like(x), retain_graph=True)
        if not under_way.links and self.seed is not None:
            self._fit(x.shape[-1 - positions(self) :], self.seed)
        under_way.links.append((self, slope.reshape(x.shape)))
        under_way.tokens.append(x - x.detach())


def _eager(layer: Connected) -> Pass:
    """The pass under way, if torch is just running it."""
    traced = torch.compiler.is_compiling() or torch._C._functorch.maybe_current_level() is not None
    require(not traced, f"{layer.method}: is for plain passes, and not for torch.compile and torch.func")
    return layer.under_way()


def _climbed(links: list[tuple[Indirect, Tensor]], e: Tensor) -> list[Tensor]:
    """ε_1 … ε_{N-1}, of links of the layers 2 … N."""
    (second, _), errors = links[0], list[Tensor]()
    error = e.to(second.feedback) @ second.feedback.flatten(1)
    for layer, slope in links:
        if error.numel() != slope.numel():
            raise ConfigError(
                f"ifa: the outputs' error is one for each of {tuple(e.shape[:-1])} examples, a layer's input of "
                f"{tuple(slope.shape)}; expected all layers to see the same examples, at one position"
            )
        errors.append(error.reshape(slope.shape))
        if len(errors) < len(links):
            error = layer.climbed((errors[-1] * slope).to(layer.weight))
    return errors


class TargetPropagation(Connected):
    """DTP: every layer gets a target that the inverses of the layers above bring; B is the inverse of this one.

    Attributes:
        feedback: B (outputs, inputs) of the layer, a Parameter.
        target_step: how far the first target is down the gradient.
        feedback_noise: deviation of the noise, by torch's generator, that B learns from at every pass.
        before, after: the transfer functions below and above the layer; `connect` says them.
    """

    method = "dtp"
    target_step = 1.0
    feedback_noise = 0.1
    before: tuple[nn.Module, ...] = ()
    after: tuple[nn.Module, ...] = ()

    def draw(self, seed: int, index: int, outputs: int | None) -> None:
        dense = isinstance(self, nn.Linear) and not self.own_forward
        require(dense, f"dtp: inverses are defined for Linear layers with torch's own forward pass, and not for {self}")
        if outputs is None:
            raise ConfigError("dtp: outputs is left out; give the number of outputs of the network")
        self.outputs = outputs
        B = uniform(self.weight, self.weight.shape, bound(self), seed, index)
        self.register_parameter("feedback", nn.Parameter(B))

    @classmethod
    def arrange(cls, net: nn.Module, layers: list[Any]) -> None:
        between = _chain(cls.method, net)
        for layer, before, after in zip(layers, between, [*between[1:], ()], strict=True):
            layer.before, layer.after = before, after

    def forward(self, x: Tensor, *others: Any) -> Tensor:
        if not torch.is_grad_enabled():
            return self.upward(x, *others)
        under_way, r = _eager(self), x.detach()
        y = self.upward(r, *others)
        if under_way.below is not None:
            under_way.links.append((self, r.to(self.weight)))
            under_way.tokens.append(x - r)
            y = y if self.head else feedback.taught(y, self.feedback, self._learned(r))
        under_way.below = y
        if not self.head:
            return y
        return self.finish(
            under_way, feedback.sent(y, 0, functools.partial(_targets, under_way.links), under_way.tokens)
        )

    def invert(self, r: Tensor) -> Tensor:
        """g(r), what is to come near to this layer's input where r is what it makes of it."""
        return _through(self.before, r @ self.feedback.detach())

    def _learned(self, r: Tensor) -> Tensor:
        """The gradient of B, from noise around the layer's input r."""
        h = r + self.feedback_noise * torch.randn_like(r)
        with torch.no_grad():
            above = _through(self.after, self.upward(h))
        with torch.enable_grad():
            B = self.feedback.detach().requires_grad_()
            loss = (_through(self.before, above @ B) - h).square().sum() / (2 * r[..., 0].numel())
            (gradient,) = torch.autograd.grad(loss, B)
        return gradient


def _through(transfer: tuple[nn.Module, ...], u: Tensor) -> Tensor:
    for f in transfer:
        u = f(u)
    return u


def _targets(links: list[tuple[TargetPropagation, Tensor]], e: Tensor) -> list[Tensor]:
    """ε_1 … ε_{N-1}, of links of the layers 2 … N, from the gradient e of a mean over the examples."""
    (head, r), examples = links[-1], e[..., 0].numel()
    errors = [head.target_step * e.to(r) @ head.weight.detach()]
    target = r - examples * errors[0]
    for layer, below in reversed(links[:-1]):
        moved = layer.invert(r) - layer.invert(target)
        errors.insert(0, moved / examples)
        r, target = below, below - moved
    return errors


def _chain(method: str, net: nn.Module) -> list[tuple[nn.Module, ...]]:
    """The transfer functions below every layer of a chain."""
    between: list[tuple[nn.Module, ...]] = []
    found: list[nn.Module] = []
    layers = [layer for layer in net.modules() if isinstance(layer, Connected)]
    for name, module in _parts("the module itself", net):
        if isinstance(module, Connected):
            first = len(between) < len(layers) and module is layers[len(between)]
            require(first, f"{method}: is for chains of layers; {name} is used a second time")
            between.append(tuple(found))
            found = []
        elif len(between) == len(layers):
            continue  # what comes behind the outputs is differentiated as it stands
        elif isinstance(module, _TRANSFER):
            found.append(module)
        elif not isinstance(module, _PASSING) and (between or any(isinstance(m, Connected) for m in module.modules())):
            raise ConfigError(
                f"{method}: is for chains of layers and of transfer functions that take units one by one, in "
                f"nn.Sequential; {name}, {type(module).__name__}, is none"
            )
    return between


def _parts(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """What an nn.Sequential runs, in turn, with what is inside of others."""
    if type(module).forward is not nn.Sequential.forward:
        yield name, module
        return
    for inner, part in module._modules.items():  # one that stands in two places, twice
        if part is not None:
            yield from _parts(inner, part)
