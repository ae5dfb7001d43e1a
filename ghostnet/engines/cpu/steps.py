"""One Euler step, as `equations.step`, in the two ways in which a team shares it: see `shares`.

By examples a step may take less than a microsecond, so it becomes a part of the kernel. What Numba compiles for an
overload itself has not the options of `jit`; the functions behind it have.
"""

from __future__ import annotations

from numba.extending import overload

from ghostnet.engines.cpu.compiled import NO, ONE, TWO, inline, jit
from ghostnet.engines.cpu.currents import (
    all_rates,
    currents,
    currents_of_layer,
    output_error,
    rates_of_ghosts,
    rates_of_units,
    relax_ghosts,
    relax_units,
    sum_panels,
)
from ghostnet.engines.cpu.firstlayer import learn_first
from ghostnet.engines.cpu.plasticity import learn_above, learn_ghosts, post_of_layer, teach_W_gp, teach_W_pg
from ghostnet.engines.cpu.shares import in_panels, own_panels, place_in_crowd
from ghostnet.engines.cpu.slots import TURN, D, R
from ghostnet.engines.cpu.team import arrive, leads, meet, wait


def step(mem, tables, c, phase, lit, lit_count):
    """One Euler step: everything is read at the current state, then all advance."""


@overload(step, inline="always")
def _step(mem, tables, c, phase, lit, lit_count):
    way = step_in_panels if in_panels(c) else step_by_examples
    return lambda mem, tables, c, phase, lit, lit_count: way(mem, tables, c, phase, lit, lit_count)


def sense(mem, tables, c, phase):
    """Rates, errors, drives and postsynaptic factors at the current state: what every step computes anew."""


@overload(sense)
def _sense(mem, tables, c, phase):
    way = sense_in_panels if in_panels(c) else sense_by_examples
    return lambda mem, tables, c, phase: way(mem, tables, c, phase)


@inline
def step_by_examples(mem, tables, c, phase, lit, lit_count):
    """`step`: first what each example has for itself, then the matrices that the batch teaches, by columns."""
    at = tables[0]
    N = at.shape[0] - 1
    W_acts = c.acting[phase, 0]
    W_pg_acts = c.acting[phase, 1]
    W_gp_acts = c.acting[phase, 2]
    sense_each(mem, at, c, phase, W_gp_acts and c.plain_gp)
    if leads(c.team):
        mem[at[0, TURN]] = 1.0 - mem[at[0, TURN]]
    for k in range(1, N):
        if W_gp_acts:
            teach_W_gp(mem, at, c, k)
        if W_pg_acts:
            teach_W_pg(mem, at, c, k)
    if W_acts:
        for k in range(1, N + 1):
            post_of_layer(mem, at, c, k, c.post, at[k, D])
    for k in range(1, N):
        relax_ghosts(mem, at, c, k)
    for k in range(1, N + 1):
        relax_units(mem, at, c, k)
    if W_acts or W_pg_acts or (W_gp_acts and not c.owned):  # else each example goes its own way
        meet(c.team)
        for k in range(1, N):
            learn_ghosts(mem, at, c, k, W_pg_acts, W_gp_acts)
        if W_acts:
            learn_above(mem, at, c, c.dt, c.share[phase], D, R)
            learn_first(mem, at, c, c.share[phase], lit, lit_count)
        meet(c.team)


@inline
def sense_each(mem, at, c, phase, W_gp_acts):
    """Rates, errors and drives of each example; and (5), (15) as far as `currents` does it."""
    all_rates(mem, at, c)
    output_error(mem, at, c, c.beta[phase])
    currents(mem, at, c, W_gp_acts)


@jit
def sense_by_examples(mem, tables, c, phase):
    """`sense`, each example by itself."""
    at = tables[0]
    sense_each(mem, at, c, phase, NO)
    for k in range(1, at.shape[0]):
        post_of_layer(mem, at, c, k, c.post, at[k, D])


@jit
def step_in_panels(mem, tables, c, phase, lit, lit_count):
    """`step`: the units above the hidden layer and its ghosts, then the hidden layer panel by panel."""
    W_acts = c.acting[phase, 0]
    W_pg_acts = c.acting[phase, 1]
    top = tables[0]
    sense_top(mem, top, c, phase)
    if W_pg_acts:
        teach_W_pg(mem, top, c, ONE)
    if W_acts:
        post_of_layer(mem, top, c, TWO, c.post, top[2, D])
    first, end = own_panels(c)
    forth = mem[top[0, TURN]] != 0.0  # then back: what the last step has ended with is in the cache
    for n in range(first, end):
        panel = n if forth else first + end - ONE - n
        step_panel(mem, tables[panel], c, phase, n == end - ONE, lit, lit_count)
    wait(c.team)
    sum_panels(mem, tables, c)
    relax_ghosts(mem, top, c, ONE)
    relax_units(mem, top, c, TWO)


@inline
def sense_top(mem, top, c, phase):
    """Rates and errors of the units above the hidden layer and of its ghosts."""
    rates_of_ghosts(mem, top, c, ONE)
    rates_of_units(mem, top, c, TWO)
    output_error(mem, top, c, c.beta[phase])


@inline
def step_panel(mem, at, c, phase, last, lit, lit_count):
    """What a step does with a panel of the hidden layer, and with the matrices from and to it.

    A thread that shares its panels with nobody lets the others go on as soon as its last one has sent what they need:
    while it learns, it need not be waited for.
    """
    _, crowd = place_in_crowd(c)
    W_acts = c.acting[phase, 0]
    W_pg_acts = c.acting[phase, 1]
    W_gp_acts = c.acting[phase, 2]
    rates_of_units(mem, at, c, ONE)
    currents_of_layer(mem, at, c, ONE, W_gp_acts and c.plain_gp)
    if last and crowd == 1:
        arrive(c.team)
    if W_gp_acts:
        teach_W_gp(mem, at, c, ONE)
    if W_acts:
        post_of_layer(mem, at, c, ONE, c.post, at[1, D])
    relax_units(mem, at, c, ONE)
    if crowd > 1:
        meet(c.team)
    learn_ghosts(mem, at, c, ONE, W_pg_acts, W_gp_acts)
    if W_acts:
        learn_above(mem, at, c, c.dt, c.share[phase], D, R)
        learn_first(mem, at, c, c.share[phase], lit, lit_count)
    if last and crowd > 1:
        arrive(c.team)


@jit
def sense_in_panels(mem, tables, c, phase):
    """`sense`: the hidden layer panel by panel."""
    top = tables[0]
    sense_top(mem, top, c, phase)
    post_of_layer(mem, top, c, TWO, c.post, top[2, D])
    first, end = own_panels(c)
    for panel in range(first, end):
        at = tables[panel]
        rates_of_units(mem, at, c, ONE)
        currents_of_layer(mem, at, c, ONE, NO)
        post_of_layer(mem, at, c, ONE, c.post, at[1, D])
    meet(c.team)
    sum_panels(mem, tables, c)
