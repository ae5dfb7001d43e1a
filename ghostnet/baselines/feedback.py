"""What goes down in place of BP's W^T δ, for torch's autograd; all else is torch's own: forward pass, types, ∂C/∂W.

    aligned   δ through the layer with B for W, a layer's own operation transposed       (FA and its kin)
    token     B^T e, e the error at the outputs: a link from the outputs to any layer's input   (DFA)
    sent      whatever a function makes of e, for the inputs of all layers                      (IFA, DTP)
    taught    δ, and for a B that learns a gradient that is known already, whatever δ is        (WM, DTP)

A layer sees its input detached, so that autograd's own error ends there, and W and the bias get the true local
gradient; the first three send another error on. Between layers (transfer functions, pooling, normalisation, sums)
autograd goes on as ever. All are plain functions of tensors: `torch.compile`, `torch.func` and threads take them as
they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Geometry(NamedTuple):
    """How a convolution lies on its input."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool
    output_padding: tuple[int, ...]
    groups: int


def aligned(y: Tensor, x: Tensor, B: Tensor, geometry: Geometry | None) -> Tensor:
    """y of a layer that saw x detached; backward, x gets δ through a layer of weights B.

    Args:
        geometry: of a convolution; None for a dense layer.
    """
    return _Aligned.apply(y, x, B, geometry)


def token(x: Tensor, B: Tensor) -> Tensor:
    """Zeros (…, outputs) for the x (…, *features) of a layer; the gradient e that they get is B^T e for x.

    Args:
        B: (outputs, *features).
    """
    return _Token.apply(x, B)


def joined(y: Tensor, positions: int, targets: Tensor | None, tokens: list[Tensor]) -> Tensor:
    """The outputs y as they are; backward, every token gets e, or the targets in its place.

    Args:
        positions: how many last dimensions of y are positions, which e is summed over. A token's further positions,
            between the examples and the outputs, get the e of their example each.
    """
    return _Joined.apply(y, positions, targets, *tokens)


def sent(y: Tensor, positions: int, send: Callable[[Tensor], list[Tensor]], tokens: list[Tensor]) -> Tensor:
    """The outputs y as they are; backward, the tokens get send(e), one each.

    Args:
        positions: as for `joined`.
    """
    return _Sent.apply(y, positions, send, *tokens)


def taught(y: Tensor, B: Tensor, gradient: Tensor) -> Tensor:
    """y as it is; backward, B gets this gradient."""
    return _Taught.apply(y, B, gradient)


def concordant(M: Tensor, W: Tensor) -> Tensor:
    """The feedback weights of magnitudes M and signs of W, |M| ⊙ sign W (Liao et al. 2016, arXiv:1510.05067)."""
    return M.abs() * W.sign()


class _Aligned(torch.autograd.Function):
    """A copy of y, as a view of it could not be changed in place, by ReLU(inplace=True) for one."""

    generate_vmap_rule = True

    @staticmethod
    def forward(y: Tensor, x: Tensor, B: Tensor, geometry: Geometry | None) -> Tensor:
        return y.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        _, x, B, ctx.geometry = inputs
        ctx.shape, ctx.dtype = x.shape, x.dtype
        ctx.save_for_backward(B)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        (B,) = ctx.saved_tensors
        B = B.to(delta.dtype)
        below = delta @ B if ctx.geometry is None else _convolved(delta, B, ctx.shape, ctx.geometry)
        return delta, below.to(ctx.dtype), None, None


def _convolved(delta: Tensor, B: Tensor, shape: torch.Size, geometry: Geometry) -> Tensor:
    """δ back through a convolution of B to an input of this shape, with or without a batch."""
    spatial = len(geometry.stride)
    examples = math.prod(shape[: -spatial - 1])
    delta = delta.reshape(examples, *delta.shape[-spatial - 1 :])
    input = delta.new_empty(()).expand(examples, *shape[-spatial - 1 :])  # its shape alone is asked for
    mask = (True, False, False)
    below, _, _ = torch.ops.aten.convolution_backward(delta, input, B, None, *geometry, mask)
    return below.reshape(shape)


class _Token(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, B: Tensor) -> Tensor:
        return x.new_zeros((*x.shape[: x.ndim - B.ndim + 1], B.shape[0]))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        x, B = inputs
        ctx.shape = x.shape
        ctx.save_for_backward(B)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, e: Tensor) -> tuple[Tensor, None]:
        (B,) = ctx.saved_tensors
        return (e @ B.to(e.dtype).flatten(1)).reshape(ctx.shape), None


class _Joined(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(y: Tensor, positions: int, targets: Tensor | None, *tokens: Tensor) -> Tensor:
        return y.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        _, ctx.positions, targets, *tokens = inputs
        ctx.tokens = [(token.shape, token.dtype) for token in tokens]
        ctx.save_for_backward(targets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        (e,) = ctx.saved_tensors
        if e is None:
            e = delta.flatten(-ctx.positions).sum(-1) if ctx.positions else delta
        return delta, None, None, *(_spread(e, shape).to(dtype) for shape, dtype in ctx.tokens)


def _spread(e: Tensor, shape: torch.Size) -> Tensor:
    """e (examples, outputs) at every position of an example, (examples, positions, outputs)."""
    return e.reshape(*e.shape[:-1], *(1,) * (len(shape) - e.ndim), e.shape[-1]).expand(shape)


class _Sent(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, positions: int, send: Callable[[Tensor], list[Tensor]], *tokens: Tensor) -> Tensor:
        ctx.positions, ctx.send = positions, send
        ctx.dtypes = [token.dtype for token in tokens]
        return y.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        e = delta.flatten(-ctx.positions).sum(-1) if ctx.positions else delta
        return delta, None, None, *(error.to(dtype) for error, dtype in zip(ctx.send(e), ctx.dtypes, strict=True))


class _Taught(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(y: Tensor, B: Tensor, gradient: Tensor) -> Tensor:
        return y.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.save_for_backward(inputs[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor, Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return delta, gradient, None
