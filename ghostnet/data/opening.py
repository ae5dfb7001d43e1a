"""Opening a file of a data set: whatever goes wrong while it is read is a DataError that names it."""

from __future__ import annotations

import contextlib
import gzip
import zipfile
import zlib
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import IO, TypeAlias

from ghostnet.errors import DataError
from ghostnet.files.opening import open_regular

MAX_BYTES = 1 << 30  # of one array, and of a file that isn't compressed
_CHUNK = 1 << 20
Stream: TypeAlias = IO[bytes] | gzip.GzipFile


@contextlib.contextmanager
def opened(source: Path | Traversable) -> Iterator[IO[bytes]]:
    """Context with a regular file, or one of a package, opened for reading bytes.

    Raises:
        DataError: one line with the file, reason and remedy, for what it can't be opened or read for, and for every
            DataError, ValueError and decompressor's error of the body.
    """
    try:
        with open_regular(source) if isinstance(source, Path) else source.open("rb") as file:
            yield file
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{source}: damaged gzip file ({error}); get the file again") from error
    except zipfile.BadZipFile as error:
        raise DataError(f"{source}: damaged or no .npz file ({error}); get the file again") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{source}: can't be read ({reason}); check the path and its permissions") from error


def read_up_to(stream: Stream, size: int) -> bytearray:
    """At most `size` bytes, in chunks: `read(size)` would allocate what a false header declares."""
    content = bytearray()
    while len(content) < size and (chunk := stream.read(min(size - len(content), _CHUNK))):
        content += chunk
    return content
