"""The command line: parse, call, print. Exit codes: 0 done, 2 bad arguments or settings, 3 diverged, 74 I/O error,
75 stopped by a signal and resumable."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from ghostnet import doctor, report
from ghostnet.cli import baseline, gradcheck, sweep, traces, training
from ghostnet.errors import GhostnetError

_DESCRIPTION = """Continuous-time simulation of ghost-unit networks (Mesnard et al. 2019, arXiv:1911.08585): pyramidal
and ghost units are integrated with Euler steps, and local plasticity rules approximate backprop."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    arguments = _parser().parse_args(argv)
    try:
        arguments.command(arguments)
        sys.stdout.flush()
    except GhostnetError as error:
        print(f"ghostnet: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ghostnet: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left to flush
        return 141
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ghostnet", description=_DESCRIPTION)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    training.add_parsers(commands)
    traces.add_parsers(commands)
    baseline.add_parsers(commands)
    sweep.add_parser(commands)
    listing = commands.add_parser("presets", help="list the paper's settings by name")
    listing.set_defaults(command=lambda arguments: print(report.presets_table()))
    info = commands.add_parser("info", help="show what a run directory or a trace file holds")
    info.add_argument("path", type=Path, help="a run directory or a trace file")
    info.set_defaults(command=_info)
    gradcheck.add_parser(commands)
    check = commands.add_parser("doctor", help="show versions, threads, BLAS, caches and GPU of this installation")
    check.set_defaults(command=lambda arguments: print(doctor.report()))
    return parser


def _info(arguments: argparse.Namespace) -> None:
    describe = traces.describe if arguments.path.is_file() else report.run_summary
    print(describe(arguments.path))


if __name__ == "__main__":
    sys.exit(main())
