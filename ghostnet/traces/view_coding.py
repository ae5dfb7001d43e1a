"""The page's numbers: 16-bit codes, their differences along time, gzipped, as base64. `page/coding.js` reads them.

Codes rise with the values. 0, 65534 and 65535 are -∞, ∞ and nan; those between them are even steps of the range
(linear), or zero at 32767 and even steps of the logarithm on both its sides (log, for what spans decades).
"""

from __future__ import annotations

import base64
import math
import zlib
from typing import NamedTuple

import numpy as np

LINEAR, LOG = "linear", "log"
_LEAST, _MIDDLE, _MOST, _INFINITE, _NAN = 1, 32767, 65533, 65534, 65535
_STILL = 1e-9  # step where all values have one size
_DECADES = 1e-12  # of the greatest value: what is smaller is 0 in the log code


class Coded(NamedTuple):
    """Values as text. kind: LINEAR or LOG; low, step: see `decode`. shape: of the values, (series, rows)."""

    kind: str
    low: float
    step: float
    shape: tuple[int, int]
    payload: str

    @property
    def error(self) -> float:
        """The largest error of a value: absolute, or for LOG relative."""
        return math.expm1(self.step / 2) if self.kind == LOG else self.step / 2


def encode(values: np.ndarray, kind: str) -> Coded:
    """Floats (series, rows) as codes."""
    low, step = (_log_range if kind == LOG else _linear_range)(values)
    codes = np.empty(values.shape, np.uint16)
    for one, code in zip(values, codes, strict=True):  # one by one: a trace in float64 may not fit into memory
        with np.errstate(all="ignore"):
            places = _log_places(one, low, step) if kind == LOG else _LEAST + np.rint((one - low) / step)
        special = np.where(np.isnan(one), _NAN, np.where(one > 0, _INFINITE, 0))
        code[:] = np.where(np.isfinite(one), places, special)
    return Coded(kind, low, step, values.shape, _packed(codes))


def _linear_range(values: np.ndarray) -> tuple[float, float]:
    """The least value, and the step of the code."""
    finite = np.isfinite(values)
    low, high = (float(f(values, where=finite, initial=start)) for f, start in ((np.min, np.inf), (np.max, -np.inf)))
    return (low, (high - low) / (_MOST - _LEAST) or 1.0) if low <= high else (0.0, 1.0)


def _log_range(values: np.ndarray) -> tuple[float, float]:
    """The least size of what is coded as no zero, and the step of the logarithm."""
    sizes = np.abs(values)
    there = np.isfinite(sizes) & (sizes > 0)
    if not there.any():
        return 1.0, _STILL
    high = float(np.max(sizes, where=there, initial=0))
    low = max(float(np.min(sizes, where=there, initial=np.inf)), high * _DECADES)
    return low, math.log(high / low) / (_MOST - _MIDDLE - 1) or _STILL


def _log_places(values: np.ndarray, low: float, step: float) -> np.ndarray:
    size = np.abs(values.astype(np.float64))
    places = np.where(size < low * math.exp(-step / 2), 0, 1 + np.rint(np.log(size / low) / step))
    return _MIDDLE + np.sign(values) * places


def decode(coded: Coded) -> np.ndarray:
    """The values, float64, as the page has them."""
    codes = _unpacked(coded.payload, coded.shape).astype(np.float64)
    if coded.kind == LOG:
        place = codes - _MIDDLE
        found = np.sign(place) * np.where(place == 0, 0, coded.low * np.exp((np.abs(place) - 1) * coded.step))
    else:
        found = coded.low + (codes - _LEAST) * coded.step
    for code, special in ((0, -np.inf), (_INFINITE, np.inf), (_NAN, np.nan)):
        found[codes == code] = special
    return found


def _packed(codes: np.ndarray) -> str:
    """Differences along rows with their signs in the lowest bit, all low bytes before all high ones: most are 0."""
    change = np.diff(codes, axis=1, prepend=np.zeros((len(codes), 1), np.uint16)).view(np.int16)
    folded = ((change << 1) ^ (change >> 15)).astype("<u2")
    return text_of(folded.reshape(-1, 1).view(np.uint8).T.tobytes())


def _unpacked(payload: str, shape: tuple[int, int]) -> np.ndarray:
    planes = np.frombuffer(zlib.decompress(base64.b64decode(payload), 31), np.uint8).reshape(2, -1)
    folded = planes[0] | planes[1].astype(np.uint16) << 8
    change = (folded >> 1) ^ (-(folded & 1).astype(np.int16)).view(np.uint16)
    return np.cumsum(change.reshape(shape), axis=1, dtype=np.uint16)


def packed_counts(counts: np.ndarray) -> str:
    """Whole numbers (rows,) below 2³¹ as text: their differences."""
    return text_of(np.diff(counts.astype("<i4"), prepend=np.int32(0)).tobytes())


def text_of(content: bytes) -> str:
    """Bytes gzipped, as base64."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return base64.b64encode(packer.compress(content) + packer.flush()).decode("ascii")
