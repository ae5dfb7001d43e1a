"""What each thread of a team computes of a network's arrays; alone, a thread computes all.

Every number is computed by one member, in the order in which a thread alone computes it: results don't depend on how
many there are.

By examples: in the first half of a step each member has a share of the examples: rates, errors, drives, postsynaptic
factors. In the second, each has a share of the columns of every matrix that the batch teaches, and sums over all
examples. So all that is computed by examples is read by columns, and the other way round.

In panels, where there is one hidden layer, and a batch that teaches all matrices together or one example of very many
units: the units are divided into
panels, whatever the number of threads, each a network of its own with fewer hidden units below the same output. What a
step does with a panel and the weights from and to it, one member does at once, while it is in its cache. Only what the
few units above and the ghosts receive is a sum over panels; these units every member steps for itself, on memory of its
own: that takes less time than to wait for another who does. Where there are more members than panels, a crowd of them
has each, and shares it by examples and columns.
"""

from __future__ import annotations

from numba import types
from numba.extending import overload

from ghostnet.engines.cpu.compiled import NONE, ONE, inline
from ghostnet.engines.cpu.emit import VECTOR_BYTES
from ghostnet.engines.cpu.products import whole_vectors

PANEL = 1024 // VECTOR_BYTES  # vectors that a panel has at most: of fewer, sums take too much time beside products
WIDE = 1000  # units that a panel of a single example has at least: of fewer, threads wait as long as they compute


def panel_count(units: int, batch: int, lanes: int) -> int | None:
    """Into how many panels so many units are divided: a power of two, to be shared evenly; None for too few."""
    if batch > 1:
        vectors = -(-units // lanes)
        return 1 << ((vectors - 1) // PANEL).bit_length()
    return 1 << (units // WIDE).bit_length() - 1 if units >= 2 * WIDE else None


def in_panels(settings: types.NamedTuple) -> bool:
    """Whether kernels are compiled for a network in panels."""
    return not isinstance(settings.types[settings.fields.index("panels")], types.NoneType)


def place(team):
    """A thread's number in its team, and how many they are."""


@overload(place)
def _place(team):
    if isinstance(team, types.NoneType):
        return lambda team: (NONE, ONE)
    return lambda team: (team.member, team.members)


def place_in_crowd(c):
    """A thread's number among those that share a panel, or without panels the network, and how many they are."""


@overload(place_in_crowd)
def _place_in_crowd(c):
    if not in_panels(c):
        return lambda c: place(c.team)

    def of_panel(c):
        member, members = place(c.team)
        crowd = max(ONE, members // c.panels)
        return member % crowd, crowd

    return of_panel


def own_panels(c):
    """The first panel that this thread works at, and the end."""


@overload(own_panels)
def _own_panels(c):
    if not in_panels(c):
        return lambda c: (NONE, ONE)

    def some(c):
        member, members = place(c.team)
        first = c.panels * member // members
        return first, max(first + ONE, c.panels * (member + ONE) // members)

    return some


def examples(c, k):
    """The first example of layer k whose activities this thread steps, and how many; of its input: that it reads in."""


@overload(examples)
def _examples(c, k):
    if not in_panels(c):
        return lambda c, k: share(c.batch, place(c.team))

    def of_layer(c, k):
        if k > 1:
            return NONE, c.batch
        return share(c.batch, place(c.team) if k == 0 else place_in_crowd(c))

    return of_layer


@inline
def columns(mem, c, units):
    """The first column that is this thread's of a matrix over so many units, and how many: whole vectors."""
    lanes = VECTOR_BYTES // mem.itemsize
    first, count = share(whole_vectors(mem, units) // lanes, place_in_crowd(c))
    return first * lanes, count * lanes


@inline
def share(count, place):
    """The first of so many that belongs to a place, and how many do."""
    member, members = place
    first = count * member // members
    return first, count * (member + ONE) // members - first
