"""The reference engine: the page of equations, stepped with NumPy in float64. Every other engine is held to it."""

from __future__ import annotations

import copy

import numpy as np

from ghostnet.engines import Divergence
from ghostnet.engines.recordable import Recordable
from ghostnet.errors import ConfigError
from ghostnet.model.equations import Seen, State, Weights, see, step, update_once
from ghostnet.model.models import shares
from ghostnet.model.network import Network


class Engine(Recordable):
    """See `ghostnet.engines.Engine`."""

    def __init__(self, network: Network, dtype: str = "float64", threads: int = 1):
        if dtype != "float64":
            raise ConfigError(f"dtype = {dtype}: the reference engine is float64 only; take float64 or another engine")
        e = self.experiment = network.experiment
        self.constants = network.constants
        self.phases, self.shares = e.phases, shares(e.phases)
        self.acting = [e.acting(phase) for phase in range(len(e.phases))]
        self.weights, self.state = copy.deepcopy(network.weights), copy.deepcopy(network.state)

    def begin(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = x, y
        self.phase = 0
        self.ends: list[tuple[float, Seen]] = []

    def advance(self, phase: int, steps: int) -> None:
        while self.phase < phase:
            self._leave()
            self.phase += 1
            if self.phases[self.phase].nudge and self.ends:
                self.state = self.rest
        beta = self.experiment.beta * self.phases[phase].nudge
        for _ in range(steps):
            seen = self.weights, self.state, self.x, self.y
            self.weights, self.state = step(*seen, beta, self.constants, self.acting[phase])

    def _leave(self) -> None:
        """The end of a phase: what later ones start from, or what W learns from."""
        nudge = self.phases[self.phase].nudge
        if not nudge:
            self.rest = self.state
            return
        seen = see(self.weights, self.state, self.x, self.y, self.experiment.beta * nudge, self.constants)
        self.ends.append((self.shares[self.phase], seen))

    def shown(self) -> tuple[np.ndarray, np.ndarray]:
        return self.x, self.y

    def finish(self) -> None:
        self._leave()
        if self.experiment.plasticity.once:
            self.weights = update_once(self.weights, self.ends, self.constants)

    def present(self, xs: np.ndarray, ys: np.ndarray) -> Divergence | None:
        with np.errstate(all="ignore"):  # divergence is reported below
            for p, (x, y) in enumerate(zip(xs, ys, strict=True)):
                before = self.save()
                self.begin(x, y)
                for phase, count in enumerate(self.experiment.steps):
                    self.advance(phase, count)
                self.finish()
                if found := self.divergence(p):
                    self.restore(before)
                    return found
        return None

    def save(self) -> tuple[Weights, State]:
        return self.weights, self.state  # steps make new arrays

    def restore(self, saved: tuple[Weights, State]) -> None:
        self.weights, self.state = saved

    def export(self) -> tuple[Weights, State]:
        return copy.deepcopy(self.weights), copy.deepcopy(self.state)
