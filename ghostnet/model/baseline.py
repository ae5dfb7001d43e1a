"""What a baseline adds to an Experiment: the method, its loss, its optimiser; checked on construction.

Of the Experiment, a baseline reads sizes, transfer, init, batch, epochs, seeds, data and train_examples.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ghostnet.files import toml
from ghostnet.model import names
from ghostnet.model.checks import MOST
from ghostnet.model.experiment import Experiment, documented, from_mapping
from ghostnet.model.laws import TRANSFERS
from ghostnet.model.presets import preset
from ghostnet.model.typed import integer, require, require_known, shown

DIRECT = ("DFA", "IFA", "DRTP")  # B_k has a column per output
SIGNED = ("uSF", "frSF", "brSF")  # feedback has the signs of W
CONTRASTIVE = ("CHL", "CD")  # learn from two phases, without an error
METHODS = ("BP", "FA", *DIRECT, *SIGNED, "KP", "WM", "DTP", *CONTRASTIVE)
LOSSES = ("mse", "cross-entropy", "binary-cross-entropy")
OPTIMIZERS = ("sgd", "rmsprop", "adam", "adamw")
TRAIN_SCORES = ("after", "during")
SCHEDULES = ("constant", "step", "cosine")
INITS = ("experiment", "fan-in", "zero")
ACCOUNTANTS = ("rdp", "prv")
SAMPLINGS = ("poisson", "shuffled")
_NOT_CONVOLUTIONAL = {
    "IFA": "sends its signal up from unit to unit, and pooling has fewer units above it than below",
    "DTP": "has inverses of dense layers, and of no convolution",
    "CHL": "settles dense layers of one transfer function",
    "CD": "trains a Boltzmann machine of one dense hidden layer",
}
_OF_CONVOLUTIONAL = ("method", "architecture", "loss", "learning_rate", "optimizer", "momentum", "weight_decay",
                     "lr_schedule", "lr_step_epochs", "lr_step_factor", "frozen", "feedback_rate",
                     "clip", "noise", "target_epsilon", "delta", "accountant", "sampling")  # fmt: skip
ARCHITECTURES = ("mlp", "one-block", "two-blocks", "three-convolutions", "lenet", "resnet-20")


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """How an MLP learns. Losses, learning rate and order of updates are defined in `ghostnet.baselines.methods`.

    Raises:
        ConfigError: on construction, naming the field, what it got and what it takes.

    Examples:
        >>> gn.baselines.Baseline(method="DFA", loss="cross-entropy", learning_rate=0.1).learning_rate
        (0.1,)
    """

    method: str = documented(
        "BP, FA, DFA, IFA, DRTP (direct random target projection), uSF, frSF, brSF (sign-symmetric: uniform, fixed and "
        "batchwise random magnitudes), KP (Kolen-Pollack), WM (weight mirror), DTP (difference target propagation), "
        "CHL (contrastive Hebbian learning) or CD (contrastive divergence, of a Boltzmann machine of image and label)"
    )
    architecture: str = documented(
        "mlp, of the experiment's sizes; or one-block, two-blocks, three-convolutions, lenet or resnet-20, on square "
        "images, of which sizes say the pixels and classes only", default="mlp"
    )  # fmt: skip
    loss: str = documented("mse (logistic outputs), cross-entropy (softmax) or binary-cross-entropy", default="mse")
    learning_rate: tuple[float, ...] | None = documented(
        "η of W_k -= η · mean gradient: one for all, or one per W_k (default: the ghost units' steps, where stable)",
        default=None,
    )
    optimizer: str = documented("sgd, rmsprop, adam or adamw, torch's", default="sgd")
    momentum: float = documented("of sgd and rmsprop", default=0.0)
    weight_decay: float = documented("of the optimizer, for weights, not for biases", default=0.0)
    lr_schedule: str = documented(
        "of the rates: constant; step, times lr_step_factor every lr_step_epochs; cosine, to 0 after the last epoch",
        default="constant",
    )
    lr_step_epochs: int = documented("epochs between the steps of lr_schedule = step", default=10)
    lr_step_factor: float = documented("of a step of lr_schedule = step", default=0.1)
    bias: bool = documented("a bias for every unit, 0 at first; ghost units have none", default=False)
    transfer: str | None = documented(
        f"of hidden units: {', '.join(TRANSFERS)} (default: the experiment's)", default=None
    )
    weights: str = documented("experiment: W and B uniform in ±init; fan-in: ±1/√columns; zero: W zero, B as fan-in",
                        default="experiment")  # fmt: skip
    feedback_init: float | None = documented("B uniform in ± this instead", default=None)
    dropout: float = documented("probability of dropping a hidden unit", default=0.0)
    adversarial: float = documented("step of fast-gradient-sign examples trained on beside the clean ones", default=0.0)
    frozen: int = documented("so many W_k, from the first, keep their initial weights and biases", default=0)
    feedback_rate: float = documented("DTP, WM: learning rate of the B_k", default=0.01)
    feedback_noise: float = documented("DTP, WM: deviation of the noise that the B_k learn from", default=0.1)
    target_step: float = documented("DTP: how far the first target is down the gradient", default=1.0)
    feedback_gain: float = documented("CHL: γ, how weak feedback is; towards 0 it learns as BP does", default=0.05)
    gibbs_steps: int = documented("CD: steps of Gibbs sampling from an example", default=1)
    train_scores: str = documented(
        "scores on the training set: after an epoch, or, at no cost, during it: of every example as it was met, before "
        "it was learned from",
        default="after",
    )
    clip: float | None = documented("privacy: bound on the norm of an example's gradient", default=None)
    noise: float = documented("privacy: deviation of the noise on the summed gradient, in units of clip", default=0.0)
    target_epsilon: float | None = documented("privacy: ε of all epochs, that noise is found for", default=None)
    delta: float = documented("privacy: δ at which the spent ε is reported", default=1e-5)
    accountant: str = documented("privacy: how ε is counted, by Opacus: rdp, or prv, slower and tighter", default="rdp")
    sampling: str = documented(
        "privacy: of batches: poisson, or shuffled, each example once an epoch, which spends more", default="poisson"
    )

    def __post_init__(self) -> None:
        method = method_named(self.method)
        object.__setattr__(self, "method", method if method in METHODS else str(method).upper())
        for name, valid in (("method", METHODS), ("loss", LOSSES), ("optimizer", OPTIMIZERS), ("weights", INITS),
                            ("architecture", ARCHITECTURES), ("lr_schedule", SCHEDULES),
                            ("train_scores", TRAIN_SCORES), ("accountant", ACCOUNTANTS),
                            ("sampling", SAMPLINGS)):  # fmt: skip
            require_known([getattr(self, name)], valid, name)
        if self.transfer is not None:
            names.require_name("transfer", self.transfer)
        if self.learning_rate is not None:
            rates = self.learning_rate
            object.__setattr__(self, "learning_rate", tuple(rates) if isinstance(rates, Iterable) else (rates,))
        for rate in self.learning_rate or ():
            _check_number("learning_rate", rate, optional=False)
        for spec in dataclasses.fields(self):
            if str(spec.type).startswith("float"):
                _check_number(spec.name, getattr(self, spec.name), optional="None" in str(spec.type))
        integer("lr_step_epochs", self.lr_step_epochs, 1, MOST)
        integer("frozen", self.frozen, 0, MOST)
        integer("gibbs_steps", self.gibbs_steps, 1, MOST)
        require(
            self.method != "WM" or self.feedback_noise > 0,
            "feedback_noise = 0: WM mirrors what noise does; give a deviation, such as 0.1",
        )
        require(isinstance(self.bias, bool), f"bias = {shown(self.bias)}: expected true or false")
        require(
            self.momentum == 0 or self.optimizer in ("sgd", "rmsprop"),
            f"momentum = {self.momentum}: {self.optimizer} has its own; leave it out",
        )
        for name in ("dropout", "momentum", "delta"):
            require(getattr(self, name) < 1, f"{name} = {getattr(self, name)}: expected less than 1")
        _check_private(self)
        require(
            self.train_scores == "after" or not (self.dropout or self.adversarial or self.clip),
            "train_scores = during: not with dropout, adversarial examples and privacy, which change what is met",
        )
        if self.architecture != "mlp":
            _check_convolutional(self)
        if self.method in CONTRASTIVE:
            _check_contrastive(self)

    @property
    def modular(self) -> bool:
        """Whether torch modules learn, as a Network has no biases and no convolutions, and is no Boltzmann machine."""
        return self.architecture != "mlp" or self.bias or self.method == "CD"

    def to_toml(self) -> str:
        """The settings as lines of TOML; fields that are None are left out."""
        return toml.lines(dataclasses.asdict(self))


def method_named(text: Any) -> Any:
    """The method of that name, whatever the case; what names none, as it is."""
    return {method.lower(): method for method in METHODS}.get(str(text).lower(), text)


def _check_contrastive(b: Baseline) -> None:
    """Raise ConfigError for what methods of two phases don't do."""
    for name in ("dropout", "adversarial", "clip"):
        require(not getattr(b, name), f"{name} = {getattr(b, name)}: {b.method} takes none; leave it out")
    require(b.method != "CHL" or b.feedback_gain > 0, "feedback_gain = 0: CHL's units would see no answer; give 0.05")
    if b.method == "CD":
        require(b.loss == "cross-entropy", f"loss = {b.loss}: CD's classes have probabilities; give cross-entropy")
        require(b.learning_rate is not None, "learning_rate: CD has none of its own; give one, such as 0.05")
        require(b.train_scores == "after", "train_scores = during: CD classifies nothing as it learns; leave it out")


def _check_private(b: Baseline) -> None:
    """Raise ConfigError for settings of privacy that protect nobody, or contradict each other."""
    for name in ("clip", "target_epsilon"):
        value = getattr(b, name)
        require(value is None or value > 0, f"{name} = {value}: expected a positive number")
    both = b.noise > 0 and b.target_epsilon is not None
    require(not both, f"noise = {b.noise}: target_epsilon = {b.target_epsilon} finds the noise; give one of the two")
    for name, value, text in (
        ("noise", b.noise, "noise without clipping protects nobody"),
        ("target_epsilon", b.target_epsilon, "ε is without bound where no gradient has one"),
    ):
        require(not value or b.clip is not None, f"{name} = {value}: {text}; give clip too, such as clip = 1")
    if b.clip is None:
        require(b.sampling == "poisson", f"sampling = {b.sampling}: is of privacy; give clip too, or leave it out")
        return
    require(b.delta > 0, "delta = 0: with normal noise no ε is certain; give a positive number below 1 / examples")
    text = "an example and its adversarial twin are one person's, and would have to be clipped together; leave one out"
    require(b.adversarial == 0, f"clip = {b.clip}, adversarial = {b.adversarial}: {text}")


def _check_convolutional(b: Baseline) -> None:
    """Raise ConfigError for what the convolutional networks don't do."""
    reason = _NOT_CONVOLUTIONAL.get(b.method)
    require(reason is None, f"method = {b.method}: not for {b.architecture}: it {reason}")
    text = f"clip = {b.clip}: the mirror of {b.architecture} has no gradient of one example; take another method"
    require(b.clip is None or b.method != "WM", text)
    text = f"clip = {b.clip}: resnet-20 normalises over the batch, which mixes its examples; take another architecture"
    require(b.clip is None or b.architecture != "resnet-20", text)
    require(b.loss == "cross-entropy", f"loss = {b.loss}: {b.architecture} has softmax outputs; give cross-entropy")
    rates = len(b.learning_rate or ())
    require(rates == 1, f"learning_rate has {rates} values: {b.architecture} takes one, such as 0.05")
    for spec in dataclasses.fields(b):
        if spec.name not in _OF_CONVOLUTIONAL:
            text = f"{spec.name} = {getattr(b, spec.name)}: {b.architecture} takes none; leave it out"
            require(getattr(b, spec.name) == spec.default, text)


@dataclass(frozen=True)
class BaselineRun:
    """An experiment and what its baseline adds, as a run directory keeps them in config.toml."""

    experiment: Experiment
    baseline: Baseline

    @property
    def effective(self) -> Experiment:
        """The experiment with the transfer function of the hidden units; the loss stands for its cost."""
        own = self.baseline.transfer
        return self.experiment if own is None else self.experiment.replace(transfer=own, cost="quadratic")

    @classmethod
    def from_mapping(cls, fields: Mapping[str, Any]) -> BaselineRun:
        """From what `to_toml` wrote, read.

        Raises:
            ConfigError: no table [baseline], or what Experiment and Baseline refuse.
        """
        require("baseline" in fields, "no table [baseline]: expected a run of `ghostnet baseline`")
        experiment = {name: value for name, value in fields.items() if name != "baseline"}
        return cls(from_mapping(experiment), baseline_from_mapping(fields["baseline"]))

    def to_toml(self) -> str:
        """The experiment's fields, then a table [baseline]."""
        return f"{self.experiment.to_toml()}\n[baseline]\n{self.baseline.to_toml()}"


def baseline_from_mapping(values: Mapping[str, Any]) -> Baseline:
    """A Baseline from field names and values.

    Raises:
        ConfigError: unknown fields, no method, and whatever Baseline refuses.
    """
    require_known(values, (spec.name for spec in dataclasses.fields(Baseline)), "setting")
    require("method" in values, f"missing setting method: expected {', '.join(METHODS)}")
    return Baseline(**values)


def mlp(sizes: tuple[int, ...], **changes: Any) -> Experiment:
    """An Experiment for baselines only, of any sizes: its ghost-unit fields hold inert values.

    Raises:
        ConfigError: an unknown field or an impossible value.

    Examples:
        >>> gn.baselines.mlp((784, 240, 240, 10), epochs=3).depth
        3
    """
    layers = max(0, len(sizes) - 1)
    inert = {"ghosts": (1,) * (layers - 1), "eta": (0.0,) * layers, "eta_ghost": (0.0,) * (layers - 1)}
    return preset("mb-500-fa", **({"sizes": sizes} | inert | changes))


def _check_number(name: str, value: object, optional: bool) -> None:
    if value is None and optional:
        return
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf
    require(fits, f"{name} = {value!r}: expected a number of 0 or more")
