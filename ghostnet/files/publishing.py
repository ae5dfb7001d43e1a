"""Writing files: each appears whole or not at all, and a run's only in the directory that the run began in."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import weakref
from collections.abc import Callable
from pathlib import Path

from ghostnet.errors import FileError

_TEMPORARY = ".unfinished-"  # begins the names of files being written
_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY  # O_PATH: it may be one that only takes files


def publish(path: str | os.PathLike[str], content: bytes) -> None:
    """Put `content` at `path` so that readers, and a crash at any instant, see the old file or the new one.

    Raises:
        FileError: it can't be written; the old file is untouched and nothing is left behind.
    """
    _put(Path(path), content, None)


def unfinished(name: str) -> bool:
    """Whether a file of this name was just being written when its process was killed, or is."""
    return name.startswith(_TEMPORARY)


class Place:
    """A directory that is written into as long as its name leads to it.

    A run's directory may be moved and its name given to another run's: what is written here never lands there.

    Attributes:
        path: its name when it was opened. where: the same from the root on, whatever the working directory becomes.

    Raises:
        FileError: on construction: it can't be opened. From every method: its name leads elsewhere by now.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path, self.where = Path(path), Path(os.path.abspath(path))
        self._open(path, _DIRECTORY, None)

    def _open(self, name: str | os.PathLike[str], flags: int, parent: int | None) -> None:
        try:
            self._descriptor = os.open(name, flags, dir_fd=parent)
        except OSError as error:
            text = f"{self.path}: can't be opened ({error.strerror}); give a directory you may write to"
            raise FileError(text) from error
        weakref.finalize(self, os.close, self._descriptor)

    def publish(self, name: str, content: bytes) -> Path:
        """As `publish`, for a file of this directory; returns its path."""
        self._require_same()
        path = self.path / name
        _put(path, content, self._descriptor)
        return path

    def remove(self, name: str) -> None:
        """Remove a file, if that is possible."""
        self._require_same()
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self._descriptor)

    def clean(self) -> None:
        """Remove what killed processes were just writing."""
        with contextlib.suppress(OSError):
            for name in filter(unfinished, os.listdir(self.where)):
                self.remove(name)

    def folder(self, name: str) -> Place:
        """A directory in this one, made if it isn't there.

        Raises:
            FileError: it can't be made, or is a symbolic link or a file: nothing is written outside this directory.
        """
        self._require_same()
        path = self.path / name
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=self._descriptor)
        except OSError as error:
            raise FileError(f"{path}: can't be made ({error.strerror}); make its parent writable") from error
        self.require_own(name, stat.S_ISDIR)
        found = Place.__new__(Place)
        found.path, found.where = path, self.where / name
        found._open(name, _DIRECTORY | os.O_NOFOLLOW, self._descriptor)
        return found

    def require_own(self, name: str, kind: Callable[[int], bool] = stat.S_ISREG) -> None:
        """Raise FileError if there is such an entry and it is no regular file (or what else `kind` asks for)."""
        with contextlib.suppress(FileNotFoundError):
            mode = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_mode
            if not kind(mode):
                what = "a symbolic link" if stat.S_ISLNK(mode) else "of another kind"
                expected = "directory" if kind is stat.S_ISDIR else "regular file"
                raise FileError(
                    f"{self.path / name}: refused: it is {what}; expected a {expected}; put one in its place"
                )

    def _require_same(self) -> None:
        try:
            same = os.path.samestat(os.stat(self.where), os.fstat(self._descriptor))
        except OSError:
            same = False
        if not same:
            raise FileError(f"{self.path}: not the directory that was begun in: it was moved or replaced; move it back")


def _put(path: Path, content: bytes, parent: int | None) -> None:
    """Publish. `parent`: a descriptor of the path's parent, to be taken instead of its name."""
    folder = "" if parent is not None else path.parent
    temporary, end = os.path.join(folder, f"{_TEMPORARY}{secrets.token_hex(8)}"), os.path.join(folder, path.name)
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=parent)  # less the umask
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, end, **({} if parent is None else {"src_dir_fd": parent, "dst_dir_fd": parent}))
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=parent)
        needed = f"{len(content)} bytes needed{_free(path)}"
        raise FileError(f"{path}: can't be written ({error.strerror}; {needed})") from error
    _sync(folder or ".", parent)


def _free(path: Path) -> str:
    with contextlib.suppress(OSError):
        return f", {shutil.disk_usage(path.parent).free} free"
    return ""


def _sync(directory: str | os.PathLike[str], parent: int | None) -> None:
    """Make the new name last, where the file system can: some (CIFS, FUSE) open or sync files only."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY, dir_fd=parent)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
