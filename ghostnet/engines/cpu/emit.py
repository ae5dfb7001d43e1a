"""LLVM instructions on vectors, as intrinsics of Numba emit them."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from ghostnet.engines.cpu.lanesums import additions, sources
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

    def totals(self, values):
        """The sums of the lanes of values, not more than there are lanes, as one vector; zeros fill it up."""
        lanes, size = self.type.count, self.align
        values = [*values, *[ir.Constant(self.type, None)] * (lanes - len(values))]
        sums = [values[0]] * lanes
        for value, place in zip(values, sources(lanes, size), strict=True):
            sums[place] = value
        for low, high in additions(lanes, size):
            pairs = zip(sums[::2], sums[1::2], strict=True)
            sums = [self.builder.fadd(self._pick(a, b, low), self._pick(a, b, high)) for a, b in pairs]
        return sums[0]

    def _pick(self, a, b, lanes):
        """A vector of the chosen lanes of a and, counted on, b."""
        index = ir.Constant(ir.VectorType(ir.IntType(32), self.type.count), [ir.IntType(32)(lane) for lane in lanes])
        return self.builder.shuffle_vector(a, b, index)

    def store_totals(self, i, values, padded: bool = True):
        """Store the sums of the lanes of values; `padded`: whole vectors, the last filled up with zeros."""
        for start in range(0, len(values), self.type.count):
            some = values[start : start + self.type.count]
            if padded:
                self.store(self.ahead(i, 0, start), self.totals(some))
            else:
                self.store_some(self.ahead(i, 0, start), self.totals(some), 0, len(some))

    def store_some(self, i, value, first: int, count: int):
        """Store `count` lanes of a vector from the first on."""
        index = ir.VectorType(ir.IntType(32), count)
        lanes = ir.Constant(index, [ir.IntType(32)(first + lane) for lane in range(count)])
        some = self.builder.shuffle_vector(value, value, lanes)
        self.builder.store(some, self.builder.bitcast(self.pointer(i), some.type.as_pointer()), align=self.align)

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
