"""MA, MA′ and MB as rows of one table: which matrix is plastic, when, and whether the batch shares it.

A mixture (the paper suggests several as future work) is one more row here; no engine needs to know its name.
"""

from __future__ import annotations

from dataclasses import dataclass

FREE, CLAMPED = "free", "clamped"
PHASES = (FREE, CLAMPED)  # in the order in which a presentation runs them


@dataclass(frozen=True)
class Model:
    """When each plasticity rule acts: a tuple of the phases in which it is integrated at every Euler step.

    An empty tuple means never, except for ``W``: then (16) is applied once, at the end of the clamped phase.
    """

    W_pg: tuple[str, ...]  # (4)  pyramidal to ghost
    W_gp: tuple[str, ...]  # (5)  ghost to pyramidal; (15) where each example owns its own
    W: tuple[str, ...]  # (6)  feedforward
    fast_gp: bool = False  # every batch lane owns a W_gp
    clips: bool = False  # dW/dt is clipped to ±clip

    @property
    def paired(self) -> bool:
        """Ghosts that learn to imitate (4) need one partner each in the layer above: m_k = n_{k+1}."""
        return bool(self.W_pg)


MODELS = {
    "MA": Model(W_pg=(FREE,), W_gp=(FREE,), W=(CLAMPED,)),
    "MA-prime": Model(W_pg=PHASES, W_gp=PHASES, W=PHASES, clips=True),
    "MB": Model(W_pg=(), W_gp=(FREE,), W=(), fast_gp=True),
}
