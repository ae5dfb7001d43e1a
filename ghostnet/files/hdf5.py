"""HDF5 at arm's length: files are built in memory and sealed, and opened strictly.

HDF5 never touches the disk: a writer killed half-way leaves a file nobody can read, a full disk ends the process by a
signal, and a file from outside may make the library read other files or exhaust memory. So `image` makes bytes
(published by `ghostnet.runs.publish`), and `open_strictly` reads bytes and looks at everything before it lets go.

A seal follows the HDF5 content: 8 characters and the SHA-256 of all before it. Other readers pass over it.

Whoever changes a file can make its seal anew, so a seal is proof against accidents only. Where the heaps that texts lie
in are damaged, the library walks them without end, so they are walked here first; it takes the memory that a text
claims before it looks for it, so claims are summed before; it reads on behind a chunk that is too short and unpacks one
to any length, so chunks are unpacked here before; what else has killed it, such as the lists of dimension scales, is
never read. Of 1,500 traces changed and sealed anew, ten had hung or killed the process.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from ghostnet.errors import FileError
from ghostnet.files.opening import read_bytes

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MARK = b"ghostnet"
_SEAL_BYTES = len(_MARK) + hashlib.sha256().digest_size
_END_OF_FILE = {0: 40, 1: 44, 2: 28, 3: 28}  # where each version of the superblock keeps the length; HDF5 format, II.A
_MAX_BYTES = 1 << 30  # of a file, and of all that its datasets declare
_MAX_CHUNK = 1 << 26
_MAX_INFLATION = 1100  # deflate makes at most 1032 bytes of one
_CHECKSUM = 4  # bytes that fletcher32 puts behind a chunk
_SLACK = 1 << 16  # what little datasets may declare beyond that, such as one row of a chunk
_MAX_THINGS = 100_000  # in a file: objects, attributes and chunks
_HEAP = b"GCOL\x01"  # begins a heap of texts and lists; HDF5 format, III.E
_TEXT = re.compile(rb"\x19\x01[\x00\x01]\x00\x10\x00\x00\x00")  # the type of a text of any length; IV.A.2.d
_CLAIM = b"\x13\x02\x00\x00\x10\x00\x00\x00"  # 16 characters padded with spaces: a type that is nowhere else
_HEADER = 16  # bytes before a heap's first object, and of every object
_MAX_TEXTS = 100_000  # and lists, in all heaps
UNREAD = ("DIMENSION_LIST", "REFERENCE_LIST")  # attributes that are for others' eyes, of types that we never read
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}  # others load plug-ins


def image(write: Callable[[h5py.File], None]) -> bytes:
    """The sealed bytes of an HDF5 file whose content `write` puts in; nothing is written to disk."""
    with h5py.File(
        "image", "w", driver="core", backing_store=False, block_size=1 << 20, libver=("earliest", "v110")
    ) as file:
        write(file)
        file.flush()
        content: bytes = file.id.get_file_image()
    return content + _MARK + hashlib.sha256(content).digest()


@contextlib.contextmanager
def open_strictly(path: str | os.PathLike[str], sealed: bool = True) -> Iterator[h5py.File]:
    """An HDF5 file from anywhere, for reading: `with open_strictly(path) as file`.

    Refused are links other than plain ones, external and virtual storage, filters that need plug-ins, types other than
    integers, floats and texts, of datasets (one text only) and attributes (UNREAD aside), damaged heaps, and more
    declared bytes than the file can hold. What fails while the file is read in the body of `with` becomes a FileError
    too. Values are for the reader to check.

    Args:
        sealed: refuse a file without a seal, so that the HDF5 library sees nothing that was damaged later: it is not
            proof against that (a damaged file without a seal has ended the process; 80 of 2,000 were read wrongly).
            If not, a seal is verified only where there is one.

    Raises:
        FileError: it can't be read, is damaged, or is refused.
    """
    path = Path(path)
    content = _unsealed(path, _read(path), sealed)
    try:
        with h5py.File(h5py.h5f.open_file_image(_TEXT.sub(_CLAIM, content))) as claims:
            _inspect(path, claims, content)
        with h5py.File(h5py.h5f.open_file_image(content)) as file:
            yield file
    except FileError as error:
        raise FileError(_printable(str(error))) from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError) as error:
        text = f"{path}: damaged, or not what it should be ({str(error) or type(error).__name__})"
        raise FileError(_printable(f"{text}; take a backup or make it anew")) from error


def _printable(text: str) -> str:
    """Text that may have names of a file in it, as one line."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def text(thing: h5py.Group, name: str, most: int) -> str:
    """An attribute that is one text of at most so many characters. KeyError or ValueError: there is none."""
    value = thing.attrs[name]
    if not isinstance(value, str) or len(value) > most:
        raise ValueError(f"{name} is {type(value).__name__}, expected text, at most {most} characters")
    return value


def number(thing: h5py.Group, name: str) -> int | float:
    """An attribute that is one number. KeyError or ValueError: there is none."""
    value = thing.attrs[name]
    if not isinstance(value, np.number):
        raise ValueError(f"{name} is {type(value).__name__}, expected a number")
    plain: int | float = value.item()
    return plain


def floats(group: h5py.Group, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A dataset of this shape and finite floats, as float64. KeyError or ValueError: there is none."""
    found = group[name]
    if not isinstance(found, h5py.Dataset) or found.dtype not in (np.float32, np.float64):
        raise ValueError(f"{name} is no array of float32 or float64")
    if found.shape != shape:
        raise ValueError(f"{name} has shape {found.shape}, expected {shape}")
    values: np.ndarray = found[()].astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has values that are not finite")
    return values


def _refusal(path: Path, reason: str) -> FileError:
    return FileError(f"{path}: refused: {reason}")


def _read(path: Path) -> bytes:
    content = read_bytes(path, "give an existing HDF5 file", _MAX_BYTES)
    if not content.startswith(_SIGNATURE):
        raise FileError(f"{path}: not an HDF5 file; give a trace or checkpoint that ghostnet wrote")
    return content


def _unsealed(path: Path, content: bytes, sealed: bool) -> bytes:
    """The HDF5 content less its seal, which has to fit; HDF5's own length says whether there is one."""
    position = _END_OF_FILE.get(content[8]) if len(content) > 64 else None
    if position is None:
        raise _refusal(path, "damaged: its superblock has no known version")
    length = int.from_bytes(content[position : position + 8], "little")
    if length == len(content):
        if sealed:
            raise _refusal(path, "it has no seal of ghostnet; open a file of other origin with xarray or h5py")
        return _sound(path, content)
    body, seal = content[:-_SEAL_BYTES], content[-_SEAL_BYTES:]
    if length != len(body) or seal != _MARK + hashlib.sha256(body).digest():
        raise _refusal(path, "damaged: it is not as it was sealed (SHA-256); take a backup or make it anew")
    return _sound(path, body)


def _sound(path: Path, content: bytes) -> bytes:
    """The content itself, if every heap in it can be walked to its end, object after object."""
    place = 13 if content[8] < 2 else 9
    if content[place : place + 2] != b"\x08\x08":
        raise _refusal(path, "damaged: its addresses have not 8 bytes")
    start, objects = content.find(_HEAP), 0
    while start >= 0:
        position, end = start + _HEADER, start + int.from_bytes(content[start + 8 : start + 16], "little")
        while position + _HEADER <= end <= len(content) and objects < _MAX_TEXTS:
            number, size = (
                int.from_bytes(content[position + at : position + to], "little") for at, to in ((0, 2), (8, 16))
            )
            if not number and size < _HEADER:
                break
            position += _HEADER + (size + 7) // 8 * 8 if number else size
            objects += 1
        if not end - _HEADER < position <= end <= len(content):
            raise _refusal(path, "damaged: a heap of texts has no end")
        start = content.find(_HEAP, start + 1)
    return content


@dataclass
class _Tally:
    """What a file of such content declares: things (objects, attributes and chunks) and bytes; both have a limit."""

    path: Path
    content: bytes
    things: int = 0
    declared: int = 0

    def add(self, things: int, declared: int = 0) -> None:
        self.things += things
        self.declared += declared
        if self.things > _MAX_THINGS:
            raise _refusal(self.path, f"more than {_MAX_THINGS} objects, attributes and chunks")
        length = len(self.content)
        if self.declared > min(_MAX_BYTES, _MAX_INFLATION * length + _SLACK):
            raise _refusal(self.path, f"it declares {self.declared} bytes, more than its {length} can hold")


def _inspect(path: Path, file: h5py.File, content: bytes) -> None:
    """Look at every object before anything is read. Texts stand there as what they claim: length, heap and number."""
    seen = set()
    waiting = [file["/"]]
    tally = _Tally(path, content)
    _inspect_attributes(tally, file["/"])
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
            if isinstance(thing, h5py.Group):
                waiting.append(thing)
            elif isinstance(thing, h5py.Dataset):
                _inspect_dataset(tally, thing)
            else:
                raise _refusal(path, f"{name} is neither group nor dataset")
            _inspect_attributes(tally, thing)


def _inspect_dataset(tally: _Tally, dataset: h5py.Dataset) -> None:
    """FileError if there is anything else about a dataset than numbers or a text."""
    path = tally.path
    name = dataset.name
    creation = dataset.id.get_create_plist()
    if creation.get_external_count() or creation.get_layout() == h5py.h5d.VIRTUAL:
        raise _refusal(path, f"{name} is stored in another file")
    filters = [creation.get_filter(i)[0] for i in range(creation.get_nfilters())]
    if not _FILTERS.issuperset(filters) or len(set(filters)) < len(filters):
        raise _refusal(path, f"{name} has filters other than gzip, shuffle and fletcher32, each once")
    _inspect_type(tally, name, dataset.id)
    if dataset.shape and isinstance(dataset.id.get_type(), h5py.h5t.TypeStringID):
        raise _refusal(path, f"{name} is a list of texts; expected numbers or one text")
    if dataset.chunks:  # nothing else has filters
        _inspect_chunks(tally, dataset, filters)


def _inspect_chunks(tally: _Tally, dataset: h5py.Dataset, filters: list[int]) -> None:
    """FileError if a chunk as it is stored does not unpack to the size of a chunk."""
    path = tally.path
    name = dataset.name
    chunks = dataset.chunks
    itemsize = dataset.id.get_type().get_size()
    size = math.prod(chunks) * itemsize
    if size > _MAX_CHUNK:
        raise _refusal(path, f"{name} has chunks {chunks} of more than {_MAX_CHUNK} bytes")
    count = math.prod(-(-length // max(1, chunk)) for length, chunk in zip(dataset.shape, chunks, strict=True))
    tally.add(count, count * size - math.prod(dataset.shape) * itemsize)
    stored: list[h5py.h5d.StoreInfo] = []
    dataset.id.chunk_iter(lambda chunk: stored.append(chunk) if len(stored) <= count else True)  # True: no more
    content = memoryview(tally.content)
    for chunk in stored:
        packed = content[chunk.byte_offset : chunk.byte_offset + chunk.size]
        if len(stored) > count or chunk.filter_mask or _unpacked(packed, filters, size) != size:
            raise _refusal(path, f"damaged: {name} has chunks other than of {size} bytes")


def _unpacked(packed: memoryview | bytes, filters: list[int], size: int) -> int:
    """How many bytes are left of a chunk when its filters are undone; if more than size, not how many more."""
    for kind in reversed(filters):
        if kind == h5py.h5z.FILTER_FLETCHER32:
            packed = packed[:-_CHECKSUM]
        elif kind == h5py.h5z.FILTER_DEFLATE:
            try:
                packed = zlib.decompressobj().decompress(packed, size + _CHECKSUM + 1)
            except zlib.error:
                return 0
    return len(packed)


def _inspect_attributes(tally: _Tally, thing: h5py.Group | h5py.Dataset) -> None:
    """FileError if one of its attributes that we may read is anything but numbers or text."""
    tally.add(1 + len(thing.attrs))
    for name in thing.attrs:
        if name not in UNREAD:
            _inspect_type(tally, f"{name} of {thing.name}", thing.attrs.get_id(name))


def _inspect_type(tally: _Tally, name: str, thing: h5py.h5d.DatasetID | h5py.h5a.AttrID) -> None:
    """FileError if a dataset or an attribute is anything but plain numbers or texts that the file can hold."""
    kind, shape = thing.get_type(), thing.shape
    text = isinstance(kind, h5py.h5t.TypeStringID) and not kind.is_variable_str()
    if shape is None or not (text or isinstance(kind, (h5py.h5t.TypeIntegerID, h5py.h5t.TypeFloatID))):
        what = type(kind).__name__.removeprefix("Type").removesuffix("ID").lower()
        raise _refusal(tally.path, f"{name} has type {what}, shape {shape}; expected numbers or text")
    tally.add(0, math.prod(shape) * kind.get_size())
    if text and kind.get_strpad() == h5py.h5t.STR_SPACEPAD:
        claims = np.zeros(shape, "S16")
        where = () if isinstance(thing, h5py.h5a.AttrID) else (h5py.h5s.ALL, h5py.h5s.ALL)
        thing.read(*where, claims, kind)
        tally.add(0, int(np.frombuffer(claims.tobytes(), "<u4")[::4].sum()))
