"""Where everything of one network lies in the flat array of the compiled kernels; the only place that knows."""

from __future__ import annotations

import numpy as np

from ghostnet.engines.cpu.simd import VECTOR_BYTES, lanes
from ghostnet.engines.cpu.slots import NOWHERE, TABLE
from ghostnet.model.equations import State, Weights
from ghostnet.model.experiment import Experiment
from ghostnet.model.models import collects
from ghostnet.model.network import Network, mixtures


class Layout:
    """The layout table of an experiment, and the way of weights and activities in and out.

    Attributes:
        table: offsets and sizes of every layer, (N + 1,) of `ghostnet.engines.cpu.slots.TABLE`.
        size: elements that one network takes.
    """

    def __init__(self, experiment: Experiment, dtype):
        self.experiment, self.dtype = experiment, np.dtype(dtype)
        self.table = np.zeros(experiment.depth + 1, TABLE)
        self.size = 0
        e, N, t = experiment, experiment.depth, self.table
        m = (0, *e.ghosts, 0)
        t["units"], t["width"] = e.sizes, [self._width(n) for n in e.sizes]
        t["ghosts"][:-1], t["ghost_width"][:-1] = m[:-1], [self._width(units) for units in m[:-1]]
        width, ghost_width = t["width"], t["ghost_width"]
        for k in range(1, N):
            self._take(k, ("g", "rho_g", "ghost_drive", "mismatch"), e.batch * ghost_width[k])
            self._take(k, ("W_pg",), m[k] * width[k])
            self._take(k, ("W_gp",), (e.batch if e.plasticity.owned else 1) * m[k] * width[k])
        for k in range(1, N + 1):
            self._take(k, ("s", "r", "e", "d", "drive"), e.batch * width[k])
            self._take(k, ("W",), e.sizes[0] * width[1] if k == 1 else e.sizes[k] * width[k - 1])
            if e.clip is not None:
                self._take(k, ("clipped",), width[1] if k == 1 else e.sizes[k] * width[k - 1])
        for k in range(1, N):
            if e.feedback == "TF":
                t["B"][k] = t["W"][k + 1]
            else:
                self._take(k, ("B",), e.sizes[k + 1] * width[k])
        self._take(N, ("target",), e.batch * width[N])
        self._take(1, ("d_sum",), e.batch * width[1])
        self._take(0, ("r",), e.batch * width[0])
        self._take(0, ("turn",), 1)
        self._take(0, ("fade",), 1)
        self._take(0, ("gram",), e.batch * self._padded(e.batch))
        self._take_for_mixtures(mixtures(e))
        if collects(e.phases):
            self._take_for_returning()

    def _take_for_mixtures(self, P: list) -> None:
        """P_k, and what ghosts imitate with it."""
        width, self.P = self.table["width"], P
        for k, mixture in enumerate(P[1:], start=1):
            self.table["P"][k] = NOWHERE
            if mixture is not None:
                self._take(k, ("P",), self.experiment.ghosts[k - 1] * width[k + 1])
                self._take(k, ("s_above", "r_above"), self.experiment.batch * self.table["ghost_width"][k])

    def _take_for_returning(self) -> None:
        """The activities at the end of the free phase, and what nudged phases have taught so far."""
        e, t = self.experiment, self.table
        for k in range(1, e.depth + 1):
            self._take(k, ("s_free", "d_mean", "r_mean"), e.batch * t["width"][k])
        for k in range(1, e.depth):
            self._take(k, ("g_free",), e.batch * t["ghost_width"][k])

    def _padded(self, units: int) -> int:
        return -(-units // lanes(self.dtype)) * lanes(self.dtype)

    def _width(self, units: int) -> int:
        """Row length: an odd number of vectors, so that rows do not meet in the same cache sets (4 KiB aliasing)."""
        return (self._padded(units) // lanes(self.dtype) | 1) * lanes(self.dtype)

    def _take(self, k: int, columns: tuple[str, ...], count: int) -> None:
        for column in columns:
            self.table[column][k] = self.size
            self.size += self._padded(int(count))

    def allocate(self, runs: int) -> np.ndarray:
        """Zeroed memory (runs, size) whose rows start on vector boundaries."""
        spare = lanes(self.dtype)
        flat = np.zeros(runs * self.size + spare, self.dtype)
        start = -flat.ctypes.data % VECTOR_BYTES // self.dtype.itemsize
        memory = flat[start : start + runs * self.size].reshape(runs, self.size)
        memory[:, self.table["fade"][0]] = 1
        for k, mixture in enumerate(self.P[1:], start=1):
            if mixture is not None:
                self._block(memory, k, "P", mixture.shape[1:], self.table["width"][k + 1])[...] = mixture
        return memory

    def _block(self, mem: np.ndarray, k: int, column: str, shape: tuple, width: int) -> np.ndarray:
        """A view (runs, *shape) of a block whose rows are padded to `width`."""
        start, rows = self.table[column][k], int(np.prod(shape[:-1], dtype=int))
        block = mem[:, start : start + rows * width].reshape(-1, *shape[:-1], width)
        return block[..., : shape[-1]]

    def views(self, mem: np.ndarray) -> tuple[Weights, State]:
        """The weights and activities in `mem` in the paper's shapes, as views; under TF, B is a view of W."""
        e, n, m, N = (
            self.experiment,
            self.experiment.sizes,
            (0, *self.experiment.ghosts),
            self.experiment.depth,
        )
        width, ghost_width = self.table["width"].tolist(), self.table["ghost_width"].tolist()
        hidden, own = range(1, N), (e.batch,) if e.plasticity.owned else ()
        W = [None, self._block(mem, 1, "W", (n[0], n[1]), width[1]).mT]
        W += [self._block(mem, k, "W", (n[k], n[k - 1]), width[k - 1]) for k in range(2, N + 1)]
        B = [None, *(self._block(mem, k, "B", (n[k + 1], n[k]), width[k]).mT for k in hidden)]
        W_pg = [None, *(self._block(mem, k, "W_pg", (m[k], n[k]), width[k]) for k in hidden)]
        W_gp = [None, *(self._block(mem, k, "W_gp", (*own, m[k], n[k]), width[k]).mT for k in hidden)]
        s = [None, *(self._block(mem, k, "s", (e.batch, n[k]), width[k]) for k in range(1, N + 1))]
        g = [None, *(self._block(mem, k, "g", (e.batch, m[k]), ghost_width[k]) for k in hidden)]
        return Weights(W, B, W_pg, W_gp), State(s, g)


def put(network: Network, views: tuple[Weights, State]) -> None:
    """Write a network's weights and activities through the views."""
    for group, source in zip(views, (network.weights, network.state), strict=True):
        for view_list, source_list in zip(group, source, strict=True):
            for view, value in zip(view_list[1:], source_list[1:], strict=True):
                view[...] = value


def get(views: tuple[Weights, State]) -> tuple[Weights, State]:
    """Copies of what the views show, float64."""
    return tuple(type(g)(*([None, *(v.astype(np.float64) for v in items[1:])] for items in g)) for g in views)
