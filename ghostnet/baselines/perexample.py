"""Gradients of every example apart, for Opacus' differentially private training of converted modules."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from ghostnet.baselines.chains import Indirect, TargetPropagation
from ghostnet.baselines.layers import Feedback, Mirrored, Upward
from ghostnet.errors import ConfigError


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

    def product(parameters: dict, x: Tensor, delta: Tensor) -> Tensor:
        return (functional_call(unhooked, parameters, x[None]) * delta[None]).sum()

    values = {name: p.detach() for name, p in own.items()}
    found = vmap(grad(product), (None, 0, 0))(values, activations[0].detach(), delta)
    return {own[name]: gradient for name, gradient in found.items()}
