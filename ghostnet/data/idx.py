"""IDX files, the format of MNIST (Y. LeCun, C. Cortes, "The MNIST database of handwritten digits"); big-endian:

    0x00 0x00  type code  number of dimensions d  |  d sizes, uint32 each  |  the values, last axis fastest

A file may come from anywhere, so nothing it declares is believed: memory follows the bytes really there.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
from collections.abc import Sequence
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from ghostnet.data.datasets import Dataset, assemble
from ghostnet.data.opening import MAX_BYTES, Stream, opened, read_up_to
from ghostnet.errors import DataError

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_GZIP_MAGIC = b"\x1f\x8b"
_UINT8 = 0x08
_TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}


def read_idx(path: str | os.PathLike, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """Read one IDX file of unsigned bytes, plain or gzip (told apart by content, not by name).

    max_bytes: the largest file accepted, in decompressed bytes with the header; at most one more is read.
    Returns uint8 of the declared shape, 1 to 4 axes.
    Raises DataError, one line with file, reason and remedy, for a file that can't be opened, isn't IDX, holds
    another type, declares an empty or too large array, is shorter or longer than that, or is damaged gzip.
    """
    return _read(Path(path), max_bytes)


def find(folder: Path) -> list[Path]:
    """The four files in `folder`, in the order of FILES; DataError naming the first one that isn't there."""
    sources = []
    for file in FILES:
        dotted = file.replace("-idx", ".idx")
        spellings = [folder / f"{stem}{suffix}" for stem in (file, dotted) for suffix in (".gz", "")]
        found = next((path for path in spellings if os.path.isfile(path)), None)
        if found is None:
            raise DataError(f"{folder}: holds no {file}; expected that or {dotted}, with or without .gz")
        sources.append(found)
    return sources


def read(name: str, sources: Sequence[Path | Traversable], hashes: Sequence[str | None] = (None,) * 4) -> Dataset:
    """The four files as one Dataset.

    Args:
        hashes: SHA-256 of the decompressed files, where they are known.

    Raises:
        DataError: a file that can't be read, or is another than the known one; parts that don't fit together.
    """
    arrays = [_read(source, MAX_BYTES, sha256) for source, sha256 in zip(sources, hashes, strict=True)]
    for source, array, axes in zip(sources, arrays, (3, 1, 3, 1), strict=True):
        if array.ndim != axes:
            raise DataError(f"{source}: {array.ndim} dimensions, expected {axes}; are images and labels swapped?")
    return assemble(name, arrays, sources)


def _read(source: Path | Traversable, max_bytes: int, sha256: str | None = None) -> np.ndarray:
    """`read_idx` for anything that opens like a path; `sha256`, where given, is of the decompressed file."""
    with opened(source) as file:
        zipped = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        stream = gzip.GzipFile(fileobj=file) if zipped else file
        header, shape = _read_header(stream, max_bytes)
        payload = _read_payload(stream, math.prod(shape))
    if sha256 is not None:
        digest = hashlib.sha256(header)
        digest.update(payload)
        if (got := digest.hexdigest()) != sha256:
            raise DataError(f"{source}: SHA-256 {got} isn't the published data's, {sha256}; get the file again")
    return np.frombuffer(payload, np.uint8).reshape(shape)


def _read_header(stream: Stream, max_bytes: int) -> tuple[bytes, tuple[int, ...]]:
    """The header's bytes and the shape it declares; DataError (without file name) if not readable here."""
    magic = bytes(read_up_to(stream, 4))
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DataError(f"not an IDX file (begins with {magic.hex(' ') or 'nothing'}); expected 00 00 08 first")
    code, axes = magic[2:]
    if code != _UINT8:
        kind = _TYPES.get(code, "an unknown type")
        raise DataError(f"holds {kind} (IDX type 0x{code:02x}), expected uint8 (0x08); convert it to that")
    if not 1 <= axes <= 4:
        raise DataError(f"declares {axes} dimensions, expected 1 to 4; get the file again or reshape it")
    sizes = bytes(read_up_to(stream, 4 * axes))
    if len(sizes) < 4 * axes:
        raise DataError(f"truncated in its header of {4 + 4 * axes} bytes; get the file again")
    shape = struct.unpack(f">{axes}I", sizes)
    if 0 in shape:
        raise DataError(f"declares an empty array of shape {shape}; every dimension has to be at least 1")
    declared = len(magic) + len(sizes) + math.prod(shape)
    if declared > max_bytes:
        raise DataError(f"declares {declared} bytes, max_bytes is {max_bytes}; raise that if you trust the file")
    return magic + sizes, shape


def _read_payload(stream: Stream, size: int) -> bytearray:
    """The `size` bytes up to the stream's end, where gzip checks its CRC; DataError for fewer or more."""
    payload = read_up_to(stream, size)
    if len(payload) < size:
        raise DataError(f"truncated: {len(payload)} of {size} declared values; get the file again")
    if stream.read(1):
        raise DataError(f"goes on after its {size} declared values; get the file again")
    return payload
