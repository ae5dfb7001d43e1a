"""The examples about data and modules do what they say they do, in a directory of their own."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from ghostnet import Network

EXAMPLES = Path(__file__).parents[1] / "examples"


def percent(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"([\d.]+) %", text)]


@pytest.fixture
def output(tmp_path, monkeypatch, capsys):
    """What an example prints."""
    monkeypatch.chdir(tmp_path)
    return lambda name: runpy.run_path(str(EXAMPLES / name), run_name="__main__") and capsys.readouterr().out


def test_own_data_are_learned(output):
    said = output("own_data.py")
    assert percent(said)[0] > 95 and len(re.findall(r"(three|seven) \(\1\)", said)) >= 7


def test_a_network_goes_to_torch_and_back(output, tmp_path):
    direct, before, after = percent(output("torch_module.py"))
    assert direct > 20 and before > 20 and after > 85
    assert Network.load(tmp_path / "digits.safetensors").presentations == 20_000
