"""What a data set promises: the published bytes, or one line saying what is wrong with which file."""

from __future__ import annotations

import gzip
import hashlib
import re
import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from ghostnet import data
from ghostnet.errors import DataError

FILES = data._FILES
FILES_GZ = tuple(f"{file}.gz" for file in FILES)

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
small_arrays = st_numpy.arrays(np.uint8, st_numpy.array_shapes(min_dims=1, max_dims=4, max_side=5))


def idx_bytes(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def small_parts():
    """Four arrays that fit together: 5 and 3 images of 2 × 3 pixels, labels up to 2 and up to 4."""
    images = np.arange(30, dtype=np.uint8).reshape(5, 2, 3)
    return [images, np.array([0, 1, 2, 0, 1], np.uint8), images[:3] + 100, np.array([4, 3, 0], np.uint8)]


def write_parts(folder, arrays, names=FILES):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(names, arrays, strict=True):
        content = idx_bytes(array)
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder


def refusal(function, *arguments, **options):
    """The text of the DataError a call has to raise, held to be a single line."""
    with pytest.raises(DataError) as caught:
        function(*arguments, **options)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    """One file overwritten by every example of a hypothesis test."""
    return tmp_path_factory.mktemp("idx") / "array"


@pytest.fixture
def fashion(monkeypatch, tmp_path):
    """The small arrays published as Fashion-MNIST, on the second mirror if in net/: (arrays, requests)."""
    import pooch

    requests = []

    def retrieve(url, known_hash, fname, path):
        requests.append((url, known_hash))
        if url.startswith(data._FASHION_MIRRORS[1]) and (tmp_path / "net" / fname).exists():
            return str(tmp_path / "net" / fname)
        raise OSError("no route to host\nand a second line")

    parts = small_parts()
    hashes = tuple(hashlib.sha256(idx_bytes(part)).hexdigest() for part in parts)
    monkeypatch.setitem(data._SHA256, "fashion-mnist", hashes)
    monkeypatch.setattr(data, "_FASHION_SYSTEM", tmp_path / "system")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setenv("GHOSTNET_DATA", str(tmp_path / "own"))
    return parts, requests


def test_bundled_mnist_is_the_published_one():
    mnist = data.load("mnist")
    assert (mnist.name, mnist.classes, mnist.pixels) == ("mnist", 10, 784)
    assert mnist.train_images.shape == (60000, 784) and mnist.test_images.shape == (10000, 784)
    assert {array.dtype for array in (mnist.train_images, mnist.test_images)} == {np.dtype(np.uint8)}
    assert mnist.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert mnist.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    # The mean every MNIST script normalises by, 0.1307: the pixels are the right ones in the right unit.
    assert mnist.train_images.mean() / 255 == pytest.approx(0.1306605, abs=1e-7)


def test_mnist_is_held_to_its_hash_and_the_file_named(monkeypatch):
    monkeypatch.setitem(data._SHA256, "mnist", (*data._SHA256["mnist"][:3], "0" * 64))
    assert re.search(f"{FILES[3]}.gz: SHA-256 .* isn't the published", refusal(data.load, "mnist"))


def test_the_notice_lists_the_hashes_the_code_checks():
    notice = data.importlib.resources.files("ghostnet") / "datasets" / "mnist" / "NOTICE"
    lines = notice.read_text(encoding="utf-8").splitlines()
    assert lines[-4:] == [
        f"{sha256}  {file}" for file, sha256 in zip(FILES, data._SHA256["mnist"], strict=True)
    ]


def test_only_a_download_imports_pooch():
    code = "import sys, ghostnet.data as d; d.load('mnist'); print('pooch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@calm
@given(array=small_arrays, zipped=st.booleans(), share=st.floats(0, 1, exclude_max=True))
def test_a_whole_file_is_read_back_and_a_part_of_it_refused(scratch, array, zipped, share):
    content = idx_bytes(array)
    file = gzip.compress(content, 1) if zipped else content
    scratch.write_bytes(file)
    got = data.read_idx(scratch, max_bytes=len(content))
    assert got.dtype == np.uint8 and got.shape == array.shape and np.array_equal(got, array)
    assert "max_bytes" in refusal(data.read_idx, scratch, max_bytes=len(content) - 1)
    scratch.write_bytes(file[: int(share * len(file))])
    refusal(data.read_idx, scratch)


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
    text = refusal(data.read_idx, path)
    assert text.startswith(f"{path}: ") and reason in text


@pytest.mark.parametrize("path", ["missing", ".", "nul\0byte", "two\nlines"])
def test_a_path_that_cannot_be_read_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    assert "can't be read" in refusal(data.read_idx, path)


@pytest.mark.parametrize("at", [-8, -4], ids=["crc", "length"])
def test_gzip_checks_are_made(tmp_path, at):
    file = bytearray(gzip.compress(idx_bytes(np.arange(9, dtype=np.uint8))))
    file[at] ^= 1
    (tmp_path / "a.gz").write_bytes(file)
    assert "damaged gzip" in refusal(data.read_idx, tmp_path / "a.gz")


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


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("mark", ["-idx", ".idx"])
def test_a_directory_is_a_data_set_in_every_spelling(tmp_path, monkeypatch, mark, suffix):
    monkeypatch.chdir(tmp_path)
    parts = small_parts()
    write_parts(tmp_path / "mnist", parts, [file.replace("-idx", mark) + suffix for file in FILES])
    got = data.load("./mnist")  # while "mnist" alone stays the bundled one
    assert (got.name, got.classes, got.pixels, data.load("mnist").pixels) == ("./mnist", 5, 6, 784)
    assert np.array_equal(got.train_images, parts[0].reshape(5, 6))
    assert np.array_equal(got.test_images, parts[2].reshape(3, 6))
    assert np.array_equal(got.train_labels, parts[1]) and np.array_equal(got.test_labels, parts[3])


@pytest.mark.parametrize(
    ("part", "replacement", "reason"),
    [
        (0, np.zeros((5, 6), np.uint8), "2 dimensions, expected 3"),
        (1, np.zeros((5, 1), np.uint8), "2 dimensions, expected 1"),
        (1, np.zeros(4, np.uint8), "4 labels for the 5 images"),
        (3, np.zeros(2, np.uint8), "2 labels for the 3 images"),
        (2, np.zeros((3, 3, 3), np.uint8), "images of (3, 3), (2, 3) in"),
        (2, np.zeros((3, 3, 2), np.uint8), "images of (3, 2), (2, 3) in"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path, part, replacement, reason):
    parts = small_parts()
    parts[part] = replacement
    text = refusal(data.load, write_parts(tmp_path, parts))
    assert text.startswith(str(tmp_path / FILES[part])) and reason in text


def test_a_directory_without_one_of_the_files_is_refused_by_its_name(tmp_path):
    (write_parts(tmp_path, small_parts()) / FILES[2]).unlink()
    assert refusal(data.load, tmp_path).startswith(f"{tmp_path}: holds no {FILES[2]}")


@pytest.mark.parametrize("name", ["MNIST", "fashion_mnist", "./no/folder", "a\0b\n", "x" * 5000])
def test_an_unknown_name_gets_the_choices_and_the_nearest(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    nearest = {"MNIST": "; did you mean 'mnist'?", "fashion_mnist": "; did you mean 'fashion-mnist'?"}.get(
        name, ""
    )
    assert refusal(data.load, name).endswith(f"'mnist', 'fashion-mnist' or a directory of IDX files{nearest}")


@pytest.mark.parametrize("place", ["own", "own/fashion-mnist", "system"])
def test_fashion_mnist_is_found_where_it_is_installed(tmp_path, fashion, place):
    parts, requests = fashion
    write_parts(tmp_path / place, parts, FILES_GZ)
    assert data.load("fashion-mnist").pixels == 6 and requests == []


def test_another_data_set_in_fashion_mnists_place_is_refused(tmp_path, fashion):
    write_parts(tmp_path / "own", [part[::-1] for part in small_parts()])
    text = refusal(data.load, "fashion-mnist")
    assert text.startswith(str(tmp_path / "own" / FILES[0])) and "SHA-256" in text


def test_fashion_mnist_out_of_reach_says_where_it_was_sought(tmp_path, fashion):
    text = refusal(data.load, "fashion-mnist")
    places = ("own/fashion-mnist", "own", "system", "cache/ghostnet/fashion-mnist")
    assert ", ".join(str(tmp_path / place) for place in places) in text and "set GHOSTNET_DATA" in text
    assert [url for url, _ in fashion[1]] == [mirror + FILES_GZ[0] for mirror in data._FASHION_MIRRORS]


def test_fashion_mnist_is_fetched_from_the_mirror_that_answers_and_held_to_its_hash(tmp_path, fashion):
    parts, requests = fashion
    write_parts(tmp_path / "net", parts, FILES_GZ)
    assert data.load("fashion-mnist").pixels == 6
    known = [f"sha256:{sha256}" for sha256 in data._FASHION_GZ_SHA256]
    wanted = list(zip(FILES_GZ, known, strict=True))
    assert requests == [
        (mirror + file, sha256) for file, sha256 in wanted for mirror in data._FASHION_MIRRORS
    ]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_scaled_pixels_are_the_nearest_floats_to_n_over_255(dtype):
    scaled = data.scale(np.arange(256, dtype=np.uint8).reshape(2, 128), dtype)
    # Python rounds n / 255 correctly, and float64 has digits enough to be rounded once more without harm.
    nearest = np.array([n / 255 for n in range(256)]).astype(dtype)
    assert scaled.dtype == dtype and np.array_equal(scaled, nearest.reshape(2, 128))


def test_one_hot_has_its_one_in_the_place_of_the_class():
    hot = data.one_hot(np.array([[0, 3], [2, 2]], np.uint8), 4, "float32")
    assert hot.dtype == np.float32
    assert hot.tolist() == [[[1, 0, 0, 0], [0, 0, 0, 1]], [[0, 0, 1, 0], [0, 0, 1, 0]]]


@pytest.mark.parametrize("labels", [[4], [-1], [1.0]])
def test_what_is_no_pixel_or_label_is_refused(labels):
    assert "from 0 to 3" in refusal(data.one_hot, labels, 4, "float64")
    assert "expected uint8" in refusal(data.scale, labels, "float64")
