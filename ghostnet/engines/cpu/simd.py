"""Explicit vectors for Numba: what its loop vectoriser can't be relied on to find in short loops.

A `Vector` is one register (512 bits with AVX-512, 256 with AVX, else 128) of float32 or float64. All operands live in
one flat array `mem` and are named by their offset, so that no aliasing has to be disproved. Everything is IEEE
arithmetic with fused multiply-adds, where the processor has them; a NaN stays one, except in `sigmoid`, `minimum` and
`maximum`.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

from ghostnet.engines.cpu.emit import Emit, Vector, multiply_add


@intrinsic
def load(typingctx, mem, i):
    """The vector at mem[i:]."""

    def codegen(context, builder, signature, args):
        return Emit.of(context, builder, signature.args[0], args[0]).load(args[1])

    return Vector(mem.dtype)(mem, types.int64), codegen


@intrinsic
def store(typingctx, mem, i, value):
    """mem[i:] = value."""

    def codegen(context, builder, signature, args):
        Emit.of(context, builder, signature.args[0], args[0]).store(args[1], args[2])
        return context.get_dummy_value()

    return types.void(mem, types.int64, value), codegen


@intrinsic
def largest(typingctx, mem, value):
    """The largest lane."""

    def codegen(context, builder, signature, args):
        return Emit.of(context, builder, signature.args[0], args[0]).halve(args[1], lambda a, b: greater(builder, a, b))

    return mem.dtype(mem, value), codegen


@intrinsic
def splat(typingctx, mem, scalar):
    """A vector of mem's type with `scalar` in every lane."""

    def codegen(context, builder, signature, args):
        return Emit.of(context, builder, signature.args[0], args[0]).splat(args[1])

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
    return a(a, a, a), lambda context, builder, signature, args: multiply_add(builder, *args)


def _binary(emit):
    @intrinsic
    def operation(typingctx, a, b):
        return a(a, a), lambda context, builder, signature, args: emit(builder, *args)

    return operation


def _select(comparison):
    return lambda builder, a, b: builder.select(builder.fcmp_ordered(comparison, a, b), a, b)


lesser, greater = _select("<"), _select(">")
minimum, maximum = _binary(lesser), _binary(greater)  # b where a is NaN
_add = _binary(lambda builder, a, b: builder.fadd(a, b))
_sub = _binary(lambda builder, a, b: builder.fsub(a, b))
_mul = _binary(lambda builder, a, b: builder.fmul(a, b))
_div = _binary(lambda builder, a, b: builder.fdiv(a, b))


@intrinsic
def like(typingctx, operand, number):
    """A vector beside `operand`, a vector or the mask of a comparison, with `number` in every lane."""
    vector = Vector(operand.element)

    def codegen(context, builder, signature, args):
        element = context.cast(builder, args[1], signature.args[1], vector.element)
        return Emit(builder, None, context.get_value_type(vector)).splat(element)

    return vector(operand, number), codegen


class Mask(types.Type):
    """The Numba type of a comparison of vectors of `element`s: a bit per lane."""

    def __init__(self, element):
        self.element = element
        super().__init__(name=f"Mask({element})")


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager, mask):
        super().__init__(manager, mask, ir.VectorType(ir.IntType(1), Vector(mask.element).lanes))


def _comparison(symbol):
    @intrinsic
    def operation(typingctx, a, b):
        emit = lambda context, builder, signature, args: builder.fcmp_ordered(symbol, *args)  # noqa: E731
        return Mask(a.element)(a, b), emit

    return operation


@intrinsic
def choose(typingctx, mask, a, b):
    """a where the mask is set, else b."""
    return a(mask, a, b), lambda context, builder, signature, args: builder.select(*args)


_both = _binary(lambda builder, a, b: builder.and_(a, b))
_either = _binary(lambda builder, a, b: builder.or_(a, b))
_OPERATIONS = {
    operator.add: _add, operator.sub: _sub, operator.mul: _mul, operator.truediv: _div,
    operator.lt: _comparison("<"), operator.gt: _comparison(">"),
    operator.le: _comparison("<="), operator.ge: _comparison(">="),
    operator.eq: _comparison("=="),
}  # fmt: skip


def on_vectors(symbol, operation):
    """Let Numba take `symbol` of two vectors, or of a vector and a number, for `operation` of two vectors."""

    @overload(symbol)
    def typed(a, b):
        if isinstance(a, Vector) and isinstance(b, Vector):
            return lambda a, b: operation(a, b)
        if isinstance(a, Vector) and isinstance(b, types.Number):
            return lambda a, b: operation(a, like(a, b))
        if isinstance(a, types.Number) and isinstance(b, Vector):
            return lambda a, b: operation(like(b, a), b)


def _on_masks(symbol, operation):
    @overload(symbol)
    def typed(a, b):
        if isinstance(a, Mask) and isinstance(b, Mask):
            return lambda a, b: operation(a, b)


for _symbol, _operation in _OPERATIONS.items():
    on_vectors(_symbol, _operation)
_on_masks(operator.and_, _both)
_on_masks(operator.or_, _either)


@overload(operator.neg)
def _negative(a):
    if isinstance(a, Vector):
        return lambda a: like(a, 0.0) - a
