"""What laws are written with: import these, and add arithmetic, comparisons and numbers.

    from ghostnet.primitives import exp, log1p, maximum

    def softplus(s):
        return maximum(s, 0) + log1p(exp(-abs(s)))

A law is a plain function: as it stands it takes floats, NumPy arrays and tensors, elementwise. To run it inside a
kernel, an engine puts its own versions of these functions in their place (`ghostnet.model.lowering`), which is why a
law may use no others.
"""

from __future__ import annotations

import builtins
from typing import Any, TypeAlias

import numpy as np

__all__ = ("abs", "exp", "log1p", "maximum", "minimum", "sigmoid", "sqrt", "tanh", "where")

Values: TypeAlias = Any  # a float, a NumPy array, a tensor: whatever is elementwise


def exp(x: Values) -> Values:
    """e to the power of x."""
    return _functions_for(x).exp(x)


def log1p(x: Values) -> Values:
    """The logarithm of 1 + x, precise for small x."""
    return _functions_for(x).log1p(x)


def tanh(x: Values) -> Values:
    """Hyperbolic tangent."""
    return _functions_for(x).tanh(x)


def sigmoid(x: Values) -> Values:
    """1 / (1 + exp(-x)), without overflow."""
    return 0.5 * (1 + tanh(0.5 * x))


def sqrt(x: Values) -> Values:
    """Square root."""
    return _functions_for(x).sqrt(x)


def abs(x: Values) -> Values:
    """Absolute value."""
    return builtins.abs(x)


def minimum(x: Values, y: Values) -> Values:
    """The smaller of two; of arrays, elementwise."""
    return where(x < y, x, y)


def maximum(x: Values, y: Values) -> Values:
    """The greater of two; of arrays, elementwise."""
    return where(x > y, x, y)


def where(condition: Values, x: Values, y: Values) -> Values:
    """x where the condition, a comparison, holds, else y."""
    return _functions_for(condition).where(condition, x, y)[()]


def _functions_for(x: Values) -> Any:
    """NumPy for floats and its own arrays, else the array's own library (array-api-compat's names for torch)."""
    if isinstance(x, (bool, int, float, np.generic, np.ndarray)):
        return np
    from array_api_compat import array_namespace  # here, because NumPy alone needs none

    return array_namespace(x)
