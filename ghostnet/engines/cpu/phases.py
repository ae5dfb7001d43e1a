"""From one phase of a presentation to the next: what nudged phases start from, and what W learns from their ends."""

from __future__ import annotations

from ghostnet.engines.cpu.compiled import NO, inline, jit
from ghostnet.engines.cpu.currents import all_rates, currents, output_error
from ghostnet.engines.cpu.plasticity import signals
from ghostnet.engines.cpu.shares import examples
from ghostnet.engines.cpu.simd import VECTOR_BYTES, fma, load, splat, store
from ghostnet.engines.cpu.slots import D_MEAN, G_FREE, GHOST_WIDTH, R_MEAN, S_FREE, WIDTH, D, G, R, S


@inline
def enter(mem, at, c, phase):
    """The begin of a phase: the end of the last one, and the free activities where another nudged phase was between."""
    if c.collects and phase > 0:
        if c.once and c.beta[phase - 1] != 0.0:
            leave(mem, at, c, phase - 1)
        if c.beta[phase - 1] == 0.0:
            move_activities(mem, at, c, S, S_FREE, G, G_FREE)
        elif c.beta[phase] != 0.0:
            move_activities(mem, at, c, S_FREE, S, G_FREE, G)


@inline
def leave(mem, at, c, phase):
    """The end of a nudged phase: its learning signal; where it is not the only one, or not the last phase, kept."""
    all_rates(mem, at, c)
    output_error(mem, at, c, c.beta[phase])
    currents(mem, at, c, NO)
    signals(mem, at, c)
    if c.collects:
        add_to_means(mem, at, c, phase)


@jit
def add_to_means(mem, at, c, phase):
    """D_MEAN += share D and R_MEAN += R / (number of nudged phases), from zero at the first of them."""
    nudged, before = 0, 0
    for p in range(c.beta.shape[0]):
        nudged += c.beta[p] != 0.0
        before += c.beta[p] != 0.0 and p < phase
    share, part = splat(mem, c.share[phase]), splat(mem, 1.0 / nudged)
    old = splat(mem, 1.0 if before else 0.0)
    first, count = examples(c)
    for k in range(1, at.shape[0]):
        for i in range(first * at[k, WIDTH], (first + count) * at[k, WIDTH], VECTOR_BYTES // mem.itemsize):
            d, r = at[k, D_MEAN] + i, at[k, R_MEAN] + i
            store(mem, d, fma(share, load(mem, at[k, D] + i), old * load(mem, d)))
            store(mem, r, fma(part, load(mem, at[k, R] + i), old * load(mem, r)))


@jit
def move_activities(mem, at, c, s_from, s_to, g_from, g_to):
    """Copy s_k and g_k from their columns to others. By `products.copy` mb-500 took 1.4 times as long."""
    lanes = VECTOR_BYTES // mem.itemsize
    first, count = examples(c)
    for k in range(1, at.shape[0]):
        for i in range(first * at[k, WIDTH], (first + count) * at[k, WIDTH], lanes):
            store(mem, at[k, s_to] + i, load(mem, at[k, s_from] + i))
    for k in range(1, at.shape[0] - 1):
        for i in range(first * at[k, GHOST_WIDTH], (first + count) * at[k, GHOST_WIDTH], lanes):
            store(mem, at[k, g_to] + i, load(mem, at[k, g_from] + i))
