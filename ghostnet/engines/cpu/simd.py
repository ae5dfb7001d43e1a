"""Explicit vectors for Numba: what its loop vectoriser can't be relied on to find in short loops.

A `Vector` is one register (512 bits with AVX-512, 256 with AVX, else 128) of float32 or float64. All operands live in
one flat array `mem` and are named by their offset, so that no aliasing has to be disproved. Everything is IEEE
arithmetic with fused multiply-adds, where the processor has them; a NaN stays one, except in `sigmoid`, `minimum` and
`maximum`.
"""

from __future__ import annotations

import operator

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from ghostnet.engines.cpu.processor import targeted

VECTOR_BYTES = targeted().vector_bytes


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


class Emit:
    """LLVM instructions on vectors of `type` in the flat array at `data`."""

    def __init__(self, builder, data, kind):
        self.builder = builder
        self.data = data
        self.type = kind
        self.align = VECTOR_BYTES // kind.count

    @classmethod
    def of(cls, context, builder, mem_type, mem):
        """For the NumPy array `mem` of a compiled function."""
        kind = context.get_value_type(Vector(mem_type.dtype))
        return cls(builder, context.make_array(mem_type)(context, builder, mem).data, kind)

    def pointer(self, i):
        return self.builder.gep(self.data, [i])

    def load(self, i):
        pointer = self.builder.bitcast(self.pointer(i), self.type.as_pointer())
        return self.builder.load(pointer, align=self.align)

    def store(self, i, value):
        self.builder.store(value, self.builder.bitcast(self.pointer(i), self.type.as_pointer()), align=self.align)

    def store_elements(self, i, scalars):
        """Store scalars as whole vectors, the last filled up with zeros."""
        for start in range(0, len(scalars), self.type.count):
            value = ir.Constant(self.type, None)
            for lane, scalar in enumerate(scalars[start : start + self.type.count]):
                value = self.builder.insert_element(value, scalar, ir.IntType(32)(lane))
            self.store(self.ahead(i, 0, start), value)

    def splat(self, scalar):
        one = self.builder.insert_element(ir.Constant(self.type, ir.Undefined), scalar, ir.IntType(32)(0))
        return self.builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), self.type.count), None))

    def load_scalar(self, i):
        return self.builder.load(self.pointer(i))

    @property
    def width(self):
        return ir.IntType(64)(self.type.count)

    def variable(self):
        """A vector that starts at zero and that LLVM will keep in a register."""
        return cgutils.alloca_once_value(self.builder, ir.Constant(self.type, None))

    def fma(self, a, b, c):
        return multiply_add(self.builder, a, b, c)

    def total(self, value):
        """The sum of the lanes."""
        return self.halve(value, self.builder.fadd)

    def halve(self, value, combine):
        """Lanes combined by halves: in the same order on every machine with vectors of this length."""
        count = value.type.count
        while count > 1:
            count //= 2
            index = ir.VectorType(ir.IntType(32), count)
            low, high = ([ir.IntType(32)(start + i) for i in range(count)] for start in (0, count))
            halves = [self.builder.shuffle_vector(value, value, ir.Constant(index, part)) for part in (low, high)]
            value = combine(*halves)
        return self.builder.extract_element(value, ir.IntType(32)(0))

    def offset(self, base, *products):
        """base + Σ stride · index, with Python or LLVM integers."""
        for stride, i in products:
            if isinstance(i, int):
                i = ir.IntType(64)(i)
            base = self.builder.add(base, self.builder.mul(stride, i))
        return base

    def ahead(self, base, vectors: int, elements: int = 0):
        return self.builder.add(base, ir.IntType(64)(vectors * self.type.count + elements))


def outlined(name: str, body):
    """The code of an intrinsic as a function of its own: compiled once, not again wherever it is called."""

    def codegen(context, builder, signature, args):
        mem, *numbers = args
        outer = Emit.of(context, builder, signature.args[0], mem)
        full_name = f"ghostnet.{name}.{outer.type.element}"
        function = builder.module.globals.get(full_name)
        if function is None:
            kinds = [outer.data.type, *(number.type for number in numbers)]
            function = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), kinds), full_name)
            function.linkage = "internal"
            function.attributes.add("noinline")
            function.attributes.alignstack = VECTOR_BYTES  # registers are spilled into whole cache lines
            inner = ir.IRBuilder(function.append_basic_block("entry"))
            body(Emit(inner, function.args[0], outer.type), *function.args[1:])
            inner.ret_void()
        builder.call(function, [outer.data, *numbers])
        return context.get_dummy_value()

    return codegen


def multiply_add(builder, a, b, c):
    """The instruction a b + c."""
    suffix = f"v{a.type.count}f{32 if isinstance(a.type.element, ir.FloatType) else 64}"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(a.type, [a.type] * 3), f"llvm.fmuladd.{suffix}"
    )
    return builder.call(function, [a, b, c])


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
