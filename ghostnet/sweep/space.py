"""What a search is: settings of every trial, and the fields that differ, with their choices or ranges.

preset = "mb-100-tf"                                    # any setting of an experiment and of its training
epochs = 10

[search]
feedback = ["TF", "FA"]                                 # one of these
eta_1 = { low = 1.0, high = 20.0, log = true }          # η_1 alone, in a list over layers
free_steps = { low = 20, high = 80, step = 20 }         # whole numbers, as all three are
"""

from __future__ import annotations

import dataclasses
import os
import re
from typing import Any, Literal

from ghostnet.files import toml
from ghostnet.model.checks import MOST
from ghostnet.model.typed import integer, require, require_known, shown
from ghostnet.runs import configuration
from ghostnet.sweep.plan import Sweep, Task
from ghostnet.sweep.settings import plain

OBJECTIVES: dict[str, Literal["maximize", "minimize"]] = {
    "test_accuracy": "maximize",
    "train_accuracy": "maximize",
    "test_mse": "minimize",
    "train_mse": "minimize",
}
_OF_LAYER = re.compile(r"(\w+)_([1-9][0-9]?)")


class Search:
    """What a search file asks for.

    Args:
        settings: of every trial, as in a sweep. fields: by name, a list of choices, or a range: low, high and, if
            wanted, log or step. objective: one of OBJECTIVES, at the last epoch, the mean over seeds. seed: of what is
            proposed.

    Raises:
        ConfigError: on construction: an unknown name, a value of the wrong type, or impossible settings at either end.
    """

    def __init__(self, settings: dict, fields: dict, objective: str = "test_accuracy", seed: int = 0):
        require_known([objective], OBJECTIVES, "objective")
        require(isinstance(fields, dict) and fields, "search: expected a table, [search], with a field or more")
        require(isinstance(settings, dict), f"settings = {shown(settings)}: expected a table")
        listed = isinstance(settings.get("method"), list)
        require(not listed, "method: expected one; those to choose from, under [search]")
        require("seeds" not in fields, "search: seeds: every trial has those of the settings; put them above [search]")
        self.settings = {name: plain(name, value) for name, value in settings.items()}
        self.objective, self.seed = objective, integer("seed", seed, 0, MOST)
        self.fields = {name: _field(name, wanted) for name, wanted in fields.items()}
        for end in (0, -1):
            self.task("trial", {name: _ends(wanted)[end] for name, wanted in self.fields.items()})

    def task(self, name: str, values: dict) -> Task:
        """A trial: all seeds of an experiment with these values, side by side in one run directory.

        Raises:
            ConfigError: they are impossible.
        """
        given = self.settings | {field: value for field, value in values.items() if not _OF_LAYER.fullmatch(field)}
        base = configuration.facts(Sweep(given).tasks[0].configuration)
        for field, value in values.items():
            if found := _OF_LAYER.fullmatch(field):
                place, k = found[1], int(found[2])
                layers: Any = given.get(place, base.get(place, base.get(f"baseline.{place}")))
                there = isinstance(layers, (list, tuple)) and k <= len(layers)
                require(there, f"search: {field}: there is no such {place}")
                given[place] = [*layers[: k - 1], value, *layers[k:]]
        tasks = Sweep(given).tasks
        e = tasks[0].experiment.replace(seeds=[task.experiment.seeds[0] for task in tasks])
        return dataclasses.replace(tasks[0], name=name, experiment=e)

    def to_toml(self) -> str:
        """The search as the text of a file that `read` takes."""
        own = {"objective": self.objective, "seed": self.seed}
        own |= {name: wanted for name, wanted in self.fields.items() if isinstance(wanted, list)}
        tables = [f"[search.{n}]\n{toml.lines(w)}" for n, w in self.fields.items() if isinstance(w, dict)]
        return "\n".join([toml.lines(self.settings), f"[search]\n{toml.lines(own)}", *tables])


def read(path: str | os.PathLike) -> Search:
    """The search in a TOML file.

    Raises:
        FileError: it can't be read. ConfigError: it is not TOML, and whatever Search refuses.
    """
    settings = toml.read(path)
    fields = settings.pop("search", {})
    require(isinstance(fields, dict), "search: expected a table, [search]")
    own = {name: fields.pop(name) for name in ("objective", "seed") if name in fields}
    return Search(settings, fields, **own)


def _field(name: str, wanted: Any) -> dict | list:
    if isinstance(wanted, list):
        require(wanted, f"search: {name} = []: expected at least one choice")
        return [plain(name, choice) for choice in wanted]
    require(isinstance(wanted, dict), f"search: {name} = {shown(wanted)}: expected a list of choices, or low and high")
    require_known(wanted, ("low", "high", "log", "step"), f"key of {name}")
    numbers = [wanted.get(key) for key in ("low", "high", "step") if key in wanted]
    real = all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in numbers)
    fits = {"low", "high"} <= wanted.keys() and real and wanted["low"] < wanted["high"] and wanted.get("step", 1) > 0
    require(fits, f"search: {name} = {shown(wanted)}: expected numbers, low below high, step above 0")
    log = wanted.get("log", False)
    require(isinstance(log, bool), f"search: {name}: log = {shown(log)}: expected true or false")
    require(not log or (wanted["low"] > 0 and "step" not in wanted), f"search: {name}: log takes low > 0, and no step")
    return dict(wanted)


def _ends(wanted: dict | list) -> list:
    return [wanted["low"], wanted["high"]] if isinstance(wanted, dict) else wanted
