"""`ghostnet search`: settings proposed by Optuna, each tried in a run directory of its own."""

from __future__ import annotations

import argparse

from ghostnet.cli.arguments import add_file, folder_of
from ghostnet.cli.parser import Commands


def add_parser(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "search",
        help="search good settings, within ranges and choices of a file (Optuna)",
        description="Try settings within the ranges of a file's [search], each in a run directory of its own; what is "
        "below the median ends early. The same command again goes on; the same beside it, on any machine, helps.",
    )
    add_file(parser, "search", "what to try: see 'Search' in docs/training.md")
    parser.add_argument(
        "--trials", type=int, default=20, metavar="N", help="in all, those before included (default: 20)"
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of each trial (default: 1)")
    parser.set_defaults(command=_search)


def _search(arguments: argparse.Namespace) -> None:
    from ghostnet.sweep import search, space

    wanted = space.read(arguments.file)
    study = search.run(wanted, folder_of(arguments), arguments.trials, arguments.threads)
    print(search.table(wanted, study))
