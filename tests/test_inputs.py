"""What a simulator is shown: of the wrong kind, scale or shape, it is named by its place, in one line."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from builders import examples, experiment, inputs, noise, of, quick, refusal, running, same_bits, simulator

from ghostnet import ConfigError, DataError, Simulator, build, gradcheck
from ghostnet.engines import ENGINES
from ghostnet.model.models import MODELS

SIZES = (20, 30, 25, 6)

each_engine = pytest.mark.parametrize("engine", ENGINES)
each_model = pytest.mark.parametrize("model", MODELS)


def shows(engine: str, model: str = "MB", **changes) -> tuple[Simulator, np.ndarray, np.ndarray]:
    """A simulator of two seeds, and five presentations of their own for each."""
    e = experiment(model, SIZES, seeds=(4, 9), **changes)
    return simulator(running(e), engine), *inputs(e, 5, 2)


def refused(tested: Simulator, call, *shown) -> str:
    """The text of the refusal of what is shown; the network stays as it was."""
    before, seen = of(tested.network), tested.presentations
    text = refusal(ConfigError, call, *shown)
    assert tested.presentations == seen and same_bits(of(tested.network), before)
    return text


@each_engine
@each_model
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["x", "y"])
def test_an_input_that_is_no_number_is_named_by_its_place_before_anything_is_shown(engine, model, bad, name):
    tested, x, y = shows(engine, model)
    tested.run(x[:1], y[:1])
    wrong = {"x": x, "y": y}
    wrong[name][3, 1, 2, 4] = bad
    assert f"{name}[3, 1, 2, 4] is {bad}: expected finite numbers from 0 to 1" in refused(tested, tested.run, x, y)
    assert f"{name}[1, 2, 4] is {bad}" in refused(tested, tested.present, x[3], y[3])
    if engine != "equilibrium":
        assert f"{name}[1, 2, 4] is {bad}" in refused(tested, tested.record, x[3], y[3])


@each_engine
@pytest.mark.parametrize("name", ["x", "y"])
@pytest.mark.parametrize(
    ("transfer", "factor", "shown"),
    [("sigmoid", 255, "from 0 to 1"), ("sigmoid", -1, "from 0 to 1"), ("hard-sigmoid", -1, "from 0 to 1"),
     ("tanh", 2, "from -1 to 1")],
)  # fmt: skip
def test_inputs_and_targets_are_rates_that_the_transfer_function_can_give(engine, name, transfer, factor, shown):
    tested, x, y = shows(engine, transfer=transfer)
    wrong = {"x": x, "y": y}
    wrong[name] *= factor
    assert shown in refused(tested, tested.run, x, y)


@pytest.mark.parametrize("engine", ["reference", "torch"])
@pytest.mark.parametrize("name", ["x", "y"])
def test_negative_rates_are_shown_where_the_transfer_function_can_give_them(engine, name):
    tested, x, y = shows(engine, transfer="tanh")
    shown = {"x": x, "y": y}
    shown[name] *= -1
    tested.run(x, y)
    assert tested.presentations == 5


def test_whole_numbers_are_held_to_the_same_scale():
    tested, x, y = shows("cpu")
    pixels = (255 * x).astype(np.uint8)
    assert "x[0, 0, 0, 0] is" in refused(tested, tested.run, pixels, y)


def test_a_model_that_clips_takes_no_negative_inputs_whatever_the_transfer_function():
    tested, x, y = shows("reference", "MA-prime", transfer="tanh")
    assert "from 0 to 1" in refused(tested, tested.run, -x, y)
    tested.run(x, -y)


def test_nothing_shown_is_nothing_done():
    tested, x, y = shows("reference")
    tested.run(x[:0], y[:0])
    assert tested.presentations == 0


WRONG_KINDS = [
    (lambda x: x.astype(str), "holds <U32: expected numbers"),
    (lambda x: x.astype(bytes), "holds |S32: expected numbers"),
    (lambda x: x.astype(object), "holds object: expected numbers"),
    (lambda x: x + 0j, "holds complex128: expected numbers"),
    (lambda x: x.astype("M8[s]"), "holds datetime64[s]: expected numbers"),
    (lambda x: x.astype("m8[s]"), "holds timedelta64[s]: expected numbers"),
    (lambda x: np.zeros(x.shape, [("a", "f8")]), "expected numbers"),
    (lambda x: [*x.tolist()[:4], [[0.5]]], "is no array"),
    (lambda x: torch.tensor(x, requires_grad=True), "is no array"),
    (lambda x: np.ma.masked_less(x, 0.1), "has masked places"),
    (lambda x: None, "holds object"),
    (lambda x: "digits", "holds <U6"),
]


@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize(("spoil", "text"), WRONG_KINDS)
@pytest.mark.parametrize("name", ["x", "y"])
def test_what_does_not_hold_numbers_is_refused_by_its_type(engine, spoil, text, name):
    tested, x, y = shows(engine)
    shown = {"x": x, "y": y}
    spoiled = shown | {name: spoil(shown[name])}
    assert f"{name} " in (found := refused(tested, tested.run, *spoiled.values())) and text in found
    one = {key: values[0] for key, values in shown.items()}
    found = refused(tested, tested.present, *(one | {name: spoil(one[name])}).values())
    assert found.startswith(f"{name} ")


@pytest.mark.parametrize("dtype", ["float16", "float32", "longdouble", "bool", "int8", "uint64"])
def test_every_type_of_number_gives_float64_results(dtype):
    tested, x, y = shows("reference")
    tested.run(np.round(x).astype(dtype), y.astype(dtype))
    expected, *_ = shows("reference")
    expected.run(np.round(x), y)
    assert same_bits(of(tested.network), of(expected.network))
    assert {array.dtype for array in of(tested.network).values()} == {np.dtype("float64")}


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda x: x.astype(str), "holds <U32"),
        (lambda x: x * np.nan, "is nan"),
        (lambda x: x * 255, "from 0 to 1"),
        (lambda x: x + 0j, "complex128"),
    ],
)
@pytest.mark.parametrize("name", ["x", "y"])
def test_the_gradient_check_refuses_the_same(spoil, text, name):
    e = quick()
    x, y = examples(e)
    shown = {"x": x, "y": y}
    assert text in refusal(ConfigError, gradcheck, build(e), *(shown | {name: spoil(shown[name])}).values())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: {"train_images": d.train_images.astype(int)}, "train images are int64 (120, 20)"),
        (lambda d: {"test_images": d.test_images.reshape(-1, 4, 5)}, "test images are uint8 (40, 4, 5)"),
        (lambda d: {"train_labels": d.train_labels.astype(float)}, "with labels float64 (120,)"),
        (lambda d: {"train_labels": d.train_labels[:-1]}, "with labels uint8 (119,)"),
        (lambda d: {"test_labels": np.eye(6)[d.test_labels]}, "with labels float64 (40, 6)"),
        (lambda d: {"test_labels": d.test_labels.astype(int) - 1}, "a class number each"),
        (lambda d: {"test_labels": d.test_labels[:0], "test_images": d.test_images[:0]}, "uint8 (0, 20)"),
        (lambda d: {"train_images": d.train_images / 255}, "float64 of 20 values to train and uint8 of 20 to test"),
        (lambda d: {"train_images": d.train_images[:, 1:]}, "uint8 of 19 values to train and uint8 of 20 to test"),
        (lambda d: {"labels": ("a", "b")}, "class 5 has no label: there are 2"),
    ],
)
def test_what_is_no_data_set_of_images_and_labels_is_refused(change, text):
    images = noise(experiment("MB", SIZES))
    found = refusal(DataError, dataclasses.replace, images, **change(images))
    assert found.startswith("noise: ") and text in found
