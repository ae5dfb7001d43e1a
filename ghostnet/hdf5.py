"""HDF5 at arm's length: files are built in memory and sealed, and opened strictly.

HDF5 never touches the disk: a writer killed half-way leaves a file nobody can read, a full disk ends the process by a
signal, and a file from outside may make the library read other files or exhaust memory. So `image` makes bytes
(published by `ghostnet.store.publish`), and `open_strictly` reads bytes and looks at everything before it lets go.

A seal follows the HDF5 content: 8 characters and the SHA-256 of all before it. Other readers pass over it.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py

from ghostnet.errors import FileError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MARK = b"ghostnet"
_SEAL_BYTES = len(_MARK) + hashlib.sha256().digest_size
_END_OF_FILE = {0: 40, 1: 44, 2: 28, 3: 28}  # where each version of the superblock keeps the length; HDF5 format, II.A
_MAX_BYTES = 1 << 30  # of a file, and of all that its datasets declare
_MAX_CHUNK = 1 << 26
_MAX_INFLATION = 1100  # deflate makes at most 1032 bytes of one
_SLACK = 1 << 16  # what little datasets may declare beyond that, such as one row of a chunk
_MAX_OBJECTS = 10_000
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}  # others load plug-ins


def image(write: Callable[[h5py.File], None]) -> bytes:
    """The sealed bytes of an HDF5 file whose content `write` puts in; nothing is written to disk."""
    with h5py.File(
        "image", "w", driver="core", backing_store=False, block_size=1 << 20, libver=("earliest", "v110")
    ) as file:
        write(file)
        file.flush()
        content = file.id.get_file_image()
    return content + _MARK + hashlib.sha256(content).digest()


@contextlib.contextmanager
def open_strictly(path: str | os.PathLike, sealed: bool = False) -> Iterator[h5py.File]:
    """An HDF5 file from anywhere, for reading: `with open_strictly(path) as file`.

    Refused are links other than plain ones, external and virtual storage, filters that need plug-ins, types other than
    integers, floats and scalar strings, and more declared bytes than the file can hold. A seal is verified where there
    is one. What fails while the file is read in the body of `with` becomes a FileError too.

    Args:
        sealed: whether to refuse a file without a seal.

    Raises:
        FileError: it can't be read, is damaged, or is refused.
    """
    path = Path(path)
    content = _unsealed(path, _read(path), sealed)
    try:
        with h5py.File(h5py.h5f.open_file_image(content)) as file:
            _inspect(path, file, len(content))
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileError(
            f"{path}: damaged, or not what it should be ({reason}); take a backup or make it anew"
        ) from error


def _refusal(path: Path, reason: str) -> FileError:
    return FileError(f"{path}: refused: {reason}")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise FileError(f"{path}: can't be read ({error.strerror}); give an existing HDF5 file") from error
    if len(content) > _MAX_BYTES:
        raise _refusal(path, f"larger than {_MAX_BYTES} bytes")
    if not content.startswith(_SIGNATURE):
        raise FileError(f"{path}: not an HDF5 file; give a trace or checkpoint that ghostnet wrote")
    return content


def _unsealed(path: Path, content: bytes, sealed: bool) -> bytes:
    """The HDF5 content less its seal, which has to fit; HDF5's own length says whether there is one."""
    position = _END_OF_FILE.get(content[8]) if len(content) > 64 else None
    if position is None:
        raise _refusal(path, "damaged: its superblock has no known version")
    length = int.from_bytes(content[position : position + 8], "little")
    if length == len(content) and not sealed:
        return content
    body, seal = content[:-_SEAL_BYTES], content[-_SEAL_BYTES:]
    if length != len(body) or seal != _MARK + hashlib.sha256(body).digest():
        raise _refusal(path, "damaged: it is not as it was sealed (SHA-256); take a backup or make it anew")
    return body


def _inspect(path: Path, file: h5py.File, length: int) -> None:
    """Look at every object before anything is read."""
    seen, waiting, declared = set(), [file["/"]], 0
    while waiting:
        group = waiting.pop()
        for name in group:
            kind = type(group.get(name, getlink=True)).__name__
            if kind != "HardLink":
                raise _refusal(path, f"{name} is a {kind}; only what is in the file itself is read")
            thing = group[name]
            address = h5py.h5o.get_info(thing.id).addr
            if address in seen:
                raise _refusal(path, f"{name} is in it twice")
            seen.add(address)
            if len(seen) > _MAX_OBJECTS:
                raise _refusal(path, f"more than {_MAX_OBJECTS} objects")
            if isinstance(thing, h5py.Group):
                waiting.append(thing)
            elif isinstance(thing, h5py.Dataset):
                declared += _inspect_dataset(path, thing)
            else:
                raise _refusal(path, f"{name} is neither group nor dataset")
    if declared > min(_MAX_BYTES, _MAX_INFLATION * length + _SLACK):
        raise _refusal(path, f"its datasets declare {declared} bytes, more than its {length} bytes can hold")


def _inspect_dataset(path: Path, dataset: h5py.Dataset) -> int:
    """The bytes that a dataset declares; FileError if there is anything else about it than numbers or a string."""
    name, creation = dataset.name, dataset.id.get_create_plist()
    if creation.get_external_count() or creation.get_layout() == h5py.h5d.VIRTUAL:
        raise _refusal(path, f"{name} is stored in another file")
    filters = {creation.get_filter(i)[0] for i in range(creation.get_nfilters())}
    if not filters <= _FILTERS:
        raise _refusal(path, f"{name} has filters other than gzip, shuffle and fletcher32")
    text = h5py.check_string_dtype(dataset.dtype) is not None
    if dataset.shape is None or not ((text and dataset.shape == ()) or dataset.dtype.kind in "iuf"):
        raise _refusal(path, f"{name} has type {dataset.dtype}, shape {dataset.shape}; expected numbers or one string")
    if dataset.chunks and math.prod(dataset.chunks) * dataset.dtype.itemsize > _MAX_CHUNK:
        raise _refusal(path, f"{name} has chunks {dataset.chunks} of more than {_MAX_CHUNK} bytes")
    return math.prod(dataset.shape) * dataset.dtype.itemsize
