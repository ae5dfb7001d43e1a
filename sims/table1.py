"""Table 1 of Mesnard et al. 2019 (arXiv:1911.08585): train and test accuracy on MNIST, ours beside the paper's.

All 19 cells, 5 seeds each, from the runs of table1.toml; cells that are not complete are marked, runs that diverged are
counted and left out of the means. MB with two hidden layers is learned at equilibrium, with one seed stepped as a
check (docs/equilibrium.md).

    python sims/table1.py                        everything: weeks on 2 CPUs; interrupt and repeat at will
    python sims/table1.py --only 'mb-?00-??,*'   MB with one hidden layer; an hour and a half on 2 CPUs
    python sims/table1.py --draw                 the table from the runs in figures/results
    python sims/table1.py --quick                every cell for a moment; two minutes
    python sims/table1.py --scheduler tcp://…    on a Dask cluster that sees this folder
    python sims/table1.py --device cuda          on a GPU, the seeds of a cell side by side (not measured yet)

Writes figures/table1.md and .csv.
"""

from __future__ import annotations

import csv
import io
import statistics
from pathlib import Path

import xarray as xr
from destination import HERE, figure_path
from paper_runs import arguments, results
from published import GHOST_UNITS

import ghostnet as gn
from ghostnet.files.figures import appended
from ghostnet.files.publishing import publish
from ghostnet.host.streams import show_symbols
from ghostnet.results import report
from ghostnet.sweep.results import complete

PAPER = GHOST_UNITS.rows
HEADING = [
    "cell",
    "train %",
    "test %",
    "paper train",
    "paper test",
    "test - paper",
    "seeds",
    "epochs",
    "engine",
    "CPU h",
]


def row(entry: dict, cell: xr.Dataset, epochs: int) -> list[str]:
    """One line of the table: the complete runs, or else how far the furthest is."""
    experiment = entry.get("name", entry["preset"])
    size, feedback = entry["preset"].rsplit("-", 1)
    paper = PAPER[size][:2] if feedback == "tf" else PAPER[size][2:]
    engine, wanted = entry.get("engine", "stepped"), int((cell.status != "").sum())
    done, diverged = complete(cell), int((cell.status == "diverged").sum())
    lost = f", {diverged} diverged" if diverged else ""
    if not done.sizes["seed"]:
        shown = cell.epoch.values[cell.test_accuracy.notnull().any("seed").values]
        so_far = (f"epoch {shown[-1]}" if len(shown) else "not run") + lost
        return [experiment, "", "", *map(str, paper), "", so_far, str(epochs), engine, ""]
    last = done.sel(epoch=epochs)
    train, test = last.train_accuracy.values.tolist(), last.test_accuracy.values.tolist()
    seconds = done.seconds.diff("epoch").median("epoch") * epochs  # the median: whatever else the machine did
    return [
        experiment,
        report.percent(train),
        report.percent(test),
        *map(str, paper),
        f"{100 * statistics.mean(test) - paper[1]:+.2f}",
        f"{done.sizes['seed']} of {wanted}{lost}",
        str(epochs),
        engine,
        f"{float(seconds.sum()) / 3600:.1f}",
    ]  # fmt: skip


def table(runs: xr.Dataset, epochs: int | None = None) -> list[list[str]]:
    """The whole table, heading first; epochs: what a complete run has, if not its preset's."""
    entries = gn.sweep.read(HERE / "table1.toml").experiments
    cells = [runs.sel(experiment=entry.get("name", entry["preset"])) for entry in entries]
    return [HEADING] + [
        row(entry, cell, epochs or gn.preset(entry["preset"]).epochs)
        for entry, cell in zip(entries, cells, strict=True)
    ]


def markdown(rows: list[list[str]]) -> str:
    heading, *rest = [" | ".join(cells) for cells in rows]
    ruler = " | ".join(["---"] * len(rows[0]))
    return "\n".join(f"| {line} |" for line in (heading, ruler, *rest)) + "\n"


def publish_table(rows: list[list[str]], path: Path) -> None:
    """Write a table, heading first, as `path`.md and .csv."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    publish(appended(path, ".md"), markdown(rows).encode())
    publish(appended(path, ".csv"), text.getvalue().encode())


def main() -> None:
    given = arguments(__doc__)
    runs = results(given, ["*"])
    rows = table(runs, int(runs.epoch[-1]) if given.quick else None)
    print(report.aligned(rows))
    publish_table(rows, figure_path(given, "table1"))


if __name__ == "__main__":
    show_symbols()
    main()
