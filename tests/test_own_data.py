"""A data set of one's own: arrays, tensors, files; whatever its labels are called and its pixels are stored as."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import TYPED_ENGINES, experiment, noise, of, refusal, running, same_bits, simulator, write_parts

import ghostnet as gn
from ghostnet import ConfigError, DataError, data
from ghostnet.data import npz

SIZES = (20, 30, 6)


def arrays(labels=(3, 7, 11), shape=(2, 3), dtype=np.uint8) -> list[np.ndarray]:
    """x, y, x_test and y_test: 9 and 6 images with these labels in turn."""
    draw, found = np.random.default_rng(0), []
    for count in (9, 6):
        images = draw.integers(256, size=(count, *shape)).astype(np.uint8)
        found += [images if dtype == np.uint8 else (images / 255).astype(dtype), np.resize(np.array(labels), count)]
    return found


def saved(path: Path, parts, **more) -> Path:
    """A .npz file with the keys of Keras' mnist.npz."""
    np.savez(path, **dict(zip(npz.KEYS, parts, strict=True)), **more)
    return path


@pytest.mark.parametrize("labels", [(3, 7, 11), (-5, 0, 2), ("cat", "dog", "eel"), ("10", "9", "äh"), (False, True)])
def test_outputs_stand_for_the_sorted_distinct_labels_of_the_training_part(labels):
    whole = gn.dataset(*arrays(labels[::-1]))
    assert whole.labels == tuple(sorted(labels)) and whole.classes == len(labels)
    for part, y in (("train", arrays(labels[::-1])[1]), ("test", arrays(labels[::-1])[3])):
        assert np.array_equal(np.array(whole.labels)[whole.part(part)[1]], y)


def test_more_classes_than_a_byte_counts_are_told_apart():
    y = np.arange(300) + 1000
    whole = gn.dataset(np.zeros((300, 4), np.uint8), y, np.zeros((2, 4), np.uint8), [1299, 1000])
    assert whole.classes == 300 and whole.test_labels.tolist() == [299, 0]


def test_text_of_python_and_pandas_and_labels_in_a_column_are_labels():
    x, y, x_test, y_test = arrays(("cat", "dog"))
    plain = gn.dataset(x, y, x_test, y_test)
    for given in (y.tolist(), y.astype(object), y[:, None]):
        assert gn.dataset(x, given, x_test, y_test).sha256 == plain.sha256


@pytest.mark.parametrize("shape", [(6,), (2, 3), (1, 2, 3), (3, 2, 1)])
def test_images_of_any_shape_are_flattened_row_by_row(shape):
    x, y, x_test, y_test = arrays(shape=(6,))
    whole = gn.dataset(x.reshape(-1, *shape), y, x_test.reshape(-1, *shape), y_test)
    assert whole.sha256 == gn.dataset(x, y, x_test, y_test).sha256 and whole.pixels == 6


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_tensors_and_lists_are_the_arrays_they_hold(dtype):
    parts = arrays(dtype=dtype)
    tensors = [torch.tensor(part) for part in parts]
    if dtype != np.uint8:
        tensors[0].requires_grad_()
    assert gn.dataset(*tensors).sha256 == gn.dataset(*parts).sha256
    if dtype == np.float64:
        assert gn.dataset(*(part.tolist() for part in parts)).sha256 == gn.dataset(*parts).sha256


@pytest.mark.parametrize(("given", "kept"), [("float16", "float32"), (">f4", "float32"), ("longdouble", "float64")])
def test_floats_are_kept_in_a_type_that_torch_has(given, kept):
    x, y, x_test, y_test = arrays(dtype=np.float64)
    whole = gn.dataset(x.astype(given), y, x_test.astype(given), y_test)
    assert whole.train_images.dtype == np.dtype(kept) and whole.train_images.dtype.isnative


def test_a_data_set_is_a_copy_of_what_it_was_given_and_stays_what_it_is():
    parts = arrays()
    whole = gn.dataset(*parts)
    parts[0][...] = 0
    assert whole.train_images.any()
    with pytest.raises(ValueError, match="read-only"):
        whole.train_images[0] = 0


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        (3, [3, 7, 5, 3, 7, 5], "y_test: label 5 is not among those of y (3, 7, 11)"),
        (3, ["3", "7"] * 3, "y_test: holds <U1, y int64; give labels of one kind"),
        (1, np.eye(9), "y: holds float64: expected integers or text"),
        (1, np.eye(9, dtype=int), "y: of shape (9, 9): expected a label for every image"),
        (1, [3, 7], "y: 2 labels for the 9 images of x"),
        (1, [None] * 9, "y: holds object"),
        (0, arrays()[0].astype(int), "x: holds int64: expected uint8 (pixels from 0 to 255) or floats"),
        (0, arrays()[0][0, 0], "x: of shape (3,): expected (examples, …)"),
        (0, arrays()[0][:0], "x: of shape (0, 2, 3): expected (examples, …)"),
        (0, [[1.0, 2.0], [3.0]], "x: no array ("),
        (0, torch.zeros(9, 6, dtype=torch.bfloat16), "x: no array ("),
        (0, np.ma.masked_array(arrays()[0], arrays()[0] > 9), "x: has masked places"),
        (0, "digits", "dataset: digits is a path, which comes alone"),
        (2, arrays()[2][:, :1], "x_test: images of (1, 3), (2, 3) in x"),
        (2, arrays()[2] / 255, "x_test: holds float64, x uint8; convert one of them"),
        (2, None, "dataset: no x_test; give x, y, x_test, y_test, or a path"),
    ],
)
def test_what_is_no_data_set_is_refused_by_the_arguments_name(place, value, text):
    parts = arrays()
    parts[place] = value
    assert text in refusal(DataError, gn.dataset, *parts)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_floats_that_are_not_finite_are_refused_by_their_place(value):
    x, y, x_test, y_test = arrays(dtype=np.float32)
    x_test[4, 1, 2] = value
    assert f"test images[4, 5] is {value}" in refusal(DataError, gn.dataset, x, y, x_test, y_test)


def as_floats(whole: data.Dataset) -> data.Dataset:
    """The same activities, stored as float64."""
    x, x_test = (data.scale(whole.part(part)[0], "float64") for part in ("train", "test"))
    return data.Dataset("floats", x, whole.train_labels, x_test, whole.test_labels)


@pytest.mark.parametrize(("engine", "dtype"), TYPED_ENGINES)
@pytest.mark.parametrize("model", ["MA", "MB"])
def test_floats_are_learned_and_scored_as_the_pixels_that_they_are(engine, dtype, model):
    e = experiment(model, SIZES, seeds=(0, 4), train_examples=None)
    pixels = noise(e)
    order = np.random.default_rng(1).integers(120, size=(3, 2, e.batch))
    ends, scores = [], []
    for whole in (pixels, as_floats(pixels)):
        tested = simulator(running(e), engine, dtype)
        tested.run_examples(whole, order)
        ends.append(of(tested.network))
        scores.append(tested.evaluate(whole))
    if dtype == "float64":
        assert same_bits(*ends)
    else:  # a pixel / 255 rounded twice
        assert all(np.allclose(ends[0][name], ends[1][name], atol=1e-4) for name in ends[0])
    for part in ("train", "test"):
        assert np.allclose(scores[0][part].mse, scores[1][part].mse, rtol=1e-12 if dtype == "float64" else 1e-4)


@pytest.mark.parametrize("method", ["BP", "DFA", "DTP"])
def test_baselines_learn_floats_as_the_pixels_that_they_are(task, method):
    pixels = data.load(task)
    e = gn.baselines.mlp((16, 12, 4), batch=4, epochs=1, train_examples=None)
    adversarial = {} if method == "DTP" else {"adversarial": 0.1}
    settings = dict(learning_rate=0.5, dtype="float64", progress=False) | adversarial
    one, other = (gn.baselines.train(method, e, data=whole, **settings) for whole in (pixels, as_floats(pixels)))
    assert same_bits(of(one.network), of(other.network))


@pytest.mark.parametrize("value", [-1e-3, 1.5, 255.0])
@pytest.mark.parametrize("part", ["train", "test"])
def test_floats_that_are_no_rates_are_refused_by_their_place(part, value):
    e = experiment("MB", SIZES, train_examples=None)
    whole = as_floats(noise(e))
    images = whole.part(part)[0].copy()
    images[3, 5] = value
    whole = dataclasses.replace(whole, **{f"{part}_images": images})
    tested = simulator(running(e), "cpu", "float32")
    text = refusal(ConfigError, tested.evaluate, whole)
    assert f"floats: {part} images[3, 5] is " in text and "from 0 to 1; scale them" in text


def test_floats_may_be_what_the_transfer_function_gives():
    e = experiment("MB", SIZES, transfer="tanh", train_examples=None)
    pixels = as_floats(noise(e))
    whole = data.Dataset("t", 2 * pixels.train_images - 1, pixels.train_labels, pixels.test_images, pixels.test_labels)
    assert gn.train(e.replace(epochs=1), data=whole, engine="reference", progress=False).metrics[-1]["epoch"] == 1


def test_files_hold_what_the_arrays_do(tmp_path, monkeypatch):
    parts = arrays()
    plain = gn.dataset(*parts).sha256
    path = saved(tmp_path / "digits.npz", parts, more=np.zeros(3))
    np.savez_compressed(tmp_path / "packed.npz", **dict(zip(npz.KEYS, parts, strict=True)))
    monkeypatch.setenv("HOME", str(tmp_path))
    for place in (path, str(path), "~/digits.npz", Path("~/digits.npz"), tmp_path / "packed.npz"):
        found = gn.dataset(place)
        assert found.sha256 == plain and Path(found.name).is_absolute() and found.labels == (3, 7, 11)
    parts[1:4:2] = [labels.astype(np.uint8) for labels in parts[1:4:2]]
    assert gn.dataset(write_parts(tmp_path / "idx", parts)).sha256 == plain


@pytest.mark.parametrize(
    ("train", "test", "label"), [("data_batch_{}.bin", "test_batch.bin", 1), ("train.bin", "test.bin", 2)]
)
def test_the_binary_files_of_cifar_are_read_as_they_are_described(tmp_path, train, test, label):
    draw = np.random.default_rng(0)
    records = [draw.integers(256, size=(4, label + 3072), dtype=np.uint8) for _ in range(3)]
    for number, record in enumerate(records):
        record[:, label - 1] = [5, 2, 9, 5]
        name = test if number == 2 else train.format(number + 9)  # 9, 10: in the order of numbers
        (tmp_path / name).write_bytes(record.tobytes())
    whole = gn.dataset(tmp_path)
    shown = records[:2] if label == 1 else records[1:2]
    assert np.array_equal(whole.train_images, np.concatenate([record[:, label:] for record in shown]))
    assert np.array_equal(whole.test_images, records[2][:, label:])
    assert whole.labels == (2, 5, 9) and whole.test_labels.tolist() == [1, 0, 2, 1]
    (tmp_path / test).write_bytes(records[2].tobytes()[:-1])
    assert f"{tmp_path / test}: {4 * (label + 3072) - 1} bytes: expected records of" in refusal(
        DataError, gn.dataset, tmp_path
    )
    (tmp_path / test).unlink()
    assert f"holds no {test}" in refusal(DataError, gn.dataset, tmp_path)


def pickled() -> bytes:
    """An .npz file whose labels are Python objects."""
    file, (x, y, x_test, y_test) = io.BytesIO(), arrays()
    np.savez(file, x_train=x, y_train=y.astype(object), x_test=x_test, y_test=y_test)
    return file.getvalue()


def declaring(shape: str) -> bytes:
    """An .npz file whose x_train says that it has another shape than it has."""
    file, parts = io.BytesIO(), dict(zip(npz.KEYS, arrays(), strict=True))
    with zipfile.ZipFile(file, "w") as archive:
        for key, part in parts.items():
            entry = io.BytesIO()
            np.save(entry, part)
            archive.writestr(
                f"{key}.npy",
                entry.getvalue().replace(
                    b"(9, 2, 3), }" + b" " * 20, shape.encode() + b", }" + b" " * (29 - len(shape))
                ),
            )
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "damaged or no .npz file"),
        (b"x" * 100, "damaged or no .npz file"),
        (pickled(), "y_train: holds Python objects, and nothing is unpickled"),
        (declaring("(9, 2, 999999999999)"), "x_train: declares "),
        (declaring("(9, 2, 2)"), "x_train: declares "),
    ],
    ids=["empty", "no zip", "pickled", "too much", "too little"],
)
def test_a_file_that_is_no_data_set_is_refused_in_one_line(tmp_path, content, text):
    path = tmp_path / "digits.npz"
    path.write_bytes(content)
    found = refusal(DataError, gn.dataset, path)
    assert found.startswith(str(path)) and text in found


def test_a_part_of_a_file_is_refused_wherever_it_is_cut(tmp_path):
    content = saved(tmp_path / "whole.npz", arrays()).read_bytes()
    path = tmp_path / "digits.npz"
    for end in range(0, len(content), 13):
        path.write_bytes(content[:end])
        refusal(DataError, gn.dataset, path)


def test_a_damaged_file_is_refused_or_what_it_was(tmp_path):
    whole, path = saved(tmp_path / "whole.npz", arrays()), tmp_path / "digits.npz"
    content, plain = whole.read_bytes(), gn.dataset(whole)
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x15]) + content[at + 1 :])
        try:
            found = gn.dataset(path)
        except DataError as error:
            assert str(error).startswith(str(path)) and len(str(error).splitlines()) == 1
        else:
            assert found.sha256 == plain.sha256


def test_arrays_beyond_a_size_and_missing_ones_are_refused(tmp_path):
    path = saved(tmp_path / "digits.npz", arrays())
    assert "x_train: of 182 bytes, expected 100 at most" in refusal(DataError, npz.read, path, 100)
    np.savez(path, x_train=np.zeros((2, 3)))
    assert "holds no y_train, but x_train; expected x_train, y_train" in refusal(DataError, gn.dataset, path)


@pytest.mark.parametrize(("sizes", "text"), [((7, 5, 3), "needs 6 inputs"), ((6, 5, 4), "needs 3 outputs")])
def test_sizes_that_do_not_fit_are_refused(sizes, text):
    e = experiment("MB", sizes, train_examples=None)
    assert f"sizes = {sizes}: arrays {text}" in refusal(ConfigError, gn.train, e, data=gn.dataset(*arrays()))
