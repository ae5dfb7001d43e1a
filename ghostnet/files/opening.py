"""Reading files from anywhere: regular ones only, as a pipe or a device may never end, and no more than is sensible."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

from ghostnet.errors import FileError

MAX_TEXT = 1 << 24  # bytes of a file of settings; more takes minutes to parse


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """A regular file, opened for reading bytes.

    Raises:
        OSError: it can't be opened, or is a directory, a pipe, a device or a socket.
        ValueError: its name has a null byte.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # else a pipe waits for somebody to write into it
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(number, os.strerror(number) if stat.S_ISDIR(mode) else "not a regular file", os.fspath(path))
    return os.fdopen(descriptor, "rb")


def open_bounded(path: str | os.PathLike[str], remedy: str, most: int = MAX_TEXT) -> tuple[BinaryIO, int]:
    """A regular file of at most `most` bytes, opened for reading, and its size.

    Raises:
        FileError: it can't be opened, is no regular file, or larger; `remedy` ends the text.
    """
    try:
        file = open_regular(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error, remedy) from error
    size = os.fstat(file.fileno()).st_size
    if size > most:
        file.close()
        raise FileError(f"{path}: refused: larger than {most} bytes; {remedy}")
    return file, size


def read_bytes(path: str | os.PathLike[str], remedy: str, most: int = MAX_TEXT) -> bytes:
    """The content of a regular file of at most `most` bytes.

    Raises:
        FileError: it can't be read, is no regular file, or larger; `remedy` ends the text.
    """
    file, size = open_bounded(path, remedy, most)
    with file:
        try:
            return file.read(size)
        except OSError as error:
            raise _unreadable(path, error, remedy) from error


def _unreadable(path: str | os.PathLike[str], error: Exception, remedy: str) -> FileError:
    reason = getattr(error, "strerror", None) or error
    return FileError(f"{path}: can't be read ({reason}); {remedy}")
