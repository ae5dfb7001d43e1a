"""Where everything of one network lies in the flat array of the compiled kernels; the only place that knows."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ghostnet.engines.cpu import slots as at
from ghostnet.engines.cpu.simd import VECTOR_BYTES, lanes
from ghostnet.model.equations import Layers, State, Weights
from ghostnet.model.experiment import Experiment
from ghostnet.model.models import collects
from ghostnet.model.network import Network, mixtures


class Layout:
    """The layout table of an experiment, and the way of weights and activities in and out.

    Attributes:
        table: offsets and sizes, int64 (N + 1, columns); the columns are named in `ghostnet.engines.cpu.slots`.
        size: elements that one network takes.
    """

    def __init__(self, experiment: Experiment, dtype: DTypeLike):
        self.experiment, self.dtype = experiment, np.dtype(dtype)
        self.table = np.zeros((experiment.depth + 1, at.COLUMN_COUNT), np.int64)
        self.size = 0
        e = experiment
        N = e.depth
        t = self.table
        m = (0, *e.ghosts, 0)
        t[:, at.UNITS], t[:, at.WIDTH] = e.sizes, [self._width(n) for n in e.sizes]
        t[:-1, at.GHOSTS], t[:-1, at.GHOST_WIDTH] = m[:-1], [self._width(units) for units in m[:-1]]
        width, ghost_width = t[:, at.WIDTH], t[:, at.GHOST_WIDTH]
        for k in range(1, N):
            self._take(k, (at.G, at.RHO_G, at.GHOST_DRIVE, at.MISMATCH), e.batch * ghost_width[k])
            self._take(k, (at.W_PG,), m[k] * width[k])
            self._take(k, (at.W_GP,), (e.batch if e.plasticity.owned else 1) * m[k] * width[k])
        for k in range(1, N + 1):
            self._take(k, (at.S, at.R, at.E, at.D, at.DRIVE), e.batch * width[k])
            self._take(k, (at.W,), e.sizes[0] * width[1] if k == 1 else e.sizes[k] * width[k - 1])
            if e.clip is not None:
                self._take(k, (at.CLIPPED,), width[1] if k == 1 else e.sizes[k] * width[k - 1])
        for k in range(1, N):
            if e.feedback == "TF":
                t[k, at.B] = t[k + 1, at.W]
            else:
                self._take(k, (at.B,), e.sizes[k + 1] * width[k])
        self._take(N, (at.TARGET,), e.batch * width[N])
        self._take(1, (at.D_SUM,), e.batch * width[1])
        self._take(0, (at.R,), e.batch * width[0])
        self._take(0, (at.TURN,), 1)
        self._take(0, (at.FADE,), 1)
        self._take(0, (at.GRAM,), e.batch * self._padded(e.batch))
        self._take_for_mixtures(mixtures(e))
        if collects(e.phases):
            self._take_for_returning()
        for k in range(1, N):
            self._take(k, (at.D_GP,), e.batch * width[k])

    def _take_for_mixtures(self, P: list) -> None:
        """P_k, and what ghosts imitate with it."""
        width, self.P = self.table[:, at.WIDTH], P
        for k, mixture in enumerate(P[1:], start=1):
            self.table[k, at.P] = at.NOWHERE
            if mixture is not None:
                self._take(k, (at.P,), self.experiment.ghosts[k - 1] * width[k + 1])
                self._take(k, (at.S_ABOVE, at.R_ABOVE), self.experiment.batch * self.table[k, at.GHOST_WIDTH])

    def _take_for_returning(self) -> None:
        """The activities at the end of the free phase, and what nudged phases have taught so far."""
        e, t = self.experiment, self.table
        for k in range(1, e.depth + 1):
            self._take(k, (at.S_FREE, at.D_MEAN, at.R_MEAN), e.batch * t[k, at.WIDTH])
        for k in range(1, e.depth):
            self._take(k, (at.G_FREE,), e.batch * t[k, at.GHOST_WIDTH])

    def _padded(self, units: int) -> int:
        return -(-units // lanes(self.dtype)) * lanes(self.dtype)

    def _width(self, units: int) -> int:
        """Row length: an odd number of vectors, so that rows do not meet in the same cache sets (4 KiB aliasing)."""
        return (self._padded(units) // lanes(self.dtype) | 1) * lanes(self.dtype)

    def _take(self, k: int, columns: tuple[int, ...], count: int) -> None:
        for column in columns:
            self.table[k, column] = self.size
            self.size += self._padded(int(count))

    def allocate(self, runs: int) -> np.ndarray:
        """Zeroed memory (runs, size) whose rows start on vector boundaries."""
        spare = lanes(self.dtype)
        flat = np.zeros(runs * self.size + spare, self.dtype)
        start = -flat.ctypes.data % VECTOR_BYTES // self.dtype.itemsize
        memory = flat[start : start + runs * self.size].reshape(runs, self.size)
        memory[:, self.table[0, at.FADE]] = 1
        for k, mixture in enumerate(self.P[1:], start=1):
            if mixture is not None:
                self._block(memory, k, at.P, mixture.shape[1:], self.table[k + 1, at.WIDTH])[...] = mixture
        return memory

    def _block(self, mem: np.ndarray, k: int, column: int, shape: tuple, width: int) -> np.ndarray:
        """A view (runs, *shape) of a block whose rows are padded to `width`."""
        start, rows = self.table[k, column], int(np.prod(shape[:-1], dtype=int))
        block = mem[:, start : start + rows * width].reshape(-1, *shape[:-1], width)
        return block[..., : shape[-1]]

    def views(self, mem: np.ndarray) -> tuple[Weights, State]:
        """The weights and activities in `mem` in the paper's shapes, as views; under TF, B is a view of W."""
        e = self.experiment
        n = e.sizes
        m = (0, *e.ghosts)
        N = e.depth
        width, ghost_width = self.table[:, at.WIDTH].tolist(), self.table[:, at.GHOST_WIDTH].tolist()
        hidden, own = range(1, N), (e.batch,) if e.plasticity.owned else ()
        W = [None, self._block(mem, 1, at.W, (n[0], n[1]), width[1]).mT]
        W += [self._block(mem, k, at.W, (n[k], n[k - 1]), width[k - 1]) for k in range(2, N + 1)]
        B = [None, *(self._block(mem, k, at.B, (n[k + 1], n[k]), width[k]).mT for k in hidden)]
        W_pg = [None, *(self._block(mem, k, at.W_PG, (m[k], n[k]), width[k]) for k in hidden)]
        W_gp = [None, *(self._block(mem, k, at.W_GP, (*own, m[k], n[k]), width[k]).mT for k in hidden)]
        s = [None, *(self._block(mem, k, at.S, (e.batch, n[k]), width[k]) for k in range(1, N + 1))]
        g = [None, *(self._block(mem, k, at.G, (e.batch, m[k]), ghost_width[k]) for k in hidden)]
        return Weights(W, B, W_pg, W_gp), State(s, g)


def put(network: Network, views: tuple[Weights, State]) -> None:
    """Write a network's weights and activities through the views."""
    for group, source in zip(views, (network.weights, network.state), strict=True):
        for view_list, source_list in zip(group, source, strict=True):
            for view, value in zip(view_list[1:], source_list[1:], strict=True):
                view[...] = value


def get(views: tuple[Weights, State]) -> tuple[Weights, State]:
    """Copies of what the views show, float64."""
    weights, state = views
    return Weights(*map(_copied, weights)), State(*map(_copied, state))


def _copied(views: Layers) -> Layers:
    return [None, *(view.astype(np.float64) for view in views[1:])]
