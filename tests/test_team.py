"""Several threads that step one network: the same bits as one, and no thread that waits for one that will not come."""

from __future__ import annotations

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from builders import experiment, inputs, named, of, running, same_bits

from ghostnet import Simulator, preset
from ghostnet.engines import create
from ghostnet.engines.cpu import engine as cpu
from ghostnet.engines.cpu import kernels, shares
from ghostnet.model.models import MODELS, Model

SIZES = (20, 37, 25, 10)
WIDE = (20, 300, 10)  # one hidden layer, in two panels
MB = MODELS["MB"]
SHARING = Model(MB.phases, (dataclasses.replace(MB.rule("W_gp"), per_example=False), MB.rule("W")))  # its examples


@pytest.fixture(autouse=True)
def small_networks_too(monkeypatch):
    monkeypatch.setattr(cpu, "GRAIN", 1)


def assert_same_results(e, threads, members):
    x, y = inputs(e, 3, lit=0.6)
    alone, together = (Simulator(running(e), threads=n) for n in (1, threads))
    assert together._engine._members == members
    for tested in (alone, together):
        tested.run(x[:1], y[:1])
        tested.run(x[1:], y[1:])
    assert same_bits(of(alone.network), of(together.network))


@pytest.mark.parametrize("threads", [2, 3, 7])
@pytest.mark.parametrize(
    ("model", "changes"),
    [*((model, {}) for model in MODELS), ("MA-prime", {"clip": 0.05}), ("MA", {"decay": (0.1, 0.2, 0.3)})],
    ids=[*MODELS, "clipped", "decaying"],
)
def test_results_do_not_depend_on_how_many_threads_step_a_network(model, changes, threads):
    assert_same_results(experiment(model, SIZES, **changes), threads, threads)


@pytest.mark.parametrize(
    ("units", "threads", "members"),
    [(300, 2, 2), (300, 7, 6), (600, 2, 2), (600, 3, 3), (600, 7, 4)],
    ids=["one each", "three each", "two each", "one or two each", "less than offered"],
)
@pytest.mark.parametrize(
    ("model", "changes"),
    [("MA", {}), ("MA-prime", {"clip": 0.02}), (SHARING, {"nudges": (1.0, -0.5)})],
    ids=["MA", "clipped", "learning once"],
)
def test_results_do_not_depend_on_how_many_threads_share_panels(model, changes, units, threads, members):
    assert_same_results(experiment(model, (20, units, 10), **changes), threads, members)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize(
    ("model", "units", "panels", "changes"),
    [
        ("MB", 450, 2, {}),
        ("MB", 450, 2, {"feedback": "FA", "ghosts": (3,)}),
        ("MA-prime", 450, 2, {}),
        ("MB", 800, 4, {}),
    ],
    ids=["in one sweep", "in several", "in every phase", "with one or two each"],
)
def test_results_do_not_depend_on_how_many_threads_have_a_wide_layer(
    model, units, panels, changes, threads, monkeypatch
):
    monkeypatch.setattr(shares, "WIDE", 200)
    assert_same_results(experiment(model, (20, units, 10), batch=1, **changes), threads, min(threads, panels))


@pytest.mark.parametrize("sizes", [SIZES, WIDE])
@pytest.mark.parametrize("model", ["MA", "MB"])
def test_a_team_records_what_one_thread_records(model, sizes):
    e = experiment(model, sizes)
    x, y = inputs(e)
    what = ("s", "r", "e", "g", "drive")
    alone, together = (Simulator(running(e), threads=n).record(x, y, what, every=3) for n in (1, 4))
    assert alone.identical(together)


@pytest.mark.parametrize("units", [slice(None), slice(100, 160), slice(3, 300, 50)])
@pytest.mark.parametrize(("model", "batch"), [("MA", 7), ("MB", 1)])
def test_panels_are_recorded_as_the_reference_records_the_layer(model, batch, units, monkeypatch):
    monkeypatch.setattr(shares, "WIDE", 100)
    e = experiment(model, WIDE, batch=batch)
    x, y = inputs(e)
    tested, reference = (Simulator(running(e), engine=engine, dtype="float64") for engine in ("cpu", "reference"))
    found, expected = (
        simulator.record(x, y, ("s", "r", "e", "drive"), units={"unit_1": units}) for simulator in (tested, reference)
    )
    for name in expected.data_vars:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sizes", [SIZES, WIDE])
def test_a_team_goes_through_a_presentation_in_pieces(sizes):
    e = experiment("MA", sizes)
    x, y = (a[None] for a in inputs(e))
    alone, together = (create("cpu", running(e), "float32", threads) for threads in (1, 2))
    for tested in (alone, together):
        tested.begin(x, y)
        tested.advance(0, 5)
        tested.export()  # changes nothing
        tested.advance(1, 4)
        tested.finish()
    assert same_bits(named(alone.export()), named(together.export()))


def test_each_run_of_an_ensemble_gets_its_share_of_the_threads():
    e = experiment("MA", SIZES, batch=7)
    for runs, each in {1: [1, 2, 7, 7], 2: [1, 1, 3, 7], 3: [1, 1, 2, 5]}.items():  # not more than examples
        assert [cpu.members(e.replace(seeds=range(runs)), threads) for threads in (1, 2, 7, 16)] == each


def test_small_networks_have_one_thread(monkeypatch):
    monkeypatch.undo()
    threads = {name: cpu.members(preset(name), 16) for name in ("mb-500-tf", "ma-100-tf", "ma-500-500-tf")}
    assert threads == {"mb-500-tf": 1, "ma-100-tf": 1, "ma-500-500-tf": 16}
    wide = {units: cpu.members(preset("mb-500-tf", sizes=(784, units, 10)), 16) for units in (1900, 2000, 3900, 4000)}
    assert wide == {1900: 1, 2000: 2, 3900: 2, 4000: 4}


def team_of_two():
    e = experiment("MA", SIZES)
    tested = create("cpu", running(e), "float32", 2)
    x, y = inputs(e, 1, 1)
    assert tested.present(x, y) is None
    return tested, x, y


def test_a_thread_that_fails_ends_its_team_and_leaves_the_network_as_it_was(monkeypatch):
    tested, x, y = team_of_two()
    before, present = named(tested.export()), kernels.present

    def failing(memory, table, settings, *more):
        if settings.team.member == 1:
            raise MemoryError("no more")
        return present(memory, table, settings, *more)

    tested._compiled[failing] = failing
    with monkeypatch.context() as patched, pytest.raises(MemoryError, match="no more"):
        patched.setattr(kernels, "present", failing)
        tested.present(x, y)
    assert same_bits(named(tested.export()), before)
    assert tested.present(x, y) is None and not same_bits(named(tested.export()), before)


def test_a_thread_that_does_not_begin_ends_its_team_and_leaves_the_network_as_it_was():
    class OneThread(ThreadPoolExecutor):
        left = 1

        def submit(self, *arguments):
            if not self.left:
                raise RuntimeError("can't start new thread")
            self.left -= 1
            return super().submit(*arguments)

    tested, x, y = team_of_two()
    before = named(tested.export())
    tested._pool = os.getpid(), OneThread(2)
    with pytest.raises(RuntimeError, match="new thread"):
        tested.present(x, y)
    tested._pool = 0, None
    assert same_bits(named(tested.export()), before)
    assert tested.present(x, y) is None


def test_two_teams_at_once_on_fewer_cpus_than_threads_come_to_their_ends():
    e = experiment("MA", SIZES, seeds=(0, 1))
    x, y = inputs(e, 2)
    many, one = (Simulator(running(e), threads=n) for n in (14, 1))
    assert many._engine._members == 7
    for tested in (many, one):
        tested.run(x, y)
    assert all(np.array_equal(a, b) for a, b in zip(of(many.network).values(), of(one.network).values(), strict=True))
