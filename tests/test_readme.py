"""What README.md and docs/ show works as it stands, with no more installed than README.md's first command installs."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ghostnet.cli.main import _parser

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
TEXT = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS).replace("\\\n", "")


def required() -> list[metadata.Distribution]:
    """What `pip install .` brings: the packages that setup.cfg names, and what they need, without extras."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    wanted, found = setup["options"]["install_requires"].split("\n"), {}
    while wanted:
        needed = Requirement(wanted.pop()) if wanted[-1] else wanted.pop()
        if needed and needed.name not in found and (not needed.marker or needed.marker.evaluate({"extra": ""})):
            found[needed.name] = metadata.distribution(needed.name)
            wanted += found[needed.name].requires or []
    return list(found.values())


def install(distributions: list[metadata.Distribution], folder: Path) -> None:
    """A folder of links to these, for PYTHONPATH."""
    for distribution in distributions:
        for name in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            if not (folder / name).exists():  # namespaces are shared
                (folder / name).symlink_to(distribution.locate_file(name))


def test_every_snippet_runs_where_nothing_but_the_requirements_is_installed(tmp_path):
    install(required(), tmp_path)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-S", ROOT / ".ci" / "snippets.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == sum(path.read_bytes().count(b"\n```python\n") for path in DOCUMENTS)


WORDS = {"COMMAND": "train", "N": "1", "BETA": "0.1", "η": "0.1", "--any-setting": "--tau"}


def commands() -> list[str]:
    """Every `ghostnet …` of the documents, in a line of its own or in the text, without what is said about it."""
    blocks = [re.split(r" {2,}", line)[0] for line in TEXT.splitlines() if line.startswith("ghostnet ")]
    inline = re.findall(r"`(?:\.venv/bin/)?(ghostnet [^`]+)`", TEXT)
    rows = [f"ghostnet {words}" for words in re.findall(r"\| `((?:train|baseline) [^`]+)` \|", TEXT)]
    first = re.findall(r"\.venv/bin/(ghostnet [^\n&]+)", TEXT)
    return sorted({*blocks, *inline, *rows, *first})


@pytest.mark.parametrize("command", commands())
def test_every_command_is_one_that_there_is(command, capsys):
    plain = re.sub(r"[\[\]|…]", " ", command.replace("tcp://…", "tcp://host:1").replace("VALUE", "1"))
    words = [WORDS.get(word, word) for word in shlex.split(plain)[1:]]
    try:
        _parser().parse_args(words)
    except SystemExit as end:
        assert end.code == 0 or "arguments are required" in capsys.readouterr().err  # the text names a command alone
