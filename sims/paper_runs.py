"""The runs behind Table 1 and Figures 3, 5 and 6 of Mesnard et al. 2019 (arXiv:1911.08585): table1.toml, one place.

Their configurations, provenance and metrics are kept in figures/results (or results/ of --out); what is complete there
is not run again.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import xarray as xr
from destination import HERE, figures, runs
from sweeps import run, sweep_parser

import ghostnet as gn
from ghostnet.results.plots import Columns
from ghostnet.sweep.results import complete as complete_runs

_QUICK = {"epochs": 2, "train_examples": 600, "seeds": [0]}


def arguments(doc: str) -> argparse.Namespace:
    """The options that all these scripts take."""
    options = sweep_parser(doc, quick="2 epochs of 600 examples, seed 0, for a look")
    options.add_argument("--only", nargs="+", metavar="PATTERN", help="run only such, as 'mb-*,seed=0'")
    options.add_argument("--scheduler", metavar="ADDRESS", help="a Dask cluster's, instead")
    options.add_argument("--device", choices=("cpu", "cuda"), help="stepped runs by the torch engine, seeds together")
    return options.parse_args()


def kept(given: argparse.Namespace) -> Path:
    """The directory of the sweep."""
    return figures(given) / "results"


def results(given: argparse.Namespace, only: list[str]) -> xr.Dataset:
    """Run what is left of the runs that match `only`, and read all that is there."""
    plan, folder = gn.sweep.read(HERE / "table1.toml"), kept(given)
    if given.quick:
        plan, folder = dataclasses.replace(plan, settings=plan.settings | _QUICK), runs(given) / "table1-quick"
    if not given.draw:
        where = {"workers": given.workers, "scheduler": given.scheduler}
        if given.device:
            plan = _on_device(plan, given.device)
            one_at_a_time = None if given.scheduler else 1
            where |= {"pack": True, "workers": given.workers or one_at_a_time}
        run(plan, folder, only=given.only or only, **where)
    return gn.load_sweep(folder)


def _on_device(plan: gn.sweep.Sweep, device: str) -> gn.sweep.Sweep:
    """The plan with a device for all that names no engine, and so may be packed."""
    entries = [entry if "engine" in entry else entry | {"device": device} for entry in plan.experiments]
    return dataclasses.replace(plan, experiments=entries)


def complete(results: xr.Dataset, experiment: str) -> xr.Dataset:
    """The complete runs of one experiment, up to their last epoch.

    Raises:
        SystemExit: there is none.
    """
    done = complete_runs(results.sel(experiment=experiment))
    if not done.sizes["seed"]:
        raise SystemExit(f"{experiment}: no complete run yet; leave out --draw, or wait")
    return done.dropna("epoch", subset=["test_accuracy"])


def columns(runs: xr.Dataset) -> Columns:
    """The metrics of one experiment as the plots take them."""
    return {name: values.transpose("seed", "epoch").values for name, values in runs.data_vars.items()}
