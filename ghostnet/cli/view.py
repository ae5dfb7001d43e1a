"""`ghostnet view`: traces as a page for the browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from ghostnet.cli.arguments import span
from ghostnet.cli.parser import Commands
from ghostnet.files.figures import appended


def add_parser(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "view",
        help="write traces as an interactive page for the browser",
        description="Write traces as one HTML page that works without a network: lines and a heat map over time, "
        "presentations by class, two traces or seeds beside each other.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE_OR_RUN", help="trace files, runs with traces")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: the first path's name and .html")
    parser.add_argument("--open", action="store_true", help="show it in the browser")
    parser.add_argument("--variables", nargs="+", metavar="NAME", help="such as s_1 e_1 (default: all recorded)")
    parser.add_argument("--units", metavar="A:B", help="places among the units recorded of every layer (default: all)")
    parser.add_argument("--presentations", metavar="A:B", help="as they are numbered in the trace (default: all)")
    parser.add_argument("--ceiling", type=float, default=200, metavar="MB", help="a larger page is refused (200)")
    parser.set_defaults(command=_view)


def _view(arguments: argparse.Namespace) -> None:
    from ghostnet.traces.view import view
    from ghostnet.traces.view_sources import Choice

    spans = {
        name: text and span(name, text) for name in ("units", "presentations") if (text := getattr(arguments, name))
    }
    choice = Choice(arguments.variables and tuple(arguments.variables), **spans)
    out = view(arguments.paths, arguments.out or appended(arguments.paths[0], ".html"), choice, arguments.ceiling)
    print(out)
    if arguments.open:
        import webbrowser

        webbrowser.open(out.resolve().as_uri())
