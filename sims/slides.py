"""The tables of the slides and reports on feedback alignment, ours beside theirs, each from the runs of one sweep.

    nokland        MLPs on MNIST (Nøkland 2016), and one whose first layer is frozen, for a few epochs
    nokland_300    Nøkland's for as long as his, one seed of each
    small          small MLPs and CNNs on MNIST: the slides on BioTorch, the report on DFA by depth, BioTorch's LeNet
    fashion        some of them on Fashion-MNIST
    cifar          MLP, CNN and ResNet-20 on CIFAR-10; its data are not bundled: --data says where the binary files are

    python sims/slides.py                     what is left of the runs of nokland, small and fashion; all tables
    python sims/slides.py small --epochs 20   one table; its runs go on to another length
    python sims/slides.py nokland_300         17 hours of one CPU, quick networks first; interrupt and repeat at will
    python sims/slides.py cifar --data DIR    days of one CPU; likewise
    python sims/slides.py --draw              the tables from the runs that are there
    python sims/slides.py --quick             every run for a moment: 1 epoch of 600 examples, seed 0

Writes figures/NAME.md and .csv: mean ± deviation over seeds after the last epoch, nothing chosen by the test set,
beside what the source has; the minutes that the runs took to learn, and the hours that all seeds would take for as many
epochs as the source's, at the pace of their fastest epoch. Minutes are of the clock: those that are stored were taken
on a machine that did much else, and are up to ten times those of a free core.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import itertools
import json
from pathlib import Path
from typing import NamedTuple

from destination import HERE, figures, runs
from published import BIOTORCH, BIOTORCH_CIFAR, DEPTH, FEEDBACK_ALIGNMENT, SMALL_NETWORKS, Published
from sweeps import run, sweep_parser
from table1 import markdown

import ghostnet as gn
from ghostnet.files.publishing import publish
from ghostnet.host.streams import show_symbols
from ghostnet.results.report import percent
from ghostnet.runs import metrics, store
from ghostnet.sweep.task import state

LONG = {"nokland_300": ("nokland", {"epochs": 300, "evaluate_every": 5, "seeds": [0]})}  # whose networks, and how long
QUICK = {"epochs": 1, "train_examples": 600, "seeds": [0]}
GHOSTS, GHOST_EPOCHS = {"MB": "mb-500-tf", "MA": "ma-500-tf"}, 20  # of Table 1's runs, beside 784-500-10
HEADING = ["network", "method", "ours", "theirs", "seeds", "epochs", "their epochs", "minutes", "hours for theirs"]


class Part(NamedTuple):
    """Networks of a sweep that stand together.

    Attributes:
        title: of what. wrong: percent wrong, not percent right.
        rows: experiment of the sweep → row of `theirs`, None where they have no such network.
    """

    title: str
    theirs: Published | None
    wrong: bool
    rows: dict[str, str | None]


TABLES = {
    "nokland": [
        Part(
            "MNIST, test error in percent",
            FEEDBACK_ALIGNMENT,
            True,
            {row: row for row in FEEDBACK_ALIGNMENT.rows} | {"2x800-frozen": None},
        )
    ],
    "nokland_300": [
        Part(
            "MNIST, test error in percent, after 300 epochs",
            FEEDBACK_ALIGNMENT,
            True,
            {row: row for row in FEEDBACK_ALIGNMENT.rows if row != "100x240"},
        )
    ],
    "small": [
        Part(
            "MNIST, test accuracy in percent: the slides on BioTorch",
            SMALL_NETWORKS,
            False,
            {"1x50": "Linear(50) Linear(10)", "three-convolutions": "Conv2d Conv2d Conv2d Linear Linear"},
        ),
        Part(
            "MNIST, test accuracy in percent, by depth: the report on DFA",
            DEPTH,
            False,
            {row: row for row in DEPTH.rows if row.startswith("private")}
            | {"one-block": "CNN, one block", "two-blocks": "CNN, two blocks"},
        ),
        Part("MNIST, test error in percent: BioTorch", BIOTORCH, True, {"lenet": "LeNet, MNIST"}),
        Part("MNIST, test accuracy in percent: as the ghost units", None, False, {"784-500-10": None}),
    ],
    "fashion": [
        Part(
            "Fashion-MNIST, test error in percent",
            BIOTORCH,
            True,
            {"lenet": "LeNet, Fashion-MNIST", "1x50": None, "2x800": None},
        )
    ],
    "cifar": [
        Part(
            "CIFAR-10, test error in percent",
            BIOTORCH_CIFAR,
            True,
            {"1x500": None, "two-blocks": None, "resnet-20": "ResNet-20"},
        )
    ],
}


class Cell(NamedTuple):
    """What complete runs of a network by a method ended with.

    Attributes:
        accuracy: of every seed, a fraction. wanted: how many seeds. epochs: that they have learned for.
        seconds: of training, all seeds; pace: of the fastest epoch. None where that isn't known.
    """

    accuracy: list[float]
    wanted: int
    epochs: int
    seconds: float | None = None
    pace: float | None = None


Cells = dict[tuple[str, str], Cell | None]  # experiment and method; None where no run is complete


def cells(plan: gn.sweep.Sweep, folder: Path) -> Cells:
    """What the runs of a sweep have come to, the seeds of an experiment by a method together."""
    folders: dict[tuple[str, str], list[Path]] = {}
    for task in plan.tasks:
        folders.setdefault((task.at["experiment"], task.at["model"]), []).append(folder / task.name)
    return {place: cell(runs) for place, runs in folders.items()}


def cell(folders: list[Path]) -> Cell | None:
    """Of the run directories of every seed, as long as all that are complete have learned."""
    runs = [metrics.read(path / store.METRICS) for path in folders if state(path) == "complete"]
    if not runs:
        return None
    epochs = min(rows[-1]["epoch"] for rows in runs)
    until = [[row for row in rows if row["epoch"] <= epochs] for rows in runs]
    pairs = (pair for rows in until for pair in itertools.pairwise(rows))
    paces = [(b["seconds"] - a["seconds"]) / (b["epoch"] - a["epoch"]) for a, b in pairs]
    last = [rows[-1] for rows in until]
    seconds = sum(row["seconds"] for row in last)
    return Cell([row["test_accuracy"] for row in last], len(folders), epochs, seconds, min(paces))


def others(name: str, figures: Path) -> Cells:
    """Cells of a table whose runs are kept for another figure: 100x240 of deep_dfa.py, and Table 1's of MB and MA."""
    found: Cells = {}
    if name == "nokland" and (figures / "deep_dfa.json").exists():
        facts = json.loads((figures / "deep_dfa.json").read_text(encoding="utf-8"))
        for method, learned in facts["results"].items():
            found["100x240", method] = Cell([learned["accuracy"][-1]], 1, len(learned["accuracy"]) - 1)
    if name == "small" and (figures / "results").exists():
        runs = gn.load_sweep(figures / "results")
        for method, experiment in GHOSTS.items():
            last = runs.test_accuracy.sel(experiment=experiment, epoch=GHOST_EPOCHS).dropna("seed").values.tolist()
            if last:
                found["784-500-10", method] = Cell(last, len(last), GHOST_EPOCHS)
    return found


def lines(part: Part, found: Cells) -> list[list[str]]:
    """A line for each network and method that we or they have."""
    made = []
    for experiment, row in part.rows.items():
        theirs = dict(zip(part.theirs.columns, part.theirs.rows[row], strict=True)) if row else {}
        ours = {method: cell for (name, method), cell in found.items() if name == experiment}
        for method in dict.fromkeys([*ours, *theirs]):
            number = theirs.get(method)
            if method in ours or number is not None:
                made.append([experiment, method, *_line(ours.get(method), part, number)])
    return made


def _line(ours: Cell | None, part: Part, number: float | None) -> list[str]:
    """The columns from `ours` on."""
    theirs, length, epochs = "", "", None
    if number is not None:
        epochs = part.theirs.epochs
        theirs, length = f"{number:g}", str(epochs or "not given")
    if ours is None:
        return ["", theirs, "not run", "", length, "", ""]
    shown = percent([1 - right if part.wrong else right for right in ours.accuracy])
    short = f"{ours.epochs}, short" if epochs and ours.epochs < epochs else str(ours.epochs)
    done = len(ours.accuracy)
    seeds = str(done) if done == ours.wanted else f"{done} of {ours.wanted}"
    minutes = "" if ours.seconds is None else f"{ours.seconds / 60:.1f}"
    hours = f"{ours.pace * epochs * ours.wanted / 3600:.1f}" if ours.pace and epochs else ""
    return [shown, theirs, seeds, short, length, minutes, hours]


def publish_table(name: str, found: Cells, path: Path) -> None:
    """Write a table as path.md and path.csv, and print it."""
    source, _ = _networks(name)
    text = [f"`python sims/slides.py {name}`, settings in `sims/{source}.toml`.\n"]
    numbers = io.StringIO(newline="")
    writer = csv.writer(numbers, lineterminator="\n")
    writer.writerow(["table", *HEADING])
    for part in TABLES[name]:
        rows = lines(part, found)
        writer.writerows([part.title, *row] for row in rows)
        text.append(f"## {part.title}\n\n{markdown([HEADING, *rows])}")
        if part.theirs:
            text.append(f"Theirs: {part.theirs.source}, {part.theirs.where}: {part.theirs.what}.\n")
    print("\n".join(text))
    publish(path.with_suffix(".md"), "\n".join(text).encode())
    publish(path.with_suffix(".csv"), numbers.getvalue().encode())


def _networks(name: str) -> tuple[str, dict]:
    """Which sweep has a table's networks, and what is different for the table."""
    return LONG.get(name, (name, {}))


def plan_of(name: str, given: argparse.Namespace) -> gn.sweep.Sweep:
    """A table's sweep, with what the command line says of it in place of the file's; a long one's smallest networks
    first."""
    source, changes = _networks(name)
    plan = gn.sweep.read(HERE / f"{source}.toml")
    changes = changes | (QUICK if given.quick else {"epochs": given.epochs} if given.epochs else {})
    if given.data:
        changes |= {"data": str(given.data)}
    shown = {experiment for part in TABLES[name] for experiment in part.rows}
    entries = [entry for entry in plan.experiments if entry["name"] in shown]
    if name in LONG:
        entries.sort(key=lambda entry: sum(n * m for n, m in itertools.pairwise(entry["sizes"])))
    kept = [{key: value for key, value in entry.items() if key not in changes} for entry in entries]
    return dataclasses.replace(plan, settings=plan.settings | changes, experiments=kept)


def main() -> None:
    options = sweep_parser(__doc__, quick="1 epoch of 600 examples, seed 0, for a look")
    options.add_argument("tables", nargs="*", choices=[[], *TABLES], metavar="TABLE", help="which (default: all)")
    options.add_argument("--epochs", type=int, help="train for so many")
    options.add_argument("--data", type=Path, metavar="DIR", help="other data: of cifar, the directory of CIFAR-10's")
    given = options.parse_args()
    for name in given.tables or TABLES:
        plan, kept = plan_of(name, given), f"{name}-quick" if given.quick else name
        folder = (runs if given.quick else figures)(given) / kept
        unasked = (name == "cifar" and not given.data) or (name in LONG and name not in given.tables)
        if not (given.draw or unasked):
            run(plan, folder, workers=given.workers)
        publish_table(name, cells(plan, folder) | others(name, figures(given)), figures(given) / kept)


if __name__ == "__main__":
    show_symbols()
    main()
