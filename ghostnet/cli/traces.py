"""`ghostnet record`, and what `ghostnet info` says of a trace file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ghostnet.cli.arguments import add_data, indices, network, run_directory, span
from ghostnet.cli.parser import Commands
from ghostnet.engines import STEPPING
from ghostnet.errors import FileError
from ghostnet.model.recorder import Recorder
from ghostnet.model.symbols import ACTIVITIES, WEIGHTS

if TYPE_CHECKING:
    from ghostnet.model.network import Network

_CHUNK = 256  # presentations run at once
_FEW = 3  # examples, where none are named


def add_parsers(commands: Commands) -> None:
    parser = commands.add_parser(
        "record",
        help="record presentations of a trained or fresh network",
        description="Show test images to a network, one batch after the other, and record it as a trace file: "
        "netCDF-4, for xarray, h5py, H5Web and `ghostnet plot`.",
    )
    parser.add_argument("network", help="a run directory (its newest checkpoint), or a preset (a fresh network)")
    parser.add_argument("--examples", metavar="A:B", help="which, such as 0:3 or 5,8 (default: 3, or a batch)")
    parser.add_argument("--classes", nargs="+", type=int, metavar="N", help="of these classes only")
    parser.add_argument("--misclassified", action="store_true", help="those only that the network gets wrong")
    parser.add_argument("--part", choices=("test", "train"), default="test", help="of which images (default: test)")
    add_data(parser)
    parser.add_argument("--out", type=Path, default=Path("trace.h5"), metavar="FILE", help="default: trace.h5")
    names = ", ".join((*ACTIVITIES, "or one layer of them, such as e_1"))
    parser.add_argument("--variables", nargs="+", default=["s", "e"], metavar="NAME", help=f"{names} (default: s e)")
    matrices = ", ".join(WEIGHTS)
    parser.add_argument(
        "--weights", nargs="+", default=[], metavar="NAME", help=f"after each presentation: {matrices}, norm_W, …"
    )
    parser.add_argument("--runs", metavar="A:B", help="places among the seeds (default: all)")
    parser.add_argument("--phases", nargs="+", metavar="NAME", help="such as clamped (default: all)")
    parser.add_argument("--no-compression", action="store_true", help="three times larger files, in less time")
    parser.add_argument("--units", metavar="A:B", help="units of every layer (default: all)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="steps between rows (default 1)")
    parser.add_argument(
        "--no-learning", action="store_true", help="show each batch to a copy of the network, and give the copy up"
    )
    parser.add_argument("--engine", choices=STEPPING, default="cpu")
    parser.add_argument("--dtype", choices=("float32", "float64"), help="default: float32 (reference: float64)")
    parser.set_defaults(command=_record)
    parser = commands.add_parser(
        "verify",
        help="read traces and checkpoints whole, and say which are damaged",
        description="Read every byte of traces and checkpoints and hold them to their seals. Opening them does that "
        "for what is needed only.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE_OR_RUN", help="files, or directories with some")
    parser.set_defaults(command=_verify)


def _record(arguments: argparse.Namespace) -> None:
    from ghostnet import data
    from ghostnet.runs.data import data_to_show
    from ghostnet.simulator import Simulator

    simulator = Simulator(network(arguments.network), arguments.engine, arguments.dtype)
    e = simulator.experiment
    dataset = data_to_show(e, run_directory(arguments.network), arguments.data)
    images, labels = dataset.part(arguments.part)
    batches, first = _batches(arguments, simulator.network, images, labels), simulator.presentations
    recorder = Recorder(
        arguments.variables,
        arguments.units and span("units", arguments.units),
        arguments.every,
        runs=arguments.runs and span("runs", arguments.runs),
        weights=arguments.weights,
        phases=arguments.phases,
        compress=not arguments.no_compression,
    )

    def shown(presentation: int) -> tuple[int, np.ndarray]:
        return 0, np.tile(batches[presentation - first], (len(e.seeds), 1))

    with simulator.recording(recorder, arguments.out, shown, learn=not arguments.no_learning) as files:
        for some in np.array_split(batches, range(_CHUNK, len(batches), _CHUNK)):
            x = data.scale(images[some], simulator.dtype)
            simulator.run(x, data.one_hot(labels[some], e.sizes[-1], simulator.dtype))
    print(*files.paths, sep="\n")


def _batches(arguments: argparse.Namespace, network: Network, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The examples to show, (presentations, batch)."""
    from ghostnet.traces import choosing

    batch, filtered = network.experiment.batch, arguments.classes is not None or arguments.misclassified
    chosen = indices(arguments.examples or ":", len(images))
    if arguments.classes is not None:
        chosen = choosing.of_classes(labels, chosen, arguments.classes)
    if arguments.misclassified:
        chosen = choosing.misclassified(network, images, labels, chosen)
    if arguments.examples is None:
        chosen = chosen[: max(_FEW, batch) // batch * batch]
    return choosing.batches(chosen, batch, cut=filtered)


def _verify(arguments: argparse.Namespace) -> None:
    from ghostnet.files import hdf5

    files = [file for path in arguments.paths for file in (sorted(path.rglob("*.h5")) if path.is_dir() else [path])]
    if not files:
        raise FileError(f"{arguments.paths[0]}: no files ending in .h5; give traces, or a run that has some")
    damaged = 0
    for file in files:
        try:
            hdf5.verify(file)
            print(f"{file}: as it was sealed")
        except FileError as error:
            damaged += 1
            print(error)
    if damaged:
        raise FileError(f"{damaged} of {len(files)} files can't be relied on")


def describe(path: Path) -> str:
    """What is in a trace file, as a short table.

    Raises:
        FileError: it can't be read, or is no trace.
    """
    from ghostnet.traces.summary import summary

    return summary(path)
