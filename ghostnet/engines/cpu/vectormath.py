"""Elementary functions of vectors: the cpu engine's versions of `ghostnet.primitives`."""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from ghostnet.engines.cpu import simd
from ghostnet.engines.cpu.compiled import jit
from ghostnet.engines.cpu.emit import Vector
from ghostnet.engines.cpu.simd import Mask, choose, fma, like

_LOG2E, _LN2 = float(np.log2(math.e)), float(np.log(2))
_LN2_HIGH, _LN2_LOW = (
    0.693359375,
    -2.12194440054690582768e-4,
)  # ln 2 in two: the first, of 9 bits, has exact multiples


def _interpolant(degree: int) -> list[float]:
    """2^f on [-1/2, 1/2] as a polynomial, highest power first: the fewest terms, but rounded in the sixteenth digit."""
    series = np.polynomial.chebyshev.Chebyshev.interpolate(np.exp2, degree, domain=[-0.5, 0.5])
    return list(series.convert(kind=np.polynomial.Polynomial).coef[::-1])


def _taylor(degree: int) -> list[float]:
    """2^f as the first terms of its series, highest power first."""
    return [_LN2**j / math.factorial(j) for j in range(degree, -1, -1)]


_MANTISSA = {32: 23, 64: 52}
_EXP2 = {32: _interpolant(5), 64: _taylor(13)}
_LOG_TERMS = {32: 5, 64: 11}  # of the series of artanh
_LEAST_AND_GREATEST = {32: (-87.0, 88.0), 64: (-708.0, 709.0)}  # exponents beyond which exp is 0 and infinite
_SIGMOID_BOUND = {32: 40.0, 64: 300.0}  # beyond it σ stays put: its rest is below every rounding, and no denormal
_RECIPROCAL = {32: ("arcp", "ninf"), 64: ()}


class _Arithmetic:
    """LLVM instructions on vectors of one type of floating-point numbers."""

    def __init__(self, builder, kind, bits: int):
        self.builder = builder
        self.kind = kind
        self.bits = bits
        self.integers = ir.VectorType(ir.IntType(bits), kind.count)

    def constant(self, x: float):
        return ir.Constant(self.kind, [x] * self.kind.count)

    def integer(self, i: int):
        return ir.Constant(self.integers, [i] * self.kind.count)

    def fma(self, a, b, c):
        return simd.multiply_add(self.builder, a, b, c)

    def rounded(self, x, factor: float):
        """x · factor rounded to integers: as bits, and as numbers. They fall out of the rounding of a large sum."""
        shift = self.constant(1.5 * 2.0 ** _MANTISSA[self.bits])
        shifted = self.fma(x, self.constant(factor), shift)
        return self.builder.bitcast(shifted, self.integers), self.builder.fsub(shifted, shift)

    def power_of_two(self, exponent, f):
        """2^(n + f): a polynomial of f in [-1/2, 1/2], and n, in the last bits of `exponent`, added to its exponent."""
        coefficients = _EXP2[self.bits]
        power = self.constant(coefficients[0])
        for coefficient in coefficients[1:]:
            power = self.fma(power, f, self.constant(coefficient))
        exponent = self.builder.shl(exponent, self.integer(_MANTISSA[self.bits]))
        return self.builder.bitcast(self.builder.add(self.builder.bitcast(power, self.integers), exponent), self.kind)


def _elementwise(emit):
    """An intrinsic of one vector from emit(arithmetic, vector)."""

    @intrinsic
    def function(typingctx, x):
        def codegen(context, builder, signature, args):
            return emit(_Arithmetic(builder, args[0].type, x.element.bitwidth), args[0])

        return x(x), codegen

    return function


@_elementwise
def sigmoid(a, x):
    # 1 / (1 + exp(-s)), error below 1.2e-7 (float32) or 3e-16 (float64). The quotient may use the reciprocal estimate
    # with a Newton step.
    bound = _SIGMOID_BOUND[a.bits]
    x = simd.lesser(a.builder, x, a.constant(bound))
    x = simd.greater(a.builder, x, a.constant(-bound))
    exponent, n = a.rounded(x, -_LOG2E)
    f = a.fma(x, a.constant(-_LOG2E), a.builder.fneg(n))
    one = a.constant(1.0)
    return a.builder.fdiv(one, a.builder.fadd(one, a.power_of_two(exponent, f)), flags=_RECIPROCAL[a.bits])


@_elementwise
def _exp_within(a, x):
    """exp(x) where it is neither denormal nor infinite."""
    exponent, n = a.rounded(x, _LOG2E)
    rest = a.fma(n, a.constant(-_LN2_LOW), a.fma(n, a.constant(-_LN2_HIGH), x))
    return a.power_of_two(exponent, a.builder.fmul(rest, a.constant(_LOG2E)))


@_elementwise
def _exponent(a, x):
    """n of x = 2^n m with m in [√½, √2), as a number; x positive."""
    bits = a.builder.bitcast(x, a.integers)
    n = a.builder.ashr(a.builder.sub(bits, a.integer(_bits_of(np.sqrt(0.5), a.bits))), a.integer(_MANTISSA[a.bits]))
    return a.builder.sitofp(n, a.kind)


@_elementwise
def _mantissa(a, x):
    """m of x = 2^n m with m in [√½, √2); x positive."""
    bits, least = a.builder.bitcast(x, a.integers), a.integer(_bits_of(np.sqrt(0.5), a.bits))
    within = a.builder.and_(a.builder.sub(bits, least), a.integer((1 << _MANTISSA[a.bits]) - 1))
    return a.builder.bitcast(a.builder.add(within, least), a.kind)


def _bits_of(x: float, bits: int) -> int:
    return int(np.array(x, f"f{bits // 8}").view(f"i{bits // 8}"))


def _llvm(name: str):
    """An intrinsic of LLVM's own function of one vector."""

    @_elementwise
    def function(a, x):
        suffix = f"v{x.type.count}f{a.bits}"
        declared = cgutils.get_or_insert_function(
            a.builder.module, ir.FunctionType(x.type, [x.type]), f"llvm.{name}.{suffix}"
        )
        return a.builder.call(declared, [x])

    return function


absolute, square_root = _llvm("fabs"), _llvm("sqrt")


@intrinsic
def _bounds(typingctx, x):
    """The exponents beyond which exp(x) is 0 or infinite in x's type."""
    least, greatest = _LEAST_AND_GREATEST[x.element.bitwidth]

    def codegen(context, builder, signature, args):
        a = _Arithmetic(builder, args[0].type, x.element.bitwidth)
        return context.make_tuple(builder, signature.return_type, [a.constant(least), a.constant(greatest)])

    return types.UniTuple(x, 2)(x), codegen


@intrinsic
def _series(typingctx, square):
    """Σ_j square^j / (2 j + 1): artanh(f) / f of f² = square."""

    def codegen(context, builder, signature, args):
        a = _Arithmetic(builder, args[0].type, square.element.bitwidth)
        total = a.constant(0.0)
        for j in reversed(range(_LOG_TERMS[a.bits])):
            total = a.fma(total, args[0], a.constant(1 / (2 * j + 1)))
        return total

    return square(square), codegen


@jit
def exp(x):
    """Error below two units in the last place; 0 and infinite a little before the type's bounds. NaN stays NaN."""
    least, greatest = _bounds(x)
    e = _exp_within(simd.maximum(simd.minimum(x, greatest), least))
    return choose(x > greatest, like(x, np.inf), choose(x < least, like(x, 0.0), choose(x == x, e, x)))


@jit
def log1p(x):
    """log(1 + x): the logarithm of u = 1 + x, less what the rounding of u has added."""
    u = x + 1.0
    m = _mantissa(u)
    f = (m - 1.0) / (m + 1.0)
    log = fma(_exponent(u), like(x, _LN2), (f + f) * _series(f * f))
    found = log - ((u - 1.0) - x) / u
    found = choose(u < np.inf, found, u)
    return choose(u > 0.0, found, choose(u == 0.0, like(x, -np.inf), like(x, np.nan)))


@jit
def tanh(x):
    """2 σ(2x) - 1."""
    return fma(like(x, 2.0), sigmoid(x + x), like(x, -1.0))


def as_vector(beside, value):
    """A vector, or a number in every lane, beside another vector or the mask of a comparison."""


@overload(as_vector)
def _as_vector(beside, value):
    return (lambda beside, value: value) if isinstance(value, Vector) else (lambda beside, value: like(beside, value))


def where(condition, x, y):
    """x where the condition holds, else y; either may be a number."""


@overload(where)
def _where(condition, x, y):
    if isinstance(condition, Mask):
        return lambda condition, x, y: choose(condition, as_vector(condition, x), as_vector(condition, y))


def minimum(x, y):
    """The smaller of two; either may be a number."""


def maximum(x, y):
    """The greater of two; either may be a number."""


for _symbol, _operation in ((minimum, simd.minimum), (maximum, simd.maximum)):
    simd.on_vectors(_symbol, _operation)

OWN = {
    "abs": absolute, "exp": exp, "log1p": log1p, "maximum": maximum, "minimum": minimum, "sigmoid": sigmoid,
    "sqrt": square_root, "tanh": tanh, "where": where,
}  # fmt: skip
