"""The compiled twin of the page of equations: one network, stepped through whole presentations."""

from __future__ import annotations

from ghostnet.engines import EXPLODED
from ghostnet.engines.cpu.compiled import entry, inline
from ghostnet.engines.cpu.firstlayer import drive_input, gram_row, learn_once, settle
from ghostnet.engines.cpu.phases import enter, leave
from ghostnet.engines.cpu.plasticity import learn_above
from ghostnet.engines.cpu.products import dots
from ghostnet.engines.cpu.recording import copy
from ghostnet.engines.cpu.shares import examples, own_panels
from ghostnet.engines.cpu.slots import (
    D_MEAN,
    GRAM,
    R_MEAN,
    TARGET,
    TURN,
    UNITS,
    WIDTH,
    D,
    R,
    S,
)
from ghostnet.engines.cpu.steps import sense, step
from ghostnet.engines.cpu.team import leads, meet


@inline
def begin_presentation(mem, tables, c, x, y, lit, lit_count):
    """Show x and y: copy them, list the lit pixels, compute W_1 x and, where W_1 moves within phases, x x^T."""
    at = tables[0]
    N = at.shape[0] - 1
    first, some = examples(c, 0)
    for b in range(first, first + some):
        count = 0
        for i in range(at[0, UNITS]):
            mem[at[0, R] + b * at[0, WIDTH] + i] = x[b, i]
            lit[b, count] = i
            count += x[b, i] != 0
        lit_count[b] = count
    own, some_own = examples(c, N)
    for b in range(own, own + some_own):
        for i in range(at[N, UNITS]):
            mem[at[N, TARGET] + b * at[N, WIDTH] + i] = y[b, i]
    mem[at[0, TURN]] = 0.0
    meet(c.team)
    panel, end = own_panels(c)
    for p in range(panel, end):
        drive_input(mem, tables[p], c, lit, lit_count)
    if not c.once:
        r_0, width = at[0, R], at[0, WIDTH]
        gram, row = at[0, GRAM] + first * gram_row(mem, c), gram_row(mem, c)
        dots(mem, gram, row, some, r_0 + first * width, width, r_0, width, c.batch, width)
    meet(c.team)


@inline
def advance_phase(mem, tables, c, phase, steps, lit, lit_count):
    """`steps` Euler steps of one phase."""
    for _ in range(steps):
        step(mem, tables, c, phase, lit, lit_count)


@inline
def finish_presentation(mem, tables, c, lit, lit_count):
    """What happens at the end of the presentation, and the end of its last phase."""
    if c.once:
        learn_from_ends(mem, tables, c, lit, lit_count)
    else:
        first, end = own_panels(c)
        for panel in range(first, end):
            settle(mem, tables[panel], c, lit, lit_count)
    meet(c.team)


@inline
def learn_from_ends(mem, tables, c, lit, lit_count):
    """(16)."""
    last = c.beta.shape[0] - 1
    if c.beta[last] != 0.0:
        leave(mem, tables, c, last)
    meet(c.team)
    first, end = own_panels(c)
    for panel in range(first, end):
        at = tables[panel]
        if c.collects:
            learn_above(mem, at, c, 1.0, 1.0, D_MEAN, R_MEAN)
            learn_once(mem, at, c, at[1, D_MEAN], 1.0, lit, lit_count)
        else:
            learn_above(mem, at, c, 1.0, c.share[last], D, R)
            learn_once(mem, at, c, at[1, D], c.share[last], lit, lit_count)


@inline
def recorded_phase(mem, tables, c, phase, steps, state, rest, block, lit, lit_count):
    """As `advance_phase`; block (rows, columns) takes a row after every steps[row] steps.

    A step computes r_k, e_k and the drives from the state it starts at, and leaves the next s_k and g_k. So a row takes
    s and g right after its step and the rest while the next step starts; after the last row these are computed for it
    alone.
    """
    rows = block.shape[0]
    for row in range(rows):
        for n in range(steps[row]):
            step(mem, tables, c, phase, lit, lit_count)
            if n == 0 and row > 0:
                keep_row(mem, c, block[row - 1], rest)
        keep_row(mem, c, block[row], state)
    if rows and rest.shape[0]:
        sense(mem, tables, c, phase)
        keep_row(mem, c, block[rows - 1], rest)


@inline
def keep_row(mem, c, row, parts):
    """Copy what all have computed into a row, before any of them goes on."""
    if parts.shape[0]:
        meet(c.team)
        if leads(c.team):
            copy(mem, row, parts)
        meet(c.team)


@inline
def diverged_layer(mem, tables, c):
    """The lowest layer with a non-finite or exploding activity; 0 where there is none."""
    for k in range(1, tables.shape[1]):
        for panel in range(tables.shape[0] if k == 1 else 1):
            at = tables[panel]
            for i in range(c.batch * at[k, WIDTH]):
                if not abs(mem[at[k, S] + i]) <= EXPLODED:
                    return k
    return 0


@entry
def present(mem, tables, c, rows, steps, xs, ys, state, rest, block, lit, lit_count):
    """Presentations xs (presentations, batch, n_0), ys in turn; returns (how many went well, diverged layer or 0).

    Every presentation fills rows of block (presentations · rows, columns): rows says how many each phase has, and steps
    how many Euler steps every one of them stands for. Rows without columns are the presentation unrecorded.
    """
    row = 0
    for p in range(xs.shape[0]):
        begin_presentation(mem, tables, c, xs[p], ys[p], lit, lit_count)
        first = 0
        for phase in range(rows.shape[0]):
            enter(mem, tables, c, phase)
            some = steps[first : first + rows[phase]]
            recorded_phase(mem, tables, c, phase, some, state, rest, block[row : row + rows[phase]], lit, lit_count)
            first += rows[phase]
            row += rows[phase]
        finish_presentation(mem, tables, c, lit, lit_count)
        layer = diverged_layer(mem, tables, c)
        if layer:
            return p, layer
    return xs.shape[0], 0


# A presentation in pieces.


@entry
def begin(mem, tables, c, x, y, lit, lit_count):
    """See `begin_presentation`."""
    begin_presentation(mem, tables, c, x, y, lit, lit_count)


@entry
def advance(mem, tables, c, before, phase, steps, state, rest, block, lit, lit_count):
    """See `recorded_phase`; `before` is the phase that the presentation was in."""
    for entered in range(before + 1, phase + 1):
        enter(mem, tables, c, entered)
    recorded_phase(mem, tables, c, phase, steps, state, rest, block, lit, lit_count)


@entry
def finish(mem, tables, c, lit, lit_count):
    """See `finish_presentation`."""
    finish_presentation(mem, tables, c, lit, lit_count)


@entry
def diverged(mem, tables, c, lit, lit_count):
    """See `diverged_layer`."""
    return diverged_layer(mem, tables, c)
