"""How much memory there is, and one line where something can't fit into it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ghostnet.errors import ConfigError

_GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def available() -> int | float:
    """Bytes that this process could have at most: of the machine, of its control group, and below its own limit."""
    return min(_machine(), _control_group(), _address_space())


def _machine() -> int | float:
    with contextlib.suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return float("inf")


def _control_group() -> int | float:
    """The least of what Linux grants to this process's group (a container's, or a batch job's) and those above it."""
    limit, (own, root) = float("inf"), _GROUPS
    with contextlib.suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "memory"):
                name = "memory.limit_in_bytes" if controllers else "memory.max"  # version 1, version 2
                group = Path(path.lstrip("/"))
                for folder in (group, *group.parents):
                    with contextlib.suppress(OSError, ValueError):  # no such file; "max"
                        limit = min(limit, int((root / controllers / folder / name).read_text()))
    return limit


def _address_space() -> int | float:
    """What is left below `ulimit -v`."""
    with contextlib.suppress(ImportError, OSError):
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            return max(0, most - taken)
    return float("inf")


@contextlib.contextmanager
def room(count: int, what: str, remedy: str) -> Iterator[None]:
    """Context in which `count` bytes are allocated for `what`.

    Raises:
        ConfigError: there can't be so many; known before the body begins, or by its MemoryError.
    """
    have = available()
    text = f"{what}: needs {count / 1e9:.3g} GB of memory, and there are {have / 1e9:.3g}; {remedy}"
    if count > have:
        raise ConfigError(text)
    try:
        yield
    except MemoryError as error:
        raise ConfigError(text) from error
