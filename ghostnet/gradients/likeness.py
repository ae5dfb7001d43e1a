"""How alike two sets of gradients are, and how the difference divides among causes.

With Δ_i the ghost-unit gradient of example i and T_i its target (both all elements of a layer, or of all layers):

    figure            of one pair (Δ, T)                            norm-weighted mean over examples
    relative_error    ‖Δ - T‖ / ‖T‖                                 Σ ‖Δ_i - T_i‖ / Σ ‖T_i‖
    norm_ratio        ‖Δ‖ / ‖T‖                                     Σ ‖Δ_i‖ / Σ ‖T_i‖
    cosine            <Δ, T> / (‖Δ‖ ‖T‖)                            Σ ‖T_i‖ cosine_i / Σ ‖T_i‖
    angle             arccos of it, in degrees                      Σ ‖T_i‖ angle_i / Σ ‖T_i‖
    sign_agreement    share of the elements with equal signs,       Σ ‖T_i‖ agreement_i / Σ ‖T_i‖
                      among those where T is not 0

"summed" is the pair (Σ Δ_i, Σ T_i): what a batch of these examples would learn. "mean" is the norm-weighted mean,
"median" the median of the examples' figures. The plain mean of the examples' relative errors is left out: a few
examples whose gradient has vanished decide it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

OVER = ("summed", "mean", "median")
FIGURES = ("relative_error", "cosine", "angle", "norm_ratio", "sign_agreement")


class Moments(NamedTuple):
    """Inner products of pairs, (pairs,) each: they add up over layers, so figures of all layers need nothing else."""

    ghost: np.ndarray  # ‖Δ‖²
    cross: np.ndarray  # <Δ, T>
    target: np.ndarray  # ‖T‖²
    apart: np.ndarray  # ‖Δ - T‖²
    agree: np.ndarray  # elements of equal sign
    counted: np.ndarray  # elements where T is not 0


def moments(ghost: np.ndarray, target: np.ndarray, copies: np.ndarray | int = 1) -> Moments:
    """Of pairs (pairs, …); every element stands for `copies` (pairs,) of them when signs are counted."""
    ghost, target = (a.reshape(len(a), -1) for a in (ghost, target))

    def inner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.einsum("ij,ij->i", a, b)

    return Moments(
        inner(ghost, ghost), inner(ghost, target), inner(target, target), inner(ghost - target, ghost - target),
        np.count_nonzero(ghost * target > 0, 1) * copies, np.count_nonzero(target, 1) * copies,
    )  # fmt: skip


def together(parts: list[Moments]) -> Moments:
    """Of all layers, from those of each."""
    return Moments(*(functools.reduce(np.add, values) for values in zip(*parts, strict=True)))


def concatenated(parts: list[Moments]) -> Moments:
    """Of all examples, from those of blocks of them."""
    return Moments(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _each(m: Moments) -> dict[str, np.ndarray]:
    cosine = np.clip(_quotient(m.cross, np.sqrt(m.ghost * m.target)), -1, 1)
    return {
        "relative_error": np.sqrt(_quotient(m.apart, m.target)),
        "cosine": cosine,
        "angle": np.degrees(np.arccos(cosine)),
        "norm_ratio": np.sqrt(_quotient(m.ghost, m.target)),
        "sign_agreement": _quotient(m.agree, m.counted),
    }


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, NaN where b is 0: nothing is any number of times as large as nothing."""
    return np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b != 0)


def figures(summed: Moments, examples: Moments) -> dict[str, dict[str, float]]:
    """{"summed", "mean", "median"} of the FIGURES; NaN where the target is 0, angle and cosine also where Δ is."""
    pair = _each(summed)
    each = _each(examples)
    weight = np.sqrt(examples.target)
    there = weight > 0
    mean = {name: _quotient((weight * each[name])[there].sum(), weight.sum()) for name in FIGURES}
    median = {name: np.median(each[name][there]) if there.any() else np.nan for name in FIGURES}
    found: tuple[Mapping[str, ArrayLike], ...] = pair, mean, median
    return {
        over: {name: float(np.squeeze(values[name])) for name in FIGURES}
        for over, values in zip(OVER, found, strict=True)
    }


class Shares(NamedTuple):
    """Inner products of the error E = Σ parts of pairs with its parts: (pairs,) or, by cause, (causes, pairs)."""

    along: np.ndarray  # <part, E>
    part: np.ndarray  # ‖part‖²
    error: np.ndarray  # ‖E‖²
    target: np.ndarray  # ‖T‖²


def shares(variants: list[np.ndarray], target: np.ndarray) -> Shares:
    """From Δ as it is, then with one cause after another removed, each (pairs, …); the last part is unexplained."""
    chain = [a.reshape(len(a), -1) for a in (*variants, target)]
    error = chain[0] - chain[-1]
    parts = [a - b for a, b in pairwise(chain)]
    return Shares(
        np.array([np.einsum("ij,ij->i", part, error) for part in parts]),
        np.array([np.einsum("ij,ij->i", part, part) for part in parts]),
        np.einsum("ij,ij->i", error, error),
        np.einsum("ij,ij->i", chain[-1], chain[-1]),
    )


def add_shares(parts: list[Shares]) -> Shares:
    """Of all layers, from those of each."""
    return Shares(*(functools.reduce(np.add, values) for values in zip(*parts, strict=True)))


def concatenate_shares(parts: list[Shares]) -> Shares:
    """Of all examples, from those of blocks of them."""
    return Shares(*(np.concatenate(values, axis=-1) for values in zip(*parts, strict=True)))


def divided(s: Shares) -> tuple[np.ndarray, np.ndarray]:
    """Per cause, (causes,): `part` = Σ <part_i, E_i> / ‖E_i‖ / Σ ‖T_i‖, and `size` = Σ ‖part_i‖ / Σ ‖T_i‖.

    Parts are signed and add up to the relative error exactly; a negative one makes up for others. Sizes don't add up.
    NaN where the target is 0.
    """
    total, norm = np.sqrt(s.target).sum(), np.sqrt(s.error)
    along = np.divide(s.along, norm, out=np.zeros_like(s.along), where=norm > 0)
    return _quotient(along.sum(-1), total), _quotient(np.sqrt(s.part).sum(-1), total)
