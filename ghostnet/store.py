"""The run directory: what is in it, who may write into it, and what its files say."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout

from ghostnet import config
from ghostnet.config import Experiment
from ghostnet.errors import ConfigError, FileError, InUse
from ghostnet.metrics import csv_text
from ghostnet.opening import read_bytes
from ghostnet.publishing import Place, publish, unfinished
from ghostnet.typed import is_count

CONFIG, PROVENANCE, STATUS, METRICS, LOCK = "config.toml", "provenance.json", "status.json", "metrics.csv", ".lock"
CHECKPOINTS, TRACES = "checkpoints", "traces"  # directories of a run's
STATES = ("running", "complete", "diverged", "stopped", "failed")
_ANEW = "take a backup or run anew"


def appended(path: Path, ending: str) -> Path:
    """`path` with `ending` behind its whole name: a point in it, as in beta-0.05, begins no suffix."""
    whole = path if path.name.strip(".") else path.resolve()  # `.` and `..` have no name of their own
    return Path(f"{whole}{ending}")


def picture_path(path: Path) -> Path:
    """Where a picture goes that is asked for as `path`: there, or to `path`.png if its name ends in no format."""
    return path if path.suffix[1:].isalpha() else appended(path, ".png")


def publish_picture(figure, path: Path) -> Path:
    """Write a Matplotlib figure to `picture_path(path)`, in the format that its name ends in; returns where.

    Raises:
        ConfigError: there is no such format. FileError: it can't be written.
    """
    image, known, path = io.BytesIO(), figure.canvas.get_supported_filetypes(), picture_path(path)
    if path.suffix[1:] not in known:
        raise ConfigError(f"out = {path}: no such picture format; expected one of {', '.join(sorted(known))}")
    figure.savefig(image, format=path.suffix[1:])
    publish(path, image.getvalue())
    return path


def publish_figure(figure, path: Path, **facts) -> None:
    """Write a Matplotlib figure as `path`.png and .pdf, and how it was made, with `facts`, as `path`.json."""
    made = provenance()  # before the new picture makes the checkout differ from its commit
    for ending in (".png", ".pdf"):
        publish_picture(figure, appended(path, ending))
    publish(appended(path, ".json"), _json(made | {"date": date.today().isoformat()} | facts))


@contextlib.contextmanager
def default_directory(name: str) -> Iterator[Path]:
    """Context with a new directory, runs/NAME-DATE-TIME, made for this process alone: where another has taken that name
    in the same second, it ends in -2, -3, …. What nothing was put into is gone afterwards.

    Raises:
        FileError: it can't be made.
    """
    first = Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    try:
        first.parent.mkdir(exist_ok=True)
        for path in itertools.chain([first], (first.with_name(f"{first.name}-{n}") for n in itertools.count(2))):
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                break
    except OSError as error:
        raise FileError(f"{first}: can't be made ({error.strerror}); give a directory with --out") from error
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.rmdir()


class RunDirectory:
    """The directory of one training run, held by one process at a time. Layout: "Run directories" in the README.

    Attributes:
        path, experiment: as given or found.
        settings: how it is run: engine, dtype, threads, and options of the engine.
        place: where everything is written: the directory that was locked, or nowhere.
    """

    def __init__(self, path: str | os.PathLike, experiment: Experiment, settings: dict):
        """Make a new directory and write what is known before training.

        Raises:
            ConfigError: it exists and is not empty, or is a file. InUse: another process is at work on it.
            FileError: it can't be made or written.
        """
        self.path, self.experiment, self.settings = Path(path), experiment, settings
        try:
            _require_free(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"{path}: can't be made ({error.strerror}); give a directory you may write to") from error
        self._lock()
        try:
            _require_free(self.path)  # still: another may have been there since, and ended
            self.place.publish(CONFIG, experiment.to_toml().encode())
            self.place.publish(PROVENANCE, _json(provenance() | settings))
            self.status("running", epoch=0)
        except BaseException:
            self.close()
            raise

    @classmethod
    def existing(cls, path: str | os.PathLike, from_mapping: Callable = config.from_mapping) -> RunDirectory:
        """A directory that a run has left, whatever ended it. What a killed process was just writing is removed.

        Args:
            from_mapping: makes `experiment` of config.toml's fields.

        Raises:
            FileError: it is no run directory, can't be read or written, or what is in it leads elsewhere.
            InUse: another process is at work on it.
        """
        self = cls.__new__(cls)
        self.path = Path(path)
        self.experiment = from_mapping(config.read_toml(self.path / CONFIG))
        self.settings = read_json(self.path / PROVENANCE)
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

    def __exit__(self, *exception) -> None:
        self.close()

    def status(self, state: str, **details) -> None:
        """Replace status.json. `state`: one of STATES."""
        self.place.publish(STATUS, _json({"status": state, **details}))

    def metrics(self, rows: Iterable[dict]) -> None:
        """Replace metrics.csv by these rows, which share their keys."""
        self.place.publish(METRICS, csv_text(rows).encode())


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


def read_json(path: Path) -> dict:
    """The JSON object in a file.

    Raises:
        FileError: it can't be read, or is none.
    """
    text = read_bytes(path, "give a run that `ghostnet train` made")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path}: not JSON ({error}); take a backup or run anew") from error
    if not isinstance(value, dict):
        raise FileError(f"{path}: holds no JSON object; take a backup or run anew")
    return value


def read_status(run: Path) -> dict:
    """What status.json of a run directory says.

    Raises:
        FileError: it can't be read, or says what no run does.
    """
    path = run / STATUS
    found = read_json(path)
    if found.get("status") not in STATES:
        raise FileError(f"{path}: status = {found.get('status')!r}: expected {', '.join(STATES)}; {_ANEW}")
    for name in ("epoch", "presentation"):
        if not is_count(found.get(name, 0)):
            raise FileError(f"{path}: {name} = {found[name]!r}: expected a count; {_ANEW}")
    return found


def _json(value: dict) -> bytes:
    """JSON text; arrays as lists. Bytes of a file name that are no text become escapes that JSON reads back."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=lambda array: array.tolist())
    return (text + "\n").encode(errors="backslashreplace")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result may depend on."""
    packages = ("ghost-units", "numpy", "numba", "llvmlite", "torch", "triton", "h5py")
    found = {}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return {"python": platform.python_version(), **found}


def provenance() -> dict:
    """What was run, with which versions, on what kind of machine."""
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    return {
        "argv": [os.fsencode(word).decode(errors="backslashreplace") for word in words],
        "versions": versions(),
        "commit": _commit(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "gpu": gpu_name(),
    }


def cpu_name() -> str:
    """The processor's name, as the system gives it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def gpu_name() -> str | None:
    """The GPU that this process has used through torch; None where it has used none."""
    torch = sys.modules.get("torch")  # if it was not imported, nothing was used
    return torch.cuda.get_device_name() if torch and torch.cuda.is_initialized() else None


def _commit() -> str | None:
    """The commit of the source checkout this package is imported from; None for an installed one."""
    here = Path(__file__).resolve().parent
    if not (here.parent / ".git").exists():
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
        done = subprocess.run(command, capture_output=True, timeout=10, check=True)
        return done.stdout.decode(errors="replace").strip()
    return None
