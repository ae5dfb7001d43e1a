"""Short readable text about presets, runs and results."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from ghostnet.errors import FileError
from ghostnet.files import jsonfile
from ghostnet.model.presets import PRESETS
from ghostnet.runs import checkpoint, configuration, metrics, store

_COLUMNS = {  # heading: what an experiment shows under it
    "sizes": lambda e: "-".join(map(str, e.sizes)),
    "ghosts": lambda e: " ".join(map(str, e.ghosts)),
    "batch": lambda e: str(e.batch),
    "dt": lambda e: f"{e.dt:g}",
    "beta": lambda e: f"{e.beta:g}",
    "steps": lambda e: f"{e.free_steps}+{e.clamped_steps}",
    "init": lambda e: f"{e.init:g}",
    "epochs": lambda e: str(e.epochs),
    "eta": lambda e: " ".join(f"{rate:g}" for rate in e.eta),
    "eta_ghost": lambda e: " ".join(f"{rate:g}" for rate in e.eta_ghost),
    "clip": lambda e: "" if e.clip is None else f"{e.clip:g}",
}


def presets_table() -> str:
    """Every preset and its settings, one per line."""
    rows = [
        ["preset", *_COLUMNS],
        *([name, *(cell(e) for cell in _COLUMNS.values())] for name, e in PRESETS.items()),
    ]
    return "\n".join(
        [aligned(rows), "", "tau is 0.01 s throughout, eta_imitation of mixed 0.01; steps are free + weakly clamped."]
    )


def aligned(rows: list[list[str]]) -> str:
    """Rows of cells as lines of aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def final_line(metrics: list[dict]) -> str:
    """The last accuracies: of one run, or mean and standard deviation over the runs; and what privacy was spent."""
    last = [row for row in metrics if row["epoch"] == metrics[-1]["epoch"]]
    parts = [f"after epoch {last[0]['epoch']}:"]
    for name in ("train", "test"):
        parts.append(f"{name} accuracy {percent([float(row[f'{name}_accuracy']) for row in last])} %")
    if "noise" in last[0]:
        spent, delta, noise = (float(last[0][name]) for name in ("epsilon", "delta", "noise"))
        parts.append(f"ε {spent:.4g} (δ {delta:g}), noise {noise:.4g}")
    return "   ".join(parts)


def percent(fractions: Sequence[float]) -> str:
    """Fractions in percent: the only one, or mean ± standard deviation."""
    spread = f" ± {100 * statistics.stdev(fractions):.2f}" if len(fractions) > 1 else ""
    return f"{100 * statistics.mean(fractions):.2f}{spread}"


def run_summary(path: Path) -> str:
    """What a run directory holds: status, result so far, settings.

    Raises:
        FileError: it is no run directory, or a file of it can't be read.
        ConfigError: config.toml says something else than the checkpoint was made with.
    """
    try:
        status, settings = store.read_status(path), jsonfile.read(path / store.PROVENANCE)
        rows = metrics.read(path / store.METRICS)
        lines = [f"{path}: {status['status']}, epoch {status['epoch']}"]
        lines += [final_line(rows)] if rows else []
        lines += [f"engine {settings['engine']}, {settings['dtype']}, {settings['threads']} threads, {settings['cpu']}"]
    except (FileError, KeyError) as error:
        raise FileError(f"{path}: no readable run directory ({error}); give one that `ghostnet train` made") from error
    made = configuration.read(path)
    checkpoint.require_same(path, made)
    return "\n".join([*lines, "", made.to_toml().rstrip()])
