"""The time left of a sweep: tasks weigh what they cost, as tasks of their kind have shown."""

from __future__ import annotations

import json
import math

import pytest
from builders import sweep_settings

from ghostnet.sweep import Sweep, cost
from ghostnet.sweep.cost import Rates
from ghostnet.sweep.progress import SweepProgress
from ghostnet.sweep.task import Outcome

ROW = (
    "run,seed,epoch,train_accuracy,test_accuracy,train_mse,test_mse,seconds\n0,{seed},{epoch},0.5,0.5,0.1,0.1,{took}\n"
)


def one(**settings):
    (task,) = Sweep({"preset": "mb-100-tf", "epochs": 1} | settings).tasks
    return task


def leave(folder, task, state: str, epoch: int, took: float) -> None:
    """What a run would have left by now, as far as progress reads it."""
    (folder / task.name).mkdir(exist_ok=True)
    (folder / task.name / "status.json").write_text(json.dumps({"status": state, "epoch": epoch}))
    row = ROW.format(seed=task.experiment.seeds[0], epoch=epoch, took=took)
    (folder / task.name / "metrics.csv").write_text(row)


def test_work_grows_with_epochs_examples_steps_and_width():
    small = cost.work(one())
    assert cost.work(one(epochs=3)) == 3 * small
    assert cost.work(one(train_examples=11_000)) * 5 == small
    assert cost.work(one(free_steps=200)) > 1.5 * small and cost.work(one(preset="mb-500-tf")) > 2 * small
    assert 0 < cost.work(one(engine="equilibrium")) < small
    assert 0 < cost.work(one(method="DFA")) < small


@pytest.mark.parametrize(
    ("architecture", "pixels", "multiplications"),
    [
        ("mlp", 784, 784 * 10),
        ("lenet", 784, 5 * 5 * 6 * 28**2 + 5 * 5 * 6 * 16 * 10**2 + 400 * 120 + 120 * 84 + 84 * 10),
        ("one-block", 784, 5 * 5 * 16 * 28**2 + 16 * 14**2 * 10),
        # Convolutions of 16 channels at 32 x 32, 32 at 16 x 16 and 64 at 8 x 8; each costs 9 * 512**2, two halve.
        ("resnet-20", 3 * 32**2, 9 * 16 * 3 * 32**2 + 16 * 9 * 512**2 + 2 * 9 * 512**2 // 2 + 640),
    ],
)
def test_baselines_cost_their_forward_pass_three_times_an_example(architecture, pixels, multiplications):
    plan = {"sizes": [pixels, 10], "architecture": architecture, "method": "BP", "loss": "cross-entropy"}
    (task,) = Sweep(plan | {"learning_rate": 0.05, "batch": 4, "train_examples": 40, "epochs": 2}).tasks
    assert cost.work(task) == 2 * 10 * 4 * 3 * multiplications


def test_a_kind_that_has_been_trained_is_known_by_its_seconds_and_another_by_their_ratio():
    rates, long = Rates(), one(epochs=4)
    assert not rates.known(long)
    before = rates.seconds(one(engine="reference")) / rates.seconds(one())
    rates.learn(one(), 10.0)
    assert rates.known(long) and math.isclose(rates.seconds(long), 40.0)
    assert math.isclose(rates.seconds(one(engine="reference")), before * 10.0)
    rates.learn(one(engine="reference"), 11.0)
    assert math.isclose(rates.seconds(one(engine="reference", epochs=2)), 22.0)


def test_the_time_left_follows_what_finished_tasks_of_the_kind_have_taken(tmp_path):
    plan = Sweep(
        {"preset": "mb-100-tf", "epochs": 2},
        {},
        [{"name": "a"}, {"name": "b", "epochs": 6}, {"name": "c", "method": "BP"}],
    )
    a, b, c = plan.tasks
    leave(tmp_path, b, "running", 3, 0.0)
    with SweepProgress([a, b, c], tmp_path, {}, shown=False) as progress:
        leave(tmp_path, a, "complete", 2, 20.0)
        leave(tmp_path, c, "complete", 2, 7.0)
        leave(tmp_path, b, "running", 4, 0.0)
        progress.look()
        assert progress.seconds() == pytest.approx((20 + 60 + 7, 30, 20 + 40 + 7))
        progress.ended(Outcome(b.name, "failed", "an error", 1))
        progress.look()
        assert progress.seconds() == pytest.approx((27, 0, 27))


def test_a_run_with_fewer_epochs_than_asked_for_is_not_done(tmp_path):
    task = one(epochs=8)
    leave(tmp_path, task, "complete", 2, 5.0)
    with SweepProgress([task], tmp_path, {}, shown=False) as progress:
        total, before, now = progress.seconds()
        assert before == now == pytest.approx(total / 4)


@pytest.mark.parametrize("method", ["MB", "BP"])
def test_a_short_trial_tells_the_cost_and_leaves_nothing(task, tmp_path, monkeypatch, method):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cost, "_TRIAL", 0.01)
    settings = sweep_settings(task, feedback="TF", engine="reference", method=method, learning_rate=0.5, epochs=9)
    (tried,) = Sweep({name: value for name, value in settings.items() if name != "model"}).tasks
    rates = Rates()
    cost.try_out(tried, rates)
    assert rates.known(tried) and 0 < rates.seconds(tried) < 60 and not list(tmp_path.iterdir())


def test_a_trial_of_what_can_not_be_trained_tells_nothing(tmp_path):
    (lost,) = Sweep({"preset": "mb-100-tf", "data": str(tmp_path / "nowhere"), "train_examples": 8}).tasks
    rates = Rates()
    cost.try_out(lost, rates)
    assert not rates.known(lost)
