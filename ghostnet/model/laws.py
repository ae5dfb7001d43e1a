"""The elementwise laws of a network, each written once: every engine compiles this text."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
from dataclasses import dataclass

import numpy as np

from ghostnet.errors import ConfigError
from ghostnet.model.lowering import PRIMITIVES, Law, functions, lower, numbers
from ghostnet.primitives import abs, exp, log1p, maximum, minimum, sigmoid, tanh, where

_STEP = 1e-4  # of the differences that a slope is compared with
_FAR = 1e3  # an activity that no network has
_TOLERANCE = 1e-3  # of the comparison, relative to the largest slope


@dataclass(frozen=True)
class Laws:
    """Some laws that belong together; checked on construction."""

    def __post_init__(self) -> None:
        ours = (__name__, sigmoid.__module__)  # the tests check those of this file, not every start
        if not all(getattr(law, "__module__", None) in ours for law in self.laws):
            self.check()

    def check(self) -> None:
        """Raises ConfigError as construction does."""
        for law in self.laws:
            require_lawful(law)

    @property
    def laws(self) -> tuple[Law, ...]:
        """Its functions, in the order of its arguments."""
        values = (getattr(self, spec.name) for spec in dataclasses.fields(self))
        return tuple(value for value in values if not isinstance(value, str | None))

    @property
    def identity(self) -> str:
        """What others do not have that compute something else."""
        return hashlib.sha256(" ".join(map(identity, self.laws)).encode()).hexdigest()

    def describe(self) -> dict[str, str]:
        """What decides its values: the text of its functions, and a digest of it and of the numbers in it."""
        told = [(_source(law), numbers(law) if law not in PRIMITIVES else []) for law in self.laws]
        return {
            "source": "\n".join(dict.fromkeys(text for text, _ in told)),
            "sha256": hashlib.sha256(repr(told).encode()).hexdigest(),
        }


@dataclass(frozen=True)
class Transfer(Laws):
    """A transfer function ρ of pyramidal and ghost units.

    Args:
        rho: the firing rate ρ(s), elementwise, written with `ghostnet.primitives`.
        slope: its derivative ρ'(s) as slope(s, r), where r = ρ(s) is given too.

    Raises:
        ConfigError: on construction, where a law uses more than the primitives, or the slope is not the derivative.

    Examples:
        >>> gn.Transfer(gn.primitives.tanh, lambda s, r: 1 - r * r).bounds
        (-1.0, 1.0)
    """

    rho: Law
    slope: Law

    def check(self) -> None:
        super().check()
        _require_derivative(self)

    @functools.cached_property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest rate; infinite where rates go on growing."""
        rates = np.asarray(self.rho(np.linspace(-_FAR, _FAR, 2001)) + np.zeros(2001))
        least, greatest = (round(float(rate), 3) for rate in (rates.min(), rates.max()))
        return (least if abs(least) < _FAR / 2 else -np.inf), (greatest if abs(greatest) < _FAR / 2 else np.inf)

    @functools.cached_property
    def steepest(self) -> float:
        """The largest slope."""
        s = np.linspace(-10, 10, 2001)
        return float(np.max(np.abs(self.slope(s, self.rho(s)) + np.zeros(2001))))


@dataclass(frozen=True)
class Cost(Laws):
    """What an output unit's rate costs; C is the sum over the units, of one example.

    Args:
        value: C(y, r) of a target y and a rate r, elementwise, written with `ghostnet.primitives`.
        error: -∂C/∂r as error(y, s, r), where s is the activity that gives r: the nudge is e_N = β error.
        slope: the error's derivative by s, as slope(y, s, r, d) with d = ρ'(s).
        transfer: the only transfer function that error and slope are right for; None: any.

    Raises:
        ConfigError: on construction, where a law uses more than the primitives, or is not the derivative it should be.

    Examples:
        >>> cost = gn.Cost(lambda y, r: (y - r) * (y - r), lambda y, s, r: 2 * (y - r), lambda y, s, r, d: -2 * d)
        >>> cost.error(1.0, 0.0, 0.5)
        1.0
    """

    value: Law
    error: Law
    slope: Law
    transfer: str | None = None

    def check(self) -> None:
        super().check()
        _require_descent(self)


def _require_descent(cost: Cost) -> None:
    """Compare the error with differences of the value by the rate, and the slope with those of the error by s."""
    transfer, s = TRANSFERS[cost.transfer or "sigmoid"], np.linspace(-3.003, 3.001, 301)
    r = transfer.rho(s)
    for y in (0.0, 0.3, 1.0):
        with np.errstate(all="ignore"):
            values = [cost.value(y, r + h) + 0 * s for h in (-_STEP, _STEP)]
            errors = [cost.error(y, s + h, transfer.rho(s + h)) + 0 * s for h in (-_STEP, _STEP)]
            pairs = (
                ("error", cost.error, cost.error(y, s, r) + 0 * s, (values[0] - values[1]) / (2 * _STEP)),
                ("slope", cost.slope, cost.slope(y, s, r, transfer.slope(s, r)) + 0 * s,
                 (errors[1] - errors[0]) / (2 * _STEP)),
            )  # fmt: skip
        for what, law, given, wanted in pairs:
            wrong = ~(np.abs(given - wanted) <= _TOLERANCE * np.maximum(1, np.abs(wanted)))
            if wrong.mean() > 0.05:  # a corner may be met
                at = int(np.argmax(wrong))
                raise ConfigError(
                    f"{what} {law.__qualname__} of cost {cost.value.__qualname__}: {given[at]:.6g} at y = {y:g}, "
                    f"s = {s[at]:.4g}, where {wanted[at]:.6g} follows from differences; give "
                    + ("the derivative of the value by r, negative" if what == "error" else "the derivative by s")
                )


_CALLABLE = {name: primitive for primitive, name in PRIMITIVES.items()}


def require_lawful(law: Law) -> None:
    """Raise ConfigError where a law uses more than the primitives."""
    lower(law, _CALLABLE)


def _require_derivative(transfer: Transfer) -> None:
    """Compare the slope with differences over a grid, away from corners, where the one-sided differences disagree."""
    s = np.linspace(-6.003, 6.001, 1201)
    with np.errstate(all="ignore"):
        below, here, above = (np.asarray(transfer.rho(s + h) + 0 * s) for h in (-_STEP, 0.0, _STEP))
        slope = np.asarray(transfer.slope(s, here) + 0 * s)
        left, right = (here - below) / _STEP, (above - here) / _STEP
    scale = max(1.0, float(np.nanmax(np.abs(right))) if np.isfinite(right).any() else 1.0)
    rise, smooth = (left + right) / 2, np.abs(left - right) <= 0.01 * scale
    wrong = ~np.isfinite(here) | ~np.isfinite(slope) | (smooth & (np.abs(slope - rise) > _TOLERANCE * scale))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ConfigError(
            f"slope {transfer.slope.__qualname__} of transfer {transfer.rho.__qualname__}: {slope[at]:.6g} at s = "
            f"{s[at]:.4g}, where rho is {here[at]:.6g} and rises by {rise[at]:.6g}; give its derivative"
        )


@functools.cache
def identity(law: Law) -> str:
    """A name for a law that one with other values does not have; the same in every process of one Python."""
    if law in PRIMITIVES:
        return PRIMITIVES[law]
    # The code, as several laws may stand on one line of text.
    code = [(c.co_code, c.co_consts, c.co_names) for c in (function.__code__ for function in functions(law))]
    digest = hashlib.sha256(repr((_source(law), numbers(law), code)).encode()).hexdigest()
    return f"{law.__name__.strip('<>')}-{digest[:16]}"


def _source(law: Law) -> str:
    """The text of a law and of the functions that it calls.

    Raises:
        ConfigError: it can't be had, as for what was typed into a plain interpreter.
    """
    try:
        return "".join(inspect.getsource(function) for function in functions(law)) or f"{PRIMITIVES[law]}\n"
    except OSError:
        raise ConfigError(
            f"law {law.__qualname__}: its source can't be read, and every run keeps it; write it in a file or notebook"
        ) from None


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


def leaky_relu(s):
    """The convention of torch.nn.LeakyReLU."""
    return maximum(s, s * 0.01)


def leaky_relu_slope(s, r):
    return where(s > 0.0, 1.0, 0.01)


TRANSFERS = {
    "sigmoid": Transfer(sigmoid, sigmoid_slope),
    "tanh": Transfer(tanh, tanh_slope),
    "hard-sigmoid": Transfer(hard_sigmoid, hard_sigmoid_slope),
    "softplus": Transfer(softplus, softplus_slope),
    "relu": Transfer(relu, relu_slope),
    "leaky-relu": Transfer(leaky_relu, leaky_relu_slope),
}


def squared_error(y, r):
    return 0.5 * (y - r) * (y - r)


def squared_error_descent(y, s, r):
    return y - r


def squared_error_slope(y, s, r, d):
    return -d


def cross_entropy(y, r):
    return -y * log1p(r - 1) - (1 - y) * log1p(-r)


def cross_entropy_descent(y, s, r):
    """(y - r) / (r (1 - r)) of logistic rates, by s: what is lost of 1 - r to rounding is in exp(s)."""
    return y * (1 + exp(-s)) - (1 - y) * (1 + exp(s))


def cross_entropy_slope(y, s, r, d):
    return -y * exp(-s) - (1 - y) * exp(s)


COSTS = {
    "quadratic": Cost(squared_error, squared_error_descent, squared_error_slope),
    "cross-entropy": Cost(cross_entropy, cross_entropy_descent, cross_entropy_slope, transfer="sigmoid"),
}


def imitation(s_above, g):
    """(4): ghosts follow the activity of their partners."""
    return s_above - g


def cancellation(e):
    """(5), (15): what is left of the feedback is cancelled."""
    return e


def difference(r, r_forward):
    """(6), (16): target rate minus actual rate."""
    return r - r_forward


def derivative(e, slope):
    """(6), (16) to first order."""
    return slope * e


RULES = {"difference": difference, "derivative": derivative}  # what `rule` of an experiment names
BUILT_IN = frozenset(
    [law for transfer in TRANSFERS.values() for law in (transfer.rho, transfer.slope)]
    + [law for cost in COSTS.values() for law in (cost.value, cost.error, cost.slope)]
    + [imitation, cancellation, *RULES.values()]
)
