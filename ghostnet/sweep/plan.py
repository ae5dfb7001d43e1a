"""What a sweep is: settings, a grid, a list of experiments and seeds; and the tasks that follow from them.

preset = "mb-500"             # any setting of an experiment, and of training: engine, dtype, gradcheck_every, …
epochs = 10
method = ["MB", "DFA"]        # models and baselines; loss, learning_rate, … are settings of the baselines
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
import functools
import itertools
import math
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ghostnet.files import toml
from ghostnet.model.baseline import METHODS, Baseline, BaselineRun, baseline_from_mapping, mlp
from ghostnet.model.experiment import Experiment, from_mapping
from ghostnet.model.presets import preset
from ghostnet.model.typed import require, require_known, shown
from ghostnet.sweep.settings import TRAINING, check_options, directory_name, plain

_FIELDS = tuple(spec.name for spec in dataclasses.fields(Experiment))
_OF_BASELINES = tuple(spec.name for spec in dataclasses.fields(Baseline) if spec.name != "method")
_SETTINGS = tuple(dict.fromkeys(("preset", "method", *_FIELDS, *TRAINING, *_OF_BASELINES)))
_DIMENSION = {"method": "model"}  # xarray's sel(method=…) is another thing
_MOST = 100_000  # points of a grid; each has a run directory


@dataclass(frozen=True)
class Task:
    """One experiment with one seed.

    Attributes:
        name: of its run directory, such as ``mb-500-tf,beta=0.1,seed=3``; at most 120 bytes.
        at: its place in the sweep, dimension → label.
        experiment, options: what `ghostnet.train` takes, or `ghostnet.baselines.train`.
        baseline: what is trained instead of ghost networks.

    Examples:
        >>> task = gn.sweep.Sweep({"preset": "mb-100-tf"}, grid={"beta": [0.1, 0.2]}).tasks[1]
        >>> task.at, task.experiment.beta
        ({'beta': 0.2, 'seed': 0}, 0.2)
    """

    name: str
    at: dict[str, str | int | float]
    experiment: Experiment
    options: dict
    baseline: Baseline | None = None

    @property
    def configuration(self) -> Experiment | BaselineRun:
        """What config.toml of its run says."""
        return self.experiment if self.baseline is None else BaselineRun(self.experiment, self.baseline)


@dataclass(frozen=True)
class Sweep:
    """The tables of a sweep file. settings hold for every task; a grid value wins over an experiment's, that over them.

    Values are kept as TOML has them: text, bool, int, float and lists; a relative path of data becomes absolute.

    Raises:
        ConfigError: on construction: an unknown setting, one of the wrong type, an impossible experiment or training,
            or two tasks of one name.

    Examples:
        >>> sweep = gn.sweep.Sweep({"preset": "mb-100-tf", "seeds": [0, 1]}, grid={"beta": [0.1, 0.2]})
        >>> len(sweep.tasks)
        4
    """

    settings: dict = field(default_factory=dict)
    grid: dict[str, list] = field(default_factory=dict)
    experiments: list[dict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._check_tables()
        kept = {
            "settings": _plain(self.settings),
            "grid": {name: [plain(name, value) for value in values] for name, values in self.grid.items()},
            "experiments": list(map(_plain, self.experiments)),
        }
        for name, value in kept.items():
            object.__setattr__(self, name, value)
        tasks = self.tasks
        # What some file systems take for one name: they know no case, and one spelling of a letter with an accent.
        names = Counter(unicodedata.normalize("NFC", task.name.casefold()) for task in tasks)
        (name, count), *_ = names.most_common(1)
        require(count == 1, f"{count} experiments would share the run directory {name}; name them apart")
        (place, count), *_ = Counter(tuple(task.at.items()) for task in tasks).most_common(1)
        require(count == 1, f"{count} experiments are the same, {dict(place)}; name them apart or leave out the second")

    def _check_tables(self) -> None:
        require(isinstance(self.settings, dict), f"settings = {shown(self.settings)}: expected a table")
        require(isinstance(self.grid, dict), f"grid = {shown(self.grid)}: expected a table, [grid]")
        listed = isinstance(self.experiments, list) and all(isinstance(entry, dict) for entry in self.experiments)
        require(listed, f"experiments = {shown(self.experiments)}: expected tables, each headed [[experiments]]")
        require_known(self.settings, _SETTINGS, "setting")
        require_known(self.grid, (name for name in _SETTINGS if name != "seeds"), "setting")
        for name, values in self.grid.items():
            require(isinstance(values, list) and values, f"grid: {name} = {shown(values)}: expected a list of values")
        for entry in self.experiments:
            require_known(entry, ("name", *_SETTINGS), "setting")
            require("name" in entry or "preset" in entry, f"experiments: {shown(entry)}: expected a name or a preset")
            name = entry.get("name", "-")
            require(isinstance(name, str), f"experiments: name = {shown(name)}: expected text")
        count = math.prod(map(len, self.grid.values())) * max(1, len(self.experiments))
        require(
            count <= _MOST, f"grid: {count} combinations with experiments: expected at most {_MOST}; make it smaller"
        )

    @functools.cached_property
    def tasks(self) -> tuple[Task, ...]:
        """Every task, in the order of the list, the grid and the seeds."""
        cells = itertools.product(self.experiments or [{}], *([(n, v) for v in vs] for n, vs in self.grid.items()))
        return tuple(task for entry, *values in cells for task in self._cell(entry, dict(values)))

    def matching(self, patterns: Iterable[str]) -> list[Task]:
        """The tasks whose names match any of the shell patterns, such as ``ma-*,seed=0``.

        Raises:
            ConfigError: a pattern that matches none.
        """
        tasks, found = self.tasks, set()
        names = [task.name for task in tasks]
        for pattern in patterns:
            # A name may hold what means something in a pattern.
            matched = [pattern] if pattern in names else [name for name in names if fnmatchcase(name, pattern)]
            require(matched, f"only = {shown(pattern)}: matches no task, such as {names[0]}")
            found.update(matched)
        return [task for task in tasks if task.name in found]

    def to_toml(self) -> str:
        """The sweep as the text of a file that `read` takes."""
        tables = [toml.lines(self.settings)]
        tables += ["[grid]\n" + toml.lines(self.grid)] if self.grid else []
        tables += ["[[experiments]]\n" + toml.lines(entry) for entry in self.experiments]
        return "\n".join(tables)

    @property
    def _lists_methods(self) -> bool:
        """Whether method is a dimension: a list of the settings' or of an experiment's says so for all tasks."""
        return any(isinstance(table.get("method"), list) for table in (self.settings, *self.experiments))

    def _cell(self, entry: dict, values: dict) -> list[Task]:
        """The tasks of one experiment of the list at one point of the grid: of every method, and every seed."""
        given, listed = self.settings | entry | values, self._lists_methods
        methods = given.get("method")
        methods = methods if isinstance(methods, list) and "method" not in values else [methods]
        require(methods, "method = []: expected at least one, such as MB")
        return [
            task
            for method in methods
            for task in self._seeds(entry, values | ({"method": method} if listed else {}), given | {"method": method})
        ]

    def _seeds(self, entry: dict, values: dict, given: dict) -> list[Task]:
        base, labels = given.get("preset"), {name: label(value) for name, value in values.items()}
        options = {name: given[name] for name in TRAINING if name in given}
        check_options(options)
        whole, baseline = _asked(given)
        if baseline:
            options = {name: value for name, value in options.items() if name in ("dtype", "device")}
        start = _name(entry) if entry else base if base and "preset" not in values else ""
        parts = [start, *(str(v) if n == "preset" else f"{n}={v}" for n, v in labels.items())]
        begin = directory_name(",".join(filter(None, parts)))
        at = {"experiment": _name(entry)} if entry else {}
        at |= {_DIMENSION.get(name, name): label for name, label in labels.items()}
        tasks = []
        for seed, alone in zip(whole.seeds, whole.alone(), strict=True):
            name = ",".join(filter(None, [begin, f"seed={seed}"]))
            tasks.append(Task(name, at | {"seed": seed}, alone, options, baseline))
        return tasks


def _asked(given: dict) -> tuple[Experiment, Baseline | None]:
    """The experiment that settings describe, and the baseline, if their method is one: it takes what is of both."""
    base, method = given.get("preset"), given["method"]
    fields = {name: given[name] for name in _FIELDS if name in given}
    if method is not None:
        require(isinstance(method, str), f"method = {shown(method)}: expected the name of a model or a baseline")
        require("model" not in given, "model: method says it already; leave one of them out")
    if method in METHODS:
        settings = {name: given[name] for name in _OF_BASELINES if name in given}
        fields.pop("clip", None)  # of a model, that is another thing
        free = base is None and isinstance(fields.get("sizes"), list)
        whole = mlp(**fields) if free else _experiment(base, fields)
        return whole, baseline_from_mapping({"method": method} | settings)
    return _experiment(base, fields if method is None else fields | {"model": method}), None


def _experiment(base: str | None, fields: dict) -> Experiment:
    return from_mapping(fields) if base is None else preset(base, **fields)


def _name(entry: dict) -> str:
    return entry["name"] if "name" in entry else entry["preset"]


def _plain(table: dict) -> dict:
    return {name: plain(name, value) for name, value in table.items()}


def label(value: str | int | float | list) -> str | int | float:
    """A value as a coordinate, and as part of a file's name."""
    return " ".join(map(str, value)) if isinstance(value, list) else value


def read(path: str | os.PathLike) -> Sweep:
    """The sweep in a TOML file.

    Raises:
        FileError: it can't be read. ConfigError: it is not TOML, and whatever Sweep refuses.

    Examples:
        >>> with open("beta.toml", "w") as file:
        ...     print('preset = "mb-100-tf"', "[grid]", "beta = [0.1, 0.2]", sep=chr(10), file=file)
        >>> gn.sweep.read("beta.toml").grid
        {'beta': [0.1, 0.2]}
    """
    values = toml.read(path)
    tables = {name: values.pop(name) for name in ("grid", "experiments") if name in values}
    return Sweep(values, **tables)
