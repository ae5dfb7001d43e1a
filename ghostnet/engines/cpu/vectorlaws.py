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
from ghostnet.model.lowering import PRIMITIVES, arguments, lower
from ghostnet.model.models import POST


class LawType(types.Type):
    """The Numba type of one law; equal in every process for the same text."""

    def __init__(self, law: str, built_in: bool):
        self.law, self.built_in = law, built_in
        super().__init__(name=f"Law({law})")


register_model(LawType)(models.OpaqueModel)


class Law:
    """A law as an argument of kernels."""

    compiled: ClassVar[dict[str, Callable]] = {}  # by identity
    named: ClassVar[dict[str, tuple[str, ...]]] = {}  # the names of its arguments, likewise

    def __init__(self, function: Callable):
        self.identity, self.built_in = identity(function), function in BUILT_IN
        self.arguments = arguments(function) if function not in PRIMITIVES else ()
        if self.identity not in self.compiled:
            self.compiled[self.identity] = lower(function, OWN, jit)
            self.named[self.identity] = self.arguments


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


_UNIT = {  # how a kernel comes to what a law of post asks for, by the names of its arguments
    "s": "s",
    "r": "r",
    "e": "e",
    "slope": "evaluate(slope, s, r)",
    "r_forward": "evaluate(rho, s - e)",
}


def post_of_unit(law, rho, slope, s, r, e):
    """The postsynaptic factor of W's or W_gp's rule, of a vector of units; ρ and ρ' only where they are asked for."""


@overload(post_of_unit)
def _post_of_unit(law, rho, slope, s, r, e):
    return _calling(law, "law, rho, slope, s, r, e", _UNIT, "s")


def post_of_ghost(law, g, rho_g, s_above, r_above):
    """The postsynaptic factor of W_pg's rule, of a vector of ghosts."""


@overload(post_of_ghost)
def _post_of_ghost(law, g, rho_g, s_above, r_above):
    return _calling(law, "law, g, rho_g, s_above, r_above", {name: name for name in POST["W_pg"]}, "g")


def _calling(law: LawType, signature: str, values: dict[str, str], beside: str) -> Callable:
    """A function of that signature that calls a law with what it asks for: Numba knows no calls by name."""
    asked = ", ".join(values[name] for name in Law.named[law.law])
    around = {"function": Law.compiled[law.law], "as_vector": as_vector, "evaluate": evaluate}
    return eval(f"lambda {signature}: as_vector({beside}, function({asked}))", around)
