"""Models as data: the phases of a presentation, and a row for every plasticity rule.

A rule changes one matrix of every layer, while it acts, by

    dM/dt = η_k Σ post pre^T - λ M        summed over the batch, or for each example that owns its M

where post is a law of what the postsynaptic unit has at hand. MA, MA′ and MB of the paper and the mixed model are four
values of `Model`; a user's own is one more, and no engine knows their names.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Literal

from ghostnet.model.laws import Laws, cancellation, imitation, require_lawful
from ghostnet.model.lowering import Law, arguments
from ghostnet.model.typed import require, require_known

FREE, CLAMPED, END = "free", "clamped", "end"
MATRICES = ("W", "W_pg", "W_gp")
_UNIT = ("s", "r", "e", "slope", "r_forward")
POST = {"W": _UNIT, "W_pg": ("g", "rho_g", "s_above", "r_above"), "W_gp": _UNIT}  # arguments that a law may have
PRE = {"W": ("r",), "W_pg": ("r", "s"), "W_gp": ("rho_g", "g")}
RATES = ("eta", "eta_ghost", "eta_imitation")  # fields of an experiment
RATE = {"W": ("eta",), "W_pg": ("eta_ghost", "eta_imitation"), "W_gp": ("eta_ghost",)}


@dataclass(frozen=True)
class Phase:
    """A part of a presentation. A nudged one starts from the activities that the last free one ended with.

    Args:
        name: what rules call it.
        nudge: factor on β: 0 in a free phase, which has the experiment's `free_steps`; others have `clamped_steps`.

    Examples:
        >>> gn.MODELS["MB"].phases
        (Phase(name='free', nudge=0.0), Phase(name='clamped', nudge=1.0))
    """

    name: str
    nudge: float = 0.0


@dataclass(frozen=True)
class Rule:
    """A plasticity rule.

    Args:
        matrix: W, W_pg or W_gp.
        post: the postsynaptic factor: a law, written with `ghostnet.primitives`, of any of these by its arguments'
            names: for W_k and W_gp_k the activity s, the rate r = ρ(s), the error term e, the slope ρ'(s) and r_forward
            = ρ(s - e) of the unit; for W_pg_k the activity g and rate rho_g of the ghost, and s_above and r_above, the
            activity and rate of the unit of layer k + 1 that it is to imitate. "rule": what that field of the
            experiment names.
        pre: the presynaptic factor: r (for W_k the rate below), or s (W_pg), rho_g or g (W_gp).
        rate: the field of the experiment with the η_k: eta (W), eta_ghost (W_gp, W_pg) or eta_imitation (W_pg).
        when: the phases in which it is integrated at every Euler step; ("end",), for W: once, from the ends of the
            nudged phases.
        per_example: every example owns its matrix, for W_gp.
        clip: |dM_ij/dt| is bounded by the experiment's `clip`.
        decay: λ in 1/s, or per presentation where the rule acts once; the experiment's `decay` goes before it.

    Raises:
        ConfigError: on construction, naming what it got and what it takes.

    Examples:
        >>> def post(e):
        ...     return e
        >>> gn.Rule("W", post, pre="r", rate="eta", when="end").once
        True
    """

    matrix: str
    post: Law | Literal["rule"]
    pre: str
    rate: str
    when: tuple[str, ...]
    per_example: bool = False
    clip: bool = False
    decay: float = 0.0

    def __post_init__(self) -> None:
        require_known([self.matrix], MATRICES, "matrix")
        if self.post == "rule":
            require(self.matrix == "W", f"post = rule of {self.matrix}: only W's is named by an experiment")
        else:
            require_lawful(self.post)
            require_known(arguments(self.post), POST[self.matrix], f"argument of {self.matrix}'s post")
        require_known([self.pre], PRE[self.matrix], f"pre of {self.matrix}")
        require_known([self.rate], RATE[self.matrix], f"rate of {self.matrix}")
        object.__setattr__(self, "when", (self.when,) if isinstance(self.when, str) else tuple(self.when))
        require(self.when, f"when of {self.matrix}: expected names of phases")
        text = f"when = {self.when} of {self.matrix}: a rule that acts once is W's, and acts in no phase besides"
        require(END not in self.when or (self.matrix == "W" and len(self.when) == 1), text)
        require(self.matrix == "W_gp" or not self.per_example, f"per_example of {self.matrix}: only W_gp may be owned")
        require(math.isfinite(self.decay) and self.decay >= 0, f"decay = {self.decay}: expected 0 or more")

    @property
    def once(self) -> bool:
        """Whether it acts once, at the end of the presentation."""
        return self.when == (END,)


@dataclass(frozen=True)
class Model(Laws):
    """Which weights are plastic, when, and how.

    Args:
        phases: in the order in which a presentation runs them; the first is free.
        rules: at most one for each matrix; W's is needed.
        paired: every ghost has the unit above of the same place as its partner: m_k = n_{k+1}. Otherwise ghosts that
            imitate have partners where m_k = n_{k+1} happens to hold, else random mixtures of the units above.

    Raises:
        ConfigError: on construction, naming what does not fit.

    Examples:
        >>> mb = gn.MODELS["MB"]
        >>> still = gn.Model(mb.phases, (mb.rule("W"),))  # its ghosts cancel nothing
        >>> still.rule("W_gp") is None
        True
    """

    phases: tuple[Phase, ...]
    rules: tuple[Rule, ...]
    paired: bool = False

    def __post_init__(self) -> None:
        for name, kind in (("phases", Phase), ("rules", Rule)):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            found = [type(row).__name__ for row in getattr(self, name) if not isinstance(row, kind)]
            require(not found, f"{name} of a model: expected {kind.__name__}s, got {', '.join(found)}")
        names, matrices = [phase.name for phase in self.phases], [rule.matrix for rule in self.rules]
        require(names and self.phases[0].nudge == 0, "phases of a model: expected a free one (nudge 0) first")
        require(any(phase.nudge for phase in self.phases), "phases of a model: expected a nudged one")
        require(len(set(names)) == len(names) and END not in names, f"phases {names}: expected different names")
        text = f"rules of a model are for {', '.join(matrices) or 'nothing'}: expected one for W, and one for a matrix"
        require("W" in matrices and len(set(matrices)) == len(matrices), text)
        for rule in self.rules:
            require_known(rule.when, [*names, END], f"phase of {rule.matrix}'s rule")

    @property
    def laws(self) -> tuple[Law, ...]:
        return tuple(rule.post for rule in self.rules if rule.post != "rule")

    @property
    def identity(self) -> str:
        return hashlib.sha256((super().identity + self._rows()).encode()).hexdigest()

    def describe(self) -> dict[str, str]:
        told = super().describe()
        text = f"{self._rows()}\n\n{told['source']}"
        return {"source": text, "sha256": hashlib.sha256((text + told["sha256"]).encode()).hexdigest()}

    def _rows(self) -> str:
        """Its phases and rules as text, laws by their names."""
        rules = [vars(rule) | {"post": getattr(rule.post, "__name__", rule.post)} for rule in self.rules]
        return "\n".join([*map(str, self.phases), *map(str, rules), f"paired: {self.paired}"])

    @property
    def owned(self) -> bool:
        """Whether every example owns its W_gp."""
        return any(rule.per_example for rule in self.rules)

    @property
    def once(self) -> bool:
        """Whether W learns once, at the end of a presentation."""
        return any(rule.once for rule in self.rules)  # which only W's may

    def rule(self, matrix: str) -> Rule | None:
        """The rule for a matrix; None where it stands still."""
        return next((rule for rule in self.rules if rule.matrix == matrix), None)

    def with_nudges(self, nudges: tuple[float, ...]) -> tuple[Phase, ...]:
        """Its phases, each nudged one taken with every one of these factors: (1, -1) is centred nudging."""
        return tuple(
            Phase(phase.name, phase.nudge * nudge)
            for phase in self.phases
            for nudge in (nudges if phase.nudge else (1.0,))
        )


def labels(phases: tuple[Phase, ...]) -> tuple[str, ...]:
    """Different names for the phases of a presentation: those taken several times with a sign or factor behind."""
    names = [phase.name for phase in phases]
    signs = {1.0: "+", -1.0: "-"}
    return tuple(
        phase.name if names.count(phase.name) == 1 else f"{phase.name}{signs.get(phase.nudge) or f'{phase.nudge:+g}'}"
        for phase in phases
    )


def collects(phases: tuple[Phase, ...]) -> bool:
    """Whether W, learning once, needs more than what the last phase ends with: other nudged ones, or one before it."""
    return sum(phase.nudge != 0 for phase in phases) > 1 or not phases[-1].nudge


def shares(phases: tuple[Phase, ...]) -> tuple[float, ...]:
    """What each phase's learning signal counts for in the change of W: 1 in free phases, else as their slope by the
    nudge, by least squares: (1/2, -1/2) for nudges 1 and -1, half the difference, has no error of first order in β.
    """
    nudges = [phase.nudge for phase in phases if phase.nudge]
    mean = sum(nudges) / len(nudges) if len(nudges) > 1 else 0.0
    square = sum((nudge - mean) ** 2 for nudge in nudges)
    return tuple((phase.nudge - mean) / square if phase.nudge else 1.0 for phase in phases)


_PHASES = (Phase(FREE), Phase(CLAMPED, nudge=1.0))
_IMITATE = Rule("W_pg", imitation, "r", "eta_ghost", (FREE,))  # (4)
_CANCEL = Rule("W_gp", cancellation, "rho_g", "eta_ghost", (FREE,))  # (5)
_CANCEL_FAST = Rule("W_gp", cancellation, "rho_g", "eta_ghost", (FREE,), per_example=True)  # (15)
_LEARN = Rule("W", "rule", "r", "eta", (CLAMPED,))  # (6)
_LEARN_ONCE = Rule("W", "rule", "r", "eta", (END,))  # (16)
_ALWAYS = (FREE, CLAMPED)

MODELS = {
    "MA": Model(_PHASES, (_IMITATE, _CANCEL, _LEARN), paired=True),
    "MA-prime": Model(
        _PHASES,
        (replace(_IMITATE, when=_ALWAYS), replace(_CANCEL, when=_ALWAYS), replace(_LEARN, when=_ALWAYS, clip=True)),
        paired=True,
    ),
    "MB": Model(_PHASES, (_CANCEL_FAST, _LEARN_ONCE)),
    "mixed": Model(_PHASES, (replace(_IMITATE, rate="eta_imitation"), _CANCEL_FAST, _LEARN_ONCE)),  # (4'), (15), (16)
}
