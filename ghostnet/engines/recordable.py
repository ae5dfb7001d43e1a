"""Recording on any engine: step, export, and compute the rest with the page of equations. Slow and general."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from ghostnet.engines import EXPLODED, Divergence
from ghostnet.model.equations import Array, Constants, Layers, State, Weights, errors, rates
from ghostnet.model.experiment import Experiment
from ghostnet.model.recorder import Selection


class Recordable(ABC):
    """What an engine inherits to be recorded."""

    experiment: Experiment
    constants: Constants

    @abstractmethod
    def shown(self) -> tuple[np.ndarray, np.ndarray]:
        """x and y, as `begin` was given them."""

    @abstractmethod
    def advance(self, phase: int, steps: int) -> None: ...

    @abstractmethod
    def export(self) -> tuple[Weights, State]: ...

    @property
    def beta(self) -> Array | float:
        """Nudging strength β, a number or (runs, 1, 1)."""
        return self.experiment.beta

    def record(self, phase: int, steps: list[int], selection: Selection, block: np.ndarray) -> None:
        """Euler steps of one phase; block (recorded runs, rows, columns) takes a row after every steps[row] of them."""
        for row, count in enumerate(steps):
            self.advance(phase, count)
            values = self._values(phase)
            taken = [
                values[v.symbol][v.k][np.ix_(selection.runs, selection.examples, v.units[0])]
                for v in selection.variables
            ]
            block[:, row] = np.concatenate([part.reshape(len(part), -1) for part in taken], axis=1) if taken else 0

    def _values(self, phase: int) -> dict[str, Layers]:
        """Everything that can be recorded, by symbol and layer, (runs, batch, units)."""
        w, z = self.export()
        x, y = (np.asarray(a, np.float64) for a in self.shown())
        r, rho_g = rates(z, x, self.constants)
        e = errors(w, z, r, rho_g, y, self.beta * self.experiment.phases[phase].nudge, self.constants)
        drive = [None, *(below @ W.mT for below, W in zip(r, w.W[1:], strict=False))]
        return {"s": z.s, "r": r, "g": z.g, "e": e, "drive": drive}

    def divergence(self, presentation: int = 0) -> Divergence | None:
        """Where the activities are not finite, or have exploded."""
        for k, s in enumerate(self.export()[1].s[1:], start=1):
            bad = ~(np.abs(s) <= EXPLODED)
            if bad.any():
                return Divergence(int(np.argwhere(bad)[0][0]), presentation, k)
        return None
