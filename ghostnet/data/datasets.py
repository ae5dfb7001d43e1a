"""Labelled images: the MNIST that travels with the package, Fashion-MNIST, or any directory of IDX files.

IDX, the format of both (Y. LeCun, C. Cortes, "The MNIST database of handwritten digits"), is big-endian:

    0x00 0x00  type code  number of dimensions d  |  d sizes, uint32 each  |  the values, last axis fastest

A file may come from anywhere, so nothing it declares is believed: memory follows the bytes really there.
"""

from __future__ import annotations

import difflib
import functools
import gzip
import hashlib
import importlib.resources
import math
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ghostnet.errors import DataError
from ghostnet.files.opening import open_regular

_GZIP_MAGIC = b"\x1f\x8b"
_UINT8 = 0x08
_TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
_MAX_BYTES = 1 << 30
_CHUNK = 1 << 20

_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

# Of the decompressed files, in the order of _FILES: a copy compressed anew is still the same data.
_SHA256 = {
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "fashion-mnist": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}

NAMES = tuple(_SHA256)  # of data sets; anything else is a directory

# Of the published .gz files: what a download has to be, whichever mirror (one has no TLS) it came from.
_FASHION_GZ_SHA256 = (
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
)
_FASHION_MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)
_FASHION_SYSTEM = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of one classification task, as `load` returns them.

    name: what `load` was asked for.
    train_images (n, n_0), test_images (m, n_0): uint8, pixels flattened row by row, 0-255 (see `scale`).
    train_labels (n,), test_labels (m,): uint8, class numbers from 0 (see `one_hot`).
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    @property
    def classes(self) -> int:
        """Number of classes: the largest label of both parts, plus one."""
        return 1 + max(int(self.train_labels.max()), int(self.test_labels.max()))

    @property
    def pixels(self) -> int:
        """Pixels of one image, the n_0 a network needs."""
        return self.train_images.shape[1]

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 of the arrays and their shapes: what was read, whatever the files' names and compression."""
        digest = hashlib.sha256()
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()

    def part(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels of one part, "train" or "test"."""
        return getattr(self, f"{name}_images"), getattr(self, f"{name}_labels")


def load(name: str | os.PathLike = "mnist") -> Dataset:
    """Read a data set by name or from a directory, checked before anything is done with it.

    "mnist" comes with the package. "fashion-mnist" is looked for in $GHOSTNET_DATA/fashion-mnist, in
    $GHOSTNET_DATA and in the system's data sets, else fetched once (30 MB) to pooch's cache. Both are held to
    the SHA-256 of the published data. Anything else is a directory of four files named as MNIST's are, like
    `train-images-idx3-ubyte` or `train-images.idx3-ubyte`, with or without .gz; "./mnist" is a directory.

    Raises DataError, naming the file, for what is missing, damaged, not the published data or not consistent.
    """
    if name == "mnist":
        folder = importlib.resources.files("ghostnet") / "data" / "mnist"
        sources = [folder / f"{file}.gz" for file in _FILES]
    elif name == "fashion-mnist":
        sources = _find_fashion()
    elif os.path.isdir(name):
        sources = _find(Path(name))
    else:
        close = difflib.get_close_matches(os.path.basename(name).lower(), NAMES, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        expected = "'mnist', 'fashion-mnist' or a directory of IDX files"
        raise DataError(
            f"unknown data set {str(name)!r}: no such directory; put the data there, or give {expected}{hint}"
        )
    return _assemble(str(name), sources, _SHA256.get(name, (None,) * len(_FILES)))


def read_idx(path: str | os.PathLike, max_bytes: int = _MAX_BYTES) -> np.ndarray:
    """Read one IDX file of unsigned bytes, plain or gzip (told apart by content, not by name).

    max_bytes: the largest file accepted, in decompressed bytes with the header; at most one more is read.
    Returns uint8 of the declared shape, 1 to 4 axes.
    Raises DataError, one line with file, reason and remedy, for a file that can't be opened, isn't IDX, holds
    another type, declares an empty or too large array, is shorter or longer than that, or is damaged gzip.
    """
    return _read(Path(path), max_bytes)


def scale(images: np.ndarray, dtype: DTypeLike) -> np.ndarray:
    """Pixels as activities: images / 255, in [0, 1], correctly rounded in `dtype`; for one batch at a time.

    images (..., n_0): uint8. Returns (..., n_0) of `dtype`, a floating type.
    Raises DataError for images that aren't uint8: they have most likely been scaled before.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise DataError(f"scale: expected uint8 pixels, got {images.dtype}; pass images as `load` returns them")
    # A division, because x * (1 / 255) rounds twice and ends one ulp off for many x.
    return np.divide(images, 255, dtype=dtype)


def one_hot(labels: ArrayLike, classes: int, dtype: DTypeLike) -> np.ndarray:
    """Labels as target activities: 1 in the place of the class, 0 elsewhere.

    labels (...): integers in [0, classes). Returns (..., classes) of `dtype`.
    Raises DataError for a label that isn't such an integer.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or np.any((labels < 0) | (labels >= classes)):
        raise DataError(f"one_hot: expected integer labels from 0 to {classes - 1}; check the output layer's size")
    return (labels[..., None] == np.arange(classes)).astype(dtype)


def _refusal(source: object, reason: str) -> DataError:
    """A DataError of one line, whatever characters a file name has."""
    return DataError(" ".join(f"{source}: {reason}".splitlines()))


def _read(source: Path | Traversable, max_bytes: int, sha256: str | None = None) -> np.ndarray:
    """`read_idx` for anything that opens like a path; `sha256`, where given, is of the decompressed file."""
    try:
        with open_regular(source) if isinstance(source, Path) else source.open("rb") as file:
            stream = gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == _GZIP_MAGIC else file
            header, shape = _read_header(stream, max_bytes)
            payload = _read_payload(stream, math.prod(shape))
    except DataError as error:
        raise _refusal(source, str(error)) from None
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise _refusal(source, f"damaged gzip file ({error}); get the file again") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise _refusal(source, f"can't be read ({reason}); check the path and its permissions") from error
    if sha256 is not None:
        digest = hashlib.sha256(header)
        digest.update(payload)
        if (got := digest.hexdigest()) != sha256:
            raise _refusal(source, f"SHA-256 {got} isn't the published data's, {sha256}; get the file again")
    return np.frombuffer(payload, np.uint8).reshape(shape)


def _read_header(stream: BinaryIO, max_bytes: int) -> tuple[bytes, tuple[int, ...]]:
    """The header's bytes and the shape it declares; DataError (without file name) if not readable here."""
    magic = bytes(_read_up_to(stream, 4))
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DataError(f"not an IDX file (begins with {magic.hex(' ') or 'nothing'}); expected 00 00 08 first")
    code, axes = magic[2:]
    if code != _UINT8:
        kind = _TYPES.get(code, "an unknown type")
        raise DataError(f"holds {kind} (IDX type 0x{code:02x}), expected uint8 (0x08); convert it to that")
    if not 1 <= axes <= 4:
        raise DataError(f"declares {axes} dimensions, expected 1 to 4; get the file again or reshape it")
    sizes = bytes(_read_up_to(stream, 4 * axes))
    if len(sizes) < 4 * axes:
        raise DataError(f"truncated in its header of {4 + 4 * axes} bytes; get the file again")
    shape = struct.unpack(f">{axes}I", sizes)
    if 0 in shape:
        raise DataError(f"declares an empty array of shape {shape}; every dimension has to be at least 1")
    declared = len(magic) + len(sizes) + math.prod(shape)
    if declared > max_bytes:
        raise DataError(f"declares {declared} bytes, max_bytes is {max_bytes}; raise that if you trust the file")
    return magic + sizes, shape


def _read_payload(stream: BinaryIO, size: int) -> bytearray:
    """The `size` bytes up to the stream's end, where gzip checks its CRC; DataError for fewer or more."""
    payload = _read_up_to(stream, size)
    if len(payload) < size:
        raise DataError(f"truncated: {len(payload)} of {size} declared values; get the file again")
    if stream.read(1):
        raise DataError(f"goes on after its {size} declared values; get the file again")
    return payload


def _read_up_to(stream: BinaryIO, size: int) -> bytearray:
    """At most `size` bytes, in chunks: `read(size)` would allocate what a false header declares."""
    content = bytearray()
    while len(content) < size and (chunk := stream.read(min(size - len(content), _CHUNK))):
        content += chunk
    return content


def _find(folder: Path) -> list[Path]:
    """The four files in `folder`, in the order of _FILES; DataError naming the first one that isn't there."""
    sources = []
    for file in _FILES:
        dotted = file.replace("-idx", ".idx")
        spellings = [folder / f"{stem}{suffix}" for stem in (file, dotted) for suffix in (".gz", "")]
        found = next((path for path in spellings if os.path.isfile(path)), None)
        if found is None:
            raise _refusal(folder, f"holds no {file}; expected that or {dotted}, with or without .gz")
        sources.append(found)
    return sources


def _find_fashion() -> list[Path]:
    """Fashion-MNIST's files from the first folder that has all four, else from pooch's cache or the net."""
    own = os.environ.get("GHOSTNET_DATA")
    folders = [Path(own) / "fashion-mnist", Path(own)] if own else []
    folders.append(_FASHION_SYSTEM)
    for folder in folders:
        try:
            return _find(folder)
        except DataError:
            continue

    import pooch  # here, because only a download needs it

    cache = Path(pooch.os_cache("ghostnet")) / "fashion-mnist"
    places = ", ".join(map(str, [*folders, cache]))
    wanted = zip(_FILES, _FASHION_GZ_SHA256, strict=True)
    return [_fetch(f"{file}.gz", sha256, cache, places) for file, sha256 in wanted]


def _fetch(file: str, sha256: str, cache: Path, places: str) -> Path:
    """`file` in `cache`, downloaded if it isn't there whole; DataError saying where it was sought in vain."""
    import pooch

    failures = []
    for mirror in _FASHION_MIRRORS:
        try:
            return Path(pooch.retrieve(mirror + file, known_hash=f"sha256:{sha256}", fname=file, path=cache))
        except (OSError, ValueError) as error:  # OSError: all of requests' errors; ValueError: another hash
            failures.append(f"{mirror} ({type(error).__name__})")
    sought = f"{file} is not in {places} and can't be had from {' or '.join(failures)}"
    raise _refusal("fashion-mnist", f"{sought}; set GHOSTNET_DATA to a directory with the four .gz files")


def _assemble(name: str, sources: Sequence[Path | Traversable], hashes: Sequence[str | None]) -> Dataset:
    """The four files as one Dataset, images flattened; DataError unless they fit together."""
    arrays = [_read(source, _MAX_BYTES, sha256) for source, sha256 in zip(sources, hashes, strict=True)]
    for source, array, axes in zip(sources, arrays, (3, 1, 3, 1), strict=True):
        if array.ndim != axes:
            raise _refusal(source, f"{array.ndim} dimensions, expected {axes}; are images and labels swapped?")
    for images, labels in ((0, 1), (2, 3)):
        if len(arrays[images]) != len(arrays[labels]):
            counts = f"{len(arrays[labels])} labels for the {len(arrays[images])} images of {sources[images]}"
            raise _refusal(sources[labels], f"{counts}; get both from one data set")
    train, test = arrays[0].shape[1:], arrays[2].shape[1:]
    if train != test:
        raise _refusal(sources[2], f"images of {test}, {train} in {sources[0]}; get both from one data set")
    flat = [array.reshape(len(array), -1) if array.ndim == 3 else array for array in arrays]
    return Dataset(name, *flat)
