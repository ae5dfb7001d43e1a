"""Where jobs of a sweep run: processes of this machine, or a Dask cluster."""

from __future__ import annotations

import concurrent.futures as cf
import contextlib
import functools
import inspect
import math
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from tqdm import tqdm

from ghostnet.errors import ConfigError, FileError
from ghostnet.host.cpus import available_cpus
from ghostnet.host.quiet import quiet
from ghostnet.sweep.plan import Task
from ghostnet.sweep.task import Outcome

if TYPE_CHECKING:
    from distributed import Client
    from pebble import ProcessPool

Job = tuple[Task, ...]
Work = Callable[..., list[Outcome]]  # of a job, with threads=
_LOOK = 0.05  # seconds between looks at workers that begin


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
    """Spawned processes on this machine. One that dies takes its own job with it, no other.

    Raises:
        ConfigError: they end before they can do anything.
    """
    from pebble import ProcessPool

    work = functools.partial(work, threads=threads or max(1, available_cpus() // workers))

    def stop(working: dict) -> None:
        for process in multiprocessing.active_children():
            process.terminate()  # its job writes a checkpoint and ends

    pool = ProcessPool(workers, initializer=_begin_worker, context=multiprocessing.get_context("spawn"))
    with pool:  # waits for them
        _require_start(pool)
        yield Pool(lambda job: pool.schedule(work, (job,)), workers, stop)
        pool.close()


def _require_start(pool: ProcessPool) -> None:
    """Wait for the first worker; raise ConfigError where one has ended before, or others would begin without end."""
    before, begun = set(multiprocessing.active_children()), set()
    first = pool.schedule(_nothing)
    ended: list = []
    while not ended and not cf.wait([first], _LOOK).done:
        begun |= set(multiprocessing.active_children()) - before
        ended = [worker for worker in begun if worker.exitcode is not None]
    if ended or first.exception():
        pool.stop()
        text = 'in a script, what starts a sweep stands under `if __name__ == "__main__":`'
        raise ConfigError(f"the workers of the sweep end as they begin, perhaps for want of memory; {text}")


def _nothing() -> None:
    pass


def end_where_imported() -> None:
    """End this process, if it is a worker that runs the script of its own sweep again, as spawned processes do with
    what is not under `if __name__ == "__main__":`. Without a word: the sweep sees it end, and says what to add.
    """
    for frame, _ in traceback.walk_stack(inspect.currentframe()):
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__mp_main__":
            os._exit(ConfigError.exit_code)


def _begin_worker() -> None:
    # A terminal's Ctrl-C shall reach the parent only, which then ends its workers in order.
    os.setpgrp()
    # tqdm's own lock is a semaphore between processes, and left over when this one ends without ceremony.
    tqdm.set_lock(threading.RLock())
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Should the parent die without a word, by kill -9 or with its terminal, the job writes a checkpoint and ends."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def dask(work: Work, address: str, threads: int | None) -> Iterator[Pool]:
    """The workers of a Dask cluster; it gives a lost worker's jobs to others by itself.

    Raises:
        ConfigError: Dask is not installed. FileError: there is no scheduler at this address, or no more.
    """
    try:
        from distributed.comm import CommClosedError
    except ImportError:
        raise ConfigError("scheduler: needs Dask; install the extra: pip install '.[cluster]'") from None

    def stop(working: dict) -> None:
        for future in list(working):
            if future.cancel():  # what a worker has begun, it brings to its end
                del working[future]

    with (
        quiet("distributed.client"),
        _client(address) as client,
    ):  # of a scheduler that is gone, it tells in fifty lines
        executor = client.get_executor(pure=False)
        try:
            yield Pool(lambda job: executor.submit(_on_dask, work, job, threads), math.inf, stop)
        except (cf.CancelledError, CommClosedError) as error:  # what `stop` cancels is not asked for again
            text = "lost; its workers end what they have begun, and the same command goes on with another"
            raise FileError(f"scheduler = {address}: {text}") from error
        executor.shutdown(wait=False)


def _client(address: str) -> Client:
    from distributed import Client

    try:
        return Client(address, timeout="10s")
    except (OSError, ValueError, TypeError, RuntimeError) as error:  # TypeError: TLS without certificates
        text = f"scheduler = {address}: not reached ({error}); start one with `dask scheduler`"
        raise FileError(" ".join(text.splitlines())) from error


def _on_dask(work: Work, job: Job, threads: int | None) -> list[Outcome]:
    """Work within a Dask worker, whose jobs share its CPUs evenly."""
    from distributed import get_worker

    return work(job, threads=threads or max(1, available_cpus() // get_worker().state.nthreads))
