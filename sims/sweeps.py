"""Scripts whose runs are those of a sweep: the options that they take, and how what is left of the runs is made."""

from __future__ import annotations

import argparse
from pathlib import Path

import xarray as xr
from destination import parser

import ghostnet as gn


def sweep_parser(doc: str, quick: str | None = None) -> argparse.ArgumentParser:
    """As `destination.parser`, with what all of them take."""
    made = parser(doc, quick)
    made.add_argument("--draw", action="store_true", help="run nothing; show what is there")
    made.add_argument("--workers", type=int, help="processes (default: one a CPU)")
    return made


def run(plan: gn.sweep.Sweep, folder: Path, **how: object) -> None:
    """Run what is left, as `gn.sweep.run` takes it, and say which runs did not end well."""
    for outcome in gn.sweep.run(plan, folder, **how):
        if outcome.status != "complete":
            print(f"{outcome.name}: {outcome.status} ({outcome.text})")


def swept(plan: gn.sweep.Sweep, folder: Path, given: argparse.Namespace) -> xr.Dataset:
    """What is there of the runs, after those that are left, unless only drawing is asked for."""
    if not given.draw:
        run(plan, folder, workers=given.workers)
    return gn.load_sweep(folder)
