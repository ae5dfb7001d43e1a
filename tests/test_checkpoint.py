"""A checkpoint is taken for what it says only where that can be: sealed files with wrong contents are refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from builders import assert_same_end, of, refusal, resealed, rewritten, running, same_bits, tiny

from ghostnet import ConfigError, FileError, baselines, build, resume, train
from ghostnet.cli.main import main
from ghostnet.results.report import run_summary
from ghostnet.runs import checkpoint
from ghostnet.runs.checkpoint import Checkpoint


@pytest.fixture(scope="module")
def made(task, tmp_path_factory):
    """The directory of a run of two epochs, MB, two seeds."""
    path = tmp_path_factory.mktemp("made") / "run"
    train(tiny(task, seeds=(0, 4)), path, engine="reference", progress=False)
    return path


def positions(*names):
    return [Checkpoint(None, *position).name for position in names]


@pytest.mark.parametrize(
    "places",
    [
        [(9_998, 0), (9_999, 0), (10_000, 0), (10_001, 0)],
        [(7, 0), (7, 999_998), (7, 999_999), (7, 1_000_000), (7, 1_000_001)],
        [(9_999, 0), (9_999, 1_000_000), (10_000, 0), (10_000, 7), (10_000, 1_000_000)],
    ],
)
def test_the_newest_checkpoints_are_kept_and_gone_on_from_however_large_their_numbers(task, tmp_path, places):
    e = tiny(task, "MA", epochs=20_000, train_examples=20_000_000)
    for place in places:
        checkpoint.save(tmp_path, Checkpoint(build(e), *place), "float32")
    left = checkpoint.in_order(tmp_path / "checkpoints")
    assert [path.name for path in left] == positions(*places[-3:])
    found = checkpoint.latest(tmp_path)
    assert (found.epoch, found.shown) == places[-1]


def test_the_checkpoint_just_saved_is_kept_where_damaged_ones_were_left_after_it(task, tmp_path):
    e = tiny(task, epochs=9)
    for epoch in (5, 6, 7):
        checkpoint.save(tmp_path, Checkpoint(build(e), epoch), "float32").write_bytes(b"")
    checkpoint.save(tmp_path, Checkpoint(build(e), 4), "float32")
    assert checkpoint.latest(tmp_path).epoch == 4


def test_files_of_other_names_are_no_checkpoints_and_are_kept(task, tmp_path):
    others = ["epoch-0001.h5.bak", "epoch-x.h5", "epoch-0001_.h5", "epoch-" + "9" * 200 + ".h5"]
    (tmp_path / "checkpoints").mkdir()
    for name in others:
        (tmp_path / "checkpoints" / name).touch()
    for epoch in range(5):
        checkpoint.save(tmp_path, Checkpoint(build(tiny(task, epochs=9)), epoch), "float32")
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {*others, *positions((2,), (3,), (4,))}


def test_what_was_saved_is_loaded(task, tmp_path):
    for model in ("MB", "MA"):
        for feedback in ("TF", "FA"):
            e = tiny(task, model, feedback=feedback, seeds=(3, 1))
            network = running(e)
            found = checkpoint.load(checkpoint.save(tmp_path, Checkpoint(network, 1, 5, 2.5), "float64"))
            assert same_bits(of(found.network), of(network)) and found.configuration == found.network.experiment == e
            assert (found.epoch, found.shown, found.seconds) == (1, 5, 2.5)


def attribute(name, value):
    return lambda file: file.attrs.__setitem__(name, value)


def text(name, before, after):
    def make(found):
        assert before in found
        return found.replace(before, after)

    return rewritten(name, make)


def value(name, at, new):
    return lambda file: file[name].__setitem__(at, new)


def other(name, make):
    """The dataset `name` replaced by what make(file, values) puts there."""

    def change(file):
        values = file[name][()]
        del file[name]
        make(file, values)

    return change


CHANGES = {
    "W is nan": value("W_1", (0, 3, 2), np.nan),
    "g is infinite": value("g_1", (1, 0, 0), -np.inf),
    "W is a group": other("W_1", lambda file, values: file.create_group("W_1")),
    "W is missing": other("W_1", lambda file, values: None),
    "W is a text": other("W_1", lambda file, values: file.__setitem__("W_1", "text")),
    "W is of integers": other("W_1", lambda file, values: file.__setitem__("W_1", values.astype(int))),
    "W is of halves": other("W_1", lambda file, values: file.__setitem__("W_1", values.astype("f2"))),
    "W is flat": other("W_1", lambda file, values: file.__setitem__("W_1", values.ravel())),
    "W is of one run": other("W_1", lambda file, values: file.__setitem__("W_1", values[:1])),
    "epoch of no run": attribute("epoch", -5),
    "epoch before the first with something shown": attribute("epoch", -1),
    "epoch beyond the last": attribute("epoch", 67_108_866),
    "epoch of 10^9": attribute("epoch", 10**9),
    "epoch of 2^63": attribute("epoch", np.uint64(1 << 63)),
    "epoch is half": attribute("epoch", 0.5),
    "epoch is a text": attribute("epoch", "2"),
    "epochs in a list": attribute("epoch", [2, 2]),
    "shown is negative": attribute("shown", -1),
    "shown after the last epoch": attribute("shown", 1),
    "shown is 10^9": attribute("shown", 10**9),
    "presentations are negative": attribute("presentations", -1),
    "presentations beyond the last epoch": attribute("presentations", 161),
    "seconds are nan": attribute("seconds", np.nan),
    "seconds are infinite": attribute("seconds", np.inf),
    "seconds are negative": attribute("seconds", -1.0),
    "no seconds": lambda file: file.attrs.__delitem__("seconds"),
    "no settings": attribute("config_toml", ""),
    "settings are no TOML": attribute("config_toml", "[" * 50_000),
    "settings are a number": attribute("config_toml", 5),
    "a setting that can't be": text("config_toml", "beta = 0.1", "beta = -1"),
    "other sizes": text("config_toml", "[16, 12, 4]", "[16, 13, 4]"),
    "a thousand million units": text("config_toml", "[16, 12, 4]", "[16, 1000000000, 4]"),
    "more seeds than bytes": text("config_toml", "[0, 4]", str(list(range(20_000)))),
    "more settings than are ever read": text("config_toml", "[0, 4]", "[" + "0," * (1 << 20) + "]"),
    "ragged metrics": text("metrics_csv", "\n1,4,0,", "\n1,4,0,0.5,"),
    "metrics are no numbers": text("metrics_csv", "\n1,4,0,", "\n1,x,0,"),
    "metrics of a foreign run": text("metrics_csv", "\n1,4,2,", "\n7,4,2,"),
    "metrics of a huge run": text("metrics_csv", "\n1,4,2,", "\n" + "9" * 60 + ",4,2,"),
    "metrics of another seed": text("metrics_csv", "\n1,4,2,", "\n1,5,2,"),
    "metrics lack an epoch": text("metrics_csv", "1,4,1,", "1,4,3,"),
    "metrics lack a row": rewritten("metrics_csv", lambda found: "\n".join(found.splitlines()[:-1])),
    "metrics lack a column": text("metrics_csv", "test_accuracy", "test"),
    "an array that isn't finite": lambda file: file.__setitem__("extra_a", [np.nan]),
    "an array of texts": lambda file: file.__setitem__("extra_a", ["a", "b"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_sealed_checkpoint_with_wrong_contents_is_refused(made, tmp_path, change):
    path = resealed(made / "checkpoints" / "epoch-0002.h5", CHANGES[change], tmp_path / "c.h5")
    assert str(path) in refusal(FileError, checkpoint.load, path)


@pytest.mark.parametrize("change", ["W is nan", "shown is 10^9", "ragged metrics"])
def test_a_run_goes_on_from_the_checkpoint_before_one_with_wrong_contents(task, tmp_path, caplog, change):
    whole = train(tiny(task, seeds=(0, 4)), tmp_path, engine="reference", progress=False)
    newest = tmp_path / "checkpoints" / "epoch-0002.h5"
    resealed(newest, CHANGES[change], newest)
    assert_same_end(resume(tmp_path, progress=False), tmp_path, whole)
    assert "epoch-0002.h5" in caplog.text and "the one before" in caplog.text


ARRAYS = {
    "B is missing": lambda file: file.__delitem__("extra_B.1"),
    "B of a layer that isn't there": lambda file: file.move("extra_B.1", "extra_B.9"),
    "B of no layer": lambda file: file.move("extra_B.1", "extra_B.x"),
    "B of another shape": other("extra_B.1", lambda file, values: file.__setitem__("extra_B.1", values[..., :1])),
    "half of what the optimizer needs": lambda file: file.__delitem__("extra_square_avg.0"),
    "what the optimizer doesn't know": lambda file: file.__setitem__("extra_speed.0", [1.0]),
    "an average of another shape": other(
        "extra_square_avg.0", lambda file, values: file.__setitem__("extra_square_avg.0", values[:1, :1])
    ),
}


@pytest.mark.parametrize("change", ARRAYS)
def test_a_baseline_goes_on_from_the_checkpoint_before_one_with_wrong_arrays(task, tmp_path, change):
    how = {"optimizer": "rmsprop", "learning_rate": 0.01, "progress": False}
    whole = baselines.train("FA", tiny(task, seeds=(3, 1)), tmp_path, **how)
    newest = tmp_path / "checkpoints" / "epoch-0002.h5"
    resealed(newest, ARRAYS[change], newest)
    assert_same_end(resume(tmp_path, progress=False), tmp_path, whole)


def edit(run, before, after, name="config.toml"):
    written = (run / name).read_text()
    assert before in written
    (run / name).write_text(written.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ("beta = 0.1", "beta = 0.2", "beta = 0.2"),
        ("epochs = 2", "epochs = 5", "epochs = 5"),
        ("seeds = [0]", "seeds = [1]", "seeds = (1,)"),
        ('feedback = "TF"', 'feedback = "FA"', "feedback = FA"),
        ("eta = [8.0, 2.0]", "eta = [8.0, 2.5]", "eta = (8.0, 2.5)"),
    ],
)
def test_a_configuration_that_was_edited_is_refused_by_its_field(task, tmp_path, capsys, before, after, field):
    train(tiny(task), tmp_path, engine="reference", progress=False)
    edit(tmp_path, before, after)
    for call in (resume, checkpoint.newest, run_summary):
        told = refusal(ConfigError, call, tmp_path)
        assert field in told and before.partition(" ")[0] in told.partition("made with")[2]
    assert main(["info", str(tmp_path)]) == main(["resume", str(tmp_path), "--quiet"]) == 2
    edit(tmp_path, after, before)
    assert resume(tmp_path, progress=False).metrics


def test_a_baselines_settings_that_were_edited_are_refused_by_their_field(task, tmp_path):
    baselines.train("DFA", tiny(task), tmp_path, learning_rate=0.1, progress=False)
    edit(tmp_path, "learning_rate = [0.1]", "learning_rate = [0.2]")
    for call in (resume, run_summary):
        assert "learning_rate = (0.2,)" in refusal(ConfigError, call, tmp_path)


BAD_OPTIONS = [
    *(None, [], "device", 1, {"dtype": "float64"}, {"threads": 2}, {"network": 1}, {"device": 5}, {"max_sweeps": 1.5}),
    *({"settle_tol": "small"}, {"max_sweeps": True}, {"per_run": [1]}, {"fast_matmul": 1}),
]
PROVENANCES = {
    "engine": ["CPU", "", None, 5, ["cpu"], {}],
    "dtype": ["float16", None, 32, ["float32"]],
    "options": BAD_OPTIONS,
    "gradcheck_every": ["x", None, 1.5, -1, True, [1], 10**30],
    "gradcheck_examples": ["x", None, 1.5, 0, -3, {}],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in PROVENANCES.items() for value in values])
def test_a_provenance_that_cannot_be_is_refused_by_its_field(made, tmp_path, name, value):
    run = changed_provenance(made, tmp_path, name, value)
    told = refusal(ConfigError, resume, run, progress=False)
    assert str(run) in told and name in told


def test_a_run_is_not_gone_on_with_in_another_precision(made, task, tmp_path):
    told = refusal(ConfigError, resume, changed_provenance(made, tmp_path, "dtype", "float32"), progress=False)
    assert "dtype = float32" in told and "float64" in told
    baselines.train("BP", tiny(task, epochs=0), tmp_path / "bp", learning_rate=0.1, progress=False)
    edit(tmp_path / "bp", '"dtype": "float32"', '"dtype": "float64"', "provenance.json")
    assert "dtype = float64" in refusal(ConfigError, resume, tmp_path / "bp", progress=False)


@pytest.mark.parametrize("name", PROVENANCES)
def test_a_provenance_that_lacks_a_field_is_refused_by_it(made, tmp_path, name):
    assert name in refusal(ConfigError, resume, changed_provenance(made, tmp_path, name), progress=False)


@pytest.mark.parametrize(("name", "value"), [("dtype", "half"), ("dtype", 5), ("threads", "x"), ("threads", 0)])
def test_a_provenance_of_a_baseline_that_cannot_be_is_refused_by_its_field(task, tmp_path, name, value):
    baselines.train("BP", tiny(task, epochs=0), tmp_path / "made", learning_rate=0.1, progress=False)
    told = refusal(ConfigError, resume, changed_provenance(tmp_path / "made", tmp_path, name, value))
    assert f"provenance.json: {name} = {value!r}" in told


def changed_provenance(made, tmp_path, name, *value):
    """A copy of a run directory whose provenance.json says this, or nothing, of `name`."""
    run = shutil.copytree(made, tmp_path / "run")
    said = json.loads((run / "provenance.json").read_text())
    del said[name]
    said |= zip([name], value, strict=False)
    (run / "provenance.json").write_text(json.dumps(said))
    return run
