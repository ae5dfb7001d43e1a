"""`ghostnet plot`: a run, its weights, or traces as a picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ghostnet.cli.arguments import network, span
from ghostnet.cli.parser import Commands
from ghostnet.errors import ConfigError
from ghostnet.files.figures import appended, publish_picture
from ghostnet.model.symbols import ACTIVITIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ghostnet.results.traceplots import Lane

_OF_A_TRACE = ("variable", "heat", "presentation", "window", "against")


def add_parser(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "plot",
        help="draw a run or a trace",
        description="Draw a run over its epochs (accuracy, MSE and, where measured, error and angle of its gradient, "
        "the angle of feedback to forward weights, the ghosts' distances: the paper's Figures 3 and 5), or from a "
        "trace the paper's Figure 4 (output rates, the right class highlighted, the nudged phases shaded; below, the "
        "hidden error), one presentation, or one variable.",
    )
    parser.add_argument("path", type=Path, help="a run directory or a trace file")
    parser.add_argument("--weights", action="store_true", help="of a run: each ghost's weights beside their aims")
    parser.add_argument("--presentation", type=int, metavar="N", help="of a trace: this one alone, from its onset")
    parser.add_argument("--variable", metavar="NAME", help="of a trace, such as e_1, instead of Figure 4")
    parser.add_argument("--heat", metavar="NAME", help="of a trace, such as e_1: a heat map of all units")
    parser.add_argument("--against", type=Path, metavar="TRACE", help="with --variable: another, and the difference")
    parser.add_argument("--units", default=":", metavar="A:B", help="default: all")
    parser.add_argument("--window", nargs=2, type=float, metavar=("FROM", "TO"), help="model time, s (default: all)")
    parser.add_argument("--run", type=int, default=0, metavar="N", help="among the runs recorded (default 0)")
    parser.add_argument("--example", type=int, default=0, metavar="N", help="place in the batch (default 0)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="its name ends in the format (default: PATH.png)")
    parser.set_defaults(command=_plot)


def _plot(arguments: argparse.Namespace) -> None:
    import matplotlib.pyplot as plt

    from ghostnet.results import plots

    out = arguments.out or appended(arguments.path, ".png")
    plt.switch_backend("agg")
    with plt.style.context(plots.STYLE):
        figure = _run_figure(arguments) if arguments.path.is_dir() else _trace_figure(arguments)
        print(publish_picture(figure, out))
        plt.close(figure)


def _run_figure(arguments: argparse.Namespace) -> Figure:
    from ghostnet.results import comparison, plots, weightplots

    for name in _OF_A_TRACE:
        if (value := getattr(arguments, name)) is not None:
            raise ConfigError(f"{name} = {value}: {arguments.path} is a run directory; give a trace file")
    if arguments.weights:
        return weightplots.weights(network(str(arguments.path)), arguments.run)
    (curves,) = comparison.read([arguments.path])
    return plots.training(curves.epoch, {name: values.T for name, values in curves.columns.items()})


def _trace_figure(arguments: argparse.Namespace) -> Figure:
    import matplotlib.pyplot as plt

    from ghostnet.results import traceplots

    if arguments.weights:
        raise ConfigError(f"weights: {arguments.path} is no run directory; give one")
    if arguments.against and not arguments.variable:
        raise ConfigError("against: expected with --variable")
    (one, *others), units = _lanes(arguments), span("units", arguments.units)
    if arguments.presentation is not None and not (arguments.variable or arguments.heat):
        return traceplots.around(one)
    figure, axes = plt.subplots(1 if (arguments.variable or arguments.heat) and not others else 2, sharex=True)
    if others:
        traceplots.difference(one, others[0], arguments.variable, axes, units)
    elif arguments.heat:
        traceplots.heat(one, arguments.heat, axes, units)
    elif arguments.variable:
        traceplots.variable(one, arguments.variable, axes, units)
    else:
        traceplots.figure4(one, *axes)
    return figure


def _lanes(arguments: argparse.Namespace) -> list[Lane]:
    """The rows to be drawn, and those of the trace that they are compared with, if there is one."""
    from ghostnet.results import traceplots

    lanes = [_lane(arguments, path) for path in (arguments.path, arguments.against) if path]
    if arguments.against:
        lanes = list(traceplots.matched(*lanes))
    if arguments.window:
        lanes = [traceplots.window(one, *arguments.window) for one in lanes]
    if arguments.presentation is not None:
        rows = traceplots.rows_of(lanes[0], arguments.presentation)
        lanes = [one.rows(rows, lanes[0].begins[rows[0]]) for one in lanes]
    return lanes


def _lane(arguments: argparse.Namespace, path: Path) -> Lane:
    from ghostnet.results import traceplots
    from ghostnet.traces.reading import open_trace

    name = arguments.variable or arguments.heat
    if name and name.rpartition("_")[0] not in ("", *ACTIVITIES):
        raise ConfigError(f"variable = {name}: expected an activity ({', '.join(ACTIVITIES)}), such as e_1")
    trace = open_trace(path, name and [name])
    return traceplots.lane(trace, arguments.run, arguments.example)
