"""`ghostnet sweep`: many experiments from one file."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ghostnet.cli.arguments import add_file, folder_of
from ghostnet.cli.parser import Commands
from ghostnet.errors import GhostnetError

if TYPE_CHECKING:
    from ghostnet.sweep import Sweep
    from ghostnet.sweep.task import Outcome

_BESIDE = Path()  # the script in the sweep's directory


def add_parser(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "sweep",
        help="train every experiment of a file, on this machine or on a Dask cluster",
        description="Train a grid or list of experiments, each seed in a run directory of its own. The same command "
        "again goes on: what is complete is left as it is, the rest resumes from its last checkpoints.",
    )
    add_file(parser, "sweep", "what to train: see docs/sweeps.md")
    parser.add_argument(
        "--only",
        nargs="+",
        default=["*"],
        metavar="PATTERN",
        help="tasks with such names, as '*,seed=0' (default: all)",
    )
    parser.add_argument(
        "--pack", action="store_true", help="those that differ in seed, β, dt and η only as one ensemble (torch engine)"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes on this machine (default: one a CPU)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster, such as tcp://host:8786")
    parser.add_argument("--threads", type=int, metavar="N", help="of each task (default: its share of the CPUs)")
    parser.add_argument("--task", type=int, metavar="N", help="train the N-th only, from 0, in this process")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--dry-run", action="store_true", help="show tasks, what is finished and core hours; no more")
    instead.add_argument(
        "--slurm", nargs="?", const=_BESIDE, type=Path, metavar="SCRIPT",
        help="write an sbatch script for what is left instead (default: DIR/sweep.sbatch)",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.set_defaults(command=_sweep)


def _sweep(arguments: argparse.Namespace) -> None:
    from ghostnet import sweep
    from ghostnet.sweep import forecast, slurm
    from ghostnet.sweep.results import table

    plan = sweep.read(arguments.file)
    out = folder_of(arguments)
    if arguments.dry_run:
        print(forecast.table(plan, out, arguments.only))
    elif arguments.slurm is not None:
        script = None if arguments.slurm == _BESIDE else arguments.slurm
        print(f"sbatch {shlex.quote(str(slurm.write(plan, out, script, arguments.only)))}")
    elif arguments.task is not None:
        outcome = sweep.run_one(plan, out, arguments.task, arguments.threads)
        print(f"{outcome.name}: {outcome.status}")
        _report([outcome])
    else:
        outcomes = _train(plan, out, arguments)
        print(table(out))
        _report(outcomes)


def _train(plan: Sweep, out: Path, arguments: argparse.Namespace) -> list[Outcome]:
    from ghostnet import sweep

    return sweep.run(
        plan,
        out,
        only=arguments.only,
        pack=arguments.pack,
        workers=arguments.workers,
        scheduler=arguments.scheduler,
        threads=arguments.threads,
        progress=not arguments.quiet,
    )


def _report(outcomes: list[Outcome]) -> None:
    """Raise the first error of those that are not complete."""
    bad = [outcome for outcome in outcomes if outcome.exit_code]
    if bad:
        error = GhostnetError(f"{len(bad)} of {len(outcomes)} not complete; {bad[0].name}: {bad[0].text}")
        error.exit_code = bad[0].exit_code
        raise error
