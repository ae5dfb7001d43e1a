"""The seal of an HDF5 file: the SHA-256 of every block of it, so that a part is proved without reading the rest.

Behind the HDF5 content stand the digests of its blocks, 32 bytes each, the digest of these (the root) and 8 characters.
Other readers pass over them. Whoever changes a file can make its seal anew: it is proof against accidents only.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
from pathlib import Path
from typing import Any

from ghostnet.errors import FileError
from ghostnet.files.opening import open_bounded

MAX_BYTES = 1 << 30  # of a file
_BLOCK = 1 << 15
_DIGEST = hashlib.sha256().digest_size
_MARK = b"ghostsum"
_END = _DIGEST + len(_MARK)  # the root and the mark
_FORMER_MARK = b"ghostnet"  # of 0.1.0, before one digest of the whole content
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_KEPT = 128  # blocks in memory, of those that HDF5 reads


class FormerFormat(FileError):
    """The file is whole, but of a version before this one."""


def sealed(content: bytes) -> bytes:
    """HDF5 content with its seal."""
    view = memoryview(content)
    digests = b"".join(
        hashlib.sha256(view[start : start + _BLOCK]).digest() for start in range(0, len(content), _BLOCK)
    )
    return b"".join((content, digests, hashlib.sha256(digests).digest(), _MARK))


def _length(size: int) -> int:
    """Of the content, where a sealed file has this size."""
    blocks = -(-(size - _END) // (_BLOCK + _DIGEST))
    return size - _END - blocks * _DIGEST


class Sealed(io.RawIOBase):
    """The content of a sealed file, read-only. Every block is proved when it is read.

    Attributes:
        path: as given. length: bytes of content. root: digest of the digests: another for any other content.

    Raises:
        FileError: on construction: it can't be read, is no HDF5 file, has no seal or a damaged one. On reading: a block
            is not as it was sealed.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        try:
            self._file, size = open_bounded(path, "give an existing HDF5 file", MAX_BYTES)
        except BaseException:
            super().close()  # or this would be closed when it is collected, and have nothing to close
            raise
        self._position = 0
        self._block = functools.lru_cache(_KEPT)(self._proved)
        try:
            self.length = _length(size)
            self._digests, self.root = self._seal(size)
        except BaseException:
            self.close()
            raise

    def _seal(self, size: int) -> tuple[bytes, bytes]:
        if self._raw(0, len(_SIGNATURE)) != _SIGNATURE:
            raise FileError(f"{self.path}: not an HDF5 file; give a trace or checkpoint that ghostnet wrote")
        end = self._raw(max(0, size - _END), size)
        if end.startswith(_FORMER_MARK):
            text = "it is of ghostnet 0.1; go on with that version, open it with xarray or h5py, or make it anew"
            raise FormerFormat(f"{self.path}: refused: {text}")
        if not end.endswith(_MARK) or self.length <= 0:
            text = "it has no seal of ghostnet, or was cut off; open a file of other origin with xarray or h5py"
            raise FileError(f"{self.path}: refused: {text}")
        digests, root = self._raw(self.length, size - _END), end[:_DIGEST]
        if hashlib.sha256(digests).digest() != root:
            raise self._damaged()
        return digests, root

    def _raw(self, start: int, stop: int) -> bytes:
        try:
            return os.pread(self._file.fileno(), stop - start, start)
        except OSError as error:
            raise FileError(f"{self.path}: can't be read ({error.strerror}); take a backup") from error

    def _damaged(self) -> FileError:
        text = "damaged: it is not as it was sealed (SHA-256); take a backup or make it anew"
        return FileError(f"{self.path}: refused: {text}")

    def _proved(self, number: int, count: int = 1) -> bytes:
        """So many blocks from one on."""
        start = number * _BLOCK
        content = self._raw(start, min(start + count * _BLOCK, self.length))
        view = memoryview(content)
        for i in range(count):
            digest = hashlib.sha256(view[i * _BLOCK : (i + 1) * _BLOCK]).digest()
            at = (number + i) * _DIGEST
            if digest != self._digests[at : at + _DIGEST]:
                raise self._damaged()
        return content

    def span(self, start: int, stop: int) -> bytes:
        """The bytes from start to stop, which have to be within the content. May be called by many threads."""
        first = start // _BLOCK
        content = self._proved(first, -(-stop // _BLOCK) - first)
        return content[start - first * _BLOCK : stop - first * _BLOCK]

    def prove(self) -> None:
        """Read all of it.

        Raises:
            FileError: it is not as it was sealed.
        """
        for number in range(0, -(-self.length // _BLOCK), _KEPT):
            self._proved(number, min(_KEPT, -(-self.length // _BLOCK) - number))

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        into = memoryview(buffer).cast("B")
        done, wanted = 0, max(0, min(len(into), self.length - self._position))
        while done < wanted:  # HDF5 takes what it asked for as read, whatever is returned
            number, offset = divmod(self._position + done, _BLOCK)
            content = self._block(number)[offset : offset + wanted - done]
            into[done : done + len(content)] = content
            done += len(content)
        self._position += done
        return done

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.length}[whence]
        self._position = origin + offset
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def __enter__(self) -> Sealed:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
