"""metrics.csv, written, read and checked: a row for every network of a run at every evaluation."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from ghostnet.errors import FileError
from ghostnet.files.opening import read_bytes
from ghostnet.model.typed import LARGEST_COUNT

PLACE = ("run", "seed", "epoch")  # columns that say where a row belongs
_MEASURED = ("train_accuracy", "test_accuracy", "seconds")  # others may be empty, infinite or nan
MAX_BYTES = 1 << 28


def csv_text(rows: Iterable[dict]) -> str:
    """Rows that share their keys as CSV; empty for none."""
    rows, text = list(rows), io.StringIO(newline="")
    if rows:
        writer = csv.DictWriter(text, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def csv_rows(text: str) -> list[dict]:
    """The rows of `csv_text` again: whole numbers as int, others as float, what is empty as None.

    Raises:
        ValueError: a row is longer or shorter than the heading, which has a name twice, or a value is no number.
    """

    def number(value: str) -> int | float | None:
        if not value:
            return None
        return int(value) if value.lstrip("-").isdecimal() else float(value)

    try:
        names, *rows = filter(None, csv.reader(io.StringIO(text), strict=True)) if text else [[]]
    except csv.Error as error:
        raise ValueError(f"not CSV ({error})") from error
    if len(set(names)) < len(names) or any(len(row) != len(names) for row in rows):
        raise ValueError(f"expected {len(names)} columns of different names in every row")
    return [dict(zip(names, map(number, row), strict=True)) for row in rows]


def read(path: Path) -> list[dict]:
    """The rows of a metrics.csv; the last evaluation may lack some, where a run is just writing.

    Raises:
        FileError: it can't be read, or holds what no run writes.
    """
    text = read_bytes(path, "give a run that has one", MAX_BYTES)
    try:
        rows = csv_rows(text.decode("utf-8"))
        require_sound(rows)
    except ValueError as error:
        raise FileError(f"{path}: damaged, or not what a run writes ({error}); take a backup or run anew") from error
    return rows


def require_sound(rows: list[dict], seeds: Sequence[int] | None = None, epochs: Sequence[int] | None = None) -> None:
    """Raise ValueError unless these are rows of the runs 0, 1, … in turn, epoch after epoch, with sound values.

    Args:
        seeds: those of the runs; by default what the first evaluation says.
        epochs: those that have to be there; by default any will do, the last perhaps in part.
    """
    if not rows:
        return
    missing = {*PLACE, *_MEASURED} - rows[0].keys()
    if missing:
        raise ValueError(f"no column {', '.join(sorted(missing))}")
    first = [row["seed"] for row in rows if row["epoch"] == rows[0]["epoch"]]
    seeds = first if seeds is None else list(seeds)
    for i, row in enumerate(rows):
        _require_sound(i, row)
        before = rows[i - 1]["epoch"] if i else -1
        later = row["epoch"] > before if i % len(seeds) == 0 else row["epoch"] == before
        if (row["run"], row["seed"]) != (i % len(seeds), seeds[i % len(seeds)]) or not later:
            at = ", ".join(f"{name} {row[name]}" for name in PLACE)
            raise ValueError(f"row {i + 1} is of {at}: expected every run in turn, epoch after epoch")
    if epochs is not None and [row["epoch"] for row in rows] != [epoch for epoch in epochs for _ in seeds]:
        text = f"expected {len(seeds)} for each of {len(epochs)} evaluations"
        raise ValueError(f"{len(rows)} rows until epoch {rows[-1]['epoch']}: {text}")


def _require_sound(i: int, row: dict) -> None:
    """Raise ValueError where a value of row i is none that it can be."""
    for name, value in row.items():
        count, large = name in PLACE, isinstance(value, int) and abs(value) >= LARGEST_COUNT
        if (large and name != "seed") or (count and not (isinstance(value, int) and value >= 0)):
            raise ValueError(f"row {i + 1} has {name} {value}: expected a {'count' if count else 'smaller number'}")
    for name in _MEASURED:
        value, most = row[name], math.inf if name == "seconds" else 1
        if value is None or not (math.isfinite(value) and 0 <= value <= most):
            raise ValueError(f"row {i + 1} has {name} {value}: expected 0 and more" + ", at most 1" * (most == 1))
