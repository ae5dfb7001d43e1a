"""A sweep as a script for Slurm: an array whose every task trains one of the sweep's, or goes on with it."""

from __future__ import annotations

import math
import os
import shlex
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from ghostnet.errors import ConfigError
from ghostnet.files.publishing import publish
from ghostnet.sweep.execution import FILE, begin_folder
from ghostnet.sweep.forecast import core_seconds
from ghostnet.sweep.plan import Sweep
from ghostnet.sweep.task import counted, finished

SCRIPT = "sweep.sbatch"

_TEXT = """\
#!/bin/bash
# {count} tasks of a sweep: sbatch {script}
# Sent again, it goes on with what is left. Edit these lines, and add what your cluster asks for (partition, account).
#SBATCH --job-name={name}
#SBATCH --array={array}
# {estimate}
#SBATCH --time={time}
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --output={log}
# Two minutes before the time is up, the task writes a checkpoint and ends.
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
exec {command} --task "$SLURM_ARRAY_TASK_ID"
"""


def write(
    sweep: Sweep, out: str | os.PathLike, script: str | os.PathLike | None = None, only: Sequence[str] = ("*",)
) -> Path:
    """Write the script for what is left of a sweep, and the sweep's directory with its file.

    Args:
        script: where to; by default sweep.sbatch in `out`. only: see `run`.

    Raises:
        ConfigError: nothing is left, or as `run`. DataError: as `run`. FileError: it can't be written.
    """
    chosen = counted(sweep.matching(only))
    left = [task for task in chosen if not finished(task, Path(out))]
    if not left:
        raise ConfigError(f"{out}: all {len(chosen)} tasks are finished; nothing is left for Slurm")
    seconds = [value for value in core_seconds(chosen, Path(out)).values() if value is not None]
    folder = begin_folder(sweep, out)
    numbers = {task.name: number for number, task in enumerate(sweep.tasks)}
    path = folder / SCRIPT if script is None else Path(script)
    command = [sys.executable, "-m", "ghostnet", "sweep", str(folder / FILE), "--out", str(folder)]
    time, estimate = _time(max(seconds, default=0))
    text = _TEXT.format(
        count=len(left),
        script=shlex.quote(str(path)),
        name=shlex.quote(folder.name),
        array=_ranges([numbers[task.name] for task in left]),
        estimate=estimate,
        time=time,
        log=shlex.quote(str(folder / "slurm-%A_%a.out").replace("\\", "\\\\")),
        command=shlex.join(command),
    )
    publish(path, text.encode())
    return path


def _ranges(numbers: list[int]) -> str:
    """Rising numbers as Slurm writes them: 0-4,7."""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _time(longest: float) -> tuple[str, str]:
    """A limit, and where it is from: twice what the longest task takes, with minutes for the beginning."""
    if not longest:
        return "24:00:00", "How long a task takes is unknown."
    minutes = 10 * math.ceil((2 * longest / 60 + 10) / 10)
    told = f"The longest task takes about {longest / 3600:.2g} core hours where this was written, evaluation excluded."
    return f"{minutes // 60:02d}:{minutes % 60:02d}:00", told
