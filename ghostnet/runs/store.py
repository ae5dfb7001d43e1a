"""The run directory: what is in it, who may write into it, and what its files say."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ghostnet.errors import ConfigError, FileError, InUse
from ghostnet.files import jsonfile, toml
from ghostnet.files.opening import read_bytes
from ghostnet.files.provenance import provenance
from ghostnet.files.publishing import Place, unfinished
from ghostnet.model.baseline import BaselineRun
from ghostnet.model.experiment import Experiment, from_mapping
from ghostnet.model.typed import is_count
from ghostnet.runs.metrics import csv_text

CONFIG, PROVENANCE, STATUS, METRICS, LOCK = "config.toml", "provenance.json", "status.json", "metrics.csv", ".lock"
CHECKPOINTS, TRACES = "checkpoints", "traces"  # directories of a run's
STATES = ("running", "complete", "diverged", "stopped", "failed")
_ANEW = "take a backup or run anew"


@contextlib.contextmanager
def default_directory(name: str) -> Iterator[Path]:
    """Context with a new directory, runs/NAME-DATE-TIME, made for this process alone: where another has taken that name
    in the same second, it ends in -2, -3, …. What nothing was put into is gone afterwards.

    Raises:
        FileError: it can't be made.
    """
    first = Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    try:
        for path in itertools.chain([first], (first.with_name(f"{first.name}-{n}") for n in itertools.count(2))):
            with contextlib.suppress(FileExistsError):
                path.mkdir(parents=True)
                break
    except OSError as error:
        raise FileError(f"{first}: can't be made ({error.strerror}); give a directory with --out") from error
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.rmdir()
            path.parent.rmdir()


class RunDirectory:
    """The directory of one training run, held by one process at a time. Layout: docs/runs.md.

    Attributes:
        path: as given.
        configuration: what decides the result: an Experiment, or a BaselineRun.
        settings: how it is run: engine, dtype, threads, and options of the engine.
        place: where everything is written: the directory that was locked, or nowhere.
    """

    def __init__(self, path: str | os.PathLike, configuration: Experiment | BaselineRun, settings: dict):
        """Make a new directory and write what is known before training.

        Raises:
            ConfigError: it exists and is not empty, or is a file. InUse: another process is at work on it.
            FileError: it can't be made or written.
        """
        self.path = Path(path)
        self.configuration = configuration
        self.settings = settings
        try:
            _require_free(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"{path}: can't be made ({error.strerror}); give a directory you may write to") from error
        self._lock()
        try:
            _require_free(self.path)  # still: another may have been there since, and ended
            self.place.publish(CONFIG, configuration.to_toml().encode())
            self.place.publish(PROVENANCE, jsonfile.text(provenance() | settings))
            self.status("running", epoch=0)
        except BaseException:
            self.close()
            raise

    @classmethod
    def existing(cls, path: str | os.PathLike, from_mapping: Callable = from_mapping) -> RunDirectory:
        """A directory that a run has left, whatever ended it. What a killed process was just writing is removed.

        Args:
            from_mapping: makes `configuration` of config.toml's fields.

        Raises:
            FileError: it is no run directory, can't be read or written, or what is in it leads elsewhere.
            InUse: another process is at work on it.
        """
        self = cls.__new__(cls)
        self.path = Path(path)
        self.configuration = from_mapping(toml.read(self.path / CONFIG))
        self.settings = jsonfile.read(self.path / PROVENANCE)
        self._lock()
        try:
            for name in (CONFIG, PROVENANCE, STATUS, METRICS):
                self.place.require_own(name)
            self.place.clean()
            for name in (CHECKPOINTS, TRACES):
                if os.path.lexists(self.path / name):
                    self.place.folder(name).clean()
        except BaseException:
            self.close()
            raise
        return self

    def _lock(self) -> None:
        """Hold the directory until this process ends, however it ends."""
        self.place, self._held = Place(self.path), FileLock(self.path / LOCK)
        try:
            self._held.acquire(timeout=0)
        except Timeout:
            raise InUse(f"{self.path}: another process is at work on it; wait until it ends or stop it") from None
        except OSError as error:
            raise FileError(
                f"{self.path}: can't be locked ({error.strerror}); give one that you may write to"
            ) from error

    def close(self) -> None:
        """Let others in."""
        self._held.release()

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def status(self, state: str, **details: object) -> None:
        """Replace status.json. `state`: one of STATES. It keeps what config.toml says, too: see `unchanged_config`."""
        details["config_sha256"] = hashlib.sha256(self.configuration.to_toml().encode()).hexdigest()
        self.place.publish(STATUS, jsonfile.text({"status": state, **details}))

    def metrics(self, rows: Iterable[dict]) -> None:
        """Replace metrics.csv by these rows, which share their keys."""
        self.place.publish(METRICS, csv_text(rows).encode())

    def give_epochs(self, configuration: Experiment | BaselineRun, given: list[int], **position: object) -> None:
        """Make the run one of another number of epochs, as its new `configuration` says.

        No two files change at once: before config.toml says the new number, status.json no longer says complete, and
        provenance.json has all that were `given`, so that whatever is killed in between goes on.
        """
        self.status("running", **position)
        self.configuration, self.settings["epochs"] = configuration, given
        self.place.publish(PROVENANCE, jsonfile.text(self.settings))
        self.place.publish(CONFIG, configuration.to_toml().encode())


def _require_free(path: Path) -> None:
    """Raise ConfigError unless a run may begin there: nothing is there, or only what one left that was killed before it
    had a status.
    """
    first = (CONFIG, PROVENANCE, LOCK)
    if path.is_dir():
        free = all(entry.name in first or unfinished(entry.name) for entry in path.iterdir())
    else:
        free = not os.path.lexists(path)
    if not free:
        raise ConfigError(f"out = {path}: exists and is not empty; give a new directory or remove it")


def read_status(run: Path) -> dict:
    """What status.json of a run directory says.

    Raises:
        FileError: it can't be read, or says what no run does.
    """
    path = run / STATUS
    found = jsonfile.read(path)
    if found.get("status") not in STATES:
        raise FileError(f"{path}: status = {found.get('status')!r}: expected {', '.join(STATES)}; {_ANEW}")
    for name in ("epoch", "presentation"):
        if not is_count(found.get(name, 0)):
            raise FileError(f"{path}: {name} = {found[name]!r}: expected a count; {_ANEW}")
    return found


def unchanged_config(run: Path) -> bytes | None:
    """What config.toml of a run directory says, where that is what it said when its status was written; else None.

    A checkpoint says so as well, but takes a hundred times as long to open.

    Raises:
        FileError: config.toml or status.json can't be read.
    """
    text = read_bytes(run / CONFIG, "give a run that `ghostnet train` made")
    return text if read_status(run).get("config_sha256") == hashlib.sha256(text).hexdigest() else None
