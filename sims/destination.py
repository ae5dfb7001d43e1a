"""Where the files of a script go, and the options that all scripts of a table or figure take.

In a checkout they go to its figures/, and runs that are not kept to runs/ of the working directory; with --out, as
`ghostnet reproduce` gives it, all below that directory.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HERE = Path(__file__).resolve().parent  # the scripts, and the TOML files that they read
_KEPT = HERE.parent / "figures"


def parser(doc: str, quick: str | None = None) -> argparse.ArgumentParser:
    """Of a script with this docstring. quick: what its --quick is; None where it has none."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, metavar="DIR", help="where files go (default: figures/ of the checkout)")
    if quick is not None:
        made.add_argument("--quick", action="store_true", help=quick)
    return made


def figures(given: argparse.Namespace) -> Path:
    """The directory of tables, figures, and of the runs that are kept."""
    in_a_checkout = (HERE.parent / "setup.cfg").exists()  # what is installed is left as it is
    return given.out or (_KEPT if in_a_checkout else Path("figures"))


def runs(given: argparse.Namespace) -> Path:
    """The directory of runs that are not kept."""
    return given.out / "runs" if given.out else Path("runs")


def figure_path(given: argparse.Namespace, figure: str) -> Path:
    """A table or figure, without the ending."""
    return figures(given) / (f"{figure}-quick" if given.quick else figure)
