"""Threads that step one network together: who they are, and where they wait for one another.

What each of them computes is in `shares`. They stay in their kernels for many steps and meet at a gate of atomic
integers: to be woken by the operating system would take as long as a step.
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from ghostnet.engines.cpu.compiled import inline, jit
from ghostnet.engines.cpu.processor import targeted

# A gate has a row for each member: how often it has come, what it has said, whether it need not wait.
_CAME, _SAID, _FREE = range(3)
_ROW = 16  # two cache lines: processors fetch them in pairs
_PATIENCE = 1000  # looks at the gate before the CPU is left to other threads, which may be the ones waited for


class Team(NamedTuple):
    """One thread's place among those that step a network; None in its place is a thread alone."""

    member: int
    members: int
    gate: np.ndarray


def gates(count: int, members: int) -> np.ndarray:
    """New gates, one a row, for teams of so many."""
    return np.zeros((count, members, _ROW), np.int64)


def open_gates(gates: np.ndarray) -> None:
    """Let nobody wait any more: a member will not come. What the others compute from now on is worth nothing."""
    gates[..., _FREE] = 1


def leads(team):
    """Whether this member does what is done once."""


@overload(leads)
def _leads(team):
    if isinstance(team, types.NoneType):
        return lambda team: True
    return lambda team: team.member == 0


def arrive(team):
    """Say that this member has come, and go on: what it has written until now, all can read who `wait`."""


def wait(team):
    """Wait until all members have arrived as often as this one."""


@inline
def meet(team):
    """Wait until all members have come here: what each has written, all can read."""
    arrive(team)
    wait(team)


def any_of(team, own):
    """Whether `own` is true for any member. All meet; they must do so again before they ask the next time."""


@overload(any_of)
def _any_of(team, own):
    if isinstance(team, types.NoneType):
        return lambda team, own: own
    return lambda team, own: _ask(team, own)


@jit
def _ask(team, own):
    team.gate[team.member, _SAID] = own
    meet(team)
    return team.gate[:, _SAID].any()


@jit
def _come(gate, member):
    _put(gate, member, _CAME, _get(gate, member, _CAME) + 1)


@jit
def _wait_for_all(gate, member):
    times = _get(gate, member, _CAME)
    for other in range(gate.shape[0]):
        looks = 0
        while _get(gate, other, _CAME) < times:
            looks += 1
            if looks < _PATIENCE:
                _pause()
            elif _get(gate, member, _FREE):
                return
            else:
                _yield_cpu()


def _at_the_gate(symbol, act):
    """Let a thread alone pass by `symbol`, and a member of a team act at its gate."""

    @overload(symbol)
    def typed(team):
        if isinstance(team, types.NoneType):
            return lambda team: None
        return lambda team: act(team.gate, team.member)


_at_the_gate(arrive, _come)
_at_the_gate(wait, _wait_for_all)


def _place(context, builder, signature, args):
    row = builder.mul(args[1], ir.IntType(64)(_ROW))
    return builder.gep(
        context.make_array(signature.args[0])(context, builder, args[0]).data, [builder.add(row, args[2])]
    )


@intrinsic
def _get(typingctx, gate, member, i):
    """gate[member, i]; what that member had written before it wrote this, is seen."""

    def codegen(context, builder, signature, args):
        return builder.load_atomic(_place(context, builder, signature, args), "acquire", 8)

    return types.int64(gate, types.int64, types.int64), codegen


@intrinsic
def _put(typingctx, gate, member, i, value):
    """gate[member, i] = value, after all that was written before."""

    def codegen(context, builder, signature, args):
        builder.store_atomic(args[3], _place(context, builder, signature, args), "release", 8)
        return context.get_dummy_value()

    return types.void(gate, types.int64, types.int64, types.int64), codegen


@intrinsic
def _pause(typingctx):
    """Tell the processor that this is a loop that waits."""

    def codegen(context, builder, signature, args):
        if targeted().triple.startswith("x86"):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), codegen


_YIELD = "ghostnet_yield"
llvmlite.binding.add_symbol(_YIELD, ctypes.cast(ctypes.CDLL(None).sched_yield, ctypes.c_void_p).value)


@intrinsic
def _yield_cpu(typingctx):
    """Let another thread have the CPU."""

    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, _YIELD), [])
        return context.get_dummy_value()

    return types.void(), codegen
