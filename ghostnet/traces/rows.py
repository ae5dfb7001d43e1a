"""A variable in the files of a trace, one behind the other, as an array that xarray reads from when it needs values."""

from __future__ import annotations

from typing import Any

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from ghostnet.files.stored import Stored


class Rows(BackendArray):
    """Parts whose first axis goes on.

    Raises:
        ValueError: they do not fit together.
    """

    def __init__(self, parts: list[Stored]):
        if len({(part.shape[1:], part.dtype) for part in parts}) > 1:
            raise ValueError("parts of other shapes or types")
        ends = np.cumsum([part.shape[0] for part in parts]).tolist()
        self.parts = parts
        self.dtype = parts[0].dtype
        self.shape = (ends[-1], *parts[0].shape[1:])
        self._starts = [0, *ends[:-1]]

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[int | slice, ...]) -> np.ndarray:
        box: list[slice] = []
        within: list[int | slice] = []
        for one, length in zip(key, self.shape, strict=True):
            wanted = range(length)[one] if isinstance(one, slice) else range(one, one + 1)
            ends = sorted((wanted[0], wanted[-1])) if wanted else (0, -1)
            box.append(slice(ends[0], ends[1] + 1))
            within.append(slice(None, None, wanted.step) if isinstance(one, slice) else 0)
        return self._box(*box)[tuple(within)]

    def _box(self, first: slice, *others: slice) -> np.ndarray:
        values = np.zeros([axis.stop - axis.start for axis in (first, *others)], self.dtype)
        for start, part in zip(self._starts, self.parts, strict=True):
            own = slice(max(first.start - start, 0), min(first.stop - start, part.shape[0]))
            if own.start < own.stop:
                begins = start + own.start - first.start
                part.read((own, *others), values[begins : begins + own.stop - own.start])
        return values
