"""What each thread of a team computes of a network's arrays; alone, a thread computes all.

A step has two halves. In the first, each member has a share of the examples: rates, errors, drives, postsynaptic
factors. In the second, each has a share of the columns of every matrix that the batch teaches, and sums over all
examples. Every number is computed by one member, in the order in which a thread alone computes it: results don't
depend on how many there are.
"""

from __future__ import annotations

from numba import types
from numba.extending import overload

from ghostnet.engines.cpu.compiled import NONE, ONE, inline
from ghostnet.engines.cpu.products import whole_vectors
from ghostnet.engines.cpu.simd import VECTOR_BYTES


def portion(team, count):
    """The first and the end of a member's share of so many."""


@overload(portion)
def _portion(team, count):
    if isinstance(team, types.NoneType):
        return lambda team, count: (NONE, count)
    return lambda team, count: (count * team.member // team.members, count * (team.member + ONE) // team.members)


@inline
def examples(c):
    """The first example that is this thread's, and how many."""
    first, end = portion(c.team, c.batch)
    return first, end - first


@inline
def columns(mem, c, units):
    """The first column that is this thread's of a matrix over so many units, and how many: whole vectors."""
    lanes = VECTOR_BYTES // mem.itemsize
    first, end = portion(c.team, whole_vectors(mem, units) // lanes)
    return first * lanes, (end - first) * lanes
