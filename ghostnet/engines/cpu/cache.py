"""Where the machine code of kernels is kept between sessions.

Numba's own cache, in a directory that is named after all that decides the code: Numba looks only at the outermost
function's file, and at the processor's name and features. What can't be kept is compiled in memory; a kernel is never
taken from where somebody else could have put it, for Numba unpickles what it finds.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import llvmlite
import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache

from ghostnet.engines.cpu.processor import targeted

_REMEDY = "every session compiles them again, unless NUMBA_CACHE_DIR names a directory of your own"

log = logging.getLogger("ghostnet")


@functools.cache
def directory() -> Path | None:
    """Where this process keeps kernels; None, after one line in the log, where there is no safe and writable place."""
    try:
        return _made(_place())
    except OSError as error:
        _say_once(f"kernels can't be kept: {' '.join(str(error).split())}; {_REMEDY}")
        return None


def kernels(path: Path) -> int:
    """How many kernels are kept in a directory."""
    return sum(1 for _ in path.rglob("*.nbc"))


def _place() -> Path:
    root = Path(getattr(numba.config, "CACHE_DIR", None) or _user_cache()).absolute()
    return root / f"kernels-{_key()[:16]}"


def _user_cache() -> str:
    from platformdirs import user_cache_dir  # here, because it is not needed where NUMBA_CACHE_DIR is set

    found = user_cache_dir("ghostnet")
    if not os.path.isabs(found):
        raise OSError(f"no home directory, hence no cache in {found}")
    return found


def _key() -> str:
    """A digest of the engines' sources, of the compiler, and of the processor that it compiles for."""
    digest = hashlib.sha256(repr((numba.__version__, llvmlite.__version__, tuple(targeted()))).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _made(path: Path) -> Path:
    """The directory, private; OSError if it isn't, or if others could have put another in its place."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):  # Path.mkdir alone would give parents what the umask leaves, which may be anything
        folder.mkdir(0o700, exist_ok=True)
    about = path.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o022:
        raise OSError(f"{path} is not a directory that only this user can write to")
    for folder in path.parents:
        mode = folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise OSError(f"{path} could be replaced, as everybody can write to {folder}")
    if not os.access(path, os.W_OK | os.X_OK):
        raise OSError(f"{path} is not writable")
    return path


def of(function: Callable) -> KernelCache | None:
    """The cache of a kernel's function; None where there is no place for it."""
    path = directory()
    if path is None:
        return None
    try:
        with _numba_looks_in(path):
            return KernelCache(function)
    except RuntimeError:  # Numba found that nothing can be written there
        _say_once(f"{path}: kernels can't be kept there; {_REMEDY}")
        return None


class _OnlyThere(CompileResultCacheImpl):
    _locator_classes = CompileResultCacheImpl._locator_classes[:1]  # what is asked for, and no other


class KernelCache(FunctionCache):
    """Numba's cache of one function, in `directory`. What can't be read is compiled, what can't be written not kept."""

    _impl_class = _OnlyThere

    def load_overload(self, sig: tuple, target_context: object) -> object:
        if not _only_built_in(sig):
            return None
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # a file damaged in any way: unpickling it may raise anything
            log.warning("%s: a kernel there is damaged (%s); it is compiled anew", self.cache_path, error)
            with contextlib.suppress(OSError):
                self.flush()  # or it would be read again when the new one is saved
            return None

    def save_overload(self, sig: tuple, data: object) -> None:
        if not _only_built_in(sig):
            return
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _say_once(f"{self.cache_path}: kernels can't be kept there ({error.strerror}); {_REMEDY}")


def _only_built_in(signature: tuple) -> bool:
    """Whether no argument is a user's own law: kernels with these are compiled in memory, so nothing here grows."""
    fields = [field for argument in signature for field in getattr(argument, "types", (argument,))]
    return all(getattr(field, "built_in", True) for field in fields)


@functools.cache
def _say_once(text: str) -> None:
    log.warning("%s", text)


@contextlib.contextmanager
def _numba_looks_in(path: Path) -> Iterator[None]:
    """Numba's settings for the time that a cache is made: it takes its place from them, and keeps to it."""
    wanted = {"CACHE_DIR": str(path), "CACHE_LOCATOR_CLASSES": ""}
    before = {name: getattr(numba.config, name, "") for name in wanted}
    for name, value in wanted.items():
        setattr(numba.config, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(numba.config, name, value)
