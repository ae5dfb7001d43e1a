"""Chunks of HDF5 data, changed and sealed anew: the library trusts them, so they are looked at before it does."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from builders import refusal

from ghostnet import FileError, open_trace
from ghostnet.files import hdf5


def _chunk(stored, mask=0, **filters):
    """Crafts a file whose only chunk, of 1 MB, is stored as these bytes."""

    def craft(file):
        made = file.create_dataset("x", (1 << 20,), "u1", chunks=(1 << 20,), **filters)
        made.id.write_direct_chunk((0,), stored, filter_mask=mask)

    return craft


# With these, HDF5 has ended the process, given what else was in memory as data, or unpacked a thousand times the chunk.
CHUNKS = {
    "too short": _chunk(zlib.compress(b"a" * 10), compression=1),
    "too long": _chunk(zlib.compress(b"a" * (1 << 24)), compression=1),
    "not packed": _chunk(b"a" * 100, mask=1, compression=1),
    "without filters": _chunk(b"a" * 100),
}


@pytest.mark.parametrize("craft", CHUNKS)
def test_chunks_that_are_not_what_the_file_says_are_refused_before_they_are_read(tmp_path, craft):
    path = tmp_path / "crafted.h5"
    path.write_bytes(hdf5.image(CHUNKS[craft]))

    def read():
        with hdf5.open_strictly(path) as contents:
            contents.arrays["x"].whole()

    assert refusal(FileError, read).startswith(f"{path}: refused: damaged: ")


def test_chunks_count_as_what_they_unpack_to_however_little_of_them_belongs_to_the_array(tmp_path, monkeypatch):
    def write(file):
        for i in range(10):
            made = file.create_dataset(f"x{i}", (1,), "u1", chunks=(1 << 20,), maxshape=(None,), compression=1)
            made[0] = 1

    path = tmp_path / "wide.h5"
    path.write_bytes(hdf5.image(write))
    with hdf5.open_strictly(path) as contents:
        assert contents.arrays["x9"].whole() == [1]
    monkeypatch.setattr(hdf5, "MAX_BYTES", 5 << 20)
    assert "declares" in refusal(FileError, open_trace, path)


@pytest.mark.parametrize("filters", [{}, {"compression": 1}, {"shuffle": True}, {"compression": 1, "shuffle": True}])
def test_chunks_that_reach_beyond_the_array_are_read(tmp_path, filters):
    path, values = tmp_path / "a.h5", np.arange(35.0).reshape(7, 5)
    path.write_bytes(hdf5.image(lambda file: file.create_dataset("a", data=values, chunks=(4, 3), **filters)))
    with hdf5.open_strictly(path) as contents:
        assert np.array_equal(contents.arrays["a"].whole(), values)
