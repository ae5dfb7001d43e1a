"""What an experiment's fields may hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ghostnet.errors import ConfigError
from ghostnet.model import names
from ghostnet.model.laws import COSTS, RULES
from ghostnet.model.models import MATRICES
from ghostnet.model.typed import require, require_known

if TYPE_CHECKING:
    from ghostnet.model.experiment import Experiment

FEEDBACKS = ("TF", "FA")
MOST = 10**9  # of anything that is counted: units, steps, examples, epochs
MOST_STORED = 2**63 - 1  # the largest integer of TOML, HDF5 and NumPy
MOST_NUDGES = 16
LEAST_REAL, LARGEST_REAL = 1e-15, 1e15  # float32 holds these, and the product of any two
LEAST_STEP = 1e-6  # dt / tau below which float32 would round most of a step away


def check(e: Experiment) -> None:
    """Raise ConfigError, naming the field, for what no experiment can hold."""
    _check_choices(e)
    _check_numbers(e)
    _check_shapes(e)
    if names.known("model", e.model):  # else it is checked where the model is needed
        check_model(e)


def _check_choices(e: Experiment) -> None:
    names.require_name("model", e.model)
    require_known([e.feedback], FEEDBACKS, "feedback")
    require_known([e.rule], RULES, "rule")
    names.require_name("transfer", e.transfer)
    names.require_name("cost", e.cost)
    if e.cost in COSTS:
        names.require_together(e.cost, e.transfer)


def _check_numbers(e: Experiment) -> None:
    for name in ("tau", "dt", "beta", "init"):
        _require_magnitude(name, getattr(e, name))
    require(
        e.dt < 2 * e.tau,
        f"dt = {e.dt}: explicit Euler is unstable from dt = 2 tau = {2 * e.tau}; take dt below tau = {e.tau}",
    )
    require(e.dt >= LEAST_STEP * e.tau, f"dt = {e.dt}: too small to move anything; expected {LEAST_STEP:g} tau or more")
    for name in ("free_steps", "clamped_steps", "batch", "train_examples", "evaluate_every"):
        count = getattr(e, name)
        require(count is None or count >= 1, f"{name} = {count}: expected at least 1")
        _require_top(name, count or 1)
    require(e.epochs >= 0, f"epochs = {e.epochs}: expected 0 or more")
    _require_top("epochs", e.epochs)
    for name in ("eta", "eta_ghost", "eta_imitation", "decay"):
        for rate in getattr(e, name):
            if not 0 <= rate <= LARGEST_REAL:
                most = f"at most {LARGEST_REAL:g}" if 0 < rate < math.inf else "rates of 0 or more"
                raise ConfigError(f"{name} = {rate}: expected {most}")
    require(e.nudges, "nudges is empty: expected at least one factor on beta, such as 1")
    text = f"nudges = {e.nudges}: expected different factors of 0.001 to 1000, or their negatives"
    require(all(1e-3 <= abs(nudge) <= 1e3 for nudge in e.nudges) and len(set(e.nudges)) == len(e.nudges), text)
    require(len(e.nudges) <= MOST_NUDGES, f"nudges has {len(e.nudges)} values: expected at most {MOST_NUDGES}")
    require(
        e.train_examples is None or e.batch <= e.train_examples,
        f"batch = {e.batch}: only {e.train_examples} training examples; take a smaller batch",
    )


def _check_shapes(e: Experiment) -> None:
    hidden = e.depth - 1
    require(len(e.sizes) >= 2, f"sizes = {e.sizes}: expected input, hidden and output sizes, such as 784 500 10")
    for name in ("sizes", "ghosts"):
        require(
            min(getattr(e, name), default=1) >= 1,
            f"{name} = {getattr(e, name)}: expected at least 1 unit each",
        )
        _require_top(name, *getattr(e, name))
    for name, wanted, why in (("ghosts", hidden, "hidden layer"), ("eta", e.depth, "matrix W_k"),
                              ("eta_ghost", hidden, "hidden layer")):  # fmt: skip
        got = len(getattr(e, name))
        require(got == wanted, f"{name} has {got} values: expected {wanted}, one per {why} of sizes {e.sizes}")
    text = f"decay has {len(e.decay)} values: expected {len(MATRICES)}, of {', '.join(MATRICES)}, or none"
    require(len(e.decay) in (0, len(MATRICES)), text)
    require(len(e.seeds) >= 1, "seeds is empty: expected at least one, such as 0")
    require(min(e.seeds) >= 0, f"seeds = {e.seeds}: expected numbers of 0 or more")
    _require_top("seeds", *e.seeds, most=MOST_STORED)


def check_model(e: Experiment) -> None:
    """Raise ConfigError where an experiment does not fit its model."""
    model, hidden = e.plasticity, e.depth - 1
    if model.paired:
        require(
            e.ghosts == e.sizes[2:],
            f"ghosts = {e.ghosts}: {e.model} pairs every ghost with a unit above; expected {e.sizes[2:]}",
        )
    if any(rule.clip for rule in model.rules):
        if e.clip is None or not 0 < e.clip < math.inf:
            raise ConfigError(f"clip = {e.clip}: {e.model} needs a positive bound on |dW/dt|")
        _require_magnitude("clip", e.clip)
    else:
        require(e.clip is None, f"clip = {e.clip}: {e.model} does not clip; leave it out or use MA-prime")
    used = "eta_imitation" in (rule.rate for rule in model.rules)
    wanted, got = hidden if used else 0, len(e.eta_imitation)
    text = f"eta_imitation has {got} values: {e.model} takes {wanted}" + ", one per hidden layer" * used
    require(got == wanted, text)
    moving = [rule.matrix for rule in model.rules]
    for matrix, decay in zip(MATRICES, e.decay, strict=False):
        text = f"decay of {matrix} = {decay}: {e.model} has no rule for {matrix}; expected 0"
        require(decay == 0 or matrix in moving, text)


def _require_top(name: str, *values: int, most: int = MOST) -> None:
    require(max(values, default=0) <= most, f"{name} = {max(values, default=0)}: expected at most {most}")


def _require_magnitude(name: str, value: float) -> None:
    if not LEAST_REAL <= value <= LARGEST_REAL:
        wanted = f"a number from {LEAST_REAL:g} to {LARGEST_REAL:g}" if 0 < value < math.inf else "a positive number"
        raise ConfigError(f"{name} = {value}: expected {wanted}")
