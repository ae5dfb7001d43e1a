"""From one phase of a presentation to the next: what nudged phases start from, and what W learns from their ends."""

from __future__ import annotations

from ghostnet.engines.cpu.compiled import NO, inline, jit
from ghostnet.engines.cpu.currents import all_rates, currents, output_error
from ghostnet.engines.cpu.plasticity import signals
from ghostnet.engines.cpu.products import copy
from ghostnet.engines.cpu.simd import VECTOR_BYTES, fma, load, splat, store


@inline
def enter(mem, at, c, phase):
    """The begin of a phase: the end of the last one, and the free activities where another nudged phase was between."""
    if c.collects and phase > 0:
        if c.once and c.beta[phase - 1] != 0.0:
            leave(mem, at, c, phase - 1)
        if c.beta[phase - 1] == 0.0:
            keep_free(mem, at, c)
        elif c.beta[phase] != 0.0:
            return_to_free(mem, at, c)


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
    """d_mean += share d and r_mean += r / (number of nudged phases), from zero at the first of them."""
    nudged, before = 0, 0
    for p in range(c.beta.shape[0]):
        nudged += c.beta[p] != 0.0
        before += c.beta[p] != 0.0 and p < phase
    share, part = splat(mem, c.share[phase]), splat(mem, 1.0 / nudged)
    old = splat(mem, 1.0 if before else 0.0)
    for k in range(1, at.shape[0]):
        for i in range(0, c.batch * at[k].width, VECTOR_BYTES // mem.itemsize):
            d, r = at[k].d_mean + i, at[k].r_mean + i
            store(mem, d, fma(share, load(mem, at[k].d + i), old * load(mem, d)))
            store(mem, r, fma(part, load(mem, at[k].r + i), old * load(mem, r)))


@jit
def take_means(mem, at, c):
    """d and r become what the nudged phases have left."""
    for k in range(1, at.shape[0]):
        copy(mem, at[k].d, at[k].d_mean, c.batch * at[k].width)
        copy(mem, at[k].r, at[k].r_mean, c.batch * at[k].width)


@jit
def keep_free(mem, at, c):
    """Keep the activities at the end of a free phase."""
    for k in range(1, at.shape[0]):
        copy(mem, at[k].s_free, at[k].s, c.batch * at[k].width)
        copy(mem, at[k].g_free, at[k].g, c.batch * at[k].ghost_width)


@jit
def return_to_free(mem, at, c):
    """Take the activities that were kept."""
    for k in range(1, at.shape[0]):
        copy(mem, at[k].s, at[k].s_free, c.batch * at[k].width)
        copy(mem, at[k].g, at[k].g_free, c.batch * at[k].ghost_width)
