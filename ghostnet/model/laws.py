"""The elementwise laws of a network, each written once: every engine compiles this text."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass

from ghostnet.errors import require_known
from ghostnet.model.lowering import PRIMITIVES, constants, functions
from ghostnet.primitives import abs, exp, log1p, maximum, minimum, sigmoid, tanh, where


@dataclass(frozen=True)
class Transfer:
    """A transfer function ρ of pyramidal and ghost units.

    rho(s): the firing rate. slope(s, r): its derivative ρ'(s), given r = ρ(s) too. Both are written with
    `ghostnet.primitives`, elementwise.
    """

    rho: Callable
    slope: Callable


def sigmoid_slope(s, r):
    return r - r * r


def tanh_slope(s, r):
    return 1 - r * r


def hard_sigmoid(s):
    """The convention of torch.nn.Hardsigmoid."""
    return minimum(maximum(s * (1 / 6) + 0.5, 0.0), 1.0)


def hard_sigmoid_slope(s, r):
    return where(s * s < 9.0, 1 / 6, 0.0)


def softplus(s):
    return maximum(s, 0.0) + log1p(exp(-abs(s)))


def softplus_slope(s, r):
    return sigmoid(s)


def relu(s):
    return maximum(s, 0.0)


def relu_slope(s, r):
    return where(s > 0.0, 1.0, 0.0)


TRANSFERS = {
    "sigmoid": Transfer(sigmoid, sigmoid_slope),
    "tanh": Transfer(tanh, tanh_slope),
    "hard-sigmoid": Transfer(hard_sigmoid, hard_sigmoid_slope),
    "softplus": Transfer(softplus, softplus_slope),
    "relu": Transfer(relu, relu_slope),
}


def transfer(name: str) -> Transfer:
    """The transfer function of that name.

    Raises:
        ConfigError: there is none.
    """
    require_known([name], TRANSFERS, "transfer")
    return TRANSFERS[name]


@functools.cache
def identity(law: Callable) -> str:
    """A name for a law that another text does not have, in this process or another."""
    if law in PRIMITIVES:
        return PRIMITIVES[law]
    text = "\n".join(inspect.getsource(function) for function in functions(law))
    digest = hashlib.sha256(f"{text}\n{sorted(constants(law).items())}".encode()).hexdigest()
    return f"{law.__name__}-{digest[:16]}"
