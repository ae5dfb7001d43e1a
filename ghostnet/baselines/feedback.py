"""Autograd functions of layers whose error goes down by other weights than W; the forward pass is torch's own.

A layer gives its W and bias the true local gradient, from the error δ that reaches its output. What it hands to those
below, where BP would hand W^T δ, is B^T δ (FA, B of W's shape) or B^T e (DFA, B (outputs, inputs), e the error at the
network's outputs). Between layers (transfer functions, pooling, flattening, dropout) autograd goes on as ever, so
the δ of a lower layer is B^T δ ⊙ f' or B^T e ⊙ f'.
"""

from __future__ import annotations

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ghostnet.errors import ConfigError


class Signal:
    """Carries e of one forward pass from its last layer to those below; a new one for every pass."""

    error: torch.Tensor | None = None


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, carry):
        ctx.save_for_backward(x)
        ctx.carry, ctx.bias = carry, bias is not None
        return functional.linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, delta):
        (x,) = ctx.saved_tensors
        rows = delta.reshape(-1, delta.shape[-1])
        weight = rows.mT @ x.reshape(-1, x.shape[-1]) if ctx.needs_input_grad[1] else None
        bias = rows.sum(0) if ctx.bias else None
        below = ctx.carry(delta, x, lambda B: delta @ B) if ctx.needs_input_grad[0] else None
        return below, weight, bias, None


class _Conv2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, carry, geometry):
        ctx.save_for_backward(x)
        ctx.carry, ctx.bias, ctx.shape, ctx.geometry = carry, bias is not None, weight.shape, geometry
        return functional.conv2d(x, weight, bias, *geometry)

    @staticmethod
    @once_differentiable
    def backward(ctx, delta):
        (x,), geometry = ctx.saved_tensors, ctx.geometry
        weight = torch.nn.grad.conv2d_weight(x, ctx.shape, delta, *geometry) if ctx.needs_input_grad[1] else None
        bias = delta.sum((0, 2, 3)) if ctx.bias else None

        def by_shape_of_weight(B: torch.Tensor) -> torch.Tensor:
            return torch.nn.grad.conv2d_input(x.shape, B, delta, *geometry)

        below = ctx.carry(delta, x, by_shape_of_weight) if ctx.needs_input_grad[0] else None
        return below, weight, bias, None, None


def linear(layer: torch.nn.Linear, x: torch.Tensor, carry) -> torch.Tensor:
    """W x + b; backward, `carry` says what goes down."""
    return _Linear.apply(x, layer.weight, layer.bias, carry)


def conv2d(layer: torch.nn.Conv2d, x: torch.Tensor, carry) -> torch.Tensor:
    """The layer's convolution; backward, `carry` says what goes down."""
    geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
    return _Conv2d.apply(x, layer.weight, layer.bias, carry, geometry)


def align(B: torch.Tensor):
    """FA: down goes what the layer would hand down if its weights were B."""
    return lambda delta, x, by_shape_of_weight: by_shape_of_weight(B)


def direct(B: torch.Tensor | None, signal: Signal, last: bool):
    """DFA: down goes B^T e, shaped as the layer's input; the last layer knows e, all others read it."""

    def carry(delta, x, by_shape_of_weight):
        if last:
            signal.error = delta
        if signal.error is None:
            raise ConfigError("dfa: a layer learned before the last one; expected one chain of layers, last one last")
        return (signal.error @ B).reshape(x.shape)

    return carry
