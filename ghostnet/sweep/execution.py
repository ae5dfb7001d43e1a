"""Running a sweep: every task through an executor, on the CPUs of this machine or on a Dask cluster."""

from __future__ import annotations

import concurrent.futures as cf
import contextlib
import functools
import math
import multiprocessing
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from ghostnet import store
from ghostnet.errors import ConfigError, FileError, Stopped
from ghostnet.interruption import Interruption
from ghostnet.simulator import available_cpus
from ghostnet.sweep.plan import Sweep, Task
from ghostnet.sweep.progress import SweepProgress
from ghostnet.sweep.task import Outcome, perform, perform_on_dask, status

FILE = "sweep.toml"
_LOOK = 1.0  # seconds between looks at how far the tasks are
_TRIES = 3  # of a task whose worker died


class Pool(NamedTuple):
    """An executor of tasks.

    Attributes:
        submit: start a task. slots: how many to submit at once.
        stop: given the futures and their tasks, drop those that wait, and ask the rest to end.
    """

    submit: Callable[[Task], cf.Future]
    slots: float
    stop: Callable[[dict[cf.Future, Task]], None] | None


def run(
    sweep: Sweep,
    out: str | os.PathLike,
    *,
    only: Sequence[str] = ("*",),
    workers: int | None = None,
    scheduler: str | None = None,
    threads: int | None = None,
    progress: bool = True,
) -> list[Outcome]:
    """Train what is left of a sweep; whatever becomes of one task, the others go on.

    Args:
        out: its directory, new or that of a sweep begun before; complete and diverged tasks are left as they are,
            others go on from their last checkpoints.
        only: those tasks whose names match one of these shell patterns, such as ``mb-*,seed=0``.
        workers: processes on this machine, at most a CPU each by default.
        scheduler: address of a Dask scheduler, such as tcp://host:8786, instead; its workers must see `out` under the
            same path.
        threads: of each task; by default an even share of the worker's CPUs.

    Returns:
        How each of them ended, in order.

    Raises:
        ConfigError: an impossible argument. FileError: `out` can't be written, or the scheduler not reached.
        Stopped: SIGINT or SIGTERM came; the same call goes on.
    """
    if scheduler and workers:
        raise ConfigError("workers: a Dask cluster has its own; give workers or scheduler, not both")
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} = {value}: expected at least 1")
    folder, tasks = Path(out).resolve(), sweep.matching(only)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{out}: can't be made ({error.strerror}); give a directory you may write to") from error
    store.publish(folder / FILE, sweep.to_toml().encode())
    left = [task for task in tasks if status(folder / task.name).get("status") != "complete"]
    outcomes = {task.name: Outcome(task.name, "complete") for task in tasks}
    with SweepProgress(tasks, folder, progress) as shown, Interruption() as interruption:
        executor = _dask(scheduler, folder, threads) if scheduler else _processes(workers, len(left), folder, threads)
        with executor if left else contextlib.nullcontext() as pool:
            for outcome in _outcomes(pool, left, shown, interruption):
                outcomes[outcome.name] = outcome
    if interruption.requested:
        raise Stopped(f"stopped by {interruption.requested.name}; the same command goes on with {out}")
    return list(outcomes.values())


def _outcomes(pool: Pool, tasks: list[Task], shown: SweepProgress, interruption: Interruption) -> Iterator[Outcome]:
    """Each task's outcome when it has ended; when asked to stop, of those that were being worked on."""
    queue, working, deaths = deque(tasks), {}, Counter()
    while queue or working:
        while queue and len(working) < pool.slots:
            task = queue.popleft()
            working[pool.submit(task)] = task
        done, _ = cf.wait(working, _LOOK, cf.FIRST_COMPLETED)
        for task, future in [(working.pop(future), future) for future in done]:
            outcome = _outcome(task, future)
            if outcome is None:
                deaths[task.name] += 1
                if deaths[task.name] < _TRIES:
                    queue.append(task)
                    continue
                outcome = Outcome(task.name, "failed", f"its process died {_TRIES} times; is memory short?", 1)
            shown.ended(outcome)
            yield outcome
        shown.look()
        if interruption.requested:
            queue.clear()
            if pool.stop:
                pool.stop(working)
                pool = pool._replace(stop=None)


def _outcome(task: Task, future: cf.Future) -> Outcome | None:
    """What became of a task; None where its process died."""
    from pebble import ProcessExpired

    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, ProcessExpired):
        return None
    return Outcome(task.name, "failed", f"{type(error).__name__}: {error}", 1)


@contextlib.contextmanager
def _processes(workers: int | None, tasks: int, folder: Path, threads: int | None) -> Iterator[Pool]:
    """Spawned processes on this machine. One that dies takes its own task with it, no other."""
    from pebble import ProcessPool

    cpus = available_cpus()
    workers = min(workers or cpus, tasks)
    work = functools.partial(perform, folder=folder, threads=threads or max(1, cpus // workers))

    def stop(working: dict) -> None:
        for process in multiprocessing.active_children():
            process.terminate()  # its task writes a checkpoint and ends

    processes = ProcessPool(workers, initializer=_begin_worker, context=multiprocessing.get_context("spawn"))
    with processes:  # waits for them
        yield Pool(lambda task: processes.schedule(work, (task,)), workers, stop)
        processes.close()


def _begin_worker() -> None:
    # A terminal's Ctrl-C shall reach the parent only, which then ends its workers in order.
    os.setpgrp()
    # tqdm's own lock is a semaphore between processes, and left over when this one ends without ceremony.
    tqdm.set_lock(threading.RLock())


@contextlib.contextmanager
def _dask(address: str, folder: Path, threads: int | None) -> Iterator[Pool]:
    """The workers of a Dask cluster; it gives a lost worker's tasks to others by itself."""
    try:
        from distributed import Client
    except ImportError:
        raise ConfigError("scheduler: needs Dask; install the extra: pip install '.[cluster]'") from None
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError, TimeoutError) as error:
        raise FileError(f"scheduler = {address}: not reached ({error}); start one with `dask scheduler`") from error

    def stop(working: dict) -> None:
        for future in list(working):
            if future.cancel():  # what a worker has begun, it brings to its end
                del working[future]

    with client:
        executor = client.get_executor(pure=False)
        work = functools.partial(perform_on_dask, folder=folder, threads=threads)
        yield Pool(lambda task: executor.submit(work, task), math.inf, stop)
        executor.shutdown(wait=False)
