"""Runs every ```python block of README.md and docs/ as it stands, in order, in a scratch directory.

Plain Python, so that it can be run where only `pip install .` has been: what the documents show works there. What they
take for granted is set out in `given`, and data are few, as nothing but running is to be seen.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tempfile
from pathlib import Path

import numpy as np

import ghostnet as gn
from ghostnet import data

ROOT = Path(__file__).resolve().parents[1]
FEW = {"train_examples": 4}


def blocks(document: Path, language: str) -> list[tuple[int, str]]:
    """Where the blocks of a language begin, as a number of lines, and what they hold."""
    text = document.read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, block.start(1)), block[1]) for block in found]


def given() -> dict:
    """Presentations for mb-500, in its batches of one."""
    draw = np.random.default_rng(0)
    xs, ys = draw.random((4, 1, 784)), np.eye(10)[draw.integers(10, size=(4, 1))]
    return {"x": xs[0], "y": ys[0], "xs": xs, "ys": ys}


def make_small() -> None:
    """Presets train on few examples, and few are tested."""
    preset, load = gn.preset, data.load

    def load_few(name) -> data.Dataset:
        whole = load(name)
        return dataclasses.replace(whole, test_images=whole.test_images[:100], test_labels=whole.test_labels[:100])

    gn.preset = lambda name, **changes: preset(name, **(FEW | changes))
    data.load = load_few


def sweep() -> None:
    """runs/beta, a task of the sweep that docs/sweeps.md shows."""
    ((_, text),) = blocks(ROOT / "docs" / "sweeps.md", "toml")
    Path("beta.toml").write_text(text, encoding="utf-8")
    plan = gn.sweep.read("beta.toml")
    plan = dataclasses.replace(plan, settings=plan.settings | FEW | {"epochs": 1})
    gn.sweep.run(plan, "runs/beta", workers=1, only=["*,feedback=TF,beta=0.1,seed=0"], progress=False)


def run(document: Path, names: dict) -> None:
    """Its blocks in order, each with what those before have made."""
    for line, text in blocks(document, "python"):
        print(f"{document.relative_to(ROOT)}:{line + 1}", flush=True)
        exec(compile("\n" * line + text, document, "exec"), names)  # errors name the line of the document


def main() -> None:
    names = given()
    make_small()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sweep()
        run(ROOT / "README.md", names)
        for document in sorted((ROOT / "docs").glob("*.md")):
            run(document, dict(names))  # what README.md has made is known to each, and no more
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
