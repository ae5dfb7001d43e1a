"""Running a sweep: every task through an executor; whatever becomes of one, the others go on."""

from __future__ import annotations

import concurrent.futures as cf
import functools
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

from ghostnet.engines import MOST_THREADS
from ghostnet.errors import ConfigError, FileError, Stopped
from ghostnet.files.publishing import publish
from ghostnet.host.cpus import available_cpus
from ghostnet.host.interruption import Interruption
from ghostnet.model.typed import integer
from ghostnet.sweep import ensembles, pools
from ghostnet.sweep.plan import Sweep, Task
from ghostnet.sweep.pools import Job, Pool
from ghostnet.sweep.progress import SweepProgress
from ghostnet.sweep.task import Outcome, complete, counted, finished, hash_of, perform, state

FILE = "sweep.toml"
_LOOK = 1.0  # seconds between looks at how far the tasks are
_TRIES = 3  # of a job whose process died


def run(
    sweep: Sweep,
    out: str | os.PathLike,
    *,
    only: Sequence[str] = ("*",),
    pack: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    threads: int | None = None,
    progress: bool = True,
) -> list[Outcome]:
    """Train what is left of a sweep.

    Args:
        out: its directory, new or that of a sweep begun before; finished and diverged tasks are left as they are,
            others go on from their last checkpoints, those too that are complete with fewer epochs than asked for now;
            one that holds another experiment than its task's, or learned from other data, has failed.
        only: those tasks whose names match one of these shell patterns, such as ``mb-*,seed=0``.
        pack: train tasks that differ in seed, β, dt, η and η^g only as one ensemble on the torch engine; not those
            that name another engine.
        workers: processes on this machine, at most a CPU each by default.
        scheduler: address of a Dask scheduler, such as tcp://host:8786, instead; its workers must see `out` and the
            data under the same paths.
        threads: of each task; by default an even share of the worker's CPUs.

    Returns:
        How each of them ended, in order.

    Raises:
        ConfigError: an impossible argument, or workers that can't begin, as in a script that lacks
            ``if __name__ == "__main__":``. DataError: there is a task without train_examples, whose data can't be read.
        FileError: `out` can't be written, the scheduler not reached or lost, or all workers died at once; the same call
            goes on.
        Stopped: SIGINT, SIGTERM or SIGHUP came; the same call goes on.

    Examples:
        >>> np.savez("few.npz", x_train=np.eye(4), y_train=[0, 1, 0, 1], x_test=np.eye(4), y_test=[0, 1, 0, 1])
        >>> settings = {"preset": "mb-100-tf", "sizes": [4, 3, 2], "data": "few.npz", "epochs": 1}
        >>> sweep = gn.sweep.Sweep(settings | {"engine": "reference"}, grid={"beta": [0.1, 0.2]})
        >>> [outcome.status for outcome in gn.sweep.run(sweep, "sweep", workers=1, progress=False)]
        ['complete', 'complete']
    """
    pools.end_where_imported()
    _require_possible(workers, scheduler, threads)
    tasks = counted(sweep.matching(only))
    folder = begin_folder(sweep, out)
    hashes = functools.cache(hash_of)  # once for all tasks
    outcomes = {task.name: complete(task, folder, hashes) for task in tasks if finished(task, folder)}
    jobs, places = _jobs(tasks, outcomes.keys(), folder, pack)
    work = functools.partial(_perform, folder=folder, packed=frozenset(places))
    if jobs:
        with SweepProgress(tasks, folder, places, progress) as shown, Interruption() as interruption:
            workers = max(1, min(workers or available_cpus(), len(jobs)))
            executor = pools.dask(work, scheduler, threads) if scheduler else pools.processes(work, workers, threads)
            with executor as pool:
                for outcome in _outcomes(pool, jobs, shown, interruption):
                    outcomes[outcome.name] = outcome
        if interruption.requested:
            raise Stopped(f"stopped by {interruption.requested.name}; the same command goes on with {out}")
    return [outcomes[task.name] for task in tasks]


def run_one(sweep: Sweep, out: str | os.PathLike, number: int, threads: int | None = None) -> Outcome:
    """Train one task of a sweep in this process, as one of an array does: what is finished is left as it is, what has
    begun goes on, what another process works on is left to it.

    Args:
        out: see `run`. number: of the task, from 0. threads: by default all CPUs allowed.

    Raises:
        ConfigError: there is no such task, or too many threads. DataError, FileError: as `run`.

    Examples:
        >>> np.savez("few.npz", x_train=np.eye(4), y_train=[0, 1, 0, 1], x_test=np.eye(4), y_test=[0, 1, 0, 1])
        >>> settings = {"preset": "mb-100-tf", "sizes": [4, 3, 2], "data": "few.npz", "epochs": 1}
        >>> sweep = gn.sweep.Sweep(settings | {"engine": "reference"}, grid={"beta": [0.1, 0.2]})
        >>> gn.sweep.run_one(sweep, "sweep", 1).status
        'complete'
    """
    _require_possible(None, None, threads)
    tasks, folder = sweep.tasks, Path(out).resolve()
    task = tasks[integer("task", number, 0, len(tasks) - 1)]
    if not (folder / FILE).exists():
        begin_folder(sweep, out)
    (one,) = counted([task])
    return (
        complete(one, folder, hash_of) if finished(one, folder) else perform(one, folder, threads or available_cpus())
    )


def _require_possible(workers: int | None, scheduler: str | None, threads: int | None) -> None:
    if scheduler and workers:
        raise ConfigError("workers: a Dask cluster has its own; give workers or scheduler, not both")
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None:
            integer(name, value, 1, MOST_THREADS)


def begin_folder(sweep: Sweep, out: str | os.PathLike) -> Path:
    """The sweep's directory, with its file in it."""
    folder = Path(out).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{out}: can't be made ({error.strerror}); give a directory you may write to") from error
    publish(folder / FILE, sweep.to_toml().encode())
    return folder


def _jobs(tasks: list[Task], ended: Set[str], folder: Path, pack: bool) -> tuple[list[Job], dict[str, Path]]:
    """What is left to do, and where those tasks are trained that are packed into ensembles."""
    packed = ensembles.begun(tasks, folder)
    done = {task.name for job in packed for task in job} | ended
    left = [task for task in tasks if task.name not in done]
    if pack:
        packed += ensembles.pack([task for task in left if state(folder / task.name) is None])
    places = {task.name: ensembles.directory(job, folder) for job in packed for task in job}
    return packed + [(task,) for task in left if task.name not in places], places


def _perform(job: Job, folder: Path, packed: frozenset[str], threads: int) -> list[Outcome]:
    if job[0].name in packed:
        return ensembles.perform_together(job, folder, threads)
    return [perform(job[0], folder, threads)]


def _outcomes(pool: Pool, jobs: list[Job], shown: SweepProgress, interruption: Interruption) -> Iterator[Outcome]:
    """Each task's outcome when its job has ended; when asked to stop, of those that were being worked on."""
    queue, stopping = deque(jobs), False
    working: dict[cf.Future, Job] = {}
    tries: Counter[str] = Counter()
    while queue or working:
        while queue and len(working) < pool.slots:
            job = queue.popleft()
            working[pool.submit(job)] = job
        done, _ = cf.wait(working, _LOOK, cf.FIRST_COMPLETED)
        for job, future in [(working.pop(future), future) for future in done]:
            tries[job[0].name] += 1
            outcomes = _ends(job, future, last=tries[job[0].name] == _TRIES)
            if not outcomes:
                queue.append(job)
            for outcome in outcomes:
                shown.ended(outcome)
                yield outcome
        shown.look()
        if interruption.requested:
            queue.clear()
            if not stopping:
                pool.stop(working)
            stopping = True


def _ends(job: Job, future: cf.Future, last: bool) -> list[Outcome]:
    """What became of the tasks of a job; nothing yet where its process died and it may be tried again.

    Raises:
        CancelledError: the scheduler that had it is gone. FileError: no worker is left.
    """
    from concurrent.futures.process import BrokenProcessPool

    from pebble import ProcessExpired

    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, BrokenProcessPool):
        raise FileError("all workers died at once; is memory short? the same command goes on")
    text = " ".join(f"{type(error).__name__}: {error}".splitlines())
    if isinstance(error, ProcessExpired):
        if not last:
            return []
        text = f"its process died {_TRIES} times; is memory short?"
    return [Outcome(task.name, "failed", text, 1) for task in job]
