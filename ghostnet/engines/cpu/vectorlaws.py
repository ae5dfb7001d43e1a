"""Laws in compiled kernels: a law is a type to Numba, which so compiles a kernel for the laws that it is called with.

Nothing is looked up while a kernel runs, and kernels stay functions of their modules, which can be kept on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from numba import types
from numba.extending import NativeValue, models, overload, register_model, typeof_impl, unbox

from ghostnet.engines.cpu.compiled import jit
from ghostnet.engines.cpu.vectormath import OWN, as_vector
from ghostnet.model.laws import BUILT_IN, identity
from ghostnet.model.lowering import lower


class LawType(types.Type):
    """The Numba type of one law; equal in every process for the same text."""

    def __init__(self, law: str, built_in: bool):
        self.law, self.built_in = law, built_in
        super().__init__(name=f"Law({law})")


register_model(LawType)(models.OpaqueModel)


class Law:
    """A law as an argument of kernels."""

    compiled: ClassVar[dict[str, Callable]] = {}  # by identity

    def __init__(self, function: Callable):
        self.identity, self.built_in = identity(function), function in BUILT_IN
        if self.identity not in self.compiled:
            self.compiled[self.identity] = lower(function, OWN, jit)


@typeof_impl.register(Law)
def _type_of(law, context):
    return LawType(law.identity, law.built_in)


@unbox(LawType)
def _argument(kind, law, c):
    return NativeValue(c.context.get_dummy_value())


def evaluate(law, x, *others):
    """The law of vectors, a vector; it may be a number by its text."""


@overload(evaluate)
def _evaluate(law, x, *others):
    function = Law.compiled[law.law]
    return lambda law, x, *others: as_vector(x, function(x, *others))
