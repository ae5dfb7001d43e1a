"""A data set by its indices is its images and targets, wherever the engine keeps it; so are its scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import TYPED_ENGINES, experiment, named, noise, of, refusal, running, same_bits, simulator

from ghostnet import ConfigError, DivergenceError, Recorder, Simulator, build, data, open_trace
from ghostnet.engines import create, tensors
from ghostnet.engines.evaluation import evaluate
from ghostnet.model.experiment import TRANSFERS
from ghostnet.model.models import MODELS

SIZES = (20, 30, 25, 6)

each_model = pytest.mark.parametrize("model", MODELS)
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")


def drawn(e, presentations):
    """Indices (presentations, runs, batch) of examples."""
    draw = np.random.default_rng(1)
    return draw.integers(e.train_examples, size=(presentations, len(e.seeds), e.batch))


def arrays(e, dataset, order, dtype):
    images, labels = dataset.part("train")
    return data.scale(images[order], dtype), data.one_hot(labels[order], e.sizes[-1], dtype)


@pytest.mark.parametrize(("engine", "dtype"), TYPED_ENGINES)
@each_model
def test_examples_are_their_images_and_targets_to_the_last_bit(engine, dtype, model):
    e = experiment(model, SIZES, seeds=(0, 4))
    dataset, order = noise(e), drawn(e, 7)
    by_index, by_array = (simulator(running(e), engine, dtype) for _ in range(2))
    by_index.run_examples(dataset, order[:3])
    by_index.run_examples(dataset, order[3:])
    by_array.run(*arrays(e, dataset, order, dtype))
    assert same_bits(of(by_index.network), of(by_array.network))
    assert by_index.presentations == by_array.presentations == 7


@pytest.mark.parametrize(("engine", "dtype"), [("cpu", "float32"), ("torch", "float64")])
def test_where_examples_diverge_the_network_is_left_as_it_was_before(engine, dtype):
    e = experiment("MB", SIZES, seeds=(0, 4), eta_ghost=(600.0, 600.0))
    network = running(e)
    dataset, order = noise(e), drawn(e, 40)
    tested, until = (Simulator(network, engine, dtype) for _ in range(2))
    text = refusal(DivergenceError, tested.run_examples, dataset, order)
    assert 0 < tested.presentations < 40 and f"presentation {tested.presentations}" in text
    until.run_examples(dataset, order[: tested.presentations])
    assert same_bits(of(tested.network), of(until.network))


def test_more_presentations_than_an_epoch_has_are_shown_one_epoch_at_a_time():
    e = experiment("MA", SIZES, train_examples=14)
    dataset, order = noise(e), drawn(e, 5)
    engine, by_array = create("torch", running(e), "float64", 1), Simulator(running(e), "torch", "float64")
    assert engine.present_examples(dataset, order) is None and engine.examples.capacity == 2
    by_array.run(*arrays(e, dataset, order, "float64"))
    assert same_bits(named(engine.export()), of(by_array.network))


def test_another_data_set_takes_the_place_of_the_one_before():
    e = experiment("MA", SIZES)
    order, sets = drawn(e, 2), [noise(e), noise(e, seed=1)]
    by_index, by_array = (Simulator(running(e), "torch", "float64") for _ in range(2))
    for dataset in (*sets, sets[0]):
        by_index.run_examples(dataset, order)
        by_array.run(*arrays(e, dataset, order, "float64"))
    assert same_bits(of(by_index.network), of(by_array.network))


@pytest.mark.parametrize("engine", ["cpu", "torch"])
def test_examples_are_recorded_like_arrays(engine, tmp_path):
    e = experiment("MB", SIZES, seeds=(0, 4))
    dataset, order = noise(e), drawn(e, 3)
    recorded, plain = (Simulator(running(e), engine, "float64") for _ in range(2))
    with recorded.recording(Recorder(("s_1",)), tmp_path / "t.h5"):
        recorded.run_examples(dataset, order)
    plain.run_examples(dataset, order)
    assert same_bits(of(recorded.network), of(plain.network))
    assert open_trace(tmp_path / "t.h5").sizes["time"] == 3 * (e.free_steps + e.clamped_steps)


@pytest.mark.parametrize("engine", ["cpu", "torch"])
@pytest.mark.parametrize(
    ("order", "text"),
    [
        (np.zeros((3, 2, 6), int), "order has shape (3, 2, 6): expected (presentations, 2, 7)"),
        (np.zeros((2, 7), int), "order has shape (2, 7)"),
        (np.full((1, 2, 7), 120), "order: expected indices from 0 to 119: noise has 120 examples"),
        (np.full((1, 2, 7), -1), "order: expected indices from 0 to 119"),
        (np.zeros((1, 2, 7)), "order: expected indices from 0 to 119"),
    ],
)
def test_an_order_that_does_not_fit_is_refused_before_anything_is_shown(engine, order, text):
    e = experiment("MB", SIZES, seeds=(0, 1))
    tested = Simulator(build(e), engine)
    before = of(tested.network)
    assert text in refusal(ConfigError, tested.run_examples, noise(e), order)
    assert tested.presentations == 0 and same_bits(of(tested.network), before)


@pytest.mark.parametrize("engine", ["cpu", "torch"])
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"sizes": (21, *SIZES[1:])}, "noise needs 20 inputs"),
        ({"sizes": (*SIZES[:-1], 7)}, "noise needs 6 outputs"),
        ({"train_examples": 121}, "train_examples = 121: noise has 120; None takes all"),
    ],
)
def test_a_data_set_that_does_not_fit_is_refused(engine, changes, text):
    e = experiment("MB", SIZES)
    tested = Simulator(build(e.replace(**changes)), engine)
    for call, rest in ((tested.run_examples, [drawn(e, 1)]), (tested.evaluate, [])):
        assert text in refusal(ConfigError, call, noise(e), *rest)


@pytest.mark.parametrize("transfer", TRANSFERS)
@pytest.mark.parametrize("sizes", [(20, 37, 10), SIZES], ids=["1 hidden", "2 hidden"])
@each_model
def test_scores_on_the_device_are_those_of_the_feedforward_graph(model, sizes, transfer):
    e = experiment(model, sizes, transfer=transfer, seeds=(0, 1, 2))
    dataset, network = noise(e, train=1100, test=2050), running(e)
    found = Simulator(network, "torch", "float64").evaluate(dataset)
    images, labels = dataset.part("train")
    parts = {"train": (images[: e.train_examples], labels[: e.train_examples]), "test": dataset.part("test")}
    for name, part in parts.items():
        expected = evaluate(network.weights, *part, transfer, "float64", 1)
        np.testing.assert_allclose(found[name].accuracy, expected.accuracy, atol=1 / len(part[1]))  # a tie may be cut
        assert len(set(expected.mse)) == 3
        np.testing.assert_allclose(found[name].mse, expected.mse, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pixels_and_labels_are_scaled_and_encoded_to_the_same_bits_on_a_device(dtype):
    pixels, labels = np.arange(256, dtype=np.uint8).reshape(2, 128), np.array([[3, 0], [1, 3]])
    for tensor, array in (
        (tensors.scale(torch.tensor(pixels), getattr(torch, dtype)), data.scale(pixels, dtype)),
        (tensors.one_hot(torch.tensor(labels), 4, getattr(torch, dtype)), data.one_hot(labels, 4, dtype)),
    ):
        assert tensor.numpy().dtype == array.dtype and np.array_equal(tensor.numpy(), array)


@on_a_gpu
@each_model
def test_a_gpu_shows_and_scores_what_the_cpu_does(model):
    e = experiment(model, SIZES, seeds=(0, 1))
    dataset, order = noise(e), drawn(e, 6)
    gpu, cpu = (Simulator(running(e), "torch", "float64", device=device) for device in ("cuda", "cpu"))
    gpu.run(*arrays(e, dataset, order[:2], "float64"))  # a graph of its own
    gpu.run_examples(dataset, order[2:4])
    gpu.run_examples(dataset, order[4:])
    cpu.run_examples(dataset, order)
    a, b = of(gpu.network), of(cpu.network)
    assert all(np.allclose(a[name], b[name], rtol=1e-10, atol=1e-12) for name in b)
    for name, score in cpu.evaluate(dataset).items():
        assert np.array_equal(gpu.evaluate(dataset)[name].accuracy, score.accuracy)
