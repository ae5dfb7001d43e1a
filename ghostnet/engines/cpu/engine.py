"""The CPU engine: compiled kernels; a thread per run, or a team of threads for each."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike

from ghostnet.engines import Divergence, require_usual_rules
from ghostnet.engines.cpu import kernels, layout, recording, slots, team
from ghostnet.engines.cpu.emit import lanes
from ghostnet.engines.cpu.recording import NOTHING
from ghostnet.engines.cpu.shares import panel_count
from ghostnet.engines.cpu.vectorlaws import Law
from ghostnet.model import names
from ghostnet.model.equations import Plasticity, State, Weights
from ghostnet.model.experiment import Experiment
from ghostnet.model.laws import cancellation, imitation
from ghostnet.model.lowering import arguments
from ghostnet.model.models import MATRICES, collects, shares
from ghostnet.model.network import Network
from ghostnet.model.recorder import Selection


class Engine:
    """See `ghostnet.engines.Engine`. Results do not depend on the number of threads (`team`)."""

    def __init__(self, network: Network, dtype: str = "float32", threads: int = 1):
        e = self.experiment = network.experiment
        require_usual_rules(e)
        panels = self._panels(dtype)
        self._members = self._share(dtype, threads)
        self.layout = layout.Layout(e, dtype, panels, self._members)
        self.memory = self.layout.allocate(network.runs)
        self.blocks = self.layout.blocks(self.memory)
        layout.put(network, self.blocks)
        self.layout.repeat(self.memory)
        self.settings = settings(network, panels)
        self.lit = np.zeros((network.runs, e.batch, e.sizes[0]), np.int32)
        self.lit_count = np.zeros((network.runs, e.batch), np.int32)
        self._selected: tuple = (None, ())
        self._compiled: dict[Any, Callable] = {}  # kernel → its compiled code
        self._before = np.empty_like(self.memory)
        self._threads = min(threads, network.runs * self._members)
        self._pool: tuple[int, ThreadPoolExecutor | None] = (0, None)

    def __reduce__(self) -> NoReturn:
        raise TypeError("an engine can't be copied: its arrays are parts of one block of memory; copy its Simulator")

    def _share(self, dtype: DTypeLike, threads: int) -> int:
        """How many threads step each run."""
        return members(self.experiment, threads, dtype)

    def _panels(self, dtype: DTypeLike) -> int | None:
        """Into how many panels the hidden layer is divided; None where examples are shared."""
        return panels(self.experiment, dtype)

    @property
    def pool(self) -> ThreadPoolExecutor:
        """The threads of this process: a forked child has none of its parent's."""
        process, pool = self._pool
        if pool is None or process != os.getpid():
            pool = ThreadPoolExecutor(self._threads, thread_name_prefix="ghostnet")
            self._pool = os.getpid(), pool
        return pool

    def _each(self, kernel: Any, *arguments: object, memory: np.ndarray | None = None) -> list:
        """kernel(memory, table, settings, *arguments, lit pixels) per run; callable arguments are given the run."""
        memory = self.memory if memory is None else memory
        gates = team.gates(len(memory), self._members)
        own = functools.cache(lambda run: [value(run) if callable(value) else value for value in arguments])

        def given(run: int, member: int) -> tuple:
            settings = self.settings
            if self._members > 1:
                settings = settings._replace(team=team.Team(member, self._members, gates[run]))
            tables = self.layout.tables[member % len(self.layout.tables)]
            return memory[run], tables, settings, *own(run), self.lit[run], self.lit_count[run]

        def step(run: int, member: int) -> Any:
            try:
                return compiled(*given(run, member))
            except BaseException:
                team.open_gates(gates[run])
                raise

        if kernel not in self._compiled:  # in the caller's thread, where a signal can end it
            self._compiled[kernel] = kernel.compile(tuple(map(kernel.typeof_pyval, given(0, 0))))
        # Called by itself, a kernel finds out the types of all settings first, for longer than a presentation takes.
        compiled = self._compiled[kernel]
        return self._in_pool(step, gates)

    def _in_pool(self, step: Callable[[int, int], Any], gates: np.ndarray) -> list:
        """What step(run, member) returns for the first member of every run; all have ended when this does."""
        places = list(itertools.product(range(len(gates)), range(self._members)))
        stepped: list[Future] = []
        try:
            for place in places:
                stepped.append(self.pool.submit(step, *place))
            return [ended.result() for ended in stepped][:: self._members]
        except BaseException:
            if len(stepped) < len(places):
                team.open_gates(gates)
            wait(stepped)  # else the next call would meet a run still on its way in the same memory
            raise

    def present(self, xs: np.ndarray, ys: np.ndarray) -> Divergence | None:
        before = self._before
        before[...] = self.memory
        try:
            found = self._present(xs, ys)
        except BaseException:
            self.restore(before)
            raise
        if found:  # each run went on until its own end
            self.restore(before)
            self._present(xs[: found.presentation], ys[: found.presentation])
        return found

    def _present(self, xs: np.ndarray, ys: np.ndarray) -> Divergence | None:
        steps = np.array(self.experiment.steps, np.int64)
        each, inputs = np.ones_like(steps), (self._inputs(xs), self._inputs(ys))
        rows = self._no_rows(len(steps) * len(xs))
        return earliest(self._each(kernels.present, each, steps, *inputs, NOTHING, NOTHING, rows))

    def begin(self, x: np.ndarray, y: np.ndarray) -> None:
        self._each(kernels.begin, self._inputs(x), self._inputs(y))
        self.phase = 0

    def advance(self, phase: int, steps: int) -> None:
        self._each(kernels.advance, self.phase, phase, np.array([steps]), NOTHING, NOTHING, self._no_rows(1))
        self.phase = phase

    def finish(self) -> None:
        self._each(kernels.finish)

    def save(self) -> np.ndarray:
        return self.memory.copy()

    def restore(self, saved: np.ndarray) -> None:
        self.memory[...] = saved

    def record(self, phase: int, steps: list[int], selection: Selection, block: np.ndarray) -> None:
        parts, blocks = self._parts(selection), self._blocks(selection, block)
        self._each(kernels.advance, self.phase, phase, np.array(steps, np.int64), *parts, blocks)
        self.phase = phase

    def record_presentations(
        self, xs: np.ndarray, ys: np.ndarray, steps: list[list[int]], selection: Selection, block: np.ndarray
    ) -> Divergence | None:
        parts, blocks = self._parts(selection), self._blocks(selection, block)
        rows, inputs = np.array(list(map(len, steps))), (self._inputs(xs), self._inputs(ys))
        return earliest(self._each(kernels.present, rows, np.concatenate(steps), *inputs, *parts, blocks))

    def divergence(self, presentation: int = 0) -> Divergence | None:
        return earliest([(presentation, layer) for layer in self._each(kernels.diverged)])

    def _parts(self, selection: Selection) -> tuple[np.ndarray, np.ndarray]:
        """`recording.pieces`, kept: finding them takes as long as a presentation."""
        if self._selected[0] is not selection:
            self._selected = selection, recording.pieces(selection, self.layout.tables[0])
        return self._selected[1]

    def _blocks(self, selection: Selection, block: np.ndarray) -> Callable[[int], np.ndarray]:
        """The rows of block (recorded runs, rows, columns) by run; other runs fill a block that is given up."""
        by_run = dict(zip(selection.runs.tolist(), block, strict=True))
        return lambda run: by_run[run] if run in by_run else np.empty(block.shape[1:], block.dtype)

    def _no_rows(self, count: int) -> np.ndarray:
        """Rows without columns."""
        return np.empty((count, 0), self.memory.dtype)

    def export(self) -> tuple[Weights, State]:
        if self.settings.once:
            return layout.get(self.blocks)
        memory = self.layout.allocate(len(self.memory))  # W_1 lacks the update put off until the presentation ends
        memory[...] = self.memory
        self._each(kernels.finish, memory=memory)
        return layout.get(self.layout.blocks(memory))

    def now(self, still: Weights | None = None) -> tuple[Weights, State]:
        return layout.look(self.blocks, still)

    def _inputs(self, values: np.ndarray) -> Callable[[int], np.ndarray]:
        """values ([presentations,] runs, batch, n) by run, as the kernels want them: made in its thread.

        Contiguous, in the engine's type and writable: for arrays that are not, Numba would compile a kernel once more.
        """
        return lambda run: np.require(values[..., run, :, :], self.memory.dtype, ("C", "W"))


def earliest(ends: list[tuple[int, int]]) -> Divergence | None:
    """The earliest divergence, from (presentations done, diverged layer or 0) of every run."""
    bad = [Divergence(run, done, layer) for run, (done, layer) in enumerate(ends) if layer]
    return min(bad, key=lambda d: (d.presentation, d.run), default=None)


GRAIN = 500_000  # multiply-adds of a step: with fewer for each, threads wait for one another as long as they compute


def members(e: Experiment, threads: int, dtype: DTypeLike = "float32") -> int:
    """How many of so many threads step one run of an experiment: its share, as far as each has examples and work."""
    n, m = e.sizes, (0, *e.ghosts)
    work = e.batch * sum(2 * n[k] * (n[k + 1] + m[k]) for k in range(1, e.depth))
    crowds = panels(e, dtype) or 1
    most = crowds if e.batch == 1 else min(e.batch, work // GRAIN)
    count = max(1, min(threads // len(e.seeds), most))
    return count if count < crowds else count - count % crowds


def panels(e: Experiment, dtype: DTypeLike) -> int | None:
    """Into how many panels stepping divides the hidden layer; None where there are several, where it is not worth it,
    and where examples share little within a presentation."""
    alone = e.depth != 2 or (e.batch > 1 and e.plasticity.owned)
    return None if alone else panel_count(e.sizes[1], e.batch, lanes(dtype))


def settings(network: Network, panels: int | None) -> slots.Settings:
    """The experiment as the kernels want it."""
    e = network.experiment
    model = e.plasticity
    c = network.constants
    transfer = names.transfer(e.transfer)
    cost = names.cost(e.cost)
    phases = e.phases
    still = Plasticity(cancellation, "", [0.0] * e.depth, 0.0, None)  # of a matrix that no rule is for
    W, W_gp = c.rules["W"], c.rules.get("W_gp", still)
    W_pg = c.rules.get("W_pg", still._replace(post=imitation))
    return slots.Settings(
        batch=e.batch,
        dt=e.dt,
        dt_tau=e.dt / e.tau,
        beta=np.array([e.beta * phase.nudge for phase in phases]),
        share=np.array(shares(phases)),
        acting=np.array([[matrix in e.acting(phase) for matrix in MATRICES] for phase in range(len(phases))]),
        eta=np.array([0.0, *W.rate[1:]]),
        eta_pg=np.array([0.0, *W_pg.rate[1:]]),
        eta_gp=np.array([0.0, *W_gp.rate[1:]]),
        keep=np.array([1 - W.decay * (1 if model.once else e.dt), 1 - W_pg.decay * e.dt, 1 - W_gp.decay * e.dt]),
        clip=np.inf if W.clip is None else W.clip,
        rho=Law(transfer.rho),
        slope=Law(transfer.slope),
        error=Law(cost.error),
        error_slope=Law(cost.slope),
        post=Law(W.post),
        post_pg=Law(W_pg.post),
        post_gp=Law(W_gp.post),
        plain_gp=W_gp.post is cancellation and W_gp.decay == 0,
        rates_above="r_above" in arguments(W_pg.post),
        owned=model.owned,
        once=model.once,
        collects=collects(phases),
        panels=panels,
        team=None,
    )
