"""The slides' tables are drawn from run directories, CIFAR's is filled where its data are; the toy; activities."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import statistics
import sys
from pathlib import Path

import numpy as np
import pytest

import ghostnet as gn
from ghostnet.runs import metrics

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def script(monkeypatch):
    """Imports a script of sims/ by its name."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "sims"), *sys.path])
    return __import__


def make_run(path: Path, accuracy: float, epochs: int, status: str = "complete", **columns: float) -> None:
    """A run directory as a table looks at it; every epoch takes 36 seconds."""
    path.mkdir(parents=True)
    same = {"run": 0, "seed": 0, "train_accuracy": 0.5, "test_accuracy": accuracy} | columns
    rows = [same | {"epoch": epoch, "seconds": 36.0 * epoch} for epoch in range(epochs + 1)]
    (path / "metrics.csv").write_text(metrics.csv_text(rows))
    (path / "status.json").write_text(json.dumps({"status": status, "epoch": epochs}))


def drawn(script, monkeypatch, *words) -> dict[tuple[str, str], dict[str, str]]:
    """What a table's CSV says after `python sims/slides.py WORDS`, by network and method."""
    monkeypatch.setattr(sys, "argv", ["slides.py", *map(str, words)])
    script("slides").main()
    out = Path(words[words.index("--out") + 1])
    with (out / f"{words[0]}.csv").open(newline="", encoding="utf-8") as file:
        return {(row["network"], row["method"]): row for row in csv.DictReader(file)}


def test_a_table_has_what_complete_runs_ended_with_beside_the_source(script, monkeypatch, tmp_path, capsys):
    accuracies = (0.97, 0.98, 0.985)
    for seed, accuracy in enumerate(accuracies):
        make_run(tmp_path / "nokland" / f"1x800,method=FA,seed={seed}", accuracy, epochs=2)
    make_run(tmp_path / "nokland" / "1x800,method=BP,seed=0", 0.5, epochs=1, status="running")
    make_run(tmp_path / "nokland" / "1x800,method=DFA,seed=1", 0.983, epochs=300)
    found = drawn(script, monkeypatch, "nokland", "--draw", "--out", tmp_path)
    fa, dfa = found["1x800", "FA"], found["1x800", "DFA"]
    wrong = [100 - 100 * accuracy for accuracy in accuracies]
    assert fa["ours"] == f"{statistics.mean(wrong):.2f} ± {statistics.stdev(wrong):.2f}"
    assert (fa["theirs"], fa["seeds"], fa["epochs"], fa["their epochs"]) == ("1.68", "3", "2, short", "300")
    assert float(fa["minutes"]) == pytest.approx(3 * 2 * 36 / 60)
    assert float(fa["hours for theirs"]) == pytest.approx(3 * 300 * 36 / 3600)
    assert (dfa["ours"], dfa["seeds"], dfa["epochs"]) == ("1.70", "1 of 3", "300")
    for network, method in (("1x800", "BP"), ("2x800-relu", "DFA")):
        assert (found[network, method]["ours"], found[network, method]["seeds"]) == ("", "not run")
    page = (tmp_path / "nokland.md").read_text(encoding="utf-8")
    assert "| 1x800 | FA | " in page and page.strip() in capsys.readouterr().out


def test_every_network_of_a_table_is_one_of_its_sweep_and_its_source(script):
    slides = script("slides")
    elsewhere = {"100x240"}  # whose runs other scripts make
    for name, parts in slides.TABLES.items():
        plan = slides.plan_of(name, argparse.Namespace(quick=False, epochs=None, data=None))
        made = {place[0] for place in slides.cells(plan, Path("none"))}
        shown = [experiment for part in parts for experiment in part.rows]
        assert made == set(shown) - elsewhere and len(set(shown)) == len(shown)
        assert all(row is None or row in part.theirs.rows for part in parts for row in part.rows.values())


def test_what_other_scripts_have_stands_in_the_tables(script, monkeypatch, tmp_path):
    facts = {"results": {"DFA": {"accuracy": [0.1, 0.7, 0.9]}}}
    (tmp_path / "deep_dfa.json").write_text(json.dumps(facts))
    row = drawn(script, monkeypatch, "nokland", "--draw", "--out", tmp_path)["100x240", "DFA"]
    assert (row["ours"], row["theirs"], row["epochs"], row["minutes"]) == ("10.00", "3.92", "2, short", "")


def test_layers_are_drawn_from_the_runs_of_the_table(script, monkeypatch, tmp_path):
    plan = gn.sweep.read(ROOT / "sims" / "nokland.toml")
    for task in plan.tasks:
        hidden = range(1, task.experiment.depth)
        make_run(tmp_path / "nokland" / task.name, 0.9, epochs=2, **{f"angle_{k}": 10.0 * k for k in hidden})
    (tmp_path / "nokland" / "sweep.toml").write_text(plan.to_toml())
    monkeypatch.setattr(sys, "argv", ["by_layer.py", "--out", str(tmp_path)])
    script("by_layer").main()
    facts = json.loads((tmp_path / "by_layer.json").read_text(encoding="utf-8"))
    assert facts["angles"] == {method: [10.0 * k for k in range(1, 8)] for method in ("FA", "DFA")}
    assert (tmp_path / "by_layer.png").stat().st_size > 10_000


def cifar(folder: Path) -> Path:
    """A directory of CIFAR-10's binary files: images of one colour each, their label's."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name, count in (("data_batch_1.bin", 20), ("data_batch_2.bin", 20), ("test_batch.bin", 10)):
        labels = generator.permuted(np.arange(count, dtype=np.uint8) % 10)
        pixels = np.repeat(25 * labels[:, None], 3072, axis=1)
        (folder / name).write_bytes(np.hstack([labels[:, None], pixels]).astype(np.uint8).tobytes())
    return folder


def test_one_command_fills_the_table_of_cifar_where_its_data_are(script, monkeypatch, tmp_path):
    """On 32 images, 1 epoch, in this process."""
    changes, read = {"train_examples": 32, "batch": 16, "seeds": [0]}, gn.sweep.read

    def run(plan, folder, workers):
        left_out = [f"resnet-20,method={method},seed=0" for method in ("FA", "brSF", "frSF")]
        few = (n for n, task in enumerate(plan.tasks) if task.name not in left_out)
        return [gn.sweep.run_one(plan, folder, number, threads=1) for number in few]

    def smaller(path):
        plan = read(path)
        kept = [{name: value for name, value in entry.items() if name not in changes} for entry in plan.experiments]
        return dataclasses.replace(plan, settings=plan.settings | changes, experiments=kept)

    empty = drawn(script, monkeypatch, "cifar", "--out", tmp_path)["resnet-20", "BP"]
    assert (empty["ours"], empty["theirs"], empty["seeds"]) == ("", "9.42", "not run")
    monkeypatch.setattr(gn.sweep, "run", run)
    monkeypatch.setattr(gn.sweep, "read", smaller)
    command = ("cifar", "--data", cifar(tmp_path / "cifar"), "--epochs", 1, "--out", tmp_path)
    found = drawn(script, monkeypatch, *command)
    trained = {place: row for place, row in found.items() if row["ours"]}
    assert len(trained) == 8 and all(0 <= float(row["ours"]) <= 100 and row["seeds"] == "1" for row in trained.values())
    assert trained["resnet-20", "DFA"]["epochs"] == "1, short" and trained["1x500", "BP"]["epochs"] == "1"
    monkeypatch.setattr(gn.sweep, "run_one", None)  # what is there is only drawn again
    assert drawn(script, monkeypatch, "cifar", "--draw", "--out", tmp_path) == found


def test_a_network_of_one_weight_each_keeps_what_theory_says_and_learns(script):
    toy = script("toy_fa")
    start = np.array([[0.0, 0.0], [0.5, -0.3], [-1.8, -1.8], [1.0, -1.0]])  # A, W
    for method in ("BP", "FA"):
        found = toy.paths(start, method)
        assert np.allclose(toy.conserved(found[-1], method), toy.conserved(start, method), rtol=0, atol=1e-8)
        A, W = found[-1].T
        solved = np.abs(1 - W * A) < 1e-8
        assert solved.tolist() == ([False, True, True, False] if method == "BP" else [True] * 4)
        if method == "FA":
            C = toy.conserved(start, "FA")
            assert np.allclose(A**3 + C * A, 2, atol=1e-7) and A[0] == pytest.approx(2 ** (1 / 3), abs=1e-8)


def test_separation_and_likeness_of_activities(script):
    show, draw = script("hidden_activations"), np.random.default_rng(0)
    labels = np.arange(300) % 3
    r = draw.normal(size=(300, 12)) + 2 * draw.normal(size=(3, 12))[labels]
    rotation, _ = np.linalg.qr(draw.normal(size=(12, 12)))
    assert show.likeness(r, 3 * r @ rotation + 1) == pytest.approx(1)
    assert show.likeness(r, draw.normal(size=(300, 12))) < 0.2
    within = sum(((r[labels == one] - r[labels == one].mean(0)) ** 2).sum() for one in range(3))
    total = ((r - r.mean(0)) ** 2).sum()
    assert show.separation(r, labels) == pytest.approx(1 - within / total)
    assert show.separation(draw.normal(size=(3, 12))[labels], labels) == pytest.approx(1)
    projected = show.components(r)
    assert projected.var(0)[0] > projected.var(0)[1] > np.var(r, 0).mean()
    assert np.allclose(np.cov(projected.T, ddof=0), np.diag(projected.var(0)))
