"""Numbers of other authors: all stand in sims/published.py, are shown beside their networks, and quoted rightly."""

from __future__ import annotations

import ast
import csv
import itertools
import re
import sys
from pathlib import Path

import pytest
import torch

import ghostnet as gn
from ghostnet.baselines import architectures

ROOT = Path(__file__).resolve().parent.parent
SIMS = ROOT / "sims"


@pytest.fixture
def sims(monkeypatch):
    """Imports a script of sims/ by its name."""
    monkeypatch.setattr(sys, "path", [str(SIMS), *sys.path])
    return __import__


def test_every_number_has_a_source_and_a_place_in_it(sims):
    for table in sims("published").ALL:
        assert table.source and table.where and table.what
        assert all(len(numbers) == len(table.columns) for numbers in table.rows.values())


def test_no_other_script_holds_a_published_number(sims):
    published = sims("published")
    numbers = {n for table in published.ALL for row in table.rows.values() for n in row if n is not None}
    telling = {n for n in numbers if f"{n:.1f}" != f"{n:g}" and f"{n:g}" != f"{n:.0f}"}  # two decimals and more
    rows = {row for table in published.ALL for row in table.rows.values() if len(row) > 1}
    for path in {*SIMS.glob("*.py"), *(ROOT / "ghostnet").rglob("*.py")} - {SIMS / "published.py"}:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        constants = {node.value for node in nodes if isinstance(node, ast.Constant)}
        assert not telling & {value for value in constants if isinstance(value, float) and value > 1.1}, path.name
        tuples = (node for node in nodes if isinstance(node, ast.Tuple | ast.List))
        assert not rows & {tuple(getattr(item, "value", item) for item in node.elts) for node in tuples}, path.name


def test_the_ghost_units_rows_are_the_presets_of_that_model_and_those_sizes(sims):
    published = sims("published")
    assert sims("table1").PAPER is published.GHOST_UNITS.rows
    for row in (*published.GHOST_UNITS.rows, *published.GHOST_GRADIENT.rows):
        model, hidden = re.fullmatch(r"(ma|ma-prime|mb)-([\d-]+)", row).groups()
        e = gn.preset(f"{row}-tf")
        assert e.model.lower() == model and e.sizes == (784, *map(int, hidden.split("-")), 10)
    assert sims("figure5").CELL == "mb-500-tf"


def test_the_mlps_are_those_of_their_rows(sims):
    found = set()
    for task in gn.sweep.read(SIMS / "nokland.toml").tasks:
        e, b = task.experiment, task.baseline
        extra = [name for name in ("dropout", "adversarial", "frozen") if getattr(b, name)]
        transfer = {"tanh": [], "sigmoid": ["logistic"], "relu": ["relu"]}[b.transfer]
        assert e.sizes == (784, *[e.sizes[1]] * (e.depth - 1), 10)
        network = "-".join([f"{e.depth - 1}x{e.sizes[1]}", *transfer, *extra])
        assert task.at["experiment"] == network
        found.add((network, task.at["model"]))
    table = sims("published").FEEDBACK_ALIGNMENT
    wanted = {(row, method) for row, numbers in table.rows.items()
              for method, number in zip(table.columns, numbers, strict=True) if number is not None}  # fmt: skip
    assert found == (wanted - {("100x240", "DFA")}) | {("2x800-frozen", method) for method in table.columns}


def layers(task) -> str:
    """The layers with weights of a task's network, as the slides name them."""
    if task.baseline.architecture == "mlp":
        return " ".join(f"Linear({units})" for units in task.experiment.sizes[1:])
    made = getattr(architectures, task.baseline.architecture.replace("-", "_"))().modules()
    return " ".join(type(part).__name__ for part in made if isinstance(part, torch.nn.Conv2d | torch.nn.Linear))


def test_the_small_networks_have_the_layers_of_their_rows(sims):
    found = {task.at["experiment"]: layers(task) for task in gn.sweep.read(SIMS / "small.toml").tasks}
    rows = {experiment: row for part in sims("slides").TABLES["small"] for experiment, row in part.rows.items()}
    named = {row: experiment for experiment, row in rows.items()}
    for row in sims("published").SMALL_NETWORKS.rows:
        assert found[named[row]] == row
    assert found["private, one hidden layer"].count("Linear") == 2
    assert found["private, two hidden layers"].count("Linear") == 3
    for experiment, blocks in (("one-block", 1), ("two-blocks", 2)):
        assert rows[experiment] == f"CNN, {('one block', 'two blocks')[blocks - 1]}"
        assert found[experiment] == "Conv2d " * blocks + "Linear"


def test_what_the_private_networks_stand_beside_is_said_to_be_another(sims):
    script = sims("privacy")
    found = {name: {noise: ([0.5], None) for noise in script.NOISES} for name in script.METHODS}
    lines = script.table(found).splitlines()
    assert re.split(" {2,}", lines[-1]) == ["the report's BP, one hidden layer", "97", "78", "73", "61"]
    assert len(re.split(" {2,}", lines[0])) == 1 + len(script.NOISES)
    assert (ROOT / "figures" / "privacy.txt").read_text().splitlines()[-1].split() == lines[-1].split()


def paper(sims, name: str) -> dict[str, float]:
    """The paper's accuracies of a preset or cell: {"train": …, "test": …}."""
    name = name.lower().replace(",", "").replace(" ", "-")
    size, feedback = re.fullmatch(r"(.+)-(tf|fa)(?:-stepped)?", name).groups()
    row = sims("published").GHOST_UNITS.rows[size]
    return dict(zip(("train", "test"), row[:2] if feedback == "tf" else row[2:], strict=True))


def markdown_tables(text: str) -> list[list[list[str]]]:
    """The tables of a page, rows of cells, rulers left out."""
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    split = ([[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()] for block in blocks)
    return [[row for row in rows if not set("".join(row)) <= set("-: ")] for rows in split]


def test_tables_quote_the_paper_as_it_is(sims):
    tables = markdown_tables((ROOT / "docs" / "reproduction.md").read_text(encoding="utf-8"))
    quoted = 0
    for heading, *rows in (rows for rows in tables if "paper" in rows[0]):
        train, test = (place for place, cell in enumerate(heading) if cell == "paper")
        for row in rows:
            theirs = paper(sims, row[0])
            assert [float(row[train]), float(row[test])] == [theirs["train"], theirs["test"]]
            ours = float(row[test - 1].split()[0])
            assert float(row[-1]) == pytest.approx(ours - theirs["test"], abs=0.011)
            quoted += 1
    assert quoted == 21
    with (ROOT / "figures" / "table1.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            assert {part: float(row[f"paper {part}"]) for part in ("train", "test")} == paper(sims, row["cell"])


QUOTES = [  # file, what surrounds a number, and where that stands: table, row, column
    ("docs/programs.md", r"\(the paper ([\d.]+):", ("GHOST_UNITS", "ma-prime-500", "TF test")),
    ("docs/reproduction.md", r"the paper at ([\d.]+) / [\d.]+\.", ("GHOST_UNITS", "mb-300-300", "TF train")),
    ("docs/reproduction.md", r"the paper at [\d.]+ / ([\d.]+)\.", ("GHOST_UNITS", "mb-300-300", "TF test")),
    ("docs/reproduction.md", r"The paper says .* gradient is up to (\d+) %", ("GHOST_GRADIENT", "mb-500", "TF")),
    ("docs/reproduction.md", r"within the paper's (\d+) %", ("GHOST_GRADIENT", "mb-500", "TF")),
    ("sims/figure5.py", r'The paper says "up to (\d+) %"', ("GHOST_GRADIENT", "mb-500", "TF")),
    ("sims/deep_dfa.py", r"The paper has [\d.]+ % \(([\d.]+) % error", ("FEEDBACK_ALIGNMENT", "100x240", "DFA")),
]


@pytest.mark.parametrize(("file", "around", "place"), QUOTES)
def test_sentences_quote_their_source_as_it_is(sims, file, around, place):
    name, row, column = place
    table = getattr(sims("published"), name)
    (quoted,) = re.findall(around, (ROOT / file).read_text(encoding="utf-8"))
    decimals = len(quoted.partition(".")[2])
    assert quoted == f"{table.rows[row][table.columns.index(column)]:.{decimals}f}"


def test_no_other_sentence_quotes_a_number():
    spoken = r"(?i)\bthe (?:paper|report|slides)(?:'s)?,? (?:has|have|gives?|at|says)? ?[^.|\n]{0,60}?\b\d+\.\d\d?\b"
    texts = itertools.chain(SIMS.glob("*.py"), (ROOT / "docs").glob("*.md"), [ROOT / "README.md"])
    quoting = {path.name for path in texts if re.search(spoken, path.read_text(encoding="utf-8"))}
    assert quoting == {"programs.md", "reproduction.md", "deep_dfa.py"}


def test_how_near_the_paper_the_programs_are_said_to_come_is_what_the_table_says():
    text = (ROOT / "docs" / "programs.md").read_text(encoding="utf-8")
    claim = (
        r"\| Table 1, MB with (one|two) hidden layer.*test within ([\d.]+) points of the paper, train within ([\d.]+)"
    )
    claims = re.findall(claim, text)
    assert [layers for layers, *_ in claims] == ["one", "two"]
    with (ROOT / "figures" / "table1.csv").open(newline="", encoding="utf-8") as file:
        cells = [row for row in csv.DictReader(file) if re.fullmatch(r"mb-[\d-]+-(tf|fa)", row["cell"])]
    for (_, *claimed), count in zip(claims, (1, 2), strict=True):
        rows = [row for row in cells if row["cell"].count("-") == count + 1]
        off = {part: max(abs(float(row[f"{part} %"].split()[0]) - float(row[f"paper {part}"])) for row in rows)
               for part in ("test", "train")}  # fmt: skip
        assert [off["test"], off["train"]] <= [float(value) + 1e-9 for value in claimed]
