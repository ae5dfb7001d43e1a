"""A search for good settings: Optuna proposes them, each trial is an ordinary run directory, and the poor end early."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

from ghostnet.errors import ConfigError, FileError, Stopped
from ghostnet.files.opening import read_bytes
from ghostnet.files.publishing import publish
from ghostnet.model.checks import MOST
from ghostnet.model.typed import integer, require
from ghostnet.results import report
from ghostnet.runs import metrics, store
from ghostnet.runs.loop import Run
from ghostnet.sweep.plan import label
from ghostnet.sweep.space import OBJECTIVES, Search
from ghostnet.sweep.task import Outcome, counted, ended_by, perform, status

if TYPE_CHECKING:
    import optuna

FILE, JOURNAL = "search.toml", "trials.jsonl"
_PRUNED = "pruned"  # begins the reason of a run that the median has ended

log = logging.getLogger("ghostnet")


def run(search: Search, out: str | os.PathLike, trials: int, threads: int = 1) -> optuna.Study:
    """Bring a search to so many trials. Several processes may be at it at once; the same call again goes on.

    Args:
        out: its directory, new or that of this search. trials: in all, those before included.

    Raises:
        ConfigError: `out` holds another search, or Optuna is not installed. DataError: the data can't be read.
        FileError: `out` can't be written. Stopped: a signal came; the same call goes on.
    """
    integer("trials", trials, 1, MOST)
    folder = Path(out).resolve()
    study = _study(search, folder)
    for found in study.get_trials(deepcopy=False):  # begun before, by this process or another
        if not found.state.is_finished():
            _train(search, study, found.number, folder, threads)
    while (number := _ask(search, study, folder, trials)) is not None:
        _train(search, study, number, folder, threads)
    return study


def _study(search: Search, folder: Path) -> optuna.Study:
    try:
        import optuna
    except ImportError:
        raise ConfigError("search: needs Optuna; install the extra: pip install '.[search]'") from None
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: can't be made ({error.strerror}); give a directory you may write to") from error
    with FileLock(folder / store.LOCK):
        text = search.to_toml().encode()
        if (folder / FILE).exists():
            held = read_bytes(folder / FILE, "give another directory")
            require(held == text, f"{folder}: holds another search; give another directory, or move it away")
        else:
            publish(folder / FILE, text)
        _end_line(folder / JOURNAL)
        return optuna.create_study(
            study_name="search",
            storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
            direction=OBJECTIVES[search.objective],
            pruner=optuna.pruners.MedianPruner(),
            load_if_exists=True,
        )


def _end_line(journal: Path) -> None:
    """Take away the half line that a crash of the machine may have left, or Optuna would read no line after it."""
    content = journal.read_bytes() if journal.exists() else b""
    if not content.endswith(b"\n") and content:
        publish(journal, content[: content.rfind(b"\n") + 1])


def _ask(search: Search, study: optuna.Study, folder: Path, trials: int) -> int | None:
    """The number of a new trial; None where there are enough. Each has draws of its own, so that a search that was
    stopped goes on as it would have.
    """
    from optuna.samplers import TPESampler

    with FileLock(folder / store.LOCK):
        count = len(study.get_trials(deepcopy=False))
        if count >= trials:
            return None
        draws = np.random.SeedSequence(search.seed, spawn_key=(count,)).generate_state(1)
        study.sampler = TPESampler(seed=int(draws[0]))
        return study.ask({name: _distribution(wanted) for name, wanted in search.fields.items()}).number


def _distribution(wanted: dict | list) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(wanted, list):
        return CategoricalDistribution([label(choice) for choice in wanted])
    whole = all(isinstance(number, int) for number in wanted.values())
    return (IntDistribution if whole else FloatDistribution)(**wanted)


def _train(search: Search, study: optuna.Study, number: int, folder: Path, threads: int) -> None:
    """Bring a trial to its end, and tell how it ended; one that another process works on is left to it."""
    from optuna.trial import Trial, TrialState

    found = study.get_trials(deepcopy=False)[number]
    trial, name = Trial(study, found._trial_id), directory(number)

    def watch(run: Run) -> None:
        if run.epoch:
            trial.report(_value(run.metrics, search.objective), run.epoch)
            if trial.should_prune():
                run.stop(f"{_PRUNED} after epoch {run.epoch}: below the median of the trials before")

    def pruned() -> bool:
        return str(status(folder / name).get("reason", "")).startswith(_PRUNED)

    try:
        (task,) = counted([search.task(name, _values(search, found.params))])
    except ConfigError as error:  # of values that don't go together
        outcome = ended_by(error, name)
    else:
        outcome = Outcome(name, "complete") if pruned() else perform(task, folder, threads, [watch])
    if outcome.status == "stopped":
        raise Stopped(f"{outcome.text.partition(';')[0]}; the same command goes on with {folder}")
    if outcome.status == "complete" and not pruned():
        study.tell(number, _value(metrics.read(folder / name / store.METRICS), search.objective))
    elif outcome.status != "in use":
        log.info("%s: %s", name, outcome.text or _PRUNED)
        study.tell(number, state=TrialState.FAIL if outcome.status == "failed" else TrialState.PRUNED)


def _values(search: Search, params: dict) -> dict:
    """The values of a trial's parameters, where its choices are known by their labels."""
    choices = {
        n: {label(one): one for one in wanted} for n, wanted in search.fields.items() if isinstance(wanted, list)
    }
    return {name: choices[name][value] if name in choices else value for name, value in params.items()}


def _value(rows: list[dict], objective: str) -> float:
    """The objective at the last epoch, the mean over seeds."""
    return float(np.mean([row[objective] for row in rows if row["epoch"] == rows[-1]["epoch"]]))


def directory(number: int) -> str:
    """The name of a trial's run directory."""
    return f"trial-{number:04d}"


def table(search: Search, study: optuna.Study) -> str:
    """A line for every trial, and one for the best."""
    names, trials = list(search.fields), study.get_trials(deepcopy=False)
    rows = [["trial", "status", *names, "epochs", search.objective]]
    for found in trials:
        values = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in map(found.params.get, names)]
        value = "" if found.value is None else f"{found.value:.4f}"
        epochs = str(max(found.intermediate_values, default=0))
        rows.append([directory(found.number), found.state.name.lower(), *values, epochs, value])
    ended = [found for found in trials if found.state.name == "COMPLETE"]
    if not ended:
        return report.aligned(rows)
    best = study.best_trial
    settings = ", ".join(f"{name} = {value}" for name, value in best.params.items())
    return f"{report.aligned(rows)}\n\nbest: {directory(best.number)}, {search.objective} {best.value:.4f}: {settings}"
