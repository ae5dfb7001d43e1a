"""What a release says of itself, in one voice. `.ci/release` builds one and installs it."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def version() -> str:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    return setup["metadata"]["version"]


@pytest.mark.parametrize(("name", "pattern"), [("CITATION.cff", r"^version: (\S+)$"), ("CHANGELOG.md", r"^## (\S+)")])
def test_the_version_is_the_same_everywhere(name, pattern):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert re.search(pattern, text, re.MULTILINE)[1] == version()


def test_every_extra_is_held_to_versions():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    wanted = "\n".join([setup["options"]["install_requires"], *setup["options.extras_require"].values()])
    names = {re.split(r"[\[;<>= ]", line)[0] for line in wanted.split("\n") if line}
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name.lower() for name in names} - {name.lower() for name in pinned} == {"jax"}  # only for comparison
