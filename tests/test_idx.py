"""What the IDX reader promises: what a file holds, or one line saying what is wrong with it."""

from __future__ import annotations

import gzip
import tracemalloc

import numpy as np
import pytest
from builders import idx_bytes, refusal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from ghostnet import data
from ghostnet.errors import DataError

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
small_arrays = st_numpy.arrays(np.uint8, st_numpy.array_shapes(min_dims=1, max_dims=4, max_side=5))


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    """One file overwritten by every example of a hypothesis test."""
    return tmp_path_factory.mktemp("idx") / "array"


@calm
@given(array=small_arrays, zipped=st.booleans(), share=st.floats(0, 1, exclude_max=True))
def test_a_whole_file_is_read_back_and_a_part_of_it_refused(scratch, array, zipped, share):
    content = idx_bytes(array)
    file = gzip.compress(content, 1) if zipped else content
    scratch.write_bytes(file)
    got = data.read_idx(scratch, max_bytes=len(content))
    assert got.dtype == np.uint8 and got.shape == array.shape and np.array_equal(got, array)
    assert "max_bytes" in refusal(DataError, data.read_idx, scratch, max_bytes=len(content) - 1)
    scratch.write_bytes(file[: int(share * len(file))])
    refusal(DataError, data.read_idx, scratch)


@st.composite
def damaged_files(draw):
    """(content before, file after) a few mutations of a valid file, most of them where headers are."""
    array, zipped = draw(small_arrays), draw(st.booleans())
    content = idx_bytes(array)
    file = bytearray(gzip.compress(content, 1, mtime=0) if zipped else content)
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["change", "insert", "cut", "repeat"]))
        at = draw(st.integers(0, 20) | st.integers(0, len(file))) % (len(file) + 1)
        if kind == "change":
            file[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif kind == "insert":  # at the end, too
            file[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif kind == "cut":
            del file[at:]
        else:
            file *= 2
    return content, bytes(file)


@calm
@given(damaged=damaged_files())
def test_a_damaged_file_is_refused_or_read_as_what_it_holds(scratch, damaged):
    content, file = damaged
    scratch.write_bytes(file)
    try:
        got = data.read_idx(scratch, max_bytes=1 << 20)
    except DataError as error:
        assert str(error).startswith(str(scratch)) and len(str(error).splitlines()) == 1
        return
    # A plain file has no checksum, so it is whatever it says; gzip's CRC leaves only the original.
    assert idx_bytes(got) == (content if file[:2] == b"\x1f\x8b" else file)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "begins with nothing"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\x89PNG\r\n", "begins with 89 50 4e 47"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "holds float32"),
        (b"\0\0\x07\x01\0\0\0\x01\0", "holds an unknown type (IDX type 0x07)"),
        (b"\0\0\x08\0\x01", "declares 0 dimensions"),
        (b"\0\0\x08\x05" + b"\0\0\0\x01" * 5 + b"\x01", "declares 5 dimensions"),
        (b"\0\0\x08\x02\0\0\0\x01\0\0", "truncated in its header"),
        (b"\0\0\x08\x02\0\0\0\x01\0\0\0\0", "empty array of shape (1, 0)"),
        (b"\0\0\x08\x01\0\0\0\x02\x07", "truncated: 1 of 2"),
        (b"\0\0\x08\x01\0\0\0\x01\x07\x08", "goes on after its 1 declared"),
        (b"\0\0\x08\x04" + b"\xff" * 16, "max_bytes is 1073741824"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
def test_a_refusal_names_file_and_reason(tmp_path, content, reason, zipped):
    path = tmp_path / "bad-idx"
    path.write_bytes(gzip.compress(content) if zipped else content)
    text = refusal(DataError, data.read_idx, path)
    assert text.startswith(f"{path}: ") and reason in text


@pytest.mark.parametrize("path", ["missing", ".", "nul\0byte", "two\nlines"])
def test_a_path_that_cannot_be_read_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    assert "can't be read" in refusal(DataError, data.read_idx, path)


@pytest.mark.parametrize("at", [-8, -4], ids=["crc", "length"])
def test_gzip_checks_are_made(tmp_path, at):
    file = bytearray(gzip.compress(idx_bytes(np.arange(9, dtype=np.uint8))))
    file[at] ^= 1
    (tmp_path / "a.gz").write_bytes(file)
    assert "damaged gzip" in refusal(DataError, data.read_idx, tmp_path / "a.gz")


BOMB = bytes(1 << 26)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\0\0\x08\x01\x3f\xff\xff\xf8abc", "truncated: 3 of"),
        (b"\0\0\x08\x01\xff\xff\xff\xff" + BOMB, "max_bytes"),
        (b"\0\0\x08\x01\0\0\0\x0a" + BOMB, "goes on after"),
        (BOMB, "declares 0 dimensions|holds an unknown type"),
    ],
    ids=["declares-a-gibibyte", "declares-more", "declares-ten-bytes", "declares-nothing"],
)
def test_memory_follows_what_a_file_holds_not_what_it_declares(tmp_path, content, reason):
    (tmp_path / "bomb").write_bytes(gzip.compress(content, 1))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=reason):
            data.read_idx(tmp_path / "bomb")
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()
