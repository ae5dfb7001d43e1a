"""`ghostnet record`, and what `ghostnet info` says of a trace file."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ghostnet.cli.arguments import add_data, indices, network, run_directory, span
from ghostnet.engines import STEPPING
from ghostnet.errors import ConfigError
from ghostnet.model.recorder import Recorder
from ghostnet.model.symbols import ACTIVITIES, WEIGHTS

_CHUNK = 256  # presentations run at once


def add_parsers(commands) -> None:
    _record_parser(commands)


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
    add_data(parser)
    parser.add_argument("--out", type=Path, default=Path("trace.h5"), metavar="FILE", help="default: trace.h5")
    names = ", ".join((*ACTIVITIES, "or one layer of them, such as e_1"))
    parser.add_argument("--variables", nargs="+", default=["s", "e"], metavar="NAME", help=f"{names} (default: s e)")
    matrices = ", ".join(WEIGHTS)
    parser.add_argument("--weights", nargs="+", default=[], metavar="NAME", help=f"after each presentation: {matrices}")
    parser.add_argument("--units", metavar="A:B", help="units of every layer (default: all)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="steps between rows (default 1)")
    parser.add_argument(
        "--no-learning", action="store_true", help="show each batch to a copy of the network, and give the copy up"
    )
    parser.add_argument("--engine", choices=STEPPING, default="cpu")
    parser.add_argument("--dtype", choices=("float32", "float64"), help="default: float32 (reference: float64)")
    parser.set_defaults(command=_record)


def _record(arguments: argparse.Namespace) -> None:
    from ghostnet import data
    from ghostnet.runs.data import data_to_show
    from ghostnet.simulator import Simulator

    simulator = Simulator(network(arguments.network), arguments.engine, arguments.dtype)
    e = simulator.experiment
    dataset = data_to_show(e, run_directory(arguments.network), arguments.data)
    images, labels = dataset.part(arguments.part)
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


def describe(path: Path) -> str:
    """What is in a trace file, as a short table.

    Raises:
        FileError: it can't be read, or is no trace.
    """
    from ghostnet.traces.summary import summary

    return summary(path)
