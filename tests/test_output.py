"""Output that fails is never work that fails: streams may be closed, full, gone, narrow or of few characters."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import tqdm
from builders import command, sweep_settings, tiny

from ghostnet import sweep, train
from ghostnet.cli import main as cli
from ghostnet.files import toml
from ghostnet.host import streams
from ghostnet.host.progress import Progress
from ghostnet.sweep.task import perform

ROOT = Path(__file__).parents[1]
SHOWS = ("compare", "presets", "info", "gradcheck")
COMMANDS = (*SHOWS, "train", "resume", "record", "plot", "sweep", "baseline", "doctor")


@pytest.fixture(scope="module")
def made(task, tmp_path_factory) -> dict[str, Path]:
    """A run, a trace, a sweep whose tasks are complete, and the files that ask for them."""
    folder = tmp_path_factory.mktemp("made")
    e = tiny(task, epochs=1, train_examples=4, free_steps=2, clamped_steps=2)
    (folder / "e.toml").write_text(e.to_toml(), encoding="utf-8")
    train(e, folder / "run", engine="reference")
    (folder / "s.toml").write_text(toml.lines(sweep_settings(task, feedback="TF", epochs=0)), encoding="utf-8")
    for one in sweep.read(folder / "s.toml").tasks:
        perform(one, folder / "sweep", 1)
    return {"folder": folder, "e": folder / "e.toml", "run": folder / "run", "s": folder / "s.toml"}


def words(name: str, made: dict[str, Path], out: Path) -> list[str]:
    """A command that succeeds."""
    return {
        "train": ["train", "--config", made["e"], "--out", out / "run", "--engine", "reference"],
        "resume": ["resume", made["run"]],
        "record": ["record", made["run"], "--engine", "reference", "--out", out / "t.h5"],
        "plot": ["plot", made["run"], "--out", out / "picture.png"],
        "baseline": ["baseline", "bp", "mb-100-tf", "--epochs", "0", "--train-examples", "10", "--out", out / "run"],
        "compare": ["compare", made["run"], made["run"]],
        "sweep": ["sweep", made["s"], "--out", made["folder"] / "sweep"],
        "presets": ["presets"],
        "info": ["info", made["run"]],
        "gradcheck": ["gradcheck", made["run"], "--examples", "0:2"],
        "doctor": ["doctor"],
    }[name]


def said(monkeypatch, encoding: str, arguments: list) -> tuple[int, str, str]:
    """Exit code, output and error output of a command whose streams have this encoding."""
    files = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", files[0])
        patch.setattr(sys, "stderr", files[1])
        code = cli.main([str(argument) for argument in arguments])
    return code, *(file.buffer.getvalue().decode(encoding) for file in files)


@pytest.mark.parametrize(("name", "encoding"), [*((name, "ascii") for name in COMMANDS), ("gradcheck", "cp1252")])
def test_every_command_can_be_used_where_symbols_cannot_be_shown(made, tmp_path, monkeypatch, name, encoding):
    code, out, err = said(monkeypatch, encoding, words(name, made, tmp_path))
    assert (code, err) == (0, "") and out and "\\" not in out


@pytest.mark.parametrize("columns", ["1", "80"])
@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_every_help_is_plain_where_symbols_cannot_be_shown_and_however_narrow(monkeypatch, name, columns):
    monkeypatch.setenv("COLUMNS", columns)
    code, out, err = said(monkeypatch, "ascii", [*filter(None, [name]), "--help"])
    assert (code, err) == (0, "") and out.startswith("usage: ghostnet") and "\\" not in out


def shown_texts() -> set[str]:
    """Every string of the package and of the scripts, but docstrings; what begins a script is its help."""
    found = set()
    for path in [*(ROOT / "ghostnet").rglob("*.py"), *(ROOT / "sims").glob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.parent.name == "sims":
            found.add(ast.get_docstring(tree) or "")
        stated = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node not in stated)
        found |= {node.value for node in constants if isinstance(node.value, str)}
    return found


@pytest.mark.parametrize("script", ["figure3", "linear_fa", "privacy", "privacy_epochs", "slides", "table1", "toy_fa"])
def test_the_help_of_a_script_is_plain_where_symbols_cannot_be_shown(monkeypatch, script):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.syspath_prepend(ROOT / "sims")
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    monkeypatch.setattr(sys, "stdout", out)
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(ROOT / "sims" / f"{script}.py"), run_name="__main__")
    out.flush()
    assert out.buffer.getvalue().startswith(b"usage: ") and b"\\" not in out.buffer.getvalue()


def test_every_symbol_that_the_package_shows_has_a_plain_form():
    symbols = {character for text in shown_texts() for character in text if not character.isascii()}
    assert {"η", "±", "‖"} <= symbols
    assert not [symbol for symbol in symbols if b"\\" in symbol.encode("ascii", streams.PLAIN)]


def test_a_symbol_that_can_be_shown_is_and_a_file_name_keeps_its_bytes():
    assert "η ± 1°".encode("cp1252", streams.PLAIN).decode("cp1252") == "eta ± 1°"
    assert os.fsdecode(b"caf\xe9").encode("utf-8", streams.PLAIN) == b"caf\xe9"
    assert "日".encode("ascii", streams.PLAIN) == b"\\u65e5"


def ghostnet(*arguments, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "ghostnet", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, timeout=60, **options)


C = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_in_the_c_locale_a_run_has_the_name_that_was_given(made, tmp_path):
    out = tmp_path / "η=0.1" / "run"
    done = ghostnet(*words("train", made, out.parent), env=os.environ | C, capture_output=True)
    assert done.returncode == 0 and f"({out})".encode() in done.stdout and b"epoch   1" in done.stderr
    assert str(out) in json.loads((out / "provenance.json").read_bytes())["argv"]


@pytest.mark.parametrize("name", ["train", "record", "plot", "compare"])
def test_names_of_any_bytes_can_be_given(made, tmp_path, monkeypatch, name):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    path.mkdir()
    arguments = [str(word) for word in words(name, made, path)]
    arguments += ["--out", str(path / "picture")] if name == "compare" else []
    monkeypatch.setattr(sys, "argv", ["ghostnet", *arguments])
    code, out, err = said(monkeypatch, "latin-1", arguments)
    assert (code, err) == (0, "") and len(list(path.iterdir())) in (1, 3)
    assert name == "compare" or "/café/" in out


class Gone(io.StringIO):
    """A terminal that no longer takes anything."""

    def write(self, text):
        raise OSError(5, "Input/output error")

    def isatty(self):
        return True


class Bare:
    """As little as a stream can be."""

    def write(self, text):
        raise OSError(5, "Input/output error")

    def flush(self):
        """Nothing is held back."""


def stream(kind: str) -> io.TextIOBase | Bare | None:
    """One that can't be written to."""
    if kind in ("none", "gone", "bare"):
        return {"none": lambda: None, "gone": Gone, "bare": Bare}[kind]()
    reader, writer = os.pipe()
    os.close(reader)
    if kind == "full":
        os.dup2(device := os.open("/dev/full", os.O_WRONLY), writer)
        os.close(device)
    made = open(writer, "w", encoding="utf-8")
    if kind == "closed":
        made.close()
    return made


@pytest.fixture(params=["none", "closed", "gone", "bare", "full", "broken"])
def unwritable(request):
    """The name of a kind of stream, and two of it."""
    both = [stream(request.param) for _ in range(2)]
    yield request.param, *both
    for one in both:
        with contextlib.suppress(OSError, AttributeError):
            one.close()


@pytest.mark.parametrize("shown", [True, False])
def test_progress_is_never_an_error(monkeypatch, unwritable, shown):
    _, sys_stdout, sys_stderr = unwritable
    monkeypatch.setattr(sys, "stdout", sys_stdout)
    monkeypatch.setattr(sys, "stderr", sys_stderr)
    bar = Progress(10, shown=shown)
    bar.describe("epoch 1/2")
    bar.advance(5)
    bar.line("epoch 1")
    bar.close()


def test_lasting_lines_stand_above_the_bar_and_not_in_the_output(monkeypatch, capsys):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = Progress(10)
    bar.line("epoch 1")
    bar.close()
    assert "epoch 1" in terminal.getvalue() and capsys.readouterr().out == ""


def test_in_a_notebook_the_bar_is_that_of_tqdm_auto_and_nothing_is_logged(monkeypatch, capsys, caplog):
    kernel = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: kernel))
    monkeypatch.setitem(sys.modules, "tqdm.auto", SimpleNamespace(tqdm=tqdm.tqdm))
    bar = Progress(10)
    bar.describe("epoch 1/2")
    bar.line("epoch 1")
    bar.close()
    out, err = capsys.readouterr()
    assert "epoch 1/2" in out and "epoch 1\n" in out and not err and not caplog.records
    Progress(10, shown=False).close()
    assert capsys.readouterr() == ("", "")


def test_in_a_notebook_without_ipywidgets_the_bar_is_a_plain_one_and_nothing_warns(tmp_path):
    (tmp_path / "ipywidgets.py").write_text("raise ImportError", encoding="utf-8")
    (tmp_path / "IPython.py").write_text(
        "class shell:\n    config = {'IPKernelApp': {}}\n\n\nget_ipython = shell\n", encoding="utf-8"
    )
    kernel = "import sys, IPython; sys.modules['ipykernel.zmqshell'] = None"  # by which tqdm knows one
    code = f"{kernel}; from ghostnet.host.progress import Progress; Progress(1).line('epoch 1')"
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-W", "always", "-c", code], env=environment, capture_output=True, text=True)
    assert "epoch 1" in done.stdout and not done.returncode and "IProgress" not in done.stderr


def test_outside_a_notebook_tqdm_auto_is_not_imported():
    code = "import sys; from ghostnet.host.progress import Progress; Progress(1); assert 'tqdm.auto' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def ended(monkeypatch, arguments: list, stdout, stderr) -> int:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        patch.setattr(sys, "stderr", stderr)
        return cli.main([str(argument) for argument in arguments])


@pytest.mark.parametrize("name", ["train", "record", "sweep"])
def test_work_is_done_whatever_becomes_of_its_output(made, tmp_path, monkeypatch, unwritable, name):
    assert ended(monkeypatch, words(name, made, tmp_path), *unwritable[1:]) == 0
    if name == "train":
        assert json.loads((tmp_path / "run" / "status.json").read_bytes())["status"] == "complete"


@pytest.mark.parametrize("name", [*SHOWS, "--help", "--version"])
def test_where_output_is_the_work_its_failure_is_an_error_of_one_line(made, tmp_path, monkeypatch, name, unwritable):
    arguments = words(name, made, tmp_path) if name in COMMANDS else [name]
    kind, output, _ = unwritable
    code = {"gone": 74, "bare": 74, "full": 74, "broken": 141}.get(kind, 0)
    said = io.StringIO()
    assert ended(monkeypatch, arguments, output, said) == code
    assert said.getvalue().count("\n") == (code == 74)


def test_lost_words_about_work_that_is_done_are_a_warning(made, tmp_path, monkeypatch):
    said = io.StringIO()
    assert ended(monkeypatch, [*words("train", made, tmp_path), "--quiet"], Gone(), said) == 0
    assert said.getvalue() == "ghostnet: warning: standard output can't be written (Input/output error)\n"


@pytest.mark.parametrize("redirection", [">&- 2>&- <&-", "2>&1 | true"])
def test_a_run_ends_well_from_a_shell_that_takes_no_output(made, tmp_path, redirection):
    line = f"set -o pipefail; {sys.executable} -m ghostnet {' '.join(map(str, words('train', made, tmp_path)))}"
    done = subprocess.run(["bash", "-c", f"{line} {redirection}"], cwd=ROOT, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert json.loads((tmp_path / "run" / "status.json").read_bytes())["status"] == "complete"


def test_a_table_on_a_full_disk_is_an_error_of_one_line():
    with open("/dev/full", "wb") as full:
        done = ghostnet("presets", stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr.count(b"\n")) == (74, 1)


@pytest.mark.parametrize("name", ["presets", "plot", "doctor"])
def test_a_working_directory_that_is_gone_is_an_error_of_one_line(made, tmp_path, monkeypatch, capsys, name):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    code, out, err = command(capsys, *words(name, made, tmp_path))
    assert (code, out) == (74, "") and err.startswith("ghostnet: error: the working directory is gone")
    assert err.count("\n") == 1


def test_an_error_of_a_file_that_no_words_were_found_for_is_one_line(made, tmp_path, monkeypatch, capsys):
    def fail(*arguments):
        raise PermissionError(13, "Permission denied", "/x")

    monkeypatch.setattr(cli.report, "run_summary", fail)
    assert command(capsys, "info", made["run"]) == (74, "", "ghostnet: error: /x: Permission denied\n")
