"""Laws on tensors, for the torch engine."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ghostnet.model.laws import Transfer, derivative, difference
from ghostnet.model.lowering import PRIMITIVES, Law, arguments, lower
from ghostnet.primitives import Values


def _where(condition: Tensor, x: Values, y: Values) -> Tensor:
    if not isinstance(x, Tensor) and not isinstance(y, Tensor):  # two numbers are of no type: of the most precise one
        x = condition.new_full((), x, dtype=torch.float64)
    return torch.where(condition, x, y)


def _minimum(x: Values, y: Values) -> Tensor:
    if isinstance(x, Tensor) and isinstance(y, Tensor):
        return torch.minimum(x, y)
    return x.clamp(max=y) if isinstance(x, Tensor) else y.clamp(max=x)


def _maximum(x: Values, y: Values) -> Tensor:
    if isinstance(x, Tensor) and isinstance(y, Tensor):
        return torch.maximum(x, y)
    return x.clamp(min=y) if isinstance(x, Tensor) else y.clamp(min=x)


_ = torch.zeros(()) > 0.0  # the first comparison of a process imports something, and laws have no builtins to do so

OWN: dict[str, Law] = {
    "abs": torch.abs, "exp": torch.exp, "log1p": torch.log1p, "maximum": _maximum, "minimum": _minimum,
    "sigmoid": torch.sigmoid, "sqrt": torch.sqrt, "tanh": torch.tanh, "where": _where,
}  # fmt: skip


@functools.cache
def on_tensors(law: Callable) -> Callable:
    """The law as a function of tensors; its value may be a number, or float64, by its text."""
    return lower(law, OWN)


@functools.cache
def is_difference(error: Callable) -> bool:
    """Whether a cost's error is y - r, whatever its text: then one operation does what takes two."""
    y, s, r = np.random.default_rng(0).random((3, 100))
    return np.array_equal(error(y, s, r), y - r)


def put(law: Callable, *tensors: Tensor, out: Tensor) -> Tensor:
    """out = law(*tensors), elementwise; out may be one of them."""
    if law in PRIMITIVES:  # without a tensor in between
        return OWN[PRIMITIVES[law]](*tensors, out=out)
    value = on_tensors(law)(*tensors)
    return out.copy_(value) if isinstance(value, Tensor) else out.fill_(value)


def of(law: Callable, *tensors: Tensor) -> Tensor:
    """law(*tensors), elementwise, of the first one's type."""
    value, like = on_tensors(law)(*tensors), tensors[0]
    return value.to(like.dtype) if isinstance(value, Tensor) else torch.full_like(like, value)


def post_of_unit(law: Callable, transfer: Transfer, s: Tensor, r: Tensor, e: Tensor, out: Tensor) -> None:
    """out = the postsynaptic factor of W's or W_gp's rule; what the law does not ask for is not computed."""
    if law is difference:
        put(transfer.rho, torch.sub(s, e, out=out), out=out)
        torch.sub(r, out, out=out)
    elif law is derivative:
        put(transfer.slope, s, r, out=out).mul_(e)
    else:
        known = {"s": lambda: s, "r": lambda: r, "e": lambda: e, "slope": lambda: of(transfer.slope, s, r),
                 "r_forward": lambda: of(transfer.rho, s - e)}  # fmt: skip
        put(law, *(known[name]() for name in arguments(law)), out=out)
