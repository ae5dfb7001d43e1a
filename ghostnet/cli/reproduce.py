"""`ghostnet reproduce`: the tables and figures of the paper, the slides and the reports, by the scripts of sims/."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ghostnet.cli.parser import Commands
from ghostnet.errors import ConfigError, FileError, GhostnetError

if TYPE_CHECKING:
    from ghostnet.results.targets import Target

_FLAGS, _VALUES = ("quick", "draw"), ("workers", "scheduler", "device")  # of scripts, as they name them


def add_parser(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "reproduce",
        help="make the tables and figures of the paper and the reports, and compare with the stored numbers",
        description="Make a table or figure; without a target, list them with the CPU time each takes. Sweeps keep "
        "their runs in DIR: the same command again goes on. --check compares with the stored numbers, and "
        "ends with 1 where one differs by more than rounding or chance explains.",
    )
    parser.add_argument("target", nargs="?", help="which (default: list them)")
    parser.add_argument("--list", action="store_true", help="list the targets")
    parser.add_argument(
        "--out", type=Path, default=Path("reproduced"), metavar="DIR", help="where all goes (default: reproduced)"
    )
    parser.add_argument(
        "--check", action="store_true", help="compare with the stored numbers, a line for each that differs"
    )
    script = parser.add_argument_group("of those targets that take them")
    script.add_argument("--quick", action="store_true", help="few examples and epochs, for a look")
    script.add_argument("--draw", action="store_true", help="run nothing; show what is in DIR")
    script.add_argument("--only", nargs="+", metavar="PATTERN", help="only such runs, as 'mb-*,seed=0'")
    script.add_argument("--workers", type=int, metavar="N", help="processes (default: one a CPU)")
    script.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster, instead")
    script.add_argument("--device", choices=("cpu", "cuda"), help="stepped runs by the torch engine, seeds together")
    parser.set_defaults(command=_reproduce)


def _reproduce(arguments: argparse.Namespace) -> None:
    from ghostnet.results import targets

    if arguments.target is None and (arguments.check or _options(arguments)):
        raise ConfigError("target: expected one before the options, such as figure4; --only takes all words behind it")
    if arguments.list or arguments.target is None:
        print(targets.table())
        return
    target = targets.target(arguments.target)
    target.require_extra()
    if arguments.check and not target.numbers:
        raise ConfigError(f"{target.name}: no numbers of it are stored; leave out --check")
    if arguments.check and arguments.quick:
        raise ConfigError("--quick makes other numbers than those that are stored; leave it or --check out")
    if targets.INSTALLED and arguments.out.resolve().is_relative_to(targets.PACKAGE):
        raise ConfigError(f"out = {arguments.out}: is in the installed package; give a directory of your own")
    _make(target, arguments)


def _make(target: Target, arguments: argparse.Namespace) -> None:
    """Run the script, and compare, if asked to, with what was stored before it.

    Raises:
        FileError: DIR can't be made. GhostnetError: a number differs, or there is none to compare.
    """
    from ghostnet.results import stored_numbers, targets

    stored = stored_numbers.read(targets.STORED, target.numbers) if arguments.check else {}
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"{arguments.out}: can't be made ({error.strerror}); give a directory you may write to"
        ) from error
    _run(target, ["--out", str(arguments.out), *_options(arguments)])
    if not arguments.check:
        return
    compared, differing = stored_numbers.compare(stored_numbers.read(arguments.out, target.numbers), stored)
    for line in differing:
        print(line)
    summary = f"{target.name}: {compared} of {len(stored)} stored numbers compared"
    if differing:
        raise GhostnetError(f"{summary}, {len(differing)} differ or are missing")
    if not compared:
        raise GhostnetError(f"{summary}; no run of theirs was made")
    print(f"{summary}, none differs")


def _options(arguments: argparse.Namespace) -> list[str]:
    """What was given for the script, as its words."""
    words = [f"--{name}" for name in _FLAGS if getattr(arguments, name)]
    for name in _VALUES:
        words += [f"--{name}", str(value)] if (value := getattr(arguments, name)) is not None else []
    return words + (["--only", *arguments.only] if arguments.only else [])


def _run(target: Target, words: list[str]) -> None:
    """Run a script in this process, as `python sims/SCRIPT.py WORDS` does.

    Raises:
        GhostnetError: it ended with a text.
    """
    import matplotlib

    from ghostnet.results.targets import SCRIPTS

    matplotlib.use("agg")
    before = sys.argv
    sys.argv = [f"ghostnet reproduce {target.name}", *target.words, *words]
    sys.path.insert(0, str(SCRIPTS))  # they import each other
    try:
        importlib.import_module(target.script).main()
    except SystemExit as end:
        if isinstance(end.code, str):
            raise GhostnetError(end.code) from None
        raise
    finally:
        sys.argv = before
        sys.path.remove(str(SCRIPTS))
