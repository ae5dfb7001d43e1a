"""HDF5 at arm's length: files are built in memory and sealed, and looked through before anything in them is read.

HDF5 never touches the disk: a writer killed half-way leaves a file nobody can read, a full disk ends the process by a
signal, and a file from outside may make the library read other files or exhaust memory. So `image` makes bytes
(published by `ghostnet.files.publishing`), and `open_strictly` lets the library read proved blocks only (see `seal`),
and of these no more than what says where things are: arrays are read by `stored`, texts have a fixed length. What has
killed the library in damaged files is never read: heaps of texts and lists of any length, lists of dimension scales.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ghostnet.errors import FileError
from ghostnet.files.seal import MAX_BYTES, Sealed, sealed
from ghostnet.files.stored import Place, Stored

_MAX_CHUNK = 1 << 26
_MAX_INFLATION = 1100  # deflate makes at most 1032 bytes of one
_SLACK = 1 << 16  # what little datasets may declare beyond that, such as one row of a chunk
_MAX_THINGS = 100_000  # in a file: objects, attributes and chunks
UNREAD = ("DIMENSION_LIST", "REFERENCE_LIST")  # attributes that are for others' eyes, of types that we never read
_DEFLATE, _SHUFFLE = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE


def image(write: Callable[[h5py.File], None]) -> bytes:
    """The sealed bytes of an HDF5 file whose content `write` puts in; nothing is written to disk."""
    content = io.BytesIO()  # not `get_file_image`, of whose superblock HDF5 1.14 leaves a wrong checksum
    with h5py.File(content, "w", libver=("v108", "v110")) as file:
        write(file)
    return sealed(content.getvalue())


def describe(thing: h5py.Group | h5py.Dataset, attributes: Mapping[str, Any]) -> None:
    """Write attributes, texts and lists of texts in a fixed length, as not every reader knows others."""
    for name, value in attributes.items():
        texts = np.atleast_1d(value)
        if texts.dtype.kind != "U":
            thing.attrs[name] = value
            continue
        coded = [str(text).encode() for text in texts]
        kind = h5py.string_dtype("utf-8", max(1, *map(len, coded)))
        thing.attrs.create(name, coded if np.ndim(value) else coded[0], dtype=kind)


@dataclass
class Contents:
    """What is in a file, at its root: attributes, and arrays that can be read as long as it stays as it is."""

    path: Path
    attributes: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Stored] = field(default_factory=dict)


@contextlib.contextmanager
def open_strictly(path: str | os.PathLike[str]) -> Iterator[Contents]:
    """A sealed HDF5 file from anywhere, for reading: `with open_strictly(path) as contents`.

    Refused are files without a seal, links other than plain ones, external and virtual storage, filters other than
    gzip and shuffle, types other than integers and floats, of attributes also texts of fixed length (UNREAD aside), and
    more declared bytes than the file can hold. What fails in the body of `with` becomes a FileError too. Values are for
    the reader to check. A seal is proof against accidents: the HDF5 library sees nothing that was damaged later.

    Raises:
        FileError: it can't be read, is damaged, or is refused.
    """
    path = Path(path)
    try:
        with Sealed(path) as file:
            found = _looked_through(file)
        yield found
    except FileError as error:
        raise type(error)(_printable(str(error))) from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError) as error:
        text = f"{path}: damaged, or not what it should be ({str(error) or type(error).__name__})"
        raise FileError(_printable(f"{text}; take a backup or make it anew")) from error


def verify(path: str | os.PathLike[str]) -> None:
    """Read all of a sealed file.

    Raises:
        FileError: it can't be read, is damaged, or is refused.
    """
    with open_strictly(path) as contents:
        for array in contents.arrays.values():
            array.whole()
    with Sealed(path) as file:
        file.prove()


def _printable(text: str) -> str:
    """Text that may have names of a file in it, as one line."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def text(contents: Contents, name: str, most: int) -> str:
    """An attribute that is one text of at most so many characters. KeyError or ValueError: there is none."""
    value = contents.attributes[name]
    if not isinstance(value, str) or len(value) > most:
        raise ValueError(f"{name} is {type(value).__name__}, expected text, at most {most} characters")
    return value


def number(contents: Contents, name: str) -> int | float:
    """An attribute that is one number. KeyError or ValueError: there is none."""
    value = contents.attributes[name]
    if not isinstance(value, (int, float)):
        raise ValueError(f"{name} is {type(value).__name__}, expected a number")
    return value


def floats(contents: Contents, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array of this shape and finite floats, as float64. KeyError or ValueError: there is none."""
    found = contents.arrays[name]
    if found.dtype not in (np.float32, np.float64):
        raise ValueError(f"{name} is no array of float32 or float64")
    if found.shape != shape:
        raise ValueError(f"{name} has shape {found.shape}, expected {shape}")
    with np.errstate(invalid="ignore"):  # of numbers that are none, refused below
        values: np.ndarray = found.whole().astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has values that are not finite")
    return values


@dataclass
class _Tally:
    """What a file declares: things (objects, attributes and chunks) and bytes; both have a limit."""

    file: Sealed
    things: int = 0
    declared: int = 0

    def add(self, things: int, declared: int = 0) -> None:
        self.things += things
        self.declared += declared
        if self.things > _MAX_THINGS:
            raise self.refusal(f"more than {_MAX_THINGS} objects, attributes and chunks")
        length = self.file.length
        if self.declared > min(MAX_BYTES, _MAX_INFLATION * length + _SLACK):
            raise self.refusal(f"it declares {self.declared} bytes, more than its {length} can hold")

    def refusal(self, reason: str) -> FileError:
        return FileError(f"{self.file.path}: refused: {reason}")


def _looked_through(sealed_file: Sealed) -> Contents:
    """What is at the root of a file, after a look at every object there. Groups are for others' eyes: nothing in them
    is read. By the library's own calls, as h5py's objects take three times as long.
    """
    tally, found, seen = _Tally(sealed_file), Contents(sealed_file.path), set()
    with h5py.File(sealed_file, "r") as file:
        root = file["/"].id
        found.attributes = _attributes(tally, "/", root)
        for coded in root:
            name = coded.decode()
            link = root.links.get_info(coded)
            if link.type != h5py.h5l.TYPE_HARD:
                raise tally.refusal(f"{name} is no plain link; only what is in the file itself is read")
            if link.u in seen:
                raise tally.refusal(f"{name} is in it twice")
            seen.add(link.u)
            thing = h5py.h5o.open(root, coded)
            tally.add(1)
            if isinstance(thing, h5py.h5d.DatasetID):
                found.arrays[name] = _array(tally, name, thing)
            elif not isinstance(thing, h5py.h5g.GroupID):
                raise tally.refusal(f"{name} is neither group nor dataset")
    return found


def _attributes(tally: _Tally, owner: str, thing: h5py.h5g.GroupID | h5py.h5d.DatasetID) -> dict[str, Any]:
    """Its attributes that we may read: numbers, texts, and arrays of these."""
    count = h5py.h5a.get_num_attrs(thing)
    tally.add(count)
    found = {}
    names: list[bytes] = []
    h5py.h5a.iterate(thing, names.append)
    for coded in names:
        name = coded.decode()
        if name in UNREAD:
            continue
        attribute = h5py.h5a.open(thing, coded)
        kind, shape = attribute.get_type(), attribute.shape
        text = isinstance(kind, h5py.h5t.TypeStringID) and not kind.is_variable_str()
        if shape is None or not (text or _is_number(kind.encode())):
            raise tally.refusal(_strange(f"{name} of {owner}", kind, shape))
        tally.add(0, math.prod(shape) * kind.get_size())
        value = np.empty(shape, kind.dtype)
        attribute.read(value)
        plain = value.tolist()
        if text:
            found[name] = [one.decode() for one in np.ravel(value).tolist()] if shape else plain.decode()
        else:
            found[name] = value if shape else plain
    return found


@functools.lru_cache(64)
def _is_number(coded: bytes) -> bool:
    """Whether a type, encoded, is one that NumPy has just so."""
    kind = h5py.h5t.decode(coded)
    own = isinstance(kind, (h5py.h5t.TypeIntegerID, h5py.h5t.TypeFloatID))
    return own and kind.dtype.kind in "iuf" and h5py.h5t.py_create(kind.dtype) == kind


def _strange(name: str, kind: h5py.h5t.TypeID, shape: tuple[int, ...] | None) -> str:
    what = type(kind).__name__.removeprefix("Type").removesuffix("ID").lower()
    return f"{name} has type {what}, shape {shape}; expected numbers or text"


def _array(tally: _Tally, name: str, dataset: h5py.h5d.DatasetID) -> Stored:
    """Where a dataset is in the file; FileError if it is anything but numbers in it."""
    kind, shape = dataset.get_type(), dataset.shape
    creation = dataset.get_create_plist()
    layout = creation.get_layout()
    if creation.get_external_count() or layout == h5py.h5d.VIRTUAL:
        raise tally.refusal(f"{name} is stored in another file")
    if shape is None or not _is_number(kind.encode()):
        raise tally.refusal(_strange(name, kind, shape))
    filters = [creation.get_filter(i)[0] for i in range(creation.get_nfilters())]
    if filters not in ([], [_SHUFFLE], [_DEFLATE], [_SHUFFLE, _DEFLATE]):
        raise tally.refusal(f"{name} has filters other than shuffle and gzip, in this order")
    itemsize = kind.get_size()
    tally.add(0, math.prod(shape) * itemsize)
    if layout == h5py.h5d.CHUNKED:
        chunks = creation.get_chunk()
        spans = _chunk_spans(tally, name, dataset, chunks, itemsize)
    else:
        chunks = tuple(max(1, length) for length in shape)
        spans = _only_span(tally, name, dataset, layout, itemsize)
    packed, shuffled = _DEFLATE in filters, _SHUFFLE in filters and itemsize > 1
    about = (tally.file.path, tally.file.root, kind.dtype, shape, chunks)
    return Stored(*about, packed, shuffled, spans, _attributes(tally, name, dataset))


def _only_span(
    tally: _Tally, name: str, dataset: h5py.h5d.DatasetID, layout: int, itemsize: int
) -> dict[Place, tuple[int, int]]:
    """Where a dataset without chunks is; nowhere, if nothing was written."""
    if layout != h5py.h5d.CONTIGUOUS:
        raise tally.refusal(f"{name} is stored in its header")
    start = dataset.get_offset()
    if start is None:
        return {}
    stop = start + math.prod(dataset.shape) * itemsize
    if stop > tally.file.length:
        raise tally.refusal(f"damaged: {name} is beyond the end")
    return {(0,) * len(dataset.shape): (start, stop)}


def _chunk_spans(
    tally: _Tally, name: str, dataset: h5py.h5d.DatasetID, chunks: tuple[int, ...], itemsize: int
) -> dict[Place, tuple[int, int]]:
    """Where the chunks of a dataset are."""
    size = math.prod(chunks) * itemsize
    if size > _MAX_CHUNK:
        raise tally.refusal(f"{name} has chunks {chunks} of more than {_MAX_CHUNK} bytes")
    count = math.prod(-(-length // max(1, chunk)) for length, chunk in zip(dataset.shape, chunks, strict=True))
    tally.add(count, count * size - math.prod(dataset.shape) * itemsize)
    stored: list[h5py.h5d.StoreInfo] = []
    dataset.chunk_iter(lambda chunk: stored.append(chunk) if len(stored) <= count else True)  # True: no more
    spans = {}
    for chunk in stored:
        stop = chunk.byte_offset + chunk.size
        if chunk.filter_mask or len(stored) > count or not 0 < chunk.size <= stop <= tally.file.length:
            raise tally.refusal(f"damaged: {name} has chunks that are not in it")
        spans[chunk.chunk_offset] = (chunk.byte_offset, stop)
    return spans
