"""What a shell offers after it has read `ghostnet --print-completion`."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from builders import command

from ghostnet.cli.completion import SHELLS

ASK = 'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _shtab_ghostnet; echo "${COMPREPLY[*]}"'


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("ghostnet tr", "train"),
        ("ghostnet train mb-100", "mb-100-tf mb-100-fa"),
        ("ghostnet gradcheck ma-100", "ma-100-tf ma-100-fa"),
        ("ghostnet reproduce fig", "figure3 figure4 figure5 figure6"),
        ("ghostnet baseline I", "IFA"),
        ("ghostnet train --engi", "--engine"),
        ("ghostnet train --engine e", "equilibrium"),
        ("ghostnet view t", "t.h5"),
        ("ghostnet train --beta t", ""),
    ],
)
def test_bash_offers_what_may_stand_there(capsys, tmp_path, words, offered):
    code, script, err = command(capsys, "--print-completion", "bash")
    assert (code, err) == (0, "")
    (tmp_path / "t.h5").touch()
    asked = f"COMP_WORDS=({shlex.join(words.split())}); {ASK}"
    run = subprocess.run(
        ["bash", "-c", f"{script}\n{asked}"], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8"
    )
    assert run.stdout.strip() == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script(capsys, shell):
    code, script, err = command(capsys, "--print-completion", shell)
    assert (code, err) == (0, "") and "ghostnet" in script
