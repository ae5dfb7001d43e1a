"""What can't fit into memory is refused before anything is allocated or made; extreme settings end in one line."""

from __future__ import annotations

import resource
import tracemalloc

import numpy as np
import pytest
from builders import command, experiment, inputs, named, noise, of, refusal, running, simulator, tiny

import ghostnet as gn
from ghostnet import ConfigError, DivergenceError, Recorder, Simulator, build, train
from ghostnet.engines import ENGINES
from ghostnet.host import memory
from ghostnet.model.models import MODELS
from ghostnet.model.network import shapes

SIZES = (20, 30, 25, 6)
GIANTS = [
    {"sizes": (20, 10**9, 6), "ghosts": (5,)},
    {"sizes": (20, 30, 6), "ghosts": (10**9,)},
    {"sizes": (20, 30, 6), "ghosts": (5,), "batch": 10**9, "train_examples": 10**9},
    {"sizes": (20, 10**6, 10**6, 6), "ghosts": (5, 5)},
]


@pytest.fixture
def eight_gigabytes(monkeypatch) -> None:
    """Whatever this machine has."""
    monkeypatch.setattr(memory, "available", lambda: 8 * 10**9)


@pytest.mark.parametrize("changes", GIANTS, ids=str)
def test_a_network_larger_than_the_machine_is_refused_before_anything_is_allocated(changes, eight_gigabytes):
    hidden = len(changes["sizes"]) - 2
    e = experiment("MB", (20, 30, 6)).replace(eta=(1.0,) * (hidden + 1), eta_ghost=(1.0,) * hidden, **changes)
    tracemalloc.start()
    try:
        text = refusal(ConfigError, build, e)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert f"sizes = {e.sizes}" in text and "GB of memory" in text and "take fewer units" in text


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("feedback", ["TF", "FA"])
def test_what_is_reckoned_with_are_the_shapes_that_networks_have(model, feedback):
    e = experiment(model, SIZES, feedback=feedback, seeds=(0, 1))
    assert {name: array.shape for name, array in of(build(e)).items()} == named(shapes(e))


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_that_does_not_fit_beside_its_network_is_refused(engine, monkeypatch):
    e = experiment("MB", SIZES)
    numbers = sum(array.size for array in of(build(e)).values())
    simulator(build(e), engine)
    monkeypatch.setattr(memory, "available", lambda: 16 * numbers)
    text = refusal(ConfigError, Simulator, build(e), engine)
    assert f"there are {16 * numbers / 1e9:.3g}" in text


def test_scores_that_take_more_memory_than_there_is_are_refused(monkeypatch):
    e = experiment("MB", SIZES)
    tested = Simulator(build(e), "reference")
    monkeypatch.setattr(memory, "available", lambda: 1000)
    assert "scores, 1 blocks at once: needs" in refusal(ConfigError, tested.evaluate, noise(e))


def test_memory_that_is_not_had_after_all_is_the_same_refusal(monkeypatch):
    def full(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(np, "stack", full)
    assert "GB of memory" in refusal(ConfigError, build, experiment("MB", SIZES))


def test_a_record_that_does_not_fit_is_refused_before_it_is_begun(tmp_path, eight_gigabytes):
    tested = Simulator(running(experiment("MB", SIZES, free_steps=10**9)), "reference")
    text = refusal(ConfigError, tested.record, *inputs(tested.experiment))
    assert "every = 1" in text and "GB of memory" in text
    with pytest.raises(ConfigError, match="GB of memory"), tested.recording(Recorder(), tmp_path / "t.h5"):
        pass
    assert tested.presentations == 0 and list(tmp_path.iterdir()) == []


def test_no_directory_is_made_for_a_training_that_can_not_be(task, tmp_path, eight_gigabytes):
    text = refusal(ConfigError, train, tiny(task, sizes=(16, 10**9, 4)), tmp_path / "run")
    assert "GB of memory" in text and not (tmp_path / "run").exists()


BIG = ("--sizes", 784, 10**9, 10)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("train", "mb-100-tf", *BIG), "GB of memory"),
        (("train", "mb-100-tf", "--sizes", 784, 10**10, 10), "sizes = 10000000000: expected at most 1000000000"),
        (("train", "mb-100-tf", "--sizes", 784, 2**63, 10), "expected at most"),
        (("train", "mb-100-tf", "--free-steps", "9" * 20), "free_steps = 99999999999999999999: expected at most"),
        (("train", "mb-100-tf", "--init", "1e308"), "init = 1e+308: expected a number from"),
        (("train", "mb-100-tf", "--threads", "9" * 20), "threads = 99999999999999999999: expected an integer"),
        (("train", "mb-100-tf", "--engine", "equilibrium", "--max-sweeps", "9" * 20), "max_sweeps = "),
        (("train", "mb-100-tf", "--gradcheck-every", "9" * 20), "gradcheck_every = "),
        (("gradcheck", "mb-100-tf", "--beta", "1e308"), "beta = 1e+308: expected a number from"),
    ],
)
def test_a_command_that_asks_too_much_is_one_line_and_makes_nothing(capsys, tmp_path, eight_gigabytes, arguments, text):
    out = ("--out", tmp_path / "run") if arguments[0] == "train" else ()
    code, _, err = command(capsys, *arguments, *out)
    assert code == 2 and text in err and len(err.splitlines()) == 1 and list(tmp_path.iterdir()) == []


def test_what_there_is_is_what_the_machine_its_group_and_the_process_allow(monkeypatch, tmp_path):
    assert 0 < memory.available() < 1 << 50
    monkeypatch.setattr(resource, "getrlimit", lambda which: (3 << 30, 3 << 30))
    assert memory.available() < 3 << 30
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1 << 20, 1 << 20))
    assert memory.available() == 0


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": "5000000", "memory.max": "max"}, 5_000_000),
        ("0::/a/b", {"a/b/memory.max": "4000000", "a/memory.max": "5000000"}, 4_000_000),
        ("0::/", {"memory.max": "7000000"}, 7_000_000),
        ("4:memory:/job/7\n0::/", {"memory/job/memory.limit_in_bytes": "6000000"}, 6_000_000),
        (
            "4:cpu,cpuacct:/job\n5:memory:/",
            {"memory/memory.limit_in_bytes": "9223372036854771712"},
            9223372036854771712,
        ),
        ("0::/a", {}, float("inf")),
        (None, {}, float("inf")),
    ],
)
def test_a_limit_of_any_control_group_above_counts(monkeypatch, tmp_path, own, files, limit):
    if own is not None:
        (tmp_path / "cgroup").write_text(own + "\n")
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text + "\n")
    monkeypatch.setattr(memory, "_GROUPS", (tmp_path / "cgroup", tmp_path / "groups"))
    assert memory._control_group() == limit
    assert memory.available() <= limit


EXTREMES = [
    {"init": 1e15}, {"init": 1e-15}, {"beta": 1e15}, {"beta": 1e-15}, {"eta": (1e15,) * 3}, {"eta": (1e-150, 0.0, 1.0)},
    {"eta_ghost": (1e15,) * 2}, {"tau": 1e15, "dt": 1e15}, {"tau": 1e-15, "dt": 1e-15}, {"dt": 1e-8},
    {"init": 1e15, "beta": 1e15, "eta": (1e15,) * 3, "eta_ghost": (1e15,) * 2},
    {"tau": 1e15, "dt": 1e15, "eta": (1e15,) * 3, "eta_ghost": (1e15,) * 2},
]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("changes", EXTREMES, ids=str)
def test_extreme_settings_end_in_finite_numbers_or_in_one_line(engine, model, changes):
    compiled = engine in ("cpu", "equilibrium")  # for seconds, for every transfer function
    e = experiment(model, SIZES, transfer="sigmoid" if compiled else "tanh").replace(**changes)
    tested = simulator(running(e), engine, None)
    try:
        tested.run(*inputs(e, 3))
    except DivergenceError as error:
        assert len(str(error).splitlines()) == 1
    assert all(np.isfinite(array).all() for array in of(tested.network).values())


def test_a_baseline_that_cannot_fit_is_refused_before_anything_is_made(tmp_path):
    e = gn.baselines.mlp((784, 10**9, 10), epochs=1)
    text = refusal(ConfigError, gn.baselines.train, "BP", e, tmp_path / "run", learning_rate=1.0, progress=False)
    assert "sizes = (784, 1000000000, 10)" in text and not (tmp_path / "run").exists()
