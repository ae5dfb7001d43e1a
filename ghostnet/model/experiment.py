"""One experiment: a flat, frozen, checked description, read from and written to TOML."""

from __future__ import annotations

import copy
import dataclasses
import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ghostnet.data import NAMES, OWN
from ghostnet.errors import ConfigError
from ghostnet.files import toml
from ghostnet.model import names
from ghostnet.model.checks import check
from ghostnet.model.laws import COSTS as _COSTS
from ghostnet.model.laws import RULES as _RULES
from ghostnet.model.laws import TRANSFERS as _TRANSFERS
from ghostnet.model.models import MODELS, Model, Phase, shares
from ghostnet.model.typed import require_known, require_printable, shown, typed

RULES = tuple(_RULES)
TRANSFERS = tuple(_TRANSFERS)
COSTS = tuple(_COSTS)
MAX_TEXT = 1 << 20  # of an experiment as TOML: more takes seconds to parse


def documented(text: str, **kwargs: Any) -> Any:
    """A field with the one-line help that the command line shows."""
    return field(metadata={"help": text}, **kwargs)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that decides a result. Symbols and units are those of the paper (arXiv:1911.08585).

    Raises:
        ConfigError: on construction, naming the field, what it got and what it takes.

    Examples:
        >>> exp.replace(beta=-1)
        Traceback (most recent call last):
        ghostnet.errors.ConfigError: beta = -1.0: expected a positive number
    """

    model: str = documented(
        f"which weights are plastic, when and how: {', '.join(MODELS)}, or module:attribute of your own"
    )
    feedback: str = documented("TF: B_k = W_{k+1}^T; FA: B_k random and fixed")
    sizes: tuple[int, ...] = documented("units per layer n_0 … n_N, input first")
    ghosts: tuple[int, ...] = documented("ghost units m_k of each hidden layer; MA: m_k = n_{k+1}")
    tau: float = documented("time constant τ in seconds")
    dt: float = documented("Euler step in seconds")
    beta: float = documented("nudging strength β of the clamped phase")
    free_steps: int = documented("Euler steps of the free phase")
    clamped_steps: int = documented("Euler steps of the weakly clamped phase")
    eta: tuple[float, ...] = documented("learning rates η_k of W_1 … W_N (1/s; MB: applied once, no unit)")
    eta_ghost: tuple[float, ...] = documented("learning rates η^g_k of the lateral weights of each hidden layer (1/s)")
    eta_imitation: tuple[float, ...] = documented("mixed: learning rates η^pg_k of W^pg (1/s)", default=())
    decay: tuple[float, ...] = documented("decay λ of W, W^pg and W^gp (1/s; W applied once: no unit)", default=())
    nudges: tuple[float, ...] = documented(
        "factors on β, a clamped phase for each from the same free state; 1 -1: centred nudging", default=(1.0,)
    )
    init: float = documented("initial weights are uniform in [-init, init]")
    batch: int = documented("examples presented together")
    rule: str = documented("form of rule (6): difference of rates, or derivative", default="difference")
    clip: float | None = documented("MA-prime: bound on every |dW_ij/dt|", default=None)
    transfer: str = documented(
        f"transfer function ρ: {', '.join(TRANSFERS)}, or module:attribute of your own", default="sigmoid"
    )
    cost: str = documented(
        f"cost C of the outputs: {', '.join(COSTS)}, or module:attribute of your own", default="quadratic"
    )
    epochs: int = documented("passes through the training set", default=1)
    evaluate_every: int = documented(
        "epochs between evaluations; there is one before training and one after the last epoch in any case", default=1
    )
    seeds: tuple[int, ...] = documented("one independent network per seed, run side by side", default=(0,))
    data: str = documented(
        "mnist, fashion-mnist, a .npz file, or a directory of IDX or CIFAR files (a path is kept absolute)",
        default="mnist",
    )
    train_examples: int | None = documented(
        "how many training images to use, from the first (default: all; MNIST in a preset: 55000)", default=None
    )

    def __post_init__(self) -> None:
        if isinstance(self.data, os.PathLike):
            object.__setattr__(self, "data", os.path.join(os.curdir, os.path.expanduser(self.data)))  # no name
        for name in names.FIELDS:
            object.__setattr__(self, name, names.named(name, getattr(self, name)))
        for name, kind in _kinds():
            object.__setattr__(self, name, typed(name, kind, getattr(self, name)))
        object.__setattr__(self, "data", data_place(self.data))
        check(self)

    @property
    def plasticity(self) -> Model:
        """The model of that name: which weights are plastic, when and how."""
        return names.model(self.model)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Those of a presentation, in order."""
        return self.plasticity.with_nudges(self.nudges)

    @property
    def steps(self) -> tuple[int, ...]:
        """Euler steps of each phase."""
        return tuple(self.clamped_steps if phase.nudge else self.free_steps for phase in self.phases)

    def acting(self, phase: int) -> dict[str, float]:
        """The matrices whose rules act in a phase, with what the phase's learning signal counts for.

        Examples:
            >>> gn.preset("ma-100-tf").acting(0)
            {'W_pg': 1.0, 'W_gp': 1.0}
        """
        named, share = self.phases[phase], shares(self.phases)[phase]
        acting = (rule.matrix for rule in self.plasticity.rules if named.name in rule.when)
        return {matrix: share if matrix == "W" else 1.0 for matrix in acting}

    @property
    def depth(self) -> int:
        """N, the index of the output layer."""
        return len(self.sizes) - 1

    @property
    def presentations_per_epoch(self) -> int:
        """Batches in the training set; what does not fill one is left out of the epoch.

        Raises:
            ConfigError: train_examples is None; a run has put a number there.
        """
        if self.train_examples is None:
            raise ConfigError("train_examples: left out, so an epoch has no length; give a number")
        return self.train_examples // self.batch

    def evaluates(self, epoch: int) -> bool:
        """Whether there is an evaluation after an epoch; 0 is before training.

        Examples:
            >>> [epoch for epoch in range(6) if exp.replace(epochs=5, evaluate_every=3).evaluates(epoch)]
            [0, 3, 5]
        """
        return epoch % self.evaluate_every == 0 or epoch == self.epochs

    def replace(self, /, **changes: Any) -> Experiment:
        """A copy with some fields changed, checked anew.

        Raises:
            ConfigError: no such field, or an impossible value.

        Examples:
            >>> exp.replace(beta=0.05).beta
            0.05
        """
        require_known(changes, (name for name, _ in _kinds()), "field")
        return Experiment(**(vars(self) | changes))

    def alone(self) -> list[Experiment]:
        """An experiment of each seed alone; of all else they share what has been checked.

        Examples:
            >>> [one.seeds for one in exp.replace(seeds=(3, 4)).alone()]
            [(3,), (4,)]
        """
        each = [copy.copy(self) for _ in self.seeds]
        for one, seed in zip(each, self.seeds, strict=True):
            object.__setattr__(one, "seeds", (seed,))
        return each

    def to_toml(self) -> str:
        """The experiment as TOML text. Fields that are None are left out: TOML has no null.

        Examples:
            >>> exp.to_toml().splitlines()[:2]
            ['model = "MB"', 'feedback = "TF"']
        """
        return toml.lines(vars(self))


@functools.cache
def _kinds() -> list[tuple[str, str]]:
    """The name of each field, and the type that it declares."""
    return [(spec.name, str(spec.type)) for spec in dataclasses.fields(Experiment)]


def from_mapping(values: Mapping[str, Any]) -> Experiment:
    """An Experiment from field names and values.

    Raises:
        ConfigError: unknown or missing fields, and whatever Experiment refuses.
    """
    specs = dataclasses.fields(Experiment)
    require_known(values, (spec.name for spec in specs), "field")
    missing = [s.name for s in specs if s.default is dataclasses.MISSING and s.name not in values]
    if missing:
        raise ConfigError(
            f"missing field{'s' * (len(missing) > 1)} {', '.join(missing)}: give them or start from a preset"
        )
    return Experiment(**values)


def from_toml(text: str) -> Experiment:
    """The Experiment that `to_toml` wrote.

    Raises:
        ConfigError: it is not TOML, and whatever Experiment refuses.
    """
    return from_mapping(toml.parsed(text))


def data_place(data: str) -> str:
    """What `data` means wherever it is read: the name of a data set, "arrays", or an absolute path.

    A relative path is taken from the working directory, ~ for the home directory.

    Raises:
        ConfigError: it is empty or not printable, or there is no working directory.
    """
    require_printable("data", data)
    if data in (*NAMES, OWN):
        return data
    try:
        place = str(Path(os.path.expanduser(data)).absolute())
    except OSError as error:
        text = f"data = {shown(data)}: no working directory to start from ({error.strerror}); give an absolute path"
        raise ConfigError(text) from error
    require_printable("data", place)
    return place
