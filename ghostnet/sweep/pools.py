"""Where jobs of a sweep run: processes of this machine, or a Dask cluster."""

from __future__ import annotations

import concurrent.futures as cf
import contextlib
import functools
import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tqdm import tqdm

from ghostnet.errors import ConfigError, FileError
from ghostnet.simulator import available_cpus
from ghostnet.sweep.plan import Task
from ghostnet.sweep.task import Outcome

Job = tuple[Task, ...]
Work = Callable[..., list[Outcome]]  # of a job, with threads=


class Pool(NamedTuple):
    """An executor of jobs.

    Attributes:
        submit: start a job. slots: how many to submit at once.
        stop: given the futures and their jobs, drop those that wait, and ask the rest to end.
    """

    submit: Callable[[Job], cf.Future]
    slots: float
    stop: Callable[[dict[cf.Future, Job]], None]


@contextlib.contextmanager
def processes(work: Work, workers: int, threads: int | None) -> Iterator[Pool]:
    """Spawned processes on this machine. One that dies takes its own job with it, no other."""
    from pebble import ProcessPool

    work = functools.partial(work, threads=threads or max(1, available_cpus() // workers))

    def stop(working: dict) -> None:
        for process in multiprocessing.active_children():
            process.terminate()  # its job writes a checkpoint and ends

    pool = ProcessPool(workers, initializer=_begin_worker, context=multiprocessing.get_context("spawn"))
    with pool:  # waits for them
        yield Pool(lambda job: pool.schedule(work, (job,)), workers, stop)
        pool.close()


def _begin_worker() -> None:
    # A terminal's Ctrl-C shall reach the parent only, which then ends its workers in order.
    os.setpgrp()
    # tqdm's own lock is a semaphore between processes, and left over when this one ends without ceremony.
    tqdm.set_lock(threading.RLock())
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Should the parent die without a word, by kill -9 or with its terminal, the job writes a checkpoint and ends."""
    multiprocessing.parent_process().join()
    os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def dask(work: Work, address: str, threads: int | None) -> Iterator[Pool]:
    """The workers of a Dask cluster; it gives a lost worker's jobs to others by itself.

    Raises:
        ConfigError: Dask is not installed. FileError: there is no scheduler at this address.
    """
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
        yield Pool(lambda job: executor.submit(_on_dask, work, job, threads), math.inf, stop)
        executor.shutdown(wait=False)


def _on_dask(work: Work, job: Job, threads: int | None) -> list[Outcome]:
    """Work within a Dask worker, whose jobs share its CPUs evenly."""
    from distributed import get_worker

    return work(job, threads=threads or max(1, available_cpus() // get_worker().state.nthreads))
