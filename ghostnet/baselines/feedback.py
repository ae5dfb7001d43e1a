"""Layers whose error goes down by other weights than W; all else is torch's own: forward pass, types, gradient of W.

A layer gives its W and bias the true local gradient, from the error δ that reaches its output. What it hands to those
below, where BP would hand W^T δ, is B^T δ (FA, B of W's shape) or B^T e (DFA, B (outputs, inputs), e the error at the
network's outputs). Between layers (transfer functions, pooling, flattening, dropout) autograd goes on as ever, so
the δ of a lower layer is B^T δ ⊙ f' or B^T e ⊙ f'.

A layer sees its input detached, so that autograd's own error ends there; `_Handover` sends another one on. B is taken
in the type of what it multiplies, as torch's layers take W under autocast.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.grad import conv2d_input

from ghostnet.errors import ConfigError

Back: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # δ, B: δ through a layer of B
Carry: TypeAlias = Callable[[torch.Tensor, Back, torch.Size], torch.Tensor]  # δ, back, shape of x: what goes down


class Signal:
    """Carries e of one forward pass from its last layer to those below; a new one for every pass."""

    error: torch.Tensor | None = None


class _Handover(torch.autograd.Function):
    """y as it is; backward, δ goes to y's own graph, its sum to the bias, and `carry` says what goes to x.

    The bias is here because torch's own sum over a convolution's pixels rounds a hundred times as much in float32.
    """

    @staticmethod
    def forward(
        ctx: Any, y: torch.Tensor, x: torch.Tensor, bias: torch.Tensor | None, units: int,
        carry: Callable[[torch.Tensor], torch.Tensor],
    ) -> torch.Tensor:  # fmt: skip
        ctx.carry = carry
        ctx.units = units % y.ndim
        ctx.to = (x.dtype, None if bias is None else bias.dtype)
        ctx.mark_dirty(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        others = [dim for dim in range(delta.ndim) if dim != ctx.units]
        below = ctx.carry(delta).to(ctx.to[0]) if ctx.needs_input_grad[1] else None
        bias = (delta.sum(others) if others else delta).to(ctx.to[1]) if ctx.needs_input_grad[2] else None
        return delta, below, bias, None, None


def linear(layer: torch.nn.Linear, x: torch.Tensor, carry: Carry) -> torch.Tensor:
    """W x + b; backward, `carry(δ, back, shape of x)` says what goes down: back(δ, B) is δ through a layer of B."""
    y, shape = functional.linear(x.detach(), layer.weight, _detached(layer.bias)), x.shape
    return _Handover.apply(y, x, layer.bias, -1, lambda delta: carry(delta, torch.matmul, shape))


def conv2d(layer: torch.nn.Conv2d, x: torch.Tensor, carry: Carry) -> torch.Tensor:
    """The layer's convolution; backward, as `linear`."""
    geometry, shape = (layer.stride, layer.padding, layer.dilation, layer.groups), x.shape
    # torch's stubs have an overload for either kind of padding, and none for Conv2d's own, which may be of both.
    y = functional.conv2d(x.detach(), layer.weight, _detached(layer.bias), *geometry)  # type: ignore[arg-type]

    def back(delta: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
        images = (math.prod(shape[:-3]), *shape[-3:])  # a single image comes without a batch
        return conv2d_input(images, B, delta.reshape(-1, *delta.shape[-3:]), *geometry).reshape(shape)

    return _Handover.apply(y, x, layer.bias, -3, lambda delta: carry(delta, back, shape))


def _detached(bias: torch.Tensor | None) -> torch.Tensor | None:
    return None if bias is None else bias.detach()


def align(B: torch.Tensor) -> Carry:
    """FA: down goes what the layer would hand down if its weights were B."""
    return lambda delta, back, shape: back(delta, B.to(delta.dtype))


def direct(B: torch.Tensor, signal: Signal, last: bool) -> Carry:
    """DFA: down goes B^T e, shaped as the layer's input; the last layer knows e, all others read it."""

    def carry(delta: torch.Tensor, back: Back, shape: torch.Size) -> torch.Tensor:
        if last:
            signal.error = delta
        if signal.error is None:
            raise ConfigError("dfa: a layer learned before the last one; expected one chain of layers, last one last")
        below = signal.error @ B.to(signal.error.dtype)
        if below.numel() != math.prod(shape):
            raise ConfigError(
                f"dfa: a layer's input has shape {tuple(shape)}, the outputs' error {tuple(signal.error.shape)}; "
                "expected an error for every example, the same number in all layers"
            )
        return below.reshape(shape)

    return carry
