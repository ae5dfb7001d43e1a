"""Options of engines, trainings and recorders: of the wrong type or size, they are refused by name, in one line."""

from __future__ import annotations

import math

import numpy as np
import pytest
from builders import experiment, inputs, refusal, running

from ghostnet import ConfigError, Recorder, Simulator, build, train

SIZES = (20, 30, 25, 6)


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
