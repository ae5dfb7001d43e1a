"""The processor that Numba compiles for: this one, or the one that NUMBA_CPU_NAME and NUMBA_CPU_FEATURES name."""

from __future__ import annotations

import functools
from typing import NamedTuple

import llvmlite.binding
from numba.core.registry import cpu_target

_PROBE = """
define void @probe(<16 x float>* %at) {
    %x = load <16 x float>, <16 x float>* %at
    %y = fadd <16 x float> %x, %x
    store <16 x float> %y, <16 x float>* %at
    ret void
}
"""


class Processor(NamedTuple):
    """triple: architecture and system. name, features: as LLVM calls them. vector_bytes: of one of its registers."""

    triple: str
    name: str
    features: str
    vector_bytes: int


@functools.cache
def targeted() -> Processor:
    """What machine code is made for in this process.

    The length of a vector is read off the machine code of a sum: a name such as haswell implies features that no list
    of them repeats, and the features of the machine may not be those that Numba was told to use.
    """
    triple, name, features = cpu_target.target_context.codegen().magic_tuple()
    machine = llvmlite.binding.Target.from_triple(triple).create_target_machine(cpu=name, features=features)
    code = machine.emit_assembly(llvmlite.binding.parse_assembly(_PROBE))
    return Processor(triple, name, features, 64 if "zmm" in code else 32 if "ymm" in code else 16)
