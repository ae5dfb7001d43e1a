"""The run directory: what is in it, and how every file of it is published whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from datetime import date
from importlib import metadata
from pathlib import Path

from ghostnet.config import Experiment
from ghostnet.errors import ConfigError, FileError

CONFIG, PROVENANCE, STATUS, METRICS = "config.toml", "provenance.json", "status.json", "metrics.csv"


def publish(path: Path, content: bytes) -> None:
    """Put `content` at `path` so that readers, and a crash at any instant, see the old file or the new one.

    Raises:
        FileError: it can't be written; the old file is untouched and nothing is left behind.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes it private
        os.replace(temporary, path)
        _sync_directory(path.parent)
    except OSError as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise FileError(
            f"{path}: can't be written ({error.strerror}; {len(content)} bytes needed{_free(path)})"
        ) from error


def _free(path: Path) -> str:
    with contextlib.suppress(OSError):
        return f", {shutil.disk_usage(path.parent).free} free"
    return ""


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish_picture(figure, path: Path) -> None:
    """Write a Matplotlib figure as `path`, in the format that its suffix names.

    Raises:
        ConfigError: there is no such format. FileError: it can't be written.
    """
    image, known = io.BytesIO(), figure.canvas.get_supported_filetypes()
    if path.suffix[1:] not in known:
        raise ConfigError(f"out = {path}: no such picture format; expected one of {', '.join(sorted(known))}")
    figure.savefig(image, format=path.suffix[1:])
    publish(path, image.getvalue())


def publish_figure(figure, path: Path, **facts) -> None:
    """Write a Matplotlib figure as `path`.png and .pdf, and how it was made, with `facts`, as `path`.json."""
    for suffix in (".png", ".pdf"):
        publish_picture(figure, path.with_suffix(suffix))
    publish(path.with_suffix(".json"), _json(provenance() | {"date": date.today().isoformat()} | facts))


class RunDirectory:
    """A new directory for one training run. Layout: the section "Run directories" of the README."""

    def __init__(self, path: str | os.PathLike, experiment: Experiment, settings: dict):
        """Make the directory and write what is known before training.

        Raises:
            ConfigError: it exists and is not empty, or is a file.
            FileError: it can't be made or written.
        """
        self.path = Path(path)
        try:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise ConfigError(f"out = {path}: exists and is not empty; give a new directory or remove it")
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"{path}: can't be made ({error.strerror}); give a directory you may write to") from error
        publish(self.path / CONFIG, experiment.to_toml().encode())
        publish(self.path / PROVENANCE, _json(provenance() | settings))
        self.status("running", epoch=0)

    def status(self, state: str, **details) -> None:
        """Replace status.json. `state`: running, complete, diverged, stopped or failed."""
        publish(self.path / STATUS, _json({"status": state, **details}))

    def metrics(self, rows: Iterable[dict]) -> None:
        """Replace metrics.csv by these rows, which share their keys."""
        rows = list(rows)
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        publish(self.path / METRICS, text.getvalue().encode())


def _json(value: dict) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result may depend on."""
    packages = ("ghost-units", "numpy", "numba", "llvmlite", "torch", "h5py")
    found = {}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return {"python": platform.python_version(), **found}


def provenance() -> dict:
    """What was run, with which versions, on what kind of machine."""
    return {
        "argv": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": versions(),
        "commit": _commit(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
    }


def cpu_name() -> str:
    """The processor's name, as the system gives it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit of the source checkout this package is imported from; None for an installed one."""
    here = Path(__file__).resolve().parent
    if not (here.parent / ".git").exists():
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    return None
