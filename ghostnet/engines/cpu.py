"""The CPU engine: compiled kernels, one run per thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ghostnet.engines import Divergence, kernels, layout, slots
from ghostnet.equations import State, Weights
from ghostnet.models import PHASES
from ghostnet.network import Network

_TRANSFER = {"sigmoid": slots.SIGMOID, "tanh": slots.TANH, "hard-sigmoid": slots.HARD_SIGMOID}


class Engine:
    """See `ghostnet.engines.Engine`. Runs are independent, so results do not depend on the number of threads."""

    def __init__(self, network: Network, dtype: str = "float32", threads: int = 1):
        e = self.experiment = network.experiment
        self.layout = layout.Layout(e, dtype)
        self.memory = self.layout.allocate(network.runs)
        self.views = self.layout.views(self.memory)
        layout.put(network, self.views)
        self.settings = settings(network)
        self.lit = np.zeros((network.runs, e.batch, e.sizes[0]), np.int32)
        self.lit_count = np.zeros((network.runs, e.batch), np.int32)
        self.pool = ThreadPoolExecutor(min(threads, network.runs), thread_name_prefix="ghostnet")

    def _each(self, kernel, *arguments, memory: np.ndarray | None = None) -> list:
        """kernel(memory, table, settings, *arguments, lit pixels) per run; callable arguments are given the run."""
        memory = self.memory if memory is None else memory

        def one(i: int):
            own = (argument(i) if callable(argument) else argument for argument in arguments)
            return kernel(memory[i], self.layout.table, self.settings, *own, self.lit[i], self.lit_count[i])

        # The first call compiles: in the caller's thread, where a signal can end it.
        in_turn = self.pool.map if kernel.signatures else map
        return list(in_turn(one, range(len(memory))))

    def present(self, xs: np.ndarray, ys: np.ndarray) -> Divergence | None:
        before = self.memory.copy()
        found = self._present(xs, ys)
        if found:  # each run went on until its own end
            self.memory[...] = before
            self._present(xs[: found.presentation], ys[: found.presentation])
        return found

    def _present(self, xs: np.ndarray, ys: np.ndarray) -> Divergence | None:
        e = self.experiment
        ends = self._each(
            kernels.present, e.free_steps, e.clamped_steps, self._inputs(xs), self._inputs(ys)
        )  # fmt: skip
        bad = [Divergence(run, done, layer) for run, (done, layer) in enumerate(ends) if layer]
        return min(bad, key=lambda d: (d.presentation, d.run), default=None)

    def begin(self, x: np.ndarray, y: np.ndarray) -> None:
        self._each(kernels.begin, self._inputs(x), self._inputs(y))

    def advance(self, phase: str, steps: int) -> None:
        self._each(kernels.advance, PHASES.index(phase), steps)

    def finish(self) -> None:
        self._each(kernels.finish)

    def export(self) -> tuple[Weights, State]:
        if self.settings.once:
            return layout.get(self.views)
        memory = self.layout.allocate(len(self.memory))  # W_1 lacks the update put off until the presentation ends
        memory[...] = self.memory
        self._each(kernels.finish, memory=memory)
        return layout.get(self.layout.views(memory))

    def _inputs(self, values: np.ndarray):
        """values ([presentations,] runs, batch, n) by run, contiguous and in the engine's type."""
        by_run = np.ascontiguousarray(np.moveaxis(values, -3, 0), self.memory.dtype)
        return by_run.__getitem__


def settings(network: Network) -> slots.Settings:
    """The experiment as the kernels want it."""
    e, row, c = network.experiment, network.experiment.plasticity, network.constants
    return slots.Settings(
        batch=e.batch,
        dt=e.dt,
        dt_tau=e.dt / e.tau,
        beta=e.beta,
        eta=np.array([0.0, *e.eta]),
        eta_ghost=np.array([0.0, *e.eta_ghost]),
        clip=np.inf if e.clip is None else e.clip,
        transfer=_TRANSFER[e.transfer],
        derivative=c.rule == "derivative",
        fast_gp=row.fast_gp,
        once=not row.W,
        plastic=np.array([[phase in phases for phases in (row.W, row.W_pg, row.W_gp)] for phase in PHASES]),
    )
