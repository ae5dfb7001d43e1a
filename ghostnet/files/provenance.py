"""Where a result comes from: what was run, with which versions, on what machine."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result may depend on."""
    packages = ("ghost-units", "numpy", "numba", "llvmlite", "torch", "triton", "h5py")
    found = {}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return {"python": platform.python_version(), **found}


def provenance() -> dict[str, Any]:
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
    here = Path(__file__).resolve().parents[1]  # the package
    if not (here.parent / ".git").exists():
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
        done = subprocess.run(command, capture_output=True, timeout=10, check=True)
        return done.stdout.decode(errors="replace").strip()
    return None
