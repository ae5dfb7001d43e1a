"""The data set that trainings in the tests learn from; Triton without a GPU."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import tiny, write_parts

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # looked at when Triton is imported


def pytest_configure(config: pytest.Config) -> None:
    """Workers and what they start have one thread each: with more than there are CPUs, OpenMP waits for its own."""
    if getattr(config.option, "numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def task(tmp_path_factory) -> str:
    """A directory of IDX files: 100 training and 40 test images of 4 × 4 pixels, one noisy picture per class."""
    draw = np.random.default_rng(0)
    pictures = 200 * draw.integers(2, size=(4, 4, 4))
    arrays = []
    for count in (100, 40):
        labels = np.arange(count, dtype=np.uint8) % 4
        images = pictures[labels] + draw.integers(56, size=(count, 4, 4))
        arrays += [images.astype(np.uint8), labels]
    return str(write_parts(tmp_path_factory.mktemp("task"), arrays))


@pytest.fixture
def settings(task, tmp_path) -> Path:
    """A TOML file of a small experiment."""
    path = tmp_path / "tiny.toml"
    path.write_text(tiny(task, epochs=1, seeds=(0, 1)).to_toml())
    return path
