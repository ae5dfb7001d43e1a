"""What a sweep is: settings, a grid, a list of experiments and seeds; and the tasks that follow from them.

preset = "mb-500"             # any setting of an experiment, and of training: engine, dtype, gradcheck_every, …
epochs = 10
seeds = [0, 1, 2, 3, 4]       # each in a run directory of its own

[grid]                        # every combination of these
feedback = ["TF", "FA"]
beta = [0.05, 0.1]

[[experiments]]               # and, if there is a list, every experiment of it
name = "small"                # default: its preset
sizes = [784, 100, 10]
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ghostnet import config
from ghostnet.config import Experiment, require, require_known
from ghostnet.presets import preset

_TRAINING = (
    "engine", "dtype", "gradcheck_every", "gradcheck_examples", "device", "fast_matmul", "settle_tol", "max_sweeps"
)  # fmt: skip
_FIELDS = tuple(spec.name for spec in dataclasses.fields(Experiment))
_SETTINGS = ("preset", *_FIELDS, *_TRAINING)


@dataclass(frozen=True)
class Task:
    """One experiment with one seed.

    Attributes:
        name: of its run directory, such as ``mb-500-tf,beta=0.1,seed=3``.
        at: its place in the sweep, dimension → label.
        experiment, options: what `ghostnet.train` takes.
    """

    name: str
    at: dict[str, str | int | float]
    experiment: Experiment
    options: dict


@dataclass(frozen=True)
class Sweep:
    """The tables of a sweep file. settings hold for every task; a grid value wins over an experiment's, that over them.

    Raises:
        ConfigError: on construction: an unknown setting, an impossible experiment, or two tasks of one name.
    """

    settings: dict = field(default_factory=dict)
    grid: dict[str, list] = field(default_factory=dict)
    experiments: list[dict] = field(default_factory=list)

    def __post_init__(self):
        require(isinstance(self.grid, dict), f"grid = {self.grid!r}: expected a table, [grid]")
        listed = isinstance(self.experiments, list) and all(isinstance(entry, dict) for entry in self.experiments)
        require(listed, f"experiments = {self.experiments!r}: expected tables, each headed [[experiments]]")
        require_known(self.settings, _SETTINGS, "setting")
        require_known(self.grid, (name for name in _SETTINGS if name != "seeds"), "setting")
        for name, values in self.grid.items():
            require(isinstance(values, list) and values, f"grid: {name} = {values!r}: expected a list of values")
        for entry in self.experiments:
            require_known(entry, ("name", *_SETTINGS), "setting")
            require("name" in entry or "preset" in entry, f"experiments: {entry}: expected a name or a preset")
        (name, count), *_ = Counter(task.name for task in self.tasks).most_common(1)
        require(count == 1, f"{count} experiments would share the run directory {name}; name them apart")

    @property
    def tasks(self) -> list[Task]:
        """Every task, in the order of the list, the grid and the seeds."""
        cells = itertools.product(self.experiments or [{}], *([(n, v) for v in vs] for n, vs in self.grid.items()))
        return [task for entry, *values in cells for task in self._seeds(entry, dict(values))]

    def matching(self, patterns: Iterable[str]) -> list[Task]:
        """The tasks whose names match any of the shell patterns, such as ``ma-*,seed=0``.

        Raises:
            ConfigError: a pattern that matches none.
        """
        found = [{t.name for t in self.tasks if fnmatchcase(t.name, pattern)} for pattern in patterns]
        for pattern, names in zip(patterns, found, strict=True):
            require(names, f"only = {pattern}: matches no task, such as {self.tasks[0].name}")
        return [task for task in self.tasks if task.name in set().union(*found)]

    def to_toml(self) -> str:
        """The sweep as the text of a file that `read` takes."""
        tables = [config.toml_lines(self.settings)]
        tables += ["[grid]\n" + config.toml_lines(self.grid)] if self.grid else []
        tables += ["[[experiments]]\n" + config.toml_lines(entry) for entry in self.experiments]
        return "\n".join(tables)

    def _seeds(self, entry: dict, values: dict) -> list[Task]:
        """The tasks of one experiment of the list at one point of the grid."""
        given = self.settings | entry | values
        options = {name: given[name] for name in _TRAINING if name in given}
        base, fields = given.get("preset"), {name: given[name] for name in _FIELDS if name in given}
        whole = preset(base, **fields) if base else config.from_mapping(fields)
        labels = {name: _label(value) for name, value in values.items()}
        start = _name(entry) if entry else base if base and "preset" not in values else ""
        parts = [start, *(str(v) if n == "preset" else f"{n}={v}" for n, v in labels.items())]
        at = ({"experiment": _name(entry)} if entry else {}) | labels
        tasks = []
        for seed in whole.seeds:
            name = ",".join(filter(None, [*parts, f"seed={seed}"])).replace(os.sep, "-")
            tasks.append(Task(name, at | {"seed": seed}, whole.replace(seeds=(seed,)), options))
        return tasks


def _name(entry: dict) -> str:
    return entry.get("name") or entry["preset"]


def _label(value) -> str | int | float:
    """A value as a coordinate, and as part of a file's name."""
    return " ".join(map(str, value)) if isinstance(value, list) else value


def read(path: str | os.PathLike) -> Sweep:
    """The sweep in a TOML file.

    Raises:
        FileError: it can't be read. ConfigError: it is not TOML, and whatever Sweep refuses.
    """
    values = config.read_toml(path)
    tables = {name: values.pop(name) for name in ("grid", "experiments") if name in values}
    return Sweep(values, **tables)
