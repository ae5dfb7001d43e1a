"""A simulator in a forked process, and in the hands of several threads."""

from __future__ import annotations

import copy
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from builders import experiment, inputs, noise, of, running, same_bits, two_runs
from threadpoolctl import threadpool_info

from ghostnet import build
from ghostnet.engines import ENGINES, create
from ghostnet.engines.evaluation import evaluate

SIZES = (20, 30, 6)
each_engine = pytest.mark.parametrize("engine", ENGINES)
may_fork = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")


def in_a_fork(work) -> object:
    """What `work` returns in a forked child; the test fails where that hangs."""
    here, there = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=lambda: there.send(work()))
    child.start()
    try:
        assert here.poll(20), "the child hangs"
        return here.recv()
    finally:
        child.kill()
        child.join()


@may_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@each_engine
def test_an_engine_that_has_run_runs_in_a_forked_child_too(engine):
    tested = two_runs(engine)
    x, y = inputs(tested.experiment, 4)
    dataset = noise(tested.experiment)
    tested.run(x[:2], y[:2])
    tested.evaluate(dataset)

    def work():
        tested.run(x[2:], y[2:])
        return of(tested.network), tested.evaluate(dataset)

    found, scores = in_a_fork(work)
    assert tested.presentations == 2
    expected, expected_scores = work()
    assert same_bits(found, expected)
    for part, expected_score in expected_scores.items():
        assert np.array_equal(scores[part].accuracy, expected_score.accuracy)
        assert np.array_equal(scores[part].mse, expected_score.mse)


@may_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_torch_works_in_a_forked_child_whose_parent_had_it_work_on_several_threads():
    """OpenMP's threads are not there in the child: whatever would be divided among them hangs."""
    tested = two_runs("torch", (20, 1200, 6), free_steps=2, clamped_steps=2)
    x, y = inputs(tested.experiment)
    before, big = torch.get_num_threads(), torch.zeros(1 << 20)
    torch.set_num_threads(2)
    try:
        torch.sigmoid(big)

        def work():
            tested.record(x, y, ("s_2",), learn=False)
            tested.present(x, y)
            return tested.evaluate(noise(tested.experiment))["train"].mse, of(copy.deepcopy(tested).network)

        mse, network = in_a_fork(work)
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(mse, work()[0]) and same_bits(network, of(tested.network))


@may_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("engine", ["reference", "torch"])
def test_what_another_thread_is_in_the_midst_of_at_a_fork_does_not_block_the_child(engine, monkeypatch):
    """The thread that would let go of a lock does not exist in the child."""
    tested = two_runs(engine)
    x, y = inputs(tested.experiment)
    dataset, inside, done = noise(tested.experiment), threading.Event(), threading.Event()
    kept = type(tested._engine).export

    def slow(self):
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            assert done.wait(20)
        return kept(self)

    monkeypatch.setattr(type(tested._engine), "export", slow)
    thread = threading.Thread(target=lambda: tested.network)
    thread.start()
    assert inside.wait(20)

    def work():
        tested.present(x, y)
        return tested.presentations, list(tested.evaluate(dataset))

    try:
        assert in_a_fork(work) == (1, ["train", "test"])
    finally:
        done.set()
        thread.join()


def at_once(*works) -> list:
    """What these return, each called in a thread of its own, all let go together."""
    barrier = threading.Barrier(len(works))

    def call(work):
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [done.result() for done in [pool.submit(call, work) for work in works]]


@each_engine
def test_calls_from_several_threads_take_turns(engine):
    """Both threads show the same, so that the end does not depend on whose turn comes first."""
    tested, expected = (two_runs(engine, (20, 60, 6), batch=2) for _ in range(2))
    e, several = tested.experiment, 12
    x, y = inputs(e, several)
    x[:], y[:] = x[:1], y[:1]
    states = [of(expected.network)]
    for _ in range(2 * several):
        expected.present(x[0], y[0])
        states.append(of(expected.network))

    def singly():
        for one_x, one_y in zip(x, y, strict=True):
            tested.present(one_x, one_y)

    _, _, seen = at_once(singly, lambda: tested.run(x, y), lambda: [tested.network for _ in range(20)])
    assert tested.presentations == 2 * several and same_bits(of(tested.network), states[-1])
    assert all(same_bits(of(network), states[network.presentations]) for network in seen)


def test_what_is_recorded_in_one_thread_holds_nothing_of_another():
    tested = two_runs("cpu")
    x, y = inputs(tested.experiment)
    alone = two_runs("cpu").record(x, y, learn=False)

    def record():
        return [tested.record(x, y, learn=False) for _ in range(10)]

    first, second = at_once(record, record)
    assert all(trace.s_1.identical(alone.s_1) for trace in first + second)
    assert tested.presentations == 0


def test_a_call_that_fails_has_ended_in_every_run_before_it_returns():
    """A run still being stepped would meet the next call's steps in the same memory."""
    engine, ended = create("cpu", running(experiment("MB", SIZES, seeds=(0, 1))), "float64", 2), threading.Event()

    def kernel(memory, table, settings, run, *lit):
        if run == 0:
            raise KeyboardInterrupt
        threading.Event().wait(0.1)
        ended.set()

    engine._compiled[kernel] = kernel
    with pytest.raises(KeyboardInterrupt):
        engine._each(kernel, lambda run: run)
    assert ended.is_set()


def in_turns(work) -> None:
    """work(place, entered, leave) in two threads: the second enters when the first has, and leaves after it.

    Unless the second is kept from entering: then the first leaves after a while.
    """
    first_in, second_in, first_done = (threading.Event() for _ in range(3))

    def first():
        work(0, first_in, second_in)
        first_done.set()

    def second():
        first_in.wait()
        work(1, second_in, first_done)

    at_once(first, second)


def test_torchs_settings_are_as_they_were_after_two_simulators_at_once():
    e, settings = experiment("MB", SIZES), torch.backends.cuda.matmul
    engines = [create("torch", running(e), "float32", 1, fast_matmul=fast) for fast in (True, False)]
    before, seen = settings.fp32_precision, {}

    def work(place, entered, leave):
        with engines[place]._settings():
            entered.set()
            leave.wait(0.2)
            seen[place] = settings.fp32_precision

    try:
        in_turns(work)
        assert seen == {0: "tf32", 1: "ieee"} and settings.fp32_precision == before
    finally:
        settings.fp32_precision = before


class Slow:
    """Images that are looked at in no hurry."""

    def __init__(self, images: np.ndarray, look):
        self.images, self.look = images, look

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, some: slice) -> np.ndarray:
        self.look()
        return self.images[some]


def test_blas_has_one_thread_in_each_of_two_evaluations_at_once():
    e, seen = experiment("MB", SIZES), {}
    weights, (images, labels) = build(e).weights, noise(e).part("train")

    def work(place, entered, leave):
        def look():
            entered.set()
            leave.wait(0.2)
            seen[place] = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

        evaluate(weights, Slow(images, look), labels, e.transfer, "float64", 1)

    in_turns(work)
    assert seen == {0: {1}, 1: {1}}
