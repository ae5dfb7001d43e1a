"""Recording: presentations go through an engine, rows into a buffer, and full buffers to whoever keeps them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike

from ghostnet.engines import Divergence, Engine, InMemory
from ghostnet.host import memory
from ghostnet.model.experiment import Experiment
from ghostnet.model.recorder import Recorder, Selection, Shown
from ghostnet.model.symbols import NORMS

SEGMENT_BYTES, SEGMENT_SECONDS = 1 << 26, 60.0


def row_bytes(selection: Selection, dtype: np.dtype) -> int:
    """What a row takes in memory."""
    runs, examples = len(selection.runs), len(selection.examples)
    return runs * selection.columns * dtype.itemsize + 8 * runs * examples + 21


class Segment:
    """Rows in memory: a block of activities and what each row belongs to, allocated once and filled again and again.

    Attributes:
        block: (recorded runs, capacity, columns). step, phase, presentation, epoch, row_steps: (capacity,).
        example, label: dataset index and class, (capacity, recorded runs, recorded examples).
        rows: how many are filled. snapshots: (step, matrices as listed in the selection).
    """

    def __init__(self, selection: Selection, dtype: np.dtype, capacity: int | None = None):
        lanes = (len(selection.runs), len(selection.examples))
        self.capacity = capacity or max(1, SEGMENT_BYTES // row_bytes(selection, dtype))
        self.selection, self.dtype = selection, dtype
        self.block = np.empty((lanes[0], self.capacity, selection.columns), dtype)
        self.step, self.phase = np.empty(self.capacity, np.int64), np.empty(self.capacity, np.int8)
        self.presentation, self.epoch, self.row_steps = (np.empty(self.capacity, np.int32) for _ in range(3))
        self.example, self.label = (np.empty((self.capacity, *lanes), np.int32) for _ in range(2))
        self._other: Segment | None = None
        self.kept = capacity is not None
        self.clear()

    def next(self) -> Segment:
        """An empty one like this: two take turns, so that one can be written while the other fills. One of a capacity
        of its own is never filled again: it is for who keeps it in memory.
        """
        if self._other is None or self.kept:
            self._other = Segment(self.selection, self.dtype, self.capacity)
            self._other._other, self._other.kept = self, self.kept
        self._other.clear()
        return self._other

    def clear(self) -> None:
        self.rows = 0
        self.snapshot_bytes = 0
        self.opened = time.monotonic()
        self.snapshots: list[tuple[int, list[np.ndarray]]] = []

    @property
    def empty(self) -> bool:
        return not (self.rows or self.snapshots)

    @property
    def full(self) -> bool:
        late = time.monotonic() - self.opened > SEGMENT_SECONDS
        return self.rows == self.capacity or self.snapshot_bytes >= SEGMENT_BYTES or late


class Recording:
    """What a Simulator shows its presentations to, so that those declared are recorded.

    Args:
        keep: called with a Segment whenever it is full and at the end; it is used again after the next call.
        shown: what is shown, for the record; without it, epoch 0 and dataset index -1.
        learn: if not, each presentation starts from the same network and leaves it as it was.
        capacity: rows of a segment; by default what fits into SEGMENT_BYTES.
    """

    def __init__(
        self,
        recorder: Recorder,
        experiment: Experiment,
        dtype: DTypeLike,
        keep: Callable[[Segment], None],
        shown: Shown | None = None,
        learn: bool = True,
        capacity: int | None = None,
    ):
        e = self.experiment = experiment
        self.recorder = recorder
        self.keep = keep
        self.shown = shown
        self.learn = learn
        self.sealed = 0
        self.selection, rows = recorder.select(e), recorder.rows(e)
        needed = rows * 32 + (capacity or 0) * row_bytes(self.selection, np.dtype(dtype))  # 32: its steps, summed
        what = f"every = {recorder.every}: {rows} rows for each presentation"
        with memory.room(needed, what, "take more steps between rows, fewer variables, units or examples"):
            self.segment = Segment(self.selection, np.dtype(dtype), capacity)
            self.row_steps = recorder.row_steps(e)
            self.ends = recorder.ends(e)
        self.phase_ends = np.cumsum(e.steps)
        self.length = int(self.phase_ends[-1])
        self.weights_at = set(recorder.weights_at or (self.length,)) if self.selection.matrices else set()

    def present(self, engine: Engine, xs: np.ndarray, ys: np.ndarray, first: int) -> Divergence | None:
        """As `Engine.present`; `first` counts the presentations before these."""
        wanted = [self.recorder.wants(self.experiment, first + i) for i in range(len(xs))]
        if not any(wanted):
            return engine.present(xs, ys)
        saved, mark = engine.save(), self._mark()
        try:
            if not self.learn:
                return self._from_the_same(engine, saved, xs, ys, first, wanted)
            found = self._present(engine, xs, ys, first, wanted)
        except BaseException:
            engine.restore(saved)
            self._return_to(mark)
            raise
        if found:
            engine.restore(saved)
            engine.present(xs[: found.presentation], ys[: found.presentation])
        return found

    def _from_the_same(
        self, engine: Engine, saved: object, xs: np.ndarray, ys: np.ndarray, first: int, wanted: list[bool]
    ) -> Divergence | None:
        for p in np.flatnonzero(wanted).tolist():
            found = self._record(engine, xs[p : p + 1], ys[p : p + 1], first + p)
            engine.restore(saved)
            if found:
                return found._replace(presentation=p)
        return None

    def _present(
        self, engine: Engine, xs: np.ndarray, ys: np.ndarray, first: int, wanted: list[bool]
    ) -> Divergence | None:
        for recorded, group in itertools.groupby(range(len(xs)), wanted.__getitem__):
            part = list(group)
            some_x, some_y = xs[part[0] : part[-1] + 1], ys[part[0] : part[-1] + 1]
            if recorded:
                found = self._record(engine, some_x, some_y, first + part[0])
            else:
                found = engine.present(some_x, some_y)
            if found:
                return found._replace(presentation=found.presentation + part[0])
        return None

    def close(self) -> None:
        """Hand over what is left."""
        if not self.segment.empty:
            self.keep(self.segment)
            self.sealed += 1

    def _mark(self) -> tuple[int, int, int]:
        return self.sealed, self.segment.rows, len(self.segment.snapshots)

    def _return_to(self, mark: tuple[int, int, int]) -> None:
        """Forget what came after the mark, as far as it has not been handed over."""
        _, rows, snapshots = mark if mark[0] == self.sealed else (0, 0, 0)
        self.segment.rows = rows
        del self.segment.snapshots[snapshots:]

    def _record(self, engine: Engine, xs: np.ndarray, ys: np.ndarray, first: int) -> Divergence | None:
        done = 0
        while done < len(xs):
            whole = (self.segment.capacity - self.segment.rows) // len(self.ends)
            if whole and all(self.row_steps) and not self.weights_at and isinstance(engine, InMemory):
                part = slice(done, done + whole)
                found = self._whole(engine, xs[part], ys[part], first + done)
            else:
                part = slice(done, done + 1)
                found = self._pieces(engine, xs[done], ys[done], first + done)
            if found:
                return found._replace(presentation=done + found.presentation)
            done = min(part.stop, len(xs))
            self._seal()
        return None

    def _seal(self) -> None:
        if self.segment.full and not self.segment.empty:  # with an empty one, the other may still be being written
            self.close()
            self.segment = self.segment.next()

    def _whole(self, engine: InMemory, xs: np.ndarray, ys: np.ndarray, first: int) -> Divergence | None:
        """Presentations that fit into the segment, at one stroke."""
        start, count = self.segment.rows, len(xs) * len(self.ends)
        block = self.segment.block[:, start : start + count]
        found = engine.record_presentations(xs, ys, self.row_steps, self.selection, block)
        self._note(self.ends, first, ys[: found.presentation] if found else ys)
        return found

    def _pieces(self, engine: Engine, x: np.ndarray, y: np.ndarray, presentation: int) -> Divergence | None:
        """One presentation, stopped wherever the segment is full or matrices are wanted."""
        mark = self._mark()
        self.replay(engine, x, y, presentation, range(self.length))
        engine.finish()
        if self.length in self.weights_at:
            self._snapshot(engine, (presentation + 1) * self.length)
        found = engine.divergence()
        if found:
            self._return_to(mark)
        return found

    def replay(self, engine: Engine, x: np.ndarray, y: np.ndarray, presentation: int, steps: range) -> None:
        """The steps of a presentation up to the end of `steps`, recording these; what is done once is left out."""
        engine.begin(x, y)
        position = 0
        for stop in sorted({*self.phase_ends.tolist(), steps.start, steps.stop, *self.weights_at}):
            phase = int(np.searchsorted(self.phase_ends, stop))
            ends = self.ends[(self.ends > max(position, steps.start)) & (self.ends <= stop)]
            while len(ends) and stop <= steps.stop:
                self._seal()
                some = ends[: self.segment.capacity - self.segment.rows]
                block = self.segment.block[:, self.segment.rows : self.segment.rows + len(some)]
                engine.record(phase, np.diff(some, prepend=position).tolist(), self.selection, block)
                self._note(some, presentation, y[None])
                position, ends = int(some[-1]), ends[len(some) :]
            if stop <= steps.stop:
                engine.advance(phase, stop - position)
                position = stop
            if stop in self.weights_at and stop < self.length:
                self._snapshot(engine, presentation * self.length + stop)

    def _note(self, ends: np.ndarray, first: int, ys: np.ndarray) -> None:
        """Say what the next rows belong to: `ends` of every one of ys (presentations, runs, batch, classes)."""
        s = self.segment
        lanes = np.ix_(self.selection.runs, self.selection.examples)
        count = len(ys)
        rows = slice(s.rows, s.rows + count * len(ends))
        numbers = np.arange(first, first + count)
        shown = [self.shown(n) if self.shown else (0, np.full(ys.shape[1:3], -1)) for n in numbers.tolist()]
        s.step[rows] = np.add.outer(numbers * self.length, ends).ravel()
        s.phase[rows] = np.tile(np.searchsorted(self.phase_ends, ends), count)
        s.presentation[rows] = np.repeat(numbers, len(ends))
        s.row_steps[rows] = np.tile(np.concatenate(self.row_steps)[np.searchsorted(self.ends, ends)], count)
        s.epoch[rows] = np.repeat([epoch for epoch, _ in shown], len(ends))
        s.example[rows] = np.repeat([examples[lanes] for _, examples in shown], len(ends), axis=0)
        s.label[rows] = np.repeat(ys.argmax(-1)[:, *lanes], len(ends), axis=0)
        s.rows = rows.stop

    def _snapshot(self, engine: Engine, step: int) -> None:
        weights, places = engine.export()[0]._asdict(), (self.selection.runs, self.selection.examples)
        matrices = []
        for v in self.selection.matrices:
            whole = weights[v.symbol.removeprefix("norm_")][v.k]
            if v.symbol in NORMS:
                whole = np.linalg.norm(whole, axis=(-2, -1))
            index = np.ix_(*places[: whole.ndim - len(v.units)], *v.units)
            matrices.append(whole[index].astype(self.segment.dtype))
        self.segment.snapshots.append((step, matrices))
        self.segment.snapshot_bytes += sum(matrix.nbytes for matrix in matrices)
