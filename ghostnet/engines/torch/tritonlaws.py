"""Laws in Triton kernels."""

from __future__ import annotations

import functools
import types

import triton
import triton.language as tl

from ghostnet.model.lowering import Law, functions, lower


@triton.jit
def exp(x):
    """e to the power of x."""
    return tl.exp(x)


@triton.jit
def absolute(x):
    """Absolute value."""
    return tl.abs(x)


@triton.jit
def square_root(x):
    """Square root."""
    return tl.sqrt(x)


@triton.jit
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return 1 / (1 + tl.exp(-x))


@triton.jit
def tanh(x):
    """Hyperbolic tangent."""
    return 2 / (1 + tl.exp(-2 * x)) - 1


@triton.jit
def log1p(x):
    """log(1 + x): the logarithm of u = 1 + x, less what the rounding of u has added."""
    u = 1 + x
    return tl.log(u) - ((u - 1) - x) / u


@triton.jit
def minimum(x, y):
    """The smaller of two."""
    return tl.minimum(x, y)


@triton.jit
def maximum(x, y):
    """The greater of two."""
    return tl.maximum(x, y)


@triton.jit
def where(condition, x, y):
    """x where the condition holds, else y."""
    return tl.where(condition, x, y)


OWN = {
    "abs": absolute, "exp": exp, "log1p": log1p, "maximum": maximum, "minimum": minimum, "sigmoid": sigmoid,
    "sqrt": square_root, "tanh": tanh, "where": where,
}  # fmt: skip


def fits(law: Law) -> bool:
    """Whether Triton can read the law: it wants functions of their own (def)."""
    return all(function.__name__ != "<lambda>" for function in functions(law))


@functools.cache
def lowered(law: Law) -> Law:
    """The law as a function that kernels can call."""
    return lower(law, OWN, _jit)


def _jit(function: types.FunctionType) -> Law:
    numbers = {n: tl.constexpr(v) for n, v in function.__globals__.items() if isinstance(v, (int, float))}
    function.__globals__.update(numbers, tl=tl)  # Triton takes numbers from outside only so, and wants to see itself
    return triton.jit(function)
