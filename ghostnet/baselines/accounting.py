"""What private learning spends: ε by Opacus's accountants, and the noise for a given ε.

Both accountants bound the ε of (ε, δ)-differential privacy of all weights that a run ever has: `rdp` by Rényi
divergences (Mironov 2017, arXiv:1702.07476), `prv` by the distribution of the privacy loss (Gopi et al. 2021,
arXiv:2106.02848), tighter, in seconds, and with memory that grows with ε.

Neighbouring data differ in one example. Of Poisson samples each step has it with probability batch / examples. Shuffled
batches have it once an epoch, and no accountant of Opacus's knows what shuffling hides: counted is a step an epoch that
has it for certain, and neighbours differ in whether its gradient is zero.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable

from ghostnet.errors import ConfigError
from ghostnet.model.baseline import Baseline, BaselineRun
from ghostnet.model.experiment import Experiment
from ghostnet.model.typed import require

_MOST = 50.0  # ε beyond which `prv` takes gigabytes


def epsilon(e: Experiment, b: Baseline, epochs: int) -> float:
    """ε spent after so many epochs; infinite without noise.

    Raises:
        ConfigError: Opacus is not installed, or its accountant `prv` would need too much memory.
    """
    if epochs == 0:
        return 0.0
    if b.noise == 0:
        return math.inf
    bound = _spent("rdp", e, b, epochs)
    if b.accountant == "rdp":
        return bound
    text = f"accountant = prv: needs gigabytes where ε is beyond {_MOST:g}, as with noise = {b.noise:g}; take rdp"
    require(bound <= _MOST, text)
    return _spent("prv", e, b, epochs)


def noise_for(e: Experiment, b: Baseline) -> float:
    """The noise with which all epochs spend `b.target_epsilon`, or up to a hundredth less.

    Raises:
        ConfigError: there is none, or Opacus is not installed.
    """
    target = b.target_epsilon
    assert target is not None
    require(e.epochs, f"target_epsilon = {target:g}: 0 epochs spend nothing; give epochs")
    most = f"target_epsilon = {target:g}: accountant = prv needs gigabytes beyond {_MOST:g}; take rdp"
    require(b.accountant == "rdp" or target <= _MOST, most)
    (_, search), (rate, steps) = _opacus(), _composition(e, b, e.epochs)
    near = {"epsilon_tolerance": min(1.0, target) / 100, "accountant": b.accountant}
    try:
        with warnings.catch_warnings(action="ignore"):  # see `_spent`
            found = search(target_epsilon=target, target_delta=b.delta, sample_rate=rate, steps=steps, **near)
    except ValueError:
        other = "; give more, or accountant = prv, which gets further" if b.accountant == "rdp" else "; give more"
        raise ConfigError(f"target_epsilon = {target:g}: no noise is enough for {b.accountant}{other}") from None
    return float(found)


def with_noise(run: BaselineRun, noise: float | None = None) -> BaselineRun:
    """The run with the noise that its target_epsilon stands for, found if it isn't given; others as they are.

    Raises:
        ConfigError: as from `noise_for`.
    """
    if run.baseline.target_epsilon is None:
        return run
    found = noise_for(run.experiment, run.baseline) if noise is None else noise
    return dataclasses.replace(run, baseline=dataclasses.replace(run.baseline, noise=found, target_epsilon=None))


def columns(e: Experiment, b: Baseline, epoch: int) -> dict[str, float]:
    """What metrics.csv says of privacy after an epoch; nothing where no gradient is clipped."""
    return {} if b.clip is None else {"epsilon": epsilon(e, b, epoch), "delta": b.delta, "noise": b.noise}


def _spent(accountant: str, e: Experiment, b: Baseline, epochs: int) -> float:
    create, _ = _opacus()
    counting = create(accountant)
    counting.history = [(b.noise, *_composition(e, b, epochs))]
    with warnings.catch_warnings(action="ignore"):  # of orders that leave ε loose; of log 0 where a step has all
        return float(counting.get_epsilon(b.delta))


def _composition(e: Experiment, b: Baseline, epochs: int) -> tuple[float, int]:
    """With which probability a step has an example, and how many steps count."""
    if b.sampling == "shuffled":
        return 1.0, epochs
    return e.batch / examples(e), epochs * e.presentations_per_epoch


def examples(e: Experiment) -> int:
    """How many a batch is sampled from.

    Raises:
        ConfigError: train_examples is None; a run has put a number there.
    """
    if e.train_examples is None:
        raise ConfigError("train_examples: left out, so examples have no probability; give a number")
    return e.train_examples


def _opacus() -> tuple[Callable, Callable]:
    """What makes Opacus's accountants, and what finds noise by them.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        from opacus.accountants import create_accountant, utils
    except ImportError as error:
        raise ConfigError("noise: counting ε needs Opacus; install the extra [dp]") from error
    return create_accountant, utils.get_noise_multiplier
