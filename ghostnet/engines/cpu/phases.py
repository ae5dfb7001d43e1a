"""From one phase of a presentation to the next: what nudged phases start from, and what W learns from their ends."""

from __future__ import annotations

from ghostnet.engines.cpu.compiled import ONE, inline, jit
from ghostnet.engines.cpu.emit import VECTOR_BYTES
from ghostnet.engines.cpu.shares import examples, own_panels
from ghostnet.engines.cpu.simd import fma, load, splat, store
from ghostnet.engines.cpu.slots import D_MEAN, G_FREE, GHOST_WIDTH, R_MEAN, S_FREE, WIDTH, D, G, R, S
from ghostnet.engines.cpu.steps import sense


@inline
def enter(mem, tables, c, phase):
    """The begin of a phase: the end of the last one, and the free activities where another nudged phase was between."""
    if c.collects and phase > 0:
        if c.once and c.beta[phase - 1] != 0.0:
            leave(mem, tables, c, phase - 1)
        if c.beta[phase - 1] == 0.0:
            move_activities(mem, tables, c, S, S_FREE, G, G_FREE)
        elif c.beta[phase] != 0.0:
            move_activities(mem, tables, c, S_FREE, S, G_FREE, G)


@inline
def leave(mem, tables, c, phase):
    """The end of a nudged phase: its learning signal; where it is not the only one, or not the last phase, kept."""
    sense(mem, tables, c, phase)
    if c.collects:
        add_to_means(mem, tables, c, phase)


@jit
def add_to_means(mem, tables, c, phase):
    """D_MEAN += share D and R_MEAN += R / (number of nudged phases), from zero at the first of them."""
    nudged, before = 0, 0
    for p in range(c.beta.shape[0]):
        nudged += c.beta[p] != 0.0
        before += c.beta[p] != 0.0 and p < phase
    old, part = 1.0 if before else 0.0, 1.0 / nudged
    first, end = own_panels(c)
    for panel in range(first, end):
        add_to_mean(mem, tables[panel], c, ONE, D_MEAN, D, c.share[phase], old)
        add_to_mean(mem, tables[panel], c, ONE, R_MEAN, R, part, old)
    for k in range(2, tables.shape[1]):
        add_to_mean(mem, tables[0], c, k, D_MEAN, D, c.share[phase], old)
        add_to_mean(mem, tables[0], c, k, R_MEAN, R, part, old)


@jit
def add_to_mean(mem, at, c, k, mean, source, part, old):
    """mean = old mean + part source, for layer k."""
    part_v, old_v = splat(mem, part), splat(mem, old)
    first, count = examples(c, k)
    for i in range(first * at[k, WIDTH], (first + count) * at[k, WIDTH], VECTOR_BYTES // mem.itemsize):
        to = at[k, mean] + i
        store(mem, to, fma(part_v, load(mem, at[k, source] + i), old_v * load(mem, to)))


@jit
def move_activities(mem, tables, c, s_from, s_to, g_from, g_to):
    """Copy s_k and g_k from their columns to others."""
    first, end = own_panels(c)
    for panel in range(first, end):
        move_rows(mem, tables[panel], examples(c, ONE), ONE, WIDTH, s_from, s_to)
    for k in range(2, tables.shape[1]):
        move_rows(mem, tables[0], examples(c, k), k, WIDTH, s_from, s_to)
        move_rows(mem, tables[0], examples(c, k), k - 1, GHOST_WIDTH, g_from, g_to)


@jit
def move_rows(mem, at, rows, k, width, source, to):
    """Copy rows of row k's block of one column to that of another. By `products.copy` mb-500 took 1.4 times as long."""
    first, count = rows
    for i in range(first * at[k, width], (first + count) * at[k, width], VECTOR_BYTES // mem.itemsize):
        store(mem, at[k, to] + i, load(mem, at[k, source] + i))
