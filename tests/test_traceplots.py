"""Pictures of traces and weights show what was recorded, where it was recorded, and nothing else."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from builders import command, experiment, inputs, mirrored, refusal, running, tiny

from ghostnet import ConfigError, Recorder, Simulator, baselines, build, open_trace, train
from ghostnet.results import plots, traceplots, weightplots

SIZES = (20, 30, 25, 10)


@pytest.fixture(scope="module")
def trace(tmp_path_factory) -> Path:
    """Every second of six presentations of a network of two seeds."""
    return recorded(tmp_path_factory.mktemp("traces") / "t.h5", range(6), slice(0, None, 2))


def recorded(path: Path, order, presentations: slice | None = None, feedback: str = "TF", **changes) -> Path:
    e = experiment("MB", SIZES, seeds=(0, 4), feedback=feedback, **changes)
    xs, ys = (array[np.array(order)] for array in inputs(e, 6))
    simulator, examples = Simulator(running(e), "cpu", "float32"), np.array(order)
    recorder = Recorder(("s", "r", "e"), weights=("W_2",), presentations=presentations)
    shown = lambda n: (0, np.tile(100 * examples[n] + np.arange(e.batch), (2, 1)))  # noqa: E731
    with simulator.recording(recorder, path, shown):
        simulator.run(xs, ys)
    return path


@pytest.fixture
def axes():
    with plt.style.context(plots.STYLE):
        figure, axes = plt.subplots(2)
        yield axes
        plt.close(figure)


def test_lines_are_broken_where_nothing_was_recorded(trace, axes):
    one = traceplots.lane(open_trace(trace))
    assert one.breaks.tolist() == [20, 40]
    traceplots.variable(one, "s_1", axes[0], slice(3))
    for line in axes[0].lines:
        assert np.flatnonzero(np.isnan(line.get_ydata())).tolist() == [20, 41] and len(line.get_xdata()) == 62


def test_a_nudged_phase_is_shaded_from_the_end_of_the_step_before(trace, axes):
    one, e = traceplots.lane(open_trace(trace)), experiment("MB", SIZES)
    traceplots.shade(one, axes[0])
    begin, end = e.free_steps * e.dt, (e.free_steps + e.clamped_steps) * e.dt
    spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes[0].patches]
    assert np.allclose(spans, [(begin + 2 * p * end, end + 2 * p * end) for p in range(3)])


def test_ten_units_have_ten_colours(trace, axes):
    traceplots.variable(traceplots.lane(open_trace(trace)), "r_3", axes[0])
    assert len({line.get_color() for line in axes[0].lines}) == len(axes[0].lines) == 10


def test_figure_4_highlights_the_right_class_of_each_presentation_for_itself(trace, axes):
    opened = open_trace(trace)
    traceplots.figure4(one := traceplots.lane(opened, 1, 3), *axes)
    right = [line for line in axes[0].lines if line.get_color() == plots.RIGHT]
    assert len(right) == 3 and len(axes[0].patches) == len(axes[1].patches) == 3
    for line, rows in zip(right, np.split(np.arange(60), 3), strict=True):
        assert np.array_equal(line.get_xdata(), one.time[rows])
        assert np.array_equal(line.get_ydata(), opened.r_3[rows, 1, 3, int(opened.label[rows[0], 1, 3])])
    norm = axes[1].lines[0].get_ydata()
    assert np.allclose(norm[~np.isnan(norm)], np.linalg.norm(opened.e_1[:, 1, 3], axis=1))
    without = traceplots.lane(opened.drop_vars("e_1"))
    assert "Figure 4 needs" in refusal(ConfigError, traceplots.figure4, without, *axes)


def test_rates_are_computed_where_only_activities_were_recorded(trace):
    opened = open_trace(trace)
    figure, axes = plt.subplots(2, 2)
    traceplots.figure4(traceplots.lane(opened), *axes[0])
    traceplots.figure4(traceplots.lane(opened.drop_vars("r_3")), *axes[1])
    for one, other in zip(axes[0][0].lines, axes[1][0].lines, strict=True):
        assert np.allclose(one.get_ydata(), other.get_ydata(), atol=1e-6, equal_nan=True)
    plt.close(figure)


def test_a_window_has_its_rows_only(trace):
    opened = open_trace(trace)
    one = traceplots.lane(opened)
    assert np.array_equal(traceplots.window(one, 0.01, 0.0201).time, opened.time[4:10])
    assert "the trace goes from" in refusal(ConfigError, traceplots.window, one, 7.0, 8.0)


def test_one_presentation_is_shown_from_its_onset(trace):
    whole = traceplots.lane(open_trace(trace))
    rows = traceplots.rows_of(whole, 2)
    one = whole.rows(rows, whole.begins[rows[0]])
    assert rows.tolist() == list(range(20, 40)) and np.isclose(one.begins[0], 0)
    figure = traceplots.around(one)
    assert figure.axes[0].get_ylabel().endswith(f"class {one.label[0]}") and len(figure.axes[1].lines) == 2
    plt.close(figure)
    assert "not recorded" in refusal(ConfigError, traceplots.rows_of, whole, 3)


def test_a_heat_map_has_the_values_and_nothing_in_between(trace, axes):
    one = traceplots.lane(open_trace(trace))
    traceplots.heat(one, "s_2", axes[0])
    shown = np.ma.filled(axes[0].collections[0].get_array().reshape(25, -1), np.nan)
    assert np.isnan(shown[:, [20, 41]]).all()
    assert np.allclose(np.delete(shown, [20, 41], axis=1), one.values.s_2.to_numpy().T)


def test_two_traces_are_compared_example_by_example(tmp_path, axes):
    a, b = (
        traceplots.lane(open_trace(recorded(tmp_path / name, order, feedback=feedback)))
        for name, order, feedback in (("a.h5", [0, 1, 2], "TF"), ("b.h5", [2, 5, 0], "FA"))
    )
    here, there = [*range(20), *range(40, 60)], [*range(40, 60), *range(20)]
    traceplots.difference(*traceplots.matched(a, b), "s_1", axes, slice(1))
    (line,) = axes[1].lines
    found, expected = line.get_ydata(), b.values.s_1.to_numpy()[there, 0] - a.values.s_1.to_numpy()[here, 0]
    assert np.allclose(found[~np.isnan(found)], expected) and np.isnan(found).sum() == 1


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (("--variable", "W_2"), 2, "expected an activity (s, r, g, e, drive)"),
        (("--variable", "s_1", "--against", "{trace}"), 0, ""),
        (("--heat", "e_2", "--window", "0", "0.03"), 0, ""),
        (("--presentation", "4"), 0, ""),
        (("--presentation", "4", "--variable", "e_1"), 0, ""),
        (("--presentation", "1"), 2, "presentation = 1: not recorded"),
        (("--against", "{trace}"), 2, "expected with --variable"),
        (("--weights",), 2, "no run directory"),
    ],
)
def test_plot_draws_a_trace_as_asked(capsys, tmp_path, trace, options, code, text):
    words = [option.format(trace=trace) for option in options]
    got, _, err = command(capsys, "plot", trace, *words, "--out", tmp_path / "p.png")
    assert got == code and text in err and (tmp_path / "p.png").exists() == (code == 0)


def test_exact_ghosts_have_no_distance_to_their_aims():
    network = mirrored(experiment("MA", (20, 12, 8, 6)))
    figure = weightplots.weights(network)
    assert len(figure.axes) == 8
    for ax in figure.axes[1::2]:
        assert np.all(ax.lines[0].get_ydata() == 0)
    plt.close(figure)
    figure = weightplots.weights(build(experiment("MA", (20, 12, 8, 6))))
    assert np.all(np.diff(figure.axes[1].lines[0].get_ydata()) <= 0) and figure.axes[1].lines[0].get_ydata()[0] > 0.1
    plt.close(figure)
    assert "no ghost of MB has a partner" in refusal(ConfigError, weightplots.weights, build(experiment("MB")))


def test_angles_to_backprop_and_of_feedback_are_drawn_of_ghosts_and_baselines_alike(task, tmp_path, capsys):
    e = tiny(task, feedback="FA", epochs=1)
    train(e, tmp_path / "ghosts", gradcheck_every=1, gradcheck_examples=5)
    baselines.train("FA", e, tmp_path / "fa", learning_rate=1.0)
    for name in ("ghosts", "fa"):
        assert command(capsys, "plot", tmp_path / name)[0] == 0
    degrees = np.array([[60.0, 30.0]])
    figure, (one, other) = plt.subplots(2)
    plots.alignment(np.arange(2), {"gradient_angle_1": degrees, "alignment_1": degrees}, one)
    plots.alignment(np.arange(2), {"angle_1": degrees, "alignment_1": degrees}, other)
    for ax in (one, other):
        assert np.allclose(ax.lines[0].get_ydata(), degrees[0])
    plots.angle(np.arange(2), {"gradient_angle_all": degrees, "gradient_angle_1": degrees}, one)
    assert [text.get_text() for text in one.get_legend().get_texts()][-1] == "layer 1"
    plt.close(figure)
