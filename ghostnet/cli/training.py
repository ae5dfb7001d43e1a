"""`ghostnet train` and `ghostnet resume`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from pathlib import Path

from ghostnet.cli.arguments import add_config, add_setting, experiment_of, given, settings_file, span
from ghostnet.cli.parser import Commands
from ghostnet.engines import ENGINES
from ghostnet.model.experiment import Experiment
from ghostnet.model.recorder import Recorder
from ghostnet.results import report
from ghostnet.runs import store
from ghostnet.runs.resuming import resume
from ghostnet.runs.training import train

_ENGINE_OPTIONS = ("device", "fast_matmul", "settle_tol", "max_sweeps")


def add_parsers(commands: Commands) -> None:
    """Add the two commands to the command line."""
    parser = commands.add_parser(
        "train",
        help="train networks and measure their accuracy after every epoch",
        description="Train one network per seed. Start from a preset (see `ghostnet presets`), a TOML file, or both; "
        "every setting can be changed by its own option. An option wins over the file, the file over the preset.",
    )
    parser.add_argument("preset", nargs="?", help="the paper's settings to start from, such as mb-500-tf")
    add_config(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="new run directory (default: runs/NAME-DATE-TIME)")
    _add_engine(parser)
    parser.add_argument(
        "--gradcheck-every", type=int, default=0, metavar="N", help="add gradient figures to metrics.csv every N epochs"
    )
    parser.add_argument(
        "--gradcheck-examples", type=int, default=50, metavar="N", help="of the training set, for these (default: 50)"
    )
    _add_recording(parser)
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    settings = parser.add_argument_group("settings (default: the preset's)")
    for spec in dataclasses.fields(Experiment):
        add_setting(settings, spec)
    parser.set_defaults(command=_train)

    again = commands.add_parser("resume", help="go on with a run that was stopped or killed, or with more epochs")
    again.add_argument("run", type=Path, help="its run directory, of any model or baseline")
    again.add_argument("--epochs", type=int, metavar="N", help="until there are so many (default: as it was asked for)")
    again.add_argument(
        "--threads", type=int, metavar="N", help="at most (default: the CPUs allowed); a baseline keeps to its own"
    )
    again.add_argument("--quiet", action="store_true", help="show no progress")
    again.set_defaults(command=_resume)


def _add_recording(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("traces, in the run directory: see `ghostnet view`")
    group.add_argument(
        "--record", nargs="+", metavar="NAME", help="variables, such as s e_1; every presentation unless"
    )
    group.add_argument("--record-presentations", metavar="A:B:N", help="every N-th of A to B, counted from 0")
    group.add_argument("--record-every", type=int, default=1, metavar="N", help="steps between rows (default 1)")
    group.add_argument("--record-units", metavar="A:B", help="units of every layer (default: all)")
    group.add_argument("--record-weights", nargs="+", default=[], metavar="NAME", help="such as norm_W or W_gp_1")


def _recorder(arguments: argparse.Namespace) -> Recorder | None:
    """What is to be recorded while it trains."""
    if not arguments.record and not arguments.record_weights:
        return None
    every, presentations = arguments.record_presentations, None
    if every:
        where, _, step = every.rpartition(":") if every.count(":") == 2 else (every, "", "1")
        whole = span("record-presentations", where)
        presentations = slice(whole.start, whole.stop, span("record-presentations", step).start)
    return Recorder(
        arguments.record or (),
        arguments.record_units and span("record-units", arguments.record_units),
        arguments.record_every,
        weights=arguments.record_weights,
        presentations=presentations,
    )


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="cpu",
        help="cpu: compiled; equilibrium: MB without stepping; reference: NumPy, slow; torch: all runs at once",
    )
    parser.add_argument("--device", metavar="NAME", help="of the torch engine: cpu (the default) or cuda")
    parser.add_argument(
        "--fast-matmul", action="store_true", default=None, help="torch engine: multiply in TF32 on a GPU"
    )
    parser.add_argument(
        "--settle-tol",
        type=float,
        metavar="FLOAT",
        help="equilibrium engine: at rest is what moves by less in a sweep (default: 1e-5; float64: 1e-6)",
    )
    parser.add_argument(
        "--max-sweeps",
        type=int,
        metavar="INT",
        help="equilibrium engine: a clamped phase that takes more is stepped (default: 8; float64: 11)",
    )
    parser.add_argument("--dtype", choices=("float32", "float64"), help="default: float32 (reference: float64)")
    parser.add_argument("--threads", type=int, metavar="N", help="at most (default: the CPUs allowed)")


def _train(arguments: argparse.Namespace) -> None:
    changes = settings_file(arguments)
    experiment = experiment_of(arguments, changes, [spec.name for spec in dataclasses.fields(Experiment)])
    name = arguments.preset or experiment.model.lower()
    options = given(arguments, _ENGINE_OPTIONS)
    with contextlib.nullcontext(arguments.out) if arguments.out else store.default_directory(name) as out:
        result = train(
            experiment,
            out,
            engine=arguments.engine,
            dtype=arguments.dtype,
            threads=arguments.threads,
            progress=not arguments.quiet,
            gradcheck_every=arguments.gradcheck_every,
            gradcheck_examples=arguments.gradcheck_examples,
            record=_recorder(arguments),
            **options,
        )
    print(report.final_line(result.metrics), f"({out})", sep="   ")


def _resume(arguments: argparse.Namespace) -> None:
    how = {"epochs": arguments.epochs, "threads": arguments.threads, "progress": not arguments.quiet}
    result = resume(arguments.run, **how)
    print(report.final_line(result.metrics), f"({arguments.run})", sep="   ")
