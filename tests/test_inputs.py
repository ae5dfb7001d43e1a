"""What an engine is given: inputs, networks, options and data sets of the wrong kind are named, in one line."""

from __future__ import annotations

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from builders import examples, experiment, inputs, noise, of, quick, refusal, running, same_bits, simulator

from ghostnet import ConfigError, GhostnetError, Network, Recorder, Simulator, build, gradcheck, train
from ghostnet.engines import ENGINES
from ghostnet.equations import Weights
from ghostnet.models import MODELS

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
     ("tanh", 2, "from -1 to 1"), ("tanh", -1, "")],
)  # fmt: skip
def test_inputs_and_targets_are_rates_that_the_transfer_function_can_give(engine, name, transfer, factor, shown):
    tested, x, y = shows(engine, transfer=transfer)
    wrong = {"x": x, "y": y}
    wrong[name] *= factor
    if shown:
        assert shown in refused(tested, tested.run, x, y)
    else:
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


SPOILED = [  # symbol, k, what becomes of the array, the text
    ("W", 1, lambda a: a[:1, :1, :1], "W[1] has shape (1, 1, 1): expected (2, 30, 20)"),
    ("W", 2, lambda a: a.mT, "W[2] has shape (2, 30, 25): expected (2, 25, 30)"),
    ("W", 3, lambda a: a[0], "W[3] has shape (6, 25): expected (2, 6, 25)"),
    ("B", 1, lambda a: a[..., :1], "B[1] has shape (2, 30, 1): expected (2, 30, 25)"),
    ("W_pg", 2, lambda a: a[:, :1], "W_pg[2] has shape (2, 1, 25): expected (2, 3, 25)"),
    ("W_gp", 1, lambda a: a[:, 0], "W_gp[1] has shape (2, 30, 5): expected (2, 7, 30, 5)"),
    ("s", 1, lambda a: a[:, :1], "s[1] has shape (2, 1, 30): expected (2, 7, 30)"),
    ("g", 2, lambda a: 0.0, "g[2] has shape (): expected (2, 7, 3)"),
    ("W", 1, lambda a: a.astype(str), "W[1] holds <U32: expected numbers"),
    ("W", 2, lambda a: a + 0j, "W[2] holds complex128: expected numbers"),
    ("W_pg", 1, lambda a: None, "W_pg[1] holds object: expected numbers"),
    ("W", 2, lambda a: np.where(a == a[1, 3, 4], np.nan, a), "W[2][1, 3, 4] is nan: expected finite numbers"),
    ("s", 3, lambda a: np.where(a == a[1, 3, 4], -np.inf, a), "s[3][1, 3, 4] is -inf: expected finite numbers"),
    ("W", 1, lambda a: a * 1e40, "expected finite numbers from -3.40282e+38 to 3.40282e+38"),
]  # fmt: skip


@pytest.mark.parametrize("engine", ["cpu", "torch"])
@pytest.mark.parametrize(("symbol", "k", "spoil", "text"), SPOILED, ids=lambda value: str(value)[:30])
def test_a_network_that_does_not_fit_its_experiment_is_refused_where_it_meets_an_engine(engine, symbol, k, spoil, text):
    network = running(experiment("MB", SIZES, seeds=(0, 1)))
    arrays = getattr(network.weights if symbol[0] in "WB" else network.state, symbol)
    arrays[k] = spoil(arrays[k])
    assert text in refusal(ConfigError, Simulator, network, engine)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda n: n.weights.W.pop(), "W has 3 slots: expected 4"),
        (lambda n: n.state.g.append(1), "g has 4 slots: expected 3"),
        (lambda n: setattr(n, "weights", n.weights._replace(W_gp=n.weights.W_gp[1])), "W_gp has 0 slots"),
        (lambda n: setattr(n, "weights", tuple(n.weights)), "expected a ghostnet.equations.Weights"),
        (lambda n: setattr(n, "state", None), "expected a ghostnet.equations.State"),
        (lambda n: setattr(n, "presentations", -1), "presentations = -1"),
        (lambda n: setattr(n, "presentations", 0.5), "presentations = 0.5"),
        (lambda n: setattr(n, "experiment", n.experiment.replace(batch=3)), "W_gp[1] has shape (1, 7, 30, 5)"),
        (lambda n: setattr(n, "experiment", n.experiment.replace(seeds=(1, 2))), "W[1] has shape (1, 30, 20)"),
    ],
)
def test_a_network_whose_parts_do_not_go_together_is_refused(change, text):
    network = running(experiment("MB", SIZES))
    change(network)
    assert text in refusal(ConfigError, Simulator, network, "reference")


ANYTHING = [
    None, "mb-500-tf", b"x", -1, 1.5, math.nan, 10**30, True, [], [1], {}, (), object(), np.zeros(3), np.array("x"),
    np.zeros((7, 9, 9)), np.array(None), np.datetime64("2020"), 1j, slice(None), len, {1}, range(3), np.int8(1),
    torch.zeros(3),
    np.ma.masked_array([1.0], [True]), experiment("MB", SIZES),
]  # fmt: skip


@pytest.mark.parametrize("value", ANYTHING, ids=lambda value: repr(value)[:20])
def test_whatever_is_given_in_the_place_of_something_else_is_taken_or_refused_in_one_line(value):
    e = experiment("MB", SIZES)
    network, (x, y), images = running(e), inputs(e), noise(e)
    tested = Simulator(network, "reference")
    calls = [
        lambda: build(value),
        lambda: tested.present(value, y),
        lambda: tested.run(x[None], value),
        lambda: tested.run_examples(images, value),
        lambda: tested.run_examples(value, np.zeros((1, 1, e.batch), int)),
        lambda: tested.evaluate(value),
        lambda: gradcheck(value, x, y),
        lambda: gradcheck(network, value, y),
        lambda: gradcheck(network, x, y, causes=False, dtype=value),
        lambda: train(e.replace(data="nowhere"), progress=False, record=value),
    ]
    calls += [
        lambda name=name: tested.record(x, y, **{name: value})
        for name in (
            "variables",
            "units",
            "every",
            "runs",
            "examples",
            "weights",
            "weights_at",
            "presentations",
            "from_epoch",
        )
    ]
    calls += [lambda name=name: Simulator(network, **{name: value}) for name in ("engine", "dtype", "threads")]
    calls += [lambda name=name: Simulator(network, "torch", **{name: value}) for name in ("device", "per_run")]
    calls += [lambda name=name: Simulator(spoiled(network, name, value), "reference") for name in vars(network)]
    for call in calls:
        try:
            call()
        except GhostnetError as error:
            assert len(str(error).splitlines()) == 1


def spoiled(network: Network, name: str, value) -> Network:
    """A network with something else for one of its attributes."""
    return Network(**(vars(network) | {name: value}))


@pytest.mark.parametrize("wrong", ["mb-500-tf", None, experiment("MB", SIZES)])
def test_what_is_no_network_is_refused(wrong):
    assert "expected what `ghostnet.build` gives" in refusal(ConfigError, Simulator, wrong, "reference")


def test_what_is_no_experiment_and_no_data_set_is_refused():
    assert "experiment is a str: expected an Experiment" in refusal(ConfigError, build, "mb-500-tf")
    tested = Simulator(build(experiment("MB", SIZES)), "reference")
    assert "data set is a str: expected what `ghostnet.data.load` gives" in refusal(
        ConfigError, tested.evaluate, "mnist"
    )


@pytest.mark.parametrize("engine", ["cpu", "torch", "reference"])
def test_weights_of_any_number_type_and_layout_are_the_same_weights(engine):
    e = experiment("MB", SIZES, feedback="FA")
    plain, odd = running(e), running(e)
    for network in (plain, odd):
        for array in of(network).values():
            array[...] = np.round(array, 1).astype(np.float32)
    w = odd.weights
    odd.weights = Weights(
        [None, *(a[::-1].copy()[::-1] for a in w.W[1:])], [None, *(a.astype(np.float32) for a in w.B[1:])],
        tuple(w.W_pg), [None, *(np.flip(np.flip(a, -1).copy(), -1) for a in w.W_gp[1:])],
    )  # fmt: skip
    ends = []
    for network in (plain, odd):
        tested = Simulator(network, engine, "float64")
        tested.run(*inputs(e, 2))
        ends.append(of(tested.network))
    assert same_bits(*ends)


@pytest.mark.parametrize("engine", ["cpu", "torch", "reference"])
def test_under_TF_the_weights_decide_whatever_stands_in_B(engine):
    """A baseline's network, or one whose W was replaced, holds a B that is not W^T."""
    e = experiment("MB", SIZES)
    tied, loose = running(e), running(e)
    tied.weights.W[2][...] += 0.1
    loose.weights.W[2] = loose.weights.W[2] + 0.1
    ends = []
    for network in (tied, loose):
        untouched = copy.deepcopy(of(network))
        tested = Simulator(network, engine, "float64")
        tested.run(*inputs(e, 2))
        ends.append(of(tested.network))
        assert same_bits(of(network), untouched)
    assert same_bits(*ends)
    x, y = examples(e)
    assert gradcheck(tied, x, y, causes=False).text() == gradcheck(loose, x, y, causes=False).text()


OPTIONS = [
    *(("cpu", {"threads": value}, f"threads = {value!r}: expected an integer from 1 to")
      for value in (0, -1, 1.5, 2.0, math.nan, math.inf, "2", True, 1 + 0j, [2], 10**9)),
    *(("equilibrium", {"max_sweeps": value}, f"max_sweeps = {value!r}: expected an integer from 1 to")
      for value in (0, -3, 2.5, math.nan, "8", True, 10**12)),
    *(("equilibrium", {"settle_tol": value}, f"settle_tol = {value!r}: expected a positive number")
      for value in (0.0, -1.0, math.nan, math.inf, "1e-3", True, 1j)),
    *(("torch", {"fast_matmul": value}, f"fast_matmul = {value!r}: expected True or False") for value in ("yes", 1)),
    *(("torch", {"per_run": value}, f"per_run = {value!r}: expected values by name") for value in ([0.1], "beta", 3)),
    ("torch", {"per_run": {"beta": ["0.1", "0.2"]}}, "per_run: beta holds <U3: expected numbers"),
    ("torch", {"per_run": {"beta": [0.1, 0.2j]}}, "per_run: beta holds complex128: expected numbers"),
    ("torch", {"per_run": {"eta": [[0.1, 0.2, 0.3], [0.1]]}}, "per_run: eta is no array"),
    ("torch", {"device": 0}, "unknown device 0"),
    ("torch", {"dtype": np.float32}, "unknown dtype"),
    ("cpu", {"dtype": 32}, "unknown dtype '32'"),
    (["cpu"], {}, "unknown engine ['cpu']"),
]  # fmt: skip


@pytest.mark.parametrize(("engine", "options", "text"), OPTIONS, ids=lambda value: str(value)[:40])
def test_options_of_the_wrong_type_or_size_are_refused_by_name(engine, options, text):
    assert text in refusal(ConfigError, Simulator, build(experiment("MB", SIZES, seeds=(0, 1))), engine, **options)


def test_numpys_numbers_and_types_are_as_good_as_pythons():
    network = build(experiment("MB", SIZES))
    tested = Simulator(network, "equilibrium", np.dtype("float64"), np.int64(2), max_sweeps=np.int32(5), settle_tol=1)
    assert tested.settings["dtype"] == "float64" and tested.dtype == np.float64
    tested.run(*inputs(tested.experiment, 1))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        *(({"gradcheck_every": value}, f"gradcheck_every = {value!r}: expected an integer from 0 to")
          for value in (-1, 0.5, math.nan, "1", ["x"], True, 10**30)),
        *(({"gradcheck_examples": value}, f"gradcheck_examples = {value!r}: expected an integer from 1 to")
          for value in (0, 1.5, "50", math.inf)),
    ],
)  # fmt: skip
def test_options_of_a_training_are_refused_before_its_directory_is_made(task, tmp_path, options, text):
    e = experiment("MB", (16, 12, 4), data=task, train_examples=80)
    assert text in refusal(ConfigError, train, e, tmp_path / "run", progress=False, **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        *(({"every": value}, f"every = {value!r}: expected an integer from 1 to") for value in (0, 1.5, "2", True)),
        *(({"from_epoch": value}, f"from_epoch = {value!r}: expected an integer") for value in (0, 1.5, "2", 10**30)),
        ({"weights": ("W",), "weights_at": (1.5,)}, "weights_at = 1.5: expected an integer from 1 to"),
        ({"weights": ("W",), "weights_at": (21,)}, "weights_at = 21: expected an integer from 1 to 20"),
        ({"runs": [0.5]}, "runs = [0.5]: expected different places from 0 to 0"),
        ({"runs": [True, False]}, "runs = [True, False]: expected different places"),
        ({"examples": ["3"]}, "examples holds <U1: expected numbers"),
        ({"examples": "3"}, "examples holds <U1: expected numbers"),
        ({"units": [10**30]}, "units of unit_1 holds object"),
        ({"presentations": slice(0, 2.5)}, "presentations = slice(0, 2.5, None): stop = 2.5: expected an integer"),
        ({"presentations": slice("a", None)}, "start = 'a': expected an integer from 0 to"),
        ({"presentations": 3}, "presentations = 3: expected a slice"),
        ({"units": slice(0, 2.5)}, "units of unit_1 = slice(0, 2.5, None): expected different places"),
        ({"runs": slice("a")}, "runs = slice(None, 'a', None): expected different places"),
        ({"variables": 5}, "variables = 5: expected names"),
        ({"weights": None}, "weights = None: expected names"),
        ({"weights": ("W",), "weights_at": 5}, "weights_at = 5: expected steps, such as (1, 20)"),
    ],
)  # fmt: skip
def test_numbers_of_a_recorder_are_whole_and_in_range(declared, text):
    e = experiment("MB", SIZES)
    assert text in refusal(ConfigError, lambda: Recorder(**declared).select(e))


def test_places_and_steps_may_be_arrays():
    e = experiment("MB", SIZES)
    tested = Simulator(running(e), "reference")
    declared = dict(examples=np.array([2, 5]), units=np.arange(3), weights={"W_1"}, weights_at=np.array([3, 20]))
    trace = tested.record(*inputs(e), **declared)
    assert trace.example.to_numpy().tolist() == [2, 5] and trace.W_1.shape == (2, 1, 3, 20)


@pytest.mark.parametrize("engine", ["cpu", "torch"])
@pytest.mark.parametrize(
    "change",
    [
        lambda d: {"train_images": d.train_images / 255},
        lambda d: {"test_images": d.test_images.reshape(-1, 4, 5)},
        lambda d: {"train_labels": d.train_labels.astype(float)},
        lambda d: {"train_labels": d.train_labels[:-1]},
        lambda d: {"test_labels": np.eye(6)[d.test_labels]},
    ],
)
def test_what_is_no_data_set_of_pixels_and_labels_is_refused_by_every_engine(engine, change):
    e = experiment("MB", SIZES)
    tested, images = Simulator(build(e), engine), noise(e)
    wrong = dataclasses.replace(images, **change(images))
    order = np.zeros((1, 1, e.batch), int)
    assert "noise: " in refused(tested, tested.run_examples, wrong, order)
    assert "expected uint8 (examples, pixels)" in refused(tested, tested.evaluate, wrong)
