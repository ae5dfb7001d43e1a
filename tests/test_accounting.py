"""ε is Opacus's, target_epsilon finds the noise that spends it, and a run says what it has spent."""

from __future__ import annotations

import itertools
import json
import math
import sys

import pytest
from builders import command, refusal, table, tiny, without_seconds

from ghostnet import ConfigError, baselines, resume
from ghostnet.baselines import Baseline, accounting
from ghostnet.model.baseline import ACCOUNTANTS, SAMPLINGS

E = baselines.mlp((16, 12, 4), batch=20, train_examples=1000, epochs=3)


def baseline(**settings) -> Baseline:
    return Baseline(method="FA", clip=1.0, **settings)


@pytest.mark.parametrize("accountant", ACCOUNTANTS)
def test_epsilon_is_opacus_engines(accountant):
    opacus = pytest.importorskip("opacus")
    engine = opacus.accountants.create_accountant(accountant)
    for _ in range(3 * 50):
        engine.step(noise_multiplier=1.1, sample_rate=0.02)
    b = baseline(noise=1.1, accountant=accountant)
    assert accounting.epsilon(E, b, 3) == engine.get_epsilon(1e-5)
    assert accounting.epsilon(E, b, 0) == 0 and accounting.epsilon(E, baseline(accountant=accountant), 3) == math.inf


def test_shuffled_batches_spend_what_steps_on_all_examples_do():
    """Of n normal mechanisms of deviation σ, the order α costs n α / 2 σ² (Mironov 2017, Corollary 3)."""
    pytest.importorskip("opacus")
    spent = accounting.epsilon(E, baseline(noise=4.0, sampling="shuffled"), 3)
    orders = [1 + x / 10 for x in range(1, 100)] + list(range(12, 64))
    bound = min(3 * a / 32 + math.log1p(-1 / a) - math.log(1e-5 * a) / (a - 1) for a in orders)
    assert spent == pytest.approx(bound, rel=1e-9)
    assert spent > accounting.epsilon(E, baseline(noise=4.0), 3)


@pytest.mark.parametrize("target", [0.5, 3.0])
@pytest.mark.parametrize(("accountant", "sampling"), list(itertools.product(ACCOUNTANTS, SAMPLINGS)))
def test_the_noise_that_is_found_spends_the_target_and_no_more(accountant, sampling, target):
    pytest.importorskip("opacus")
    b = baseline(target_epsilon=target, accountant=accountant, sampling=sampling)
    noise = accounting.noise_for(E, b)
    again = baseline(noise=noise, accountant=accountant, sampling=sampling)
    assert 0.98 * target < accounting.epsilon(E, again, 3) <= target


def test_the_tighter_accountant_asks_for_less_noise():
    pytest.importorskip("opacus")
    rdp, prv = (accounting.noise_for(E, baseline(target_epsilon=1.0, accountant=name)) for name in ACCOUNTANTS)
    assert 0.8 < prv / rdp < 0.97


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"target_epsilon": 0.05}, "target_epsilon = 0.05: no noise is enough for rdp; give more, or accountant = prv"),
        ({"target_epsilon": 80.0, "accountant": "prv"}, "target_epsilon = 80: accountant = prv needs gigabytes"),
        ({"noise": 0.1, "accountant": "prv"}, "accountant = prv: needs gigabytes where ε is beyond 50"),
        ({"target_epsilon": 3.0, "epochs": 0}, "target_epsilon = 3: 0 epochs spend nothing"),
    ],
)
def test_what_cannot_be_counted_is_refused_before_a_directory_is_made(task, tmp_path, settings, text):
    pytest.importorskip("opacus")
    e = tiny(task, batch=4, epochs=settings.pop("epochs", 2))
    assert text in refusal(ConfigError, baselines.train, "DFA", e, tmp_path / "run", clip=1.0, **settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("settings", [{"noise": 1.0}, {"target_epsilon": 3.0}])
def test_without_opacus_no_training_begins(task, tmp_path, monkeypatch, settings):
    monkeypatch.setitem(sys.modules, "opacus.accountants", None)
    text = refusal(ConfigError, baselines.train, "DFA", tiny(task), tmp_path / "run", clip=1.0, **settings)
    assert "install the extra [dp]" in text and not (tmp_path / "run").exists()


def test_a_run_says_what_it_has_spent_and_what_noise_was_found(task, tmp_path, capsys):
    pytest.importorskip("opacus")
    e, out = tiny(task, batch=4, seeds=(0, 1)), tmp_path / "run"
    rows = baselines.train("FA", e, out, learning_rate=0.5, clip=1.0, target_epsilon=5.0).metrics
    (noise,) = {row["noise"] for row in rows}
    spent = [row["epsilon"] for row in rows if row["run"] == 0]
    assert spent[0] == 0 and spent[1] < spent[2] <= 5.0 and {row["delta"] for row in rows} == {1e-5}
    assert spent == [accounting.epsilon(e, baseline(noise=noise), epoch) for epoch in range(3)]
    assert [row["epsilon"] for row in table(out)] == [str(row["epsilon"]) for row in rows]
    assert json.loads((out / "provenance.json").read_text())["noise"] == noise
    assert "target_epsilon = 5.0" in (out / "config.toml").read_text()
    code, said, _ = command(capsys, "info", out)
    assert code == 0 and f"ε {spent[2]:.4g} (δ 1e-05), noise {noise:.4g}" in said


def test_a_run_with_a_target_keeps_its_epochs_and_one_with_a_given_noise_counts_them(task, tmp_path):
    pytest.importorskip("opacus")
    how = dict(learning_rate=0.5, clip=1.0)
    baselines.train("FA", tiny(task, batch=4), tmp_path / "target", target_epsilon=5.0, **how)
    before = {path.name: path.read_bytes() for path in (tmp_path / "target").glob("*.*")}
    for epochs in (1, 3):
        text = refusal(ConfigError, resume, tmp_path / "target", epochs=epochs)
        assert f"epochs = {epochs}: noise = " in text and "was found for target_epsilon = 5" in text
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "target").glob("*.*")}

    baselines.train("FA", tiny(task, batch=4), tmp_path / "noise", noise=0.8, **how)
    longer = resume(tmp_path / "noise", epochs=3).metrics
    whole = baselines.train("FA", tiny(task, batch=4, epochs=3), noise=0.8, **how).metrics
    assert without_seconds(longer) == without_seconds(whole)
    assert longer[-1]["epsilon"] == accounting.epsilon(tiny(task, batch=4), baseline(noise=0.8), 3)


def test_a_provenance_without_the_noise_that_was_found_is_refused(task, tmp_path):
    pytest.importorskip("opacus")
    baselines.train("FA", tiny(task, batch=4), tmp_path, learning_rate=0.5, clip=1.0, target_epsilon=5.0)
    path = tmp_path / "provenance.json"
    facts = json.loads(path.read_text())
    for noise, text in (("1", "noise = '1': expected a positive number"), (None, "lacks 'noise'")):
        path.write_text(json.dumps({name: value for name, value in facts.items() if name != "noise"}
                                   | ({"noise": noise} if noise else {})))  # fmt: skip
        assert text in refusal(ConfigError, resume, tmp_path)


def test_on_the_command_line_noise_or_its_target_wins_over_the_files(task, tmp_path, capsys):
    pytest.importorskip("opacus")
    first, second = tmp_path / "first", tmp_path / "second"
    (tmp_path / "tiny.toml").write_text(tiny(task, batch=4, epochs=1).to_toml())
    begin = ("--config", tmp_path / "tiny.toml", "--learning-rate", 0.5, "--clip", 1, "--out", first, "--quiet")
    code, said, _ = command(capsys, "baseline", "dfa", *begin, "--noise", 0.7)
    assert code == 0 and "noise 0.7" in said
    again = ("--config", first / "config.toml", "--out", second, "--quiet")
    code, said, _ = command(capsys, "baseline", "kp", *again, "--target-epsilon", 2, "--accountant", "prv")
    assert code == 0 and float(said.split("ε ")[1].split()[0]) == pytest.approx(2, rel=0.01)
    code, _, said = command(capsys, "baseline", "kp", *again, "--target-epsilon", 2, "--noise", 1)
    assert code == 2 and "give one of the two" in said
