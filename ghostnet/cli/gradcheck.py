"""`ghostnet gradcheck`: the audit of a trained or fresh network, as a table, a CSV file and a picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ghostnet.cli.arguments import add_data, baseline_method, given, indices, network, run_directory
from ghostnet.cli.parser import Commands
from ghostnet.errors import ConfigError
from ghostnet.files import jsonfile
from ghostnet.files.figures import picture_path, publish_picture
from ghostnet.files.publishing import publish
from ghostnet.model.experiment import Experiment
from ghostnet.runs import store

if TYPE_CHECKING:
    from ghostnet.gradients.report import GradientReport

_CHANGES = (("beta", float), ("dt", float), ("free_steps", int), ("clamped_steps", int))
_STEPPED = ("dt", "free_steps", "clamped_steps")
_OF_GHOSTS = (*(name for name, _ in _CHANGES), "picture", "no_causes", "autograd", "dtype", "equilibrium")


def add_parser(commands: Commands) -> None:
    """Register the subcommand."""
    parser = commands.add_parser(
        "gradcheck",
        help="compare what a network learns with backprop, and say where the difference comes from",
        description="Compare the ghost-unit gradients of a trained network (a run directory) or a fresh one (a preset) "
        "with backprop on some examples, and divide the error among its causes. Nothing is changed. "
        "Of a baseline's run, compare what its method learns.",
    )
    parser.add_argument("network", metavar="RUN_OR_PRESET", help="a run directory, or a preset such as mb-500-tf")
    parser.add_argument("--examples", default="0:100", metavar="A:B", help="which (default: 0:100)")
    parser.add_argument("--part", choices=("train", "test"), default="train", help="of the data set (default: train)")
    add_data(parser)
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write every figure to a CSV file")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="write a picture of the first seed: .png, .pdf, .svg"
    )
    parser.add_argument("--no-causes", action="store_true", help="figures only: ten times as fast")
    parser.add_argument("--autograd", action="store_true", help="hold the backward pass to torch's autograd too")
    parser.add_argument(
        "--equilibrium",
        action=argparse.BooleanOptionalAction,
        help="take phases to their fixed points instead of stepping them (default: as the run was trained)",
    )
    parser.add_argument(
        "--dtype",
        choices=("float64", "float32"),
        help="of the presentations: float32 shows what rounding does to small errors (default: float64)",
    )
    settings = parser.add_argument_group("settings to try (default: the network's)")
    for name, kind in _CHANGES:
        settings.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=kind.__name__.upper())
    parser.set_defaults(command=_gradcheck, shows=True)


def _gradcheck(arguments: argparse.Namespace) -> None:
    if method := baseline_method(arguments.network):
        report = _of_baseline(arguments, method)
    else:
        report = _of_ghosts(arguments)
    print("\n\n".join(report.text(run) for run in range(len(report.experiment.seeds))))
    _write(report, arguments)


def _of_baseline(arguments: argparse.Namespace, method: str) -> GradientReport:
    for name in _OF_GHOSTS:
        if getattr(arguments, name) not in (None, False):
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{option} is for ghost units, {arguments.network} is a run of {method}: leave it out")
    from ghostnet.baselines.check import gradcheck
    from ghostnet.baselines.mlps import load

    learner = load(arguments.network)
    return gradcheck(learner, *_examples(arguments, learner.experiment))


def _of_ghosts(arguments: argparse.Namespace) -> GradientReport:
    from ghostnet.gradients import gradcheck

    if arguments.picture and arguments.no_causes:
        raise ConfigError("--picture shows the causes: leave out --no-causes")
    if arguments.picture and picture_path(arguments.picture).suffix not in (".png", ".pdf", ".svg"):
        raise ConfigError(f"--picture {arguments.picture}: expected a name ending in .png, .pdf or .svg")
    net = network(arguments.network).replace(**given(arguments, (name for name, _ in _CHANGES)))
    x, y = _examples(arguments, net.experiment)
    how = {"causes": not arguments.no_causes, "autograd": arguments.autograd, "dtype": arguments.dtype or "float64"}
    return gradcheck(net, x, y, equilibrium=_at_equilibrium(arguments), **how)


def _at_equilibrium(arguments: argparse.Namespace) -> bool:
    """Whether fixed points are asked for; if neither they nor steps are, whether the run learned from them."""
    if arguments.equilibrium is not None:
        return bool(arguments.equilibrium)
    path = run_directory(arguments.network)
    if path is None or given(arguments, _STEPPED):
        return False
    return jsonfile.read(path / store.PROVENANCE).get("engine") == "equilibrium"


def _examples(arguments: argparse.Namespace, e: Experiment) -> tuple[np.ndarray, np.ndarray]:
    """x (n, n_0) and one-hot y (n, n_N) of the examples asked for."""
    from ghostnet import data
    from ghostnet.runs.data import data_to_show

    dataset = data_to_show(e, run_directory(arguments.network), arguments.data)
    images, labels = dataset.part(arguments.part)
    some = indices(arguments.examples, len(images))
    return data.scale(images[some], "float64"), data.one_hot(labels[some], dataset.classes, "float64")


def _write(report: GradientReport, arguments: argparse.Namespace) -> None:
    if arguments.csv:
        publish(arguments.csv, report.csv().encode())
    if arguments.picture:
        from ghostnet.results.gradients import report_figure

        publish_picture(report_figure(report), arguments.picture)
