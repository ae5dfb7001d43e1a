"""Numbers that were made beside those that are stored: which differ by more than rounding or chance explains."""

from __future__ import annotations

import csv
import io
import math
import re
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from ghostnet.errors import FileError
from ghostnet.files import jsonfile
from ghostnet.files.opening import read_bytes

STANDARD_ERRORS = 3  # by which means of runs may differ
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf)")
_MAKE = "make it with `ghostnet reproduce`"


@dataclass(frozen=True)
class Rule:
    """By how much some numbers of a file may differ from the stored ones.

    Attributes:
        file: its name, .json or .csv. fields: a shell pattern of the numbers' names.
        relative, absolute: they may differ by relative · |stored| + absolute.
        spread: means may differ by `STANDARD_ERRORS` standard errors instead, of runs with this deviation.
        key: of a .csv, the columns that name a row. count: of a .csv, the column whose first number counts the runs.
        partial: stored numbers that were not made are not missed.
    """

    file: str
    fields: str
    relative: float = 0.0
    absolute: float = 0.0
    spread: float | None = None
    key: tuple[str, ...] = ()
    count: str = ""
    partial: bool = False


class Numbers(NamedTuple):
    """What stands in a place: one number or several, of so many runs."""

    values: tuple[float, ...]
    runs: int


class Comparison(NamedTuple):
    """How many numbers were compared, and a line for each that differs or is missing."""

    compared: int
    differing: list[str]


def read(folder: Path, rules: Iterable[Rule]) -> dict[tuple[str, str], tuple[Rule, Numbers]]:
    """The numbers that rules speak of, by file and name, each with the first rule that matches it.

    Raises:
        FileError: a file is not there, or isn't what it should be.
    """
    found: dict[tuple[str, str], tuple[Rule, Numbers]] = {}
    for rule in rules:
        for name, numbers in _numbers(folder / rule.file, rule):
            if fnmatchcase(name, rule.fields) and numbers.values:
                found.setdefault((rule.file, name), (rule, numbers))
    return found


def compare(
    made: dict[tuple[str, str], tuple[Rule, Numbers]], stored: dict[tuple[str, str], tuple[Rule, Numbers]]
) -> Comparison:
    """What was made beside what is stored, both as `read` gives them."""
    compared, differing = 0, []
    for (file, name), (rule, wanted) in stored.items():
        if (file, name) in made:
            compared += 1
            differing += [f"{file}: {name}{text}" for text in _differences(made[file, name][1], wanted, rule)]
        elif not rule.partial:
            differing.append(f"{file}: {name}: missing, stored {_shown(wanted.values)}")
    return Comparison(compared, differing)


def _differences(made: Numbers, stored: Numbers, rule: Rule) -> Iterator[str]:
    """A text for each number that differs."""
    if rule.spread is not None:
        allowed = STANDARD_ERRORS * rule.spread * math.sqrt(1 / made.runs + 1 / stored.runs)
        ours, theirs = statistics.fmean(made.values), statistics.fmean(stored.values)
        if not _near(ours, theirs, allowed):
            yield f": {ours:.6g}, stored {theirs:.6g}, may differ by {allowed:.2g} (runs: {made.runs}, {stored.runs})"
        return
    if len(made.values) != len(stored.values):
        yield f": {_shown(made.values)}, stored {_shown(stored.values)}"
        return
    for place, (ours, theirs) in enumerate(zip(made.values, stored.values, strict=True)):
        allowed = rule.absolute + rule.relative * abs(theirs)
        if not _near(ours, theirs, allowed):
            where = f"[{place}]" if len(stored.values) > 1 else ""
            yield f"{where}: {ours:.9g}, stored {theirs:.9g}, may differ by {allowed:.2g}"


def _near(ours: float, theirs: float, allowed: float) -> bool:
    return abs(ours - theirs) <= allowed or ours == theirs or (math.isnan(ours) and math.isnan(theirs))


def _shown(values: tuple[float, ...]) -> str:
    return f"{values[0]:.6g}" if len(values) == 1 else f"{len(values)} numbers"


def _numbers(path: Path, rule: Rule) -> Iterator[tuple[str, Numbers]]:
    if path.suffix == ".json":
        yield from _of_json("", jsonfile.read(path))
    else:
        text = read_bytes(path, _MAKE).decode(errors="replace")
        for row in csv.DictReader(io.StringIO(text)):
            yield from _of_row(path, row, rule)


def _of_json(name: str, value: object) -> Iterator[tuple[str, Numbers]]:
    """Numbers and lists of numbers, with the keys and places that lead to them."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield name, Numbers((float(value),), 1)
    elif isinstance(value, list) and all(isinstance(each, (int, float)) for each in value):
        yield name, Numbers(tuple(map(float, value)), len(value))
    elif isinstance(value, (dict, list)):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            yield from _of_json(f"{name}.{key}".removeprefix("."), part)


def _of_row(path: Path, row: dict[str, str], rule: Rule) -> Iterator[tuple[str, Numbers]]:
    """The numbers of each cell; what stands behind ± is left out."""
    absent = [column for column in (*rule.key, *filter(None, [rule.count])) if column not in row]
    if absent:
        raise FileError(f"{path}: has no column {absent[0]}; {_MAKE}")
    counted = _NUMBER.search(row[rule.count]) if rule.count else None
    named = ", ".join(row[column] for column in rule.key)
    for column, cell in row.items():
        values = tuple(map(float, _NUMBER.findall(cell.partition("±")[0])))
        yield f"{named}, {column}", Numbers(values, int(counted[0]) if counted else len(values))
