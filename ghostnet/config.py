"""One experiment: a flat, frozen, checked description, read from and written to TOML."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ghostnet.errors import ConfigError
from ghostnet.models import MODELS, Model
from ghostnet.opening import parse_toml, read_bytes

FEEDBACKS = ("TF", "FA")
RULES = ("difference", "derivative")
TRANSFERS = ("sigmoid", "tanh", "hard-sigmoid")


def documented(text: str, **kwargs):
    """A field with the one-line help that the command line shows."""
    return field(metadata={"help": text}, **kwargs)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that decides a result. Symbols and units are those of the paper (arXiv:1911.08585).

    Raises:
        ConfigError: on construction, naming the field, what it got and what it takes.
    """

    model: str = documented("MA, MA-prime or MB: which weights are plastic, and when")
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
    init: float = documented("initial weights are uniform in [-init, init]")
    batch: int = documented("examples presented together")
    rule: str = documented("form of rule (6): difference of rates, or derivative", default="difference")
    clip: float | None = documented("MA-prime: bound on every |dW_ij/dt|", default=None)
    transfer: str = documented("transfer function ρ: sigmoid, tanh or hard-sigmoid", default="sigmoid")
    epochs: int = documented("passes through the training set", default=1)
    seeds: tuple[int, ...] = documented("one independent network per seed, run side by side", default=(0,))
    data: str = documented("mnist, fashion-mnist, or a directory of IDX files", default="mnist")
    train_examples: int = documented("how many training images to use, from the first", default=55_000)

    def __post_init__(self):
        for spec in dataclasses.fields(self):
            object.__setattr__(self, spec.name, _typed(spec, getattr(self, spec.name)))
        _check_choices(self)
        _check_numbers(self)
        _check_shapes(self)

    @property
    def plasticity(self) -> Model:
        """The row of the model table: which matrix is plastic, when."""
        return MODELS[self.model]

    @property
    def depth(self) -> int:
        """N, the index of the output layer."""
        return len(self.sizes) - 1

    @property
    def presentations_per_epoch(self) -> int:
        """Batches in the training set; what does not fill one is left out of the epoch."""
        return self.train_examples // self.batch

    def replace(self, **changes) -> Experiment:
        """A copy with some fields changed, checked anew."""
        require_known(changes, (spec.name for spec in dataclasses.fields(self)), "field")
        return dataclasses.replace(self, **changes)

    def to_toml(self) -> str:
        """The experiment as TOML text. Fields that are None are left out: TOML has no null."""
        return toml_lines(dataclasses.asdict(self))


def toml_lines(values: dict) -> str:
    """Strings, numbers and lists of them as lines of TOML. What is None is left out: TOML has no null."""
    # JSON's strings, numbers and arrays of them are TOML's too.
    return "".join(f"{name} = {json.dumps(v, ensure_ascii=False)}\n" for name, v in values.items() if v is not None)


def from_mapping(values: dict) -> Experiment:
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
    try:
        return from_mapping(parse_toml(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML ({error})") from error


def read_toml(path: str | Path) -> dict:
    """The fields given in a TOML file, unchecked.

    Raises:
        FileError: the file can't be read.
        ConfigError: it is not TOML.
    """
    content = read_bytes(path, "give an existing TOML file")
    try:
        return parse_toml(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML ({error}); write lines such as 'epochs = 2'") from error


def require_known(names: Iterable[str], valid: Iterable[str], what: str) -> None:
    """Raise ConfigError for the first unknown name, with the nearest valid one and all of them."""
    valid = list(valid)
    for name in names:
        if name not in valid:
            near = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(f"unknown {what} {name!r}: {hint}valid: {', '.join(valid)}")


def _typed(spec: dataclasses.Field, value):
    """The value in its declared type; a bare number stands for a tuple of one."""
    kind = str(spec.type)
    try:
        if kind.startswith("tuple"):
            items = value if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
            return tuple((_integer if "int" in kind else _real)(item) for item in items)
        if kind == "str":
            if not isinstance(value, str):
                raise TypeError
            return value
        if value is None and "None" in kind:
            return None
        return _integer(value) if kind == "int" else _real(value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{spec.name} = {value!r}: expected {kind.replace(', ...', ' …')}") from None


def _integer(value) -> int:
    if isinstance(value, (bool, str)) or int(value) != value:
        raise TypeError
    return int(value)


def _real(value) -> float:
    if isinstance(value, (bool, str)):
        raise TypeError
    return float(value)


def require(condition: bool, text: str) -> None:
    """Raise ConfigError with this text unless the condition holds."""
    if not condition:
        raise ConfigError(text)


def _check_choices(e: Experiment) -> None:
    require_known([e.model], MODELS, "model")
    require_known([e.feedback], FEEDBACKS, "feedback")
    require_known([e.rule], RULES, "rule")
    require_known([e.transfer], TRANSFERS, "transfer")
    require(e.data.isprintable(), f"data = {e.data!r}: expected printable characters only")


def _check_numbers(e: Experiment) -> None:
    for name in ("tau", "dt", "beta", "init"):
        value = getattr(e, name)
        require(math.isfinite(value) and value > 0, f"{name} = {value}: expected a positive number")
    require(
        e.dt < 2 * e.tau,
        f"dt = {e.dt}: explicit Euler is unstable from dt = 2 tau = {2 * e.tau}; take dt below tau = {e.tau}",
    )
    for name in ("free_steps", "clamped_steps", "batch", "train_examples"):
        require(getattr(e, name) >= 1, f"{name} = {getattr(e, name)}: expected at least 1")
    require(e.epochs >= 0, f"epochs = {e.epochs}: expected 0 or more")
    for name in ("eta", "eta_ghost"):
        for rate in getattr(e, name):
            require(math.isfinite(rate) and rate >= 0, f"{name} = {rate}: expected rates of 0 or more")
    require(
        e.batch <= e.train_examples,
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
    for name, wanted, why in (("ghosts", hidden, "hidden layer"), ("eta", e.depth, "matrix W_k"),
                              ("eta_ghost", hidden, "hidden layer")):  # fmt: skip
        got = len(getattr(e, name))
        require(got == wanted, f"{name} has {got} values: expected {wanted}, one per {why} of sizes {e.sizes}")
    if e.plasticity.paired:
        require(
            e.ghosts == e.sizes[2:],
            f"ghosts = {e.ghosts}: {e.model} pairs every ghost with a unit above; expected {e.sizes[2:]}",
        )
    if e.plasticity.clips:
        require(
            e.clip is not None and 0 < e.clip < math.inf,
            f"clip = {e.clip}: {e.model} needs a positive bound on |dW/dt|",
        )
    else:
        require(e.clip is None, f"clip = {e.clip}: {e.model} does not clip; leave it out or use MA-prime")
    require(len(e.seeds) >= 1, "seeds is empty: expected at least one, such as 0")
    require(min(e.seeds) >= 0, f"seeds = {e.seeds}: expected numbers of 0 or more")
