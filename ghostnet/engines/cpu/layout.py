"""Where everything of one network lies in the flat array of the compiled kernels; the only place that knows."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ghostnet.engines.cpu import slots as at
from ghostnet.engines.cpu.emit import VECTOR_BYTES, lanes
from ghostnet.model.equations import Layers, State, Weights
from ghostnet.model.experiment import Experiment
from ghostnet.model.models import collects
from ghostnet.model.network import Network, mixtures

MEMBERS, PANELS = range(2)  # axes of the tables
APART = 4096  # bytes: processors fetch ahead within a page, also what another one writes


class Layout:
    """The layout tables of an experiment, and the way of weights and activities in and out.

    Attributes:
        tables: offsets and sizes, int64 (members, panels, N + 1, columns); the columns are named in
            `ghostnet.engines.cpu.slots`. Panels have blocks of their own for what has a column for each unit of layer
            1, and for what they send to other units; each member of a team has its own for all other activities
            (`shares`). Without panels there is one table.
        size: elements that one network takes.
    """

    def __init__(self, experiment: Experiment, dtype: DTypeLike, panels: int | None = None, members: int = 1):
        self.experiment, self.dtype = experiment, np.dtype(dtype)
        shape = (members, panels) if panels else (1, 1)
        self.tables = np.zeros((*shape, experiment.depth + 1, at.COLUMN_COUNT), np.int64)
        self._wanted: dict[int | None, list] = {None: [], MEMBERS: [], PANELS: []}
        self.size = 0
        e = experiment
        N = e.depth
        m = (0, *e.ghosts, 0)
        self._set_sizes()
        width, ghost_width = self.tables[0, 0, :, at.WIDTH], self.tables[0, 0, :, at.GHOST_WIDTH]
        for k in range(1, N):
            self._take(k, (at.G, at.RHO_G, at.GHOST_DRIVE, at.MISMATCH), e.batch * ghost_width[k], MEMBERS)
            self._take(k, (at.W_PG,), m[k] * width[k], PANELS)
            self._take(k, (at.W_GP,), (e.batch if e.plasticity.owned else 1) * m[k] * width[k], PANELS)
        for k in range(1, N + 1):
            self._take(k, (at.S, at.R, at.E, at.D, at.DRIVE), e.batch * width[k], self._axis(k))
            self._take(k, (at.W,), e.sizes[0] * width[1] if k == 1 else e.sizes[k] * width[k - 1], PANELS)
            if e.clip is not None:
                self._take(k, (at.CLIPPED,), width[1] if k == 1 else e.sizes[k] * width[k - 1], PANELS)
        for k in range(1, N):
            if e.feedback == "FA":
                self._take(k, (at.B,), e.sizes[k + 1] * width[k], PANELS)
            if panels:
                self._take(k, (at.PART,), 2 * e.batch * width[k + 1], PANELS)
                self._take(k, (at.GHOST_PART,), 2 * e.batch * ghost_width[k], PANELS)
        self._take(N, (at.TARGET,), e.batch * width[N], MEMBERS)
        self._take(1, (at.D_SUM,), e.batch * width[1], PANELS)
        self._take(0, (at.R,), e.batch * width[0])
        self._take(0, (at.TURN,), 1, MEMBERS)
        self._take(0, (at.FADE,), e.batch, PANELS)  # for each thread that shares a panel
        self._take(0, (at.GRAM,), e.batch * self._padded(e.batch))
        self._take_for_mixtures(mixtures(e))
        if collects(e.phases):
            self._take_for_returning()
        for k in range(1, N):
            self._take(k, (at.D_GP,), e.batch * width[k], PANELS)
        self._place()
        for k in range(1, N):
            if e.feedback == "TF":
                self.tables[..., k, at.B] = self.tables[..., k + 1, at.W]
            if not panels:
                self.tables[..., k, at.PART] = self.tables[..., k + 1, at.DRIVE]
                self.tables[..., k, at.GHOST_PART] = self.tables[..., k, at.GHOST_DRIVE]

    def _set_sizes(self) -> None:
        """Units and ghosts by layer, of layer 1 those of each panel; panels have rows of one length."""
        e, count, tables = self.experiment, self.tables.shape[1], self.tables
        tables[..., at.UNITS] = e.sizes
        tables[..., 1:-1, at.GHOSTS] = e.ghosts
        if count > 1:
            vectors = self._padded(e.sizes[1]) // lanes(self.dtype)
            bounds = [min(vectors * panel // count * lanes(self.dtype), e.sizes[1]) for panel in range(count + 1)]
            tables[..., 1, at.UNITS] = np.diff(bounds)
        tables[..., at.WIDTH] = [self._width(units) for units in tables[0, :, :, at.UNITS].max(axis=0)]
        tables[..., :-1, at.GHOST_WIDTH] = [self._width(units) for units in tables[0, 0, :-1, at.GHOSTS]]

    def _take_for_mixtures(self, P: list) -> None:
        """P_k, and what ghosts imitate with it."""
        t, self.P = self.tables[0, 0], P
        for k, mixture in enumerate(P[1:], start=1):
            self.tables[..., k, at.P] = at.NOWHERE
            if mixture is not None:
                self._take(k, (at.P,), self.experiment.ghosts[k - 1] * t[k + 1, at.WIDTH])
                self._take(k, (at.S_ABOVE, at.R_ABOVE), self.experiment.batch * t[k, at.GHOST_WIDTH], MEMBERS)

    def _take_for_returning(self) -> None:
        """The activities at the end of the free phase, and what nudged phases have taught so far."""
        e, t = self.experiment, self.tables[0, 0]
        for k in range(1, e.depth + 1):
            self._take(k, (at.S_FREE, at.D_MEAN, at.R_MEAN), e.batch * t[k, at.WIDTH], self._axis(k))
        for k in range(1, e.depth):
            self._take(k, (at.G_FREE,), e.batch * t[k, at.GHOST_WIDTH], MEMBERS)

    def _axis(self, k: int) -> int:
        """Along which axis of the tables the activities of units of layer k differ."""
        return PANELS if k == 1 else MEMBERS

    def _padded(self, units: int) -> int:
        return -(-units // lanes(self.dtype)) * lanes(self.dtype)

    def _width(self, units: int) -> int:
        """Row length: an odd number of vectors, so that rows do not meet in the same cache sets (4 KiB aliasing)."""
        return (self._padded(units) // lanes(self.dtype) | 1) * lanes(self.dtype)

    def _take(self, k: int, columns: tuple[int, ...], count: int, axis: int | None = None) -> None:
        """Room for so many elements, for each place along an axis of the tables; None: for all together."""
        if self.tables.shape[:2] == (1, 1):
            axis = None
        self._wanted[axis] += [(k, column, count) for column in columns]

    def _place(self) -> None:
        """What is for all, then that of each member together, and of each panel."""
        for axis, wanted in self._wanted.items():
            for place in [self.tables] if axis is None else np.moveaxis(self.tables, axis, 0):
                for k, column, count in wanted:
                    place[..., k, column] = self.size
                    self.size += self._padded(int(count))
                if axis is not None:
                    self.size += APART // self.dtype.itemsize

    def allocate(self, runs: int) -> np.ndarray:
        """Zeroed memory (runs, size) whose rows start on vector boundaries."""
        spare = lanes(self.dtype)
        flat = np.zeros(runs * self.size + spare, self.dtype)
        start = -flat.ctypes.data % VECTOR_BYTES // self.dtype.itemsize
        memory = flat[start : start + runs * self.size].reshape(runs, self.size)
        for fade in self.tables[0, :, 0, at.FADE]:
            memory[:, fade : fade + self.experiment.batch] = 1
        for k, mixture in enumerate(self.P[1:], start=1):
            if mixture is not None:
                self._block(memory, k, at.P, mixture.shape[1:-1], k + 1).write(mixture)
        return memory

    def _block(self, mem: np.ndarray, k: int, column: int, rows: tuple, of: int, turned: bool = False) -> Block:
        """The block of a column, rows of a number for each unit of layer `of`."""
        tables = self.tables[0] if of == 1 else self.tables[0, :1]
        parts = [self._rows(mem, t[k, column], rows, t[of, at.UNITS], t[of, at.WIDTH]) for t in tables]
        return Block(parts, turned)

    def _rows(self, mem: np.ndarray, start: int, rows: tuple, count: int, width: int) -> np.ndarray:
        """A view (runs, *rows, count) of rows that are padded to `width`."""
        block = mem[:, start : start + math.prod(rows) * width].reshape(-1, *rows, width)
        return block[..., :count]

    def repeat(self, mem: np.ndarray) -> None:
        """Give all members of a team the activities that the first has."""
        for k in range(1, self.experiment.depth + 1):
            for column, row in ((at.S, at.WIDTH), (at.G, at.GHOST_WIDTH)):
                first, *others = self.tables[:, 0, k, column]
                count = self.experiment.batch * self.tables[0, 0, k, row]
                for other in others:
                    mem[:, other : other + count] = mem[:, first : first + count]

    def blocks(self, mem: np.ndarray) -> tuple[Weights, State]:
        """The weights and activities in `mem`: lists over k of `Block`s; under TF, B is where W is."""
        e = self.experiment
        n = e.sizes
        m = (0, *e.ghosts)
        N = e.depth
        hidden, own = range(1, N), (e.batch,) if e.plasticity.owned else ()
        W = [None, self._block(mem, 1, at.W, (n[0],), 1, turned=True)]
        W += [self._block(mem, k, at.W, (n[k],), k - 1) for k in range(2, N + 1)]
        B = [None, *(self._block(mem, k, at.B, (n[k + 1],), k, turned=True) for k in hidden)]
        W_pg = [None, *(self._block(mem, k, at.W_PG, (m[k],), k) for k in hidden)]
        W_gp = [None, *(self._block(mem, k, at.W_GP, (*own, m[k]), k, turned=True) for k in hidden)]
        s = [None, *(self._block(mem, k, at.S, (e.batch,), k) for k in range(1, N + 1))]
        t = self.tables[0, 0]
        ghosts = [self._rows(mem, t[k, at.G], (e.batch,), m[k], t[k, at.GHOST_WIDTH]) for k in hidden]
        g = [None, *(Block([rows], turned=False) for rows in ghosts)]
        return Weights(W, B, W_pg, W_gp), State(s, g)


class Block(NamedTuple):
    """An array of a network in memory.

    Attributes:
        parts: views (runs, *rows, units), of each panel in turn.
        turned: whether the paper writes the last two axes the other way round.
    """

    parts: list[np.ndarray]
    turned: bool

    def read(self) -> np.ndarray:
        """The array as the paper writes it; a view where there is one part."""
        whole = self.parts[0] if len(self.parts) == 1 else np.concatenate(self.parts, axis=-1)
        return whole.mT if self.turned else whole

    def write(self, values: np.ndarray) -> None:
        """Write an array as the paper writes it."""
        whole = values.mT if self.turned else values
        ends = np.cumsum([part.shape[-1] for part in self.parts])
        for part, some in zip(self.parts, np.split(whole, ends[:-1], axis=-1), strict=True):
            part[...] = some


def put(network: Network, blocks: tuple[Weights, State]) -> None:
    """Write a network's weights and activities."""
    for group, source in zip(blocks, (network.weights, network.state), strict=True):
        for block_list, source_list in zip(group, source, strict=True):
            for block, values in zip(block_list[1:], source_list[1:], strict=True):
                block.write(values)


def look(blocks: tuple[Weights, State], still: Weights | None = None) -> tuple[Weights, State]:
    """What is in the blocks (`Block.read`); still: weights of which only W_gp is read again."""
    weights, state = blocks
    read = still._replace(W_gp=_read(weights.W_gp)) if still else Weights(*map(_read, weights))
    return read, State(*map(_read, state))


def get(blocks: tuple[Weights, State]) -> tuple[Weights, State]:
    """Copies of what is in the blocks, float64."""
    weights, state = look(blocks)
    return Weights(*map(_copied, weights)), State(*map(_copied, state))


def _read(blocks: list) -> Layers:
    return [None, *(block.read() for block in blocks[1:])]


def _copied(arrays: Layers) -> Layers:
    return [None, *(array.astype(np.float64) for array in arrays[1:])]
