"""What can be chosen of a record: phases, norms of weights, examples by class or by the network's mistakes."""

from __future__ import annotations

import numpy as np
import pytest
from builders import command, experiment, inputs, of, refusal, running, same_bits, tiny

from ghostnet import ConfigError, Recorder, Simulator, build, data, open_trace, preset
from ghostnet.traces import choosing

SIZES = (20, 30, 25, 6)


@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize(("phases", "rows"), [(("free",), slice(0, 3)), (("clamped-",), slice(5, 7))])
def test_rows_of_one_phase_are_those_of_the_whole_record_and_the_network_is_not_touched(engine, phases, rows):
    e = experiment("MB", SIZES, seeds=(0, 4), nudges=(1.0, -1.0))
    x, y = inputs(e)
    whole, part = (Simulator(running(e), engine) for _ in range(2))
    everything = whole.record(x, y, ("s", "e"), every=5)
    some = part.record(x, y, ("s", "e"), every=5, phases=phases)
    assert some.drop_attrs().equals(everything.isel(time=rows).drop_attrs())
    assert same_bits(of(whole.network), of(part.network))
    assert "unknown phase 'clamped'" in refusal(ConfigError, whole.record, x, y, phases=("clamped",))


@pytest.mark.parametrize("model", ["MA", "MB"])
def test_norms_are_those_of_the_matrices(model):
    e = experiment(model, SIZES, seeds=(0, 4))
    names = ("W_2", "B_1", "W_pg_1", "W_gp_2")
    norms = tuple(f"norm_{name}" for name in names)
    trace = Simulator(running(e)).record(*inputs(e), weights=(*names, *norms), weights_at=(3, 20))
    for name in names:
        expected = np.linalg.norm(trace[name], axis=(-2, -1))
        assert trace[f"norm_{name}"].dims == trace[name].dims[:-2] and np.allclose(trace[f"norm_{name}"], expected)


def test_files_hold_the_same_compressed_or_not(tmp_path):
    e = experiment("MB", SIZES, seeds=(0, 4))
    xs, ys = inputs(e, 40)
    for compress in (True, False):
        simulator = Simulator(running(e))
        with simulator.recording(Recorder(compress=compress), tmp_path / f"{compress}.h5"):
            simulator.run(xs, ys)
    small, large = ((tmp_path / f"{compress}.h5") for compress in (True, False))
    assert open_trace(small).drop_attrs().equals(open_trace(large).drop_attrs())
    assert open_trace(small).sizes["time"] == 800 and small.stat().st_size < large.stat().st_size


def test_misclassified_examples_are_those_of_which_the_graph_gives_another_class():
    e, digits = preset("mb-100-tf", seeds=(0, 1)), data.load()
    network, candidates = build(e), np.arange(30, 90)
    found = choosing.misclassified(network, digits.test_images, digits.test_labels, candidates)
    for run in range(2):
        u = digits.test_images[candidates] / 255 @ network.weights.W[1][run].T
        answers = (1 / (1 + np.exp(-u)) @ network.weights.W[2][run].T).argmax(-1)
        assert set(candidates[answers != digits.test_labels[candidates]]) <= set(found)
    assert 0 < len(found) <= 60


def test_record_takes_examples_by_number_class_and_mistake(capsys, tmp_path):
    digits, out = data.load(), tmp_path / "t.h5"
    options = ("--engine", "reference", "--every", "50", "--units", "0:2", "--out", out)
    assert command(capsys, "record", "mb-100-tf", *options, "--examples", "4,7:9")[0] == 0
    assert np.unique(open_trace(out).example_index).tolist() == [4, 7, 8]
    assert command(capsys, "record", "mb-100-tf", *options, "--classes", "3", "5", "--phases", "clamped")[0] == 0
    trace = open_trace(out)
    assert set(np.unique(trace.label)) <= {3, 5} and np.unique(trace.phase).tolist() == [1]
    assert np.unique(trace.example_index).tolist() == np.flatnonzero(np.isin(digits.test_labels, [3, 5]))[:3].tolist()
    code, _, err = command(capsys, "record", "mb-100-tf", *options, "--classes", "11")
    assert code == 2 and "0 do not fill batches" in err


def test_a_preset_with_a_batch_is_recorded_by_default(capsys, tmp_path):
    options = ("--every", "100", "--units", "0:2", "--out", tmp_path / "t.h5")
    assert command(capsys, "record", "ma-100-tf", *options)[0] == 0
    assert open_trace(tmp_path / "t.h5").example_index[0, 0].to_numpy().tolist() == list(range(100))


def test_train_records_what_is_asked_for(capsys, task, tmp_path):
    (tmp_path / "e.toml").write_text(tiny(task, epochs=1).to_toml())
    options = (
        "--record",
        "s_2",
        "--record-presentations",
        "10:50:20",
        "--record-every",
        "30",
        "--record-weights",
        "norm_W",
    )
    run = tmp_path / "run"
    assert command(capsys, "train", "--config", tmp_path / "e.toml", "--out", run, "--quiet", *options)[0] == 0
    trace = open_trace(run / "traces" / "presentation-0.h5")
    assert np.unique(trace.presentation).tolist() == [10, 30] and set(trace.data_vars) == {
        "s_2",
        "norm_W_1",
        "norm_W_2",
    }
    assert trace.row_steps[:3].to_numpy().tolist() == [30, 30, 20]
