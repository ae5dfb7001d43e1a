"""Arrays in a sealed HDF5 file, read from it piece by piece, without the HDF5 library.

The library trusts what a file says of its chunks: it reads on behind one that is too short, and unpacks one to any
length. Here a chunk unpacks to its size or is refused, and only those that are asked for are read.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from isal import igzip_lib, isal_zlib

from ghostnet.errors import FileError
from ghostnet.files.seal import Sealed
from ghostnet.files.shuffle import unshuffled

Place: TypeAlias = tuple[int, ...]  # of a chunk: its first element along every axis


@dataclass(frozen=True)
class Stored:
    """An array of numbers in a sealed file.

    Attributes:
        path, root: the file, and the root of its seal when it was looked at.
        dtype, shape: of the array. chunks: the shape of a chunk, all of it where there are none.
        packed, shuffled: whether chunks are deflated, and whether their bytes were sorted by significance before.
        spans: where chunks are in the file, first and last byte; zeros where a chunk is not in it.
        attributes: what the file says of it.
    """

    path: Path
    root: bytes
    dtype: np.dtype
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    packed: bool
    shuffled: bool
    spans: dict[Place, tuple[int, int]]
    attributes: dict[str, Any]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def whole(self) -> np.ndarray:
        """All of it; see `read`."""
        values = np.zeros(self.shape, self.dtype)
        self.read(tuple(slice(0, length) for length in self.shape), values)
        return values

    def read(self, box: tuple[slice, ...], values: np.ndarray) -> None:
        """Put what is between the start and stop of each slice, which have to lie within the array, into zeros of that
        shape. In one thread, which is as fast for a few units; two would read a whole variable 1.4 times as fast.

        Raises:
            FileError: a chunk is damaged or not what it should be, or the file is another one by now.
        """
        pairs = list(zip(box, self.chunks, strict=True))
        axes = [range(part.start // length * length, part.stop, length) for part, length in pairs]
        with Sealed(self.path) as file:
            if file.root != self.root:
                raise FileError(f"{self.path}: it is another file than the one that was opened; open it anew")
            for place in itertools.product(*axes):
                if place not in self.spans:
                    continue
                chunk = self._unpacked(file.span(*self.spans[place]))
                into, out = [], []
                for first, part, length in zip(place, box, self.chunks, strict=True):
                    start, stop = max(first, part.start), min(first + length, part.stop)
                    into.append(slice(start - part.start, stop - part.start))
                    out.append(slice(start - first, stop - first))
                values[tuple(into)] = chunk[tuple(out)]

    def _unpacked(self, content: bytes) -> np.ndarray:
        """A chunk's values from its bytes in the file."""
        size = math.prod(self.chunks) * self.dtype.itemsize
        if self.packed:
            try:
                content = isal_zlib.decompressobj().decompress(content, size + 1)
            except igzip_lib.IsalError:  # type: ignore[misc]
                content = b""  # of no size that a chunk has
        if len(content) != size:
            text = f"damaged: a chunk has not {size} bytes; take a backup or make it anew"
            raise FileError(f"{self.path}: refused: {text}")
        if self.shuffled:
            return unshuffled(content, self.dtype.itemsize).reshape(-1).view(self.dtype).reshape(self.chunks)
        return np.frombuffer(content, self.dtype).reshape(self.chunks)
