"""Explicit vectors for Numba: what its loop vectoriser can't be relied on to find in short loops.

A `Vector` is one register of the host (512 bits with AVX-512, else 256) of float32 or float64. All operands live in one
flat array `mem` and are named by their offset, so that no aliasing has to be disproved. Everything is IEEE arithmetic
with fused multiply-adds; a NaN stays one, except in `sigmoid`, `minimum` and `maximum`.
"""

from __future__ import annotations

import operator

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

_AVX512 = llvmlite.binding.get_host_cpu_features().get("avx512f", False)
VECTOR_BYTES = 64 if _AVX512 else 32
ROWS = 6 if _AVX512 else 3  # a register tile is ROWS x 4 accumulators, 4 operands and a broadcast
COLUMNS = 4


class Vector(types.Type):
    """The Numba type of one register of `element`s."""

    def __init__(self, element):
        self.element, self.lanes = element, VECTOR_BYTES * 8 // element.bitwidth
        super().__init__(name=f"Vector({element})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        element = manager.lookup(vector.element).get_value_type()
        super().__init__(manager, vector, ir.VectorType(element, vector.lanes))


def lanes(dtype) -> int:
    """Elements of a NumPy dtype in one vector."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize


class _Emit:
    """LLVM text for one vector type over one flat array."""

    def __init__(self, context, builder, mem_type, mem):
        self.builder, self.vector = builder, Vector(mem_type.dtype)
        self.type = context.get_value_type(self.vector)
        self.data = context.make_array(mem_type)(context, builder, mem).data
        self.align = mem_type.dtype.bitwidth // 8

    def pointer(self, i):
        return self.builder.gep(self.data, [i])

    def load(self, i):
        pointer = self.builder.bitcast(self.pointer(i), self.type.as_pointer())
        return self.builder.load(pointer, align=self.align)

    def store(self, i, value):
        self.builder.store(value, self.builder.bitcast(self.pointer(i), self.type.as_pointer()), align=self.align)

    def splat(self, scalar):
        one = self.builder.insert_element(ir.Constant(self.type, ir.Undefined), scalar, ir.IntType(32)(0))
        return self.builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), self.type.count), None))

    def load_scalar(self, i):
        return self.builder.load(self.pointer(i))

    def zero(self):
        return ir.Constant(self.type, None)

    def fma(self, a, b, c):
        return _fma(self.builder, a, b, c)

    def total(self, value):
        """The sum of the lanes, by halves: the same order on every machine."""
        count = value.type.count
        while count > 1:
            count //= 2
            index = ir.VectorType(ir.IntType(32), count)
            low, high = ([ir.IntType(32)(start + i) for i in range(count)] for start in (0, count))
            halves = [self.builder.shuffle_vector(value, value, ir.Constant(index, part)) for part in (low, high)]
            value = self.builder.fadd(*halves)
        return self.builder.extract_element(value, ir.IntType(32)(0))

    def offset(self, base, *products):
        """base + Σ stride · index, with Python or LLVM integers."""
        for stride, i in products:
            if isinstance(i, int):
                i = ir.IntType(64)(i)
            base = self.builder.add(base, self.builder.mul(stride, i))
        return base

    def ahead(self, base, vectors: int):
        return self.builder.add(base, ir.IntType(64)(vectors * self.type.count))


def _fma(builder, a, b, c):
    suffix = f"v{a.type.count}f{32 if isinstance(a.type.element, ir.FloatType) else 64}"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(a.type, [a.type] * 3), f"llvm.fmuladd.{suffix}"
    )
    return builder.call(function, [a, b, c])


@intrinsic
def load(typingctx, mem, i):
    """The vector at mem[i:]."""

    def codegen(context, builder, signature, args):
        return _Emit(context, builder, signature.args[0], args[0]).load(args[1])

    return Vector(mem.dtype)(mem, types.int64), codegen


@intrinsic
def store(typingctx, mem, i, value):
    """mem[i:] = value."""

    def codegen(context, builder, signature, args):
        _Emit(context, builder, signature.args[0], args[0]).store(args[1], args[2])
        return context.get_dummy_value()

    return types.void(mem, types.int64, value), codegen


@intrinsic
def splat(typingctx, mem, scalar):
    """A vector of mem's type with `scalar` in every lane."""

    def codegen(context, builder, signature, args):
        return _Emit(context, builder, signature.args[0], args[0]).splat(args[1])

    return Vector(mem.dtype)(mem, mem.dtype), codegen


@intrinsic
def first(typingctx, value, count):
    """The first `count` lanes of a vector, zero elsewhere."""

    def codegen(context, builder, signature, args):
        value, count = args
        index = ir.VectorType(ir.IntType(32), value.type.count)
        lane = ir.Constant(index, list(range(value.type.count)))
        limit = builder.insert_element(
            ir.Constant(index, ir.Undefined), builder.trunc(count, index.element), index.element(0)
        )
        limit = builder.shuffle_vector(limit, limit, ir.Constant(index, None))
        return builder.select(builder.icmp_signed("<", lane, limit), value, ir.Constant(value.type, None))

    return value(value, types.int64), codegen


@intrinsic
def fma(typingctx, a, b, c):
    """a b + c."""
    return a(a, a, a), lambda context, builder, signature, args: _fma(builder, *args)


def _binary(emit):
    @intrinsic
    def operation(typingctx, a, b):
        return a(a, a), lambda context, builder, signature, args: emit(builder, *args)

    return operation


def _select(comparison):
    return lambda builder, a, b: builder.select(builder.fcmp_ordered(comparison, a, b), a, b)


minimum = _binary(_select("<"))  # b where a is NaN
maximum = _binary(_select(">"))
less = _binary(lambda builder, a, b: builder.uitofp(builder.fcmp_ordered("<", a, b), a.type))  # 1 where a < b, else 0
_add = _binary(lambda builder, a, b: builder.fadd(a, b))
_sub = _binary(lambda builder, a, b: builder.fsub(a, b))
_mul = _binary(lambda builder, a, b: builder.fmul(a, b))


def _operator(symbol, operation):
    @overload(symbol)
    def typed(a, b):
        if isinstance(a, Vector) and a is b:
            return lambda a, b: operation(a, b)


for _symbol, _operation in ((operator.add, _add), (operator.sub, _sub), (operator.mul, _mul)):
    _operator(_symbol, _operation)


def _exp2_coefficients(degree: int) -> list[float]:
    """2^f on [-1/2, 1/2] as a polynomial: the Chebyshev interpolant, highest power first."""
    series = np.polynomial.chebyshev.Chebyshev.interpolate(np.exp2, degree, domain=[-0.5, 0.5])
    return list(series.convert(kind=np.polynomial.Polynomial).coef[::-1])


# (mantissa bits, polynomial, |argument| beyond which σ stays put: its rest is below every rounding, and no denormal)
_EXP2 = {32: (23, _exp2_coefficients(5), 40.0), 64: (52, _exp2_coefficients(11), 300.0)}


@intrinsic
def sigmoid(typingctx, s):
    """1 / (1 + exp(-s)), error below 1.2e-7 (float32) or 3e-16 (float64).

    exp(-s) = 2^n 2^f: n falls out of the rounding of t + 1.5·2^mantissa, 2^f is a polynomial, and n is added to its
    exponent bits. The quotient may use the reciprocal estimate with a Newton step.
    """

    def codegen(context, builder, signature, args):
        (value,), kind = args, args[0].type
        bits = signature.args[0].element.bitwidth
        mantissa, polynomial, bound = _EXP2[bits]

        def constant(x):
            return ir.Constant(kind, [x] * kind.count)

        value = _select("<")(builder, value, constant(bound))
        value = _select(">")(builder, value, constant(-bound))
        shift, minus_log2e = constant(1.5 * 2.0**mantissa), constant(-float(np.log2(np.e)))
        shifted = _fma(builder, value, minus_log2e, shift)
        n = builder.fsub(shifted, shift)
        f = _fma(builder, value, minus_log2e, builder.fneg(n))
        power = constant(polynomial[0])
        for coefficient in polynomial[1:]:
            power = _fma(builder, power, f, constant(coefficient))
        integers = ir.VectorType(ir.IntType(bits), kind.count)
        exponent = builder.shl(builder.bitcast(shifted, integers), ir.Constant(integers, [mantissa] * kind.count))
        exp = builder.bitcast(builder.add(builder.bitcast(power, integers), exponent), kind)
        return builder.fdiv(constant(1.0), builder.fadd(constant(1.0), exp), flags=_RECIPROCAL[bits])

    return s(s), codegen


_RECIPROCAL = {32: ("arcp", "ninf"), 64: ()}


def _multiply_tile(rows: int, columns: int):
    """An intrinsic for C[p, :] = keep C[p, :] + alpha Σ_q A[p, q] M[q, :] on rows x columns vectors, in registers."""

    @intrinsic
    def tile(typingctx, mem, c, c_row, a, a_row, a_column, count, m, m_row, alpha, keep):
        def codegen(context, builder, signature, args):
            mem, c, c_row, a, a_row, a_column, count, m, m_row, alpha, keep = args
            emit = _Emit(context, builder, signature.args[0], mem)
            cells = [(p, v) for p in range(rows) for v in range(columns)]
            sums = {cell: cgutils.alloca_once_value(builder, emit.zero()) for cell in cells}
            with cgutils.for_range(builder, count) as loop:
                row = emit.offset(m, (m_row, loop.index))
                M = [emit.load(emit.ahead(row, v)) for v in range(columns)]
                for p in range(rows):
                    A = emit.splat(emit.load_scalar(emit.offset(a, (a_row, p), (a_column, loop.index))))
                    for v in range(columns):
                        builder.store(emit.fma(A, M[v], builder.load(sums[p, v])), sums[p, v])
            factor, kept = emit.splat(alpha), emit.splat(keep)
            for p, v in cells:
                at = emit.ahead(emit.offset(c, (c_row, p)), v)
                C = builder.fmul(kept, emit.load(at))
                emit.store(at, emit.fma(factor, builder.load(sums[p, v]), C))
            return context.get_dummy_value()

        i, f = types.int64, mem.dtype
        return types.void(mem, i, i, i, i, i, i, i, i, f, f), codegen

    return tile


def _dot_tile(rows: int, columns: int):
    """An intrinsic for C[p, j] = Σ_i R[p, i] M[j, i], rows x columns dot products over `vectors` vectors, in registers."""

    @intrinsic
    def tile(typingctx, mem, c, c_row, r, r_row, m, m_row, vectors):
        def codegen(context, builder, signature, args):
            mem, c, c_row, r, r_row, m, m_row, vectors = args
            emit = _Emit(context, builder, signature.args[0], mem)
            cells = [(p, j) for p in range(rows) for j in range(columns)]
            sums = {cell: cgutils.alloca_once_value(builder, emit.zero()) for cell in cells}
            width = ir.IntType(64)(emit.type.count)
            with cgutils.for_range(builder, vectors) as loop:
                R = [emit.load(emit.offset(r, (r_row, p), (width, loop.index))) for p in range(rows)]
                for j in range(columns):
                    M = emit.load(emit.offset(m, (m_row, j), (width, loop.index)))
                    for p in range(rows):
                        builder.store(emit.fma(R[p], M, builder.load(sums[p, j])), sums[p, j])
            for p, j in cells:
                at = builder.add(emit.offset(c, (c_row, p)), ir.IntType(64)(j))
                builder.store(emit.total(builder.load(sums[p, j])), emit.pointer(at))
            return context.get_dummy_value()

        i = types.int64
        return types.void(mem, i, i, i, i, i, i, i), codegen

    return tile


def _sweep(rows: int, expand: bool, dot: bool):
    """An intrinsic that reads `rows` rows of M once: E += alpha Σ_q a_q M[q, :] if expand, c_q = Σ_i M[q, i] R_i if dot."""

    @intrinsic
    def sweep(typingctx, mem, e, a, a_column, alpha, c, r, m, m_row, vectors):
        def codegen(context, builder, signature, args):
            mem, e, a, a_column, alpha, c, r, m, m_row, vectors = args
            emit = _Emit(context, builder, signature.args[0], mem)
            width = ir.IntType(64)(emit.type.count)
            A = [emit.load_scalar(emit.offset(a, (a_column, q))) for q in range(rows)] if expand else []
            A = [emit.splat(builder.fmul(alpha, scalar)) for scalar in A]
            sums = [cgutils.alloca_once_value(builder, emit.zero()) for _ in range(rows if dot else 0)]
            with cgutils.for_range(builder, vectors) as loop:
                M = [emit.load(emit.offset(m, (m_row, q), (width, loop.index))) for q in range(rows)]
                if expand:
                    at = emit.offset(e, (width, loop.index))
                    E = emit.load(at)
                    for q in range(rows):
                        E = emit.fma(A[q], M[q], E)
                    emit.store(at, E)
                if dot:
                    R = emit.load(emit.offset(r, (width, loop.index)))
                    for q in range(rows):
                        builder.store(emit.fma(R, M[q], builder.load(sums[q])), sums[q])
            for q, total in enumerate(sums):
                builder.store(emit.total(builder.load(total)), emit.pointer(builder.add(c, ir.IntType(64)(q))))
            return context.get_dummy_value()

        i = types.int64
        return types.void(mem, i, i, i, mem.dtype, i, i, i, i, i), codegen

    return sweep


def _outer(rows: int):
    """An intrinsic for C[p, :] += alpha a_p E, `rows` rows."""

    @intrinsic
    def outer(typingctx, mem, c, c_row, a, a_row, alpha, e, vectors):
        def codegen(context, builder, signature, args):
            mem, c, c_row, a, a_row, alpha, e, vectors = args
            emit = _Emit(context, builder, signature.args[0], mem)
            width = ir.IntType(64)(emit.type.count)
            A = [emit.load_scalar(emit.offset(a, (a_row, p))) for p in range(rows)]
            A = [emit.splat(builder.fmul(alpha, scalar)) for scalar in A]
            with cgutils.for_range(builder, vectors) as loop:
                E = emit.load(emit.offset(e, (width, loop.index)))
                for p in range(rows):
                    at = emit.offset(c, (c_row, p), (width, loop.index))
                    emit.store(at, emit.fma(A[p], E, emit.load(at)))
            return context.get_dummy_value()

        i = types.int64
        return types.void(mem, i, i, i, i, mem.dtype, i, i), codegen

    return outer


multiply_wide_rows = _multiply_tile(ROWS, COLUMNS)
multiply_wide = _multiply_tile(1, COLUMNS)
multiply_rows = _multiply_tile(ROWS, 1)
multiply_one = _multiply_tile(1, 1)
dot_rows_5 = _dot_tile(ROWS // 2 + 1, 5)
dot_rows_1 = _dot_tile(ROWS // 2 + 1, 1)

expand_5, expand_1 = _sweep(5, True, False), _sweep(1, True, False)
dot_5, dot_1 = _sweep(5, False, True), _sweep(1, False, True)
both_5, both_1 = _sweep(5, True, True), _sweep(1, True, True)
outer_5, outer_1 = _outer(5), _outer(1)
