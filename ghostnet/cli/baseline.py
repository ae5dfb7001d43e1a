"""The subcommands `baseline` and `compare`: parse, call, print."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from pathlib import Path

from ghostnet.cli.arguments import add_config, add_setting, experiment_of, given, settings_file
from ghostnet.cli.parser import Commands
from ghostnet.model.baseline import METHODS, Baseline
from ghostnet.model.experiment import Experiment
from ghostnet.model.typed import require, shown
from ghostnet.results import report
from ghostnet.runs import store

# What a baseline reads of an Experiment.
_OWN = ("sizes", "init", "batch", "epochs", "evaluate_every", "seeds", "data", "train_examples")


def add_parsers(commands: Commands) -> None:
    """Register the subcommands."""
    _baseline_parser(commands)
    parser = commands.add_parser("compare", help="compare finished or running runs: a table and a picture")
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="run directories, of any model or baseline, or a sweep's"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write a picture, FILE.png and .pdf, and FILE.json")
    parser.set_defaults(command=_compare, shows=True)


def _baseline_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "baseline",
        help="train an MLP by BP, FA, DFA … on the same data, initial weights and order",
        description="Train an MLP of a preset's sizes by another method of credit assignment. Start from a preset, a "
        "TOML file with a table [baseline], such as the config.toml of a baseline's run, or both; an option wins over "
        "the file, the file over the preset.",
    )
    parser.add_argument("method", metavar="METHOD", help=", ".join(METHODS))
    parser.add_argument(
        "preset", metavar="PRESET", nargs="?", help="whose sizes, initial weights, data and order to take"
    )
    add_config(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="new run directory (default: runs/NAME-DATE-TIME)")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda: MLPs only (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="torch's (default: 1)")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    settings = parser.add_argument_group("settings (default: the preset's)")
    for spec in dataclasses.fields(Experiment):
        if spec.name in _OWN:
            add_setting(settings, spec)
    method = parser.add_argument_group("method")
    for spec in dataclasses.fields(Baseline):
        if spec.name != "method":
            add_setting(method, spec)
    parser.set_defaults(command=_baseline)


def _baseline(arguments: argparse.Namespace) -> None:
    from ghostnet.baselines.training import train  # torch takes seconds to import

    changes = settings_file(arguments)
    table = changes.pop("baseline", {})
    require(isinstance(table, dict), f"baseline = {shown(table)}: expected a table, [baseline]")
    experiment = experiment_of(arguments, changes, _OWN)
    options = given(arguments, (spec.name for spec in dataclasses.fields(Baseline) if spec.name != "method"))
    if "noise" in options or "target_epsilon" in options:  # one of the two is given, and wins over the file's
        table = {name: value for name, value in table.items() if name not in ("noise", "target_epsilon")}
    settings = table | options
    settings.pop("method", None)  # the command line's it is
    name = f"{arguments.method.lower()}-{arguments.preset or 'config'}"
    how = {name: getattr(arguments, name) for name in ("dtype", "device", "threads")}
    how["progress"] = not arguments.quiet
    with contextlib.nullcontext(arguments.out) if arguments.out else store.default_directory(name) as out:
        result = train(arguments.method, experiment, out, **how, **settings)
    print(report.final_line(result.metrics), f"({out})", sep="   ")


def _compare(arguments: argparse.Namespace) -> None:
    from ghostnet.results import comparison  # Matplotlib takes a second to import

    runs = comparison.read(arguments.runs)
    print(comparison.table(runs))
    if arguments.out:
        name = arguments.out.name.removesuffix(".png").removesuffix(".pdf")
        comparison.publish_picture(runs, arguments.out.parent / name)
