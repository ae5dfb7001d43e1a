"""The command line: parse, call, print. Exit codes: 0 done, 2 bad arguments or settings, 3 diverged, 74 I/O error,
75 stopped by a signal and resumable. They tell of the work: output that can't be written changes them only where it is
all there is (of parsers with shows=True, --help and --version): then to 74, or to 141 where its reader has left."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from ghostnet.cli import baseline, doctor, gradcheck, plot, reproduce, search, sweep, traces, training, view
from ghostnet.cli.completion import SHELLS, Completion
from ghostnet.cli.parser import Parser, Version
from ghostnet.errors import FileError, GhostnetError
from ghostnet.host.streams import Steady, steady_output
from ghostnet.results import report

_DESCRIPTION = """Continuous-time simulation of ghost-unit networks (Mesnard et al. 2019, arXiv:1911.08585): pyramidal
and ghost units are integrated with Euler steps, and local plasticity rules approximate backprop."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    with steady_output() as output:
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
        code, shows = _run(argv)
        output.flush()
        return code or _written(output, shows)


def _run(argv: list[str] | None) -> tuple[int, bool]:
    """The exit code of the work, and whether its output is all there is to it."""
    shows = True
    try:
        arguments = _parser().parse_args(argv)
        shows = getattr(arguments, "shows", False)
        _require_working_directory()
        arguments.command(arguments)
        return 0, shows
    except SystemExit as end:  # of the parser: help and version have been shown, or the words are wrong
        return end.code if isinstance(end.code, int) else int(bool(end.code)), shows
    except GhostnetError as error:
        return _error(error, error.exit_code), shows
    except OSError as error:
        text = f"{error.filename or 'input or output'}: {error.strerror or error}"
        return _error(text, FileError.exit_code), shows
    except KeyboardInterrupt:
        print("ghostnet: stopped", file=sys.stderr)
        return 130, shows


def _error(text: object, code: int) -> int:
    print(f"ghostnet: error: {text}", file=sys.stderr)
    return code


def _require_working_directory() -> None:
    try:
        os.getcwd()
    except OSError as error:  # libraries, MKL among them, end the process when they meet it
        raise FileError("the working directory is gone; change to one that exists") from error


def _written(output: Steady, shows: bool) -> int:
    """The exit code of a work that is done, after what became of its output."""
    if output.failure is None:
        return 0
    if not isinstance(output.failure, BrokenPipeError):  # whoever read it, such as `head`, had seen enough
        kind, reason = "error" if shows else "warning", getattr(output.failure, "strerror", output.failure)
        print(f"ghostnet: {kind}: standard output can't be written ({reason})", file=sys.stderr)
        return FileError.exit_code if shows else 0
    return 141 if shows else 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="ghostnet", description=_DESCRIPTION)
    parser.add_argument("--version", action=Version, nargs=0, help="show the version and exit")
    parser.add_argument(
        "--print-completion", action=Completion, choices=SHELLS, help="show a script that completes words in this shell"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    training.add_parsers(commands)
    traces.add_parsers(commands)
    plot.add_parser(commands)
    view.add_parser(commands)
    baseline.add_parsers(commands)
    sweep.add_parser(commands)
    search.add_parser(commands)
    reproduce.add_parser(commands)
    listing = commands.add_parser("presets", help="list the paper's settings by name")
    listing.set_defaults(command=lambda arguments: print(report.presets_table()), shows=True)
    info = commands.add_parser("info", help="show what a run directory or a trace file holds")
    info.add_argument("path", type=Path, help="a run directory or a trace file")
    info.set_defaults(command=_info, shows=True)
    gradcheck.add_parser(commands)
    check = commands.add_parser("doctor", help="show versions, threads, BLAS, caches and GPU of this installation")
    check.set_defaults(command=lambda arguments: print(doctor.report()), shows=True)
    return parser


def _info(arguments: argparse.Namespace) -> None:
    describe = traces.describe if arguments.path.is_file() else report.run_summary
    print(describe(arguments.path))


if __name__ == "__main__":
    sys.exit(main())
