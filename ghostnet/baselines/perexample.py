"""Gradients of every example apart, of torch modules: clipped, for the convolutional baselines, and for Opacus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, grad_and_value, vmap

from ghostnet.baselines.chains import Indirect, TargetPropagation
from ghostnet.baselines.layers import Feedback, KolenPollack, Mirrored, Upward
from ghostnet.baselines.privacy import factors
from ghostnet.errors import ConfigError

_APART = 64  # examples whose gradients are in memory together
Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]  # the mean over examples, from a module, their x and labels


def clipped_sums(
    net: nn.Module, learning: Sequence[Tensor], loss: Loss, x: Tensor, labels: Tensor, clip: float
) -> tuple[list[Tensor], Tensor]:
    """Σ over examples of their gradients, each scaled to a norm of at most `clip`, and the examples' losses.

    What a module draws at a pass, such as dropout and BRSF's feedback, is drawn for every example. KP's B gets what W
    gets, as ever; it is counted once.

    Args:
        learning: parameters of `net`, all together the gradient whose norm counts; the sums are in their order.
    """
    whole = _Measured(net, loss)
    names = {id(p): name for name, p in whole.named_parameters()}
    sources = [names[id(_source(net, p))] for p in learning]
    held = {name: p.detach() for name, p in whole.named_parameters()}
    given = {name: held[name] for name in sources}

    def of_one(parameters: dict, x: Tensor, label: Tensor) -> Tensor:
        return functional_call(whole, held | parameters, (x[None], label[None]))

    each = vmap(grad_and_value(of_one), (None, 0, 0), randomness="different")
    sums, losses = {name: torch.zeros_like(p) for name, p in given.items()}, [x.new_zeros(0)]
    for start in range(0, len(x), _APART):
        gradients, found = each(given, x[start : start + _APART], labels[start : start + _APART])
        squares = [gradient.flatten(1).square().sum(1) for gradient in gradients.values()]
        factor = factors(torch.stack(squares).sum(0).sqrt(), clip)
        for name, gradient in gradients.items():
            sums[name] += torch.tensordot(factor, gradient, 1)
        losses.append(found)
    return [sums[name] for name in sources], torch.cat(losses)


class _Measured(nn.Module):
    """A module with its loss, for torch.func.functional_call."""

    def __init__(self, net: nn.Module, loss: Loss):
        super().__init__()
        self.net, self.loss = net, loss

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return self.loss(self.net, x, labels)


def _source(net: nn.Module, parameter: Tensor) -> Tensor:
    """The parameter whose gradient this one gets: W for KP's B, else itself."""
    pairs = (layer for layer in net.modules() if isinstance(layer, KolenPollack))
    return next((layer.weight for layer in pairs if layer.feedback is parameter), parameter)


def for_opacus(net: nn.Module) -> Any:
    """The module as Opacus' GradSampleModule, which `PrivacyEngine.make_private` takes as it is.

    Opacus by itself refuses layers with buffers, as batch statistics leak; B knows nothing of the examples.

    Raises:
        ConfigError: Opacus is not installed, another layer has parameters and buffers, as BatchNorm does, or the module
            learns by WM, IFA or DTP.

    Examples:
        >>> net = gn.torch.for_opacus(gn.torch.convert(gn.torch.mlp(4, 3, 2), "fa"))
        >>> type(net).__name__
        'GradSampleModule'
    """
    try:
        from opacus.grad_sample import GradSampleModule, register_grad_sampler
    except ImportError as error:
        raise ConfigError("for_opacus: needs Opacus; install the extra [dp]") from error
    for name, layer in net.named_modules():
        if isinstance(layer, Mirrored | Indirect | TargetPropagation):
            raise ConfigError(
                f"for_opacus: {name} learns by {layer.method}, which has no gradient of one example apart"
            )
        if isinstance(layer, Feedback):
            register_grad_sampler(type(layer))(_per_example)
        elif any(True for _ in layer.parameters(False)) and any(True for _ in layer.buffers(False)):
            kind = type(layer).__name__
            raise ConfigError(
                f"for_opacus: {name}, {kind}, keeps statistics of the examples; expected none, as GroupNorm"
            )
    return GradSampleModule(net, strict=False)


def _per_example(layer: Feedback, activations: list[Tensor], delta: Tensor) -> dict[nn.Parameter, Tensor]:
    """∂C/∂W of every example (n, …), from inputs and errors δ of the layer."""
    unhooked = Upward(layer)
    own = {name: p for name, p in unhooked.named_parameters() if p.requires_grad}
    if not len(delta):  # a Poisson sample may be of no example
        return {p: p.new_zeros(0, *p.shape) for p in own.values()}

    def product(parameters: dict, x: Tensor, delta: Tensor) -> Tensor:
        return (functional_call(unhooked, parameters, x[None]) * delta[None]).sum()

    values = {name: p.detach() for name, p in own.items()}
    found = vmap(grad(product), (None, 0, 0))(values, activations[0].detach(), delta)
    return {own[name]: gradient for name, gradient in found.items()}
