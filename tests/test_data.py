"""What a data set promises: the published bytes, or one line saying what is wrong with which file."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys

import numpy as np
import pytest
from builders import IDX_FILES, idx_bytes, refusal, small_parts, write_parts

from ghostnet import DataError, data
from ghostnet.data import published

FILES_GZ = tuple(f"{file}.gz" for file in IDX_FILES)


@pytest.fixture
def fashion(monkeypatch, tmp_path):
    """The small arrays published as Fashion-MNIST, on the second mirror if in net/: (arrays, requests)."""
    import pooch

    requests = []

    def retrieve(url, known_hash, fname, path):
        requests.append((url, known_hash))
        if url.startswith(published._FASHION_MIRRORS[1]) and (tmp_path / "net" / fname).exists():
            return str(tmp_path / "net" / fname)
        raise OSError("no route to host\nand a second line")

    parts = small_parts()
    hashes = tuple(hashlib.sha256(idx_bytes(part)).hexdigest() for part in parts)
    monkeypatch.setitem(published._SHA256, "fashion-mnist", hashes)
    monkeypatch.setattr(published, "_FASHION_SYSTEM", tmp_path / "system")
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
    monkeypatch.setitem(published._SHA256, "mnist", (*published._SHA256["mnist"][:3], "0" * 64))
    assert re.search(f"{IDX_FILES[3]}.gz: SHA-256 .* isn't the published", refusal(DataError, data.load, "mnist"))


def test_the_notice_lists_the_hashes_the_code_checks():
    notice = published.importlib.resources.files("ghostnet") / "data" / "mnist" / "NOTICE"
    lines = notice.read_text(encoding="utf-8").splitlines()
    assert lines[-4:] == [
        f"{sha256}  {file}" for file, sha256 in zip(IDX_FILES, published._SHA256["mnist"], strict=True)
    ]


def test_only_a_download_imports_pooch():
    code = "import sys, ghostnet.data as d; d.load('mnist'); print('pooch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("mark", ["-idx", ".idx"])
def test_a_directory_is_a_data_set_in_every_spelling(tmp_path, monkeypatch, mark, suffix):
    monkeypatch.chdir(tmp_path)
    parts = small_parts()
    write_parts(tmp_path / "mnist", parts, [file.replace("-idx", mark) + suffix for file in IDX_FILES])
    got = data.load("./mnist")  # while "mnist" alone stays the bundled one
    assert (got.name, got.classes, got.pixels, data.load("mnist").pixels) == (str(tmp_path / "mnist"), 3, 6, 784)
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
    text = refusal(DataError, data.load, write_parts(tmp_path, parts))
    assert text.startswith(str(tmp_path / IDX_FILES[part])) and reason in text


def test_a_directory_without_one_of_the_files_is_refused_by_its_name(tmp_path):
    (write_parts(tmp_path, small_parts()) / IDX_FILES[2]).unlink()
    assert refusal(DataError, data.load, tmp_path).startswith(f"{tmp_path}: holds no {IDX_FILES[2]}")


@pytest.mark.parametrize("name", ["MNIST", "fashion_mnist", "./no/folder", "a\0b\n", "x" * 5000])
def test_an_unknown_name_gets_the_choices_and_the_nearest(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    nearest = {"MNIST": "; did you mean 'mnist'?", "fashion_mnist": "; did you mean 'fashion-mnist'?"}.get(name, "")
    assert refusal(DataError, data.load, name).endswith(
        f"'mnist', 'fashion-mnist', a .npz file or a directory of IDX or CIFAR files{nearest}"
    )


@pytest.mark.parametrize("place", ["own", "own/fashion-mnist", "system"])
def test_fashion_mnist_is_found_where_it_is_installed(tmp_path, fashion, place):
    parts, requests = fashion
    write_parts(tmp_path / place, parts, FILES_GZ)
    assert data.load("fashion-mnist").pixels == 6 and requests == []


def test_another_data_set_in_fashion_mnists_place_is_refused(tmp_path, fashion):
    write_parts(tmp_path / "own", [part[::-1] for part in small_parts()])
    text = refusal(DataError, data.load, "fashion-mnist")
    assert text.startswith(str(tmp_path / "own" / IDX_FILES[0])) and "SHA-256" in text


def test_fashion_mnist_out_of_reach_says_where_it_was_sought(tmp_path, fashion):
    text = refusal(DataError, data.load, "fashion-mnist")
    places = ("own/fashion-mnist", "own", "system", "cache/ghostnet/fashion-mnist")
    assert ", ".join(str(tmp_path / place) for place in places) in text and "set GHOSTNET_DATA" in text
    assert [url for url, _ in fashion[1]] == [mirror + FILES_GZ[0] for mirror in published._FASHION_MIRRORS]


def test_fashion_mnist_is_fetched_from_the_mirror_that_answers_and_held_to_its_hash(tmp_path, fashion):
    parts, requests = fashion
    write_parts(tmp_path / "net", parts, FILES_GZ)
    assert data.load("fashion-mnist").pixels == 6
    known = [f"sha256:{sha256}" for sha256 in published._FASHION_GZ_SHA256]
    wanted = list(zip(FILES_GZ, known, strict=True))
    assert requests == [(mirror + file, sha256) for file, sha256 in wanted for mirror in published._FASHION_MIRRORS]


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
def test_what_is_no_label_is_refused(labels):
    assert "from 0 to 3" in refusal(DataError, data.one_hot, labels, 4, "float64")


@pytest.mark.parametrize("images", [[4], [True], ["7"]])
def test_what_is_neither_pixels_nor_floats_is_refused(images):
    assert "expected uint8" in refusal(DataError, data.scale, images, "float64")
