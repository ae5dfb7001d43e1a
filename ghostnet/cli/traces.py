"""The commands about traces: `ghostnet record` and `ghostnet plot`, and what `ghostnet info` says of a trace file."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ghostnet.cli.arguments import indices, network, span
from ghostnet.engines import STEPPING
from ghostnet.errors import ConfigError
from ghostnet.files.figures import appended, publish_picture
from ghostnet.model.recorder import ACTIVITIES, MATRICES, Recorder

_CHUNK = 256  # presentations run at once


def add_parsers(commands) -> None:
    _record_parser(commands)
    _plot_parser(commands)


def _record_parser(commands) -> None:
    parser = commands.add_parser(
        "record",
        help="record presentations of a trained or fresh network",
        description="Show test images to a network, one batch after the other, and record it as a trace file: "
        "netCDF-4, for xarray, h5py, H5Web and `ghostnet plot`.",
    )
    parser.add_argument("network", help="a run directory (its newest checkpoint), or a preset (a fresh network)")
    parser.add_argument("--examples", default="0:3", metavar="A:B", help="which (default 0:3)")
    parser.add_argument("--part", choices=("test", "train"), default="test", help="of which images (default: test)")
    parser.add_argument("--out", type=Path, default=Path("trace.h5"), metavar="FILE", help="default: trace.h5")
    names = ", ".join((*ACTIVITIES, "or one layer of them, such as e_1"))
    parser.add_argument("--variables", nargs="+", default=["s", "e"], metavar="NAME", help=f"{names} (default: s e)")
    matrices = ", ".join(MATRICES)
    parser.add_argument("--weights", nargs="+", default=[], metavar="NAME", help=f"after each presentation: {matrices}")
    parser.add_argument("--units", metavar="A:B", help="units of every layer (default: all)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="steps between rows (default 1)")
    parser.add_argument(
        "--no-learning", action="store_true", help="show each batch to a copy of the network, and give the copy up"
    )
    parser.add_argument("--engine", choices=STEPPING, default="cpu")
    parser.add_argument("--dtype", choices=("float32", "float64"), help="default: float32 (reference: float64)")
    parser.set_defaults(command=_record)


def _plot_parser(commands) -> None:
    parser = commands.add_parser(
        "plot",
        help="draw a run or a trace",
        description="Draw a run over its epochs (accuracy, MSE and, where measured, gradient error and the ghosts' "
        "distances: the paper's Figures 3 and 5), or from a trace the paper's Figure 4 (output rates, the right class "
        "highlighted, the clamped phases shaded; below, the hidden error) or one variable.",
    )
    parser.add_argument("path", type=Path, help="a run directory or a trace file")
    parser.add_argument("--variable", metavar="NAME", help="of a trace, such as e_1, instead of Figure 4")
    parser.add_argument("--units", default=":", metavar="A:B", help="default: all")
    parser.add_argument("--run", type=int, default=0, metavar="N", help="among the runs recorded (default 0)")
    parser.add_argument("--example", type=int, default=0, metavar="N", help="place in the batch (default 0)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="its name ends in the format (default: PATH.png)")
    parser.set_defaults(command=_plot)


def _record(arguments: argparse.Namespace) -> None:
    from ghostnet import data
    from ghostnet.simulator import Simulator

    simulator = Simulator(network(arguments.network), arguments.engine, arguments.dtype)
    e, digits = simulator.experiment, data.load(simulator.experiment.data)
    images, labels = digits.part(arguments.part)
    chosen = indices(arguments.examples, len(images))
    if len(chosen) % e.batch:
        raise ConfigError(f"examples: {len(chosen)} do not fill batches of {e.batch}; give a multiple")
    batches, first = chosen.reshape(-1, e.batch), simulator.presentations
    units = arguments.units and span("units", arguments.units)
    recorder = Recorder(arguments.variables, units, arguments.every, weights=arguments.weights)

    def shown(presentation: int) -> tuple[int, np.ndarray]:
        return 0, np.tile(batches[presentation - first], (len(e.seeds), 1))

    with simulator.recording(recorder, arguments.out, shown, learn=not arguments.no_learning) as files:
        for some in np.array_split(batches, range(_CHUNK, len(batches), _CHUNK)):
            x = data.scale(images[some], simulator.dtype)
            simulator.run(x, data.one_hot(labels[some], e.sizes[-1], simulator.dtype))
    print(*files.paths, sep="\n")


def _plot(arguments: argparse.Namespace) -> None:
    import matplotlib.pyplot as plt

    from ghostnet.results import plots

    out = arguments.out or appended(arguments.path, ".png")
    plt.switch_backend("agg")
    with plt.style.context(plots.STYLE):
        figure = _run_figure(arguments) if arguments.path.is_dir() else _trace_figure(arguments)
        print(publish_picture(figure, out))
        plt.close(figure)


def _run_figure(arguments: argparse.Namespace):
    from ghostnet.results import comparison, plots

    if arguments.variable:
        raise ConfigError(f"variable = {arguments.variable}: {arguments.path} is a run directory; give a trace file")
    (curves,) = comparison.read([arguments.path])
    return plots.training(curves.epoch, {name: values.T for name, values in curves.columns.items()})


def _trace_figure(arguments: argparse.Namespace):
    import matplotlib.pyplot as plt

    from ghostnet.results import plots
    from ghostnet.traces.reading import open_trace

    trace = open_trace(arguments.path, arguments.variable and [arguments.variable])
    chosen = {"run": arguments.run, "example": arguments.example}
    if arguments.variable:
        figure, axes = plt.subplots()
        plots.variable(trace, arguments.variable, axes, span("units", arguments.units), **chosen)
    else:
        figure, (top, bottom) = plt.subplots(2, sharex=True)
        plots.figure4(trace, top, bottom, **chosen)
    return figure


def describe(path: Path) -> str:
    """What is in a trace file, as a short table.

    Raises:
        FileError: it can't be read, or is no trace.
    """
    from ghostnet.traces.summary import summary

    return summary(path)
