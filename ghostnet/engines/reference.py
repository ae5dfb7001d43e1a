"""The reference engine: the page of equations, stepped with NumPy in float64. Every other engine is held to it."""

from __future__ import annotations

import copy

import numpy as np

from ghostnet.engines import Divergence
from ghostnet.engines.recordable import Recordable
from ghostnet.errors import ConfigError
from ghostnet.model.equations import Plastic, State, Weights, step, update_once
from ghostnet.model.models import CLAMPED, PHASES
from ghostnet.model.network import Network


class Engine(Recordable):
    """See `ghostnet.engines.Engine`."""

    def __init__(self, network: Network, dtype: str = "float64", threads: int = 1):
        if dtype != "float64":
            raise ConfigError(f"dtype = {dtype}: the reference engine is float64 only; take float64 or another engine")
        self.experiment, self.constants = network.experiment, network.constants
        self.weights, self.state = copy.deepcopy(network.weights), copy.deepcopy(network.state)

    def begin(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = x, y

    def advance(self, phase: str, steps: int) -> None:
        row = self.experiment.plasticity
        plastic = Plastic(W=phase in row.W, W_pg=phase in row.W_pg, W_gp=phase in row.W_gp)
        beta = self.experiment.beta if phase == CLAMPED else 0.0
        for _ in range(steps):
            self.weights, self.state = step(
                self.weights, self.state, self.x, self.y, beta, self.constants, plastic
            )  # fmt: skip

    def finish(self) -> None:
        if not self.experiment.plasticity.W:
            self.weights = update_once(
                self.weights, self.state, self.x, self.y, self.experiment.beta, self.constants
            )  # fmt: skip

    def present(self, xs: np.ndarray, ys: np.ndarray) -> Divergence | None:
        steps = (self.experiment.free_steps, self.experiment.clamped_steps)
        with np.errstate(all="ignore"):  # divergence is reported below
            for p, (x, y) in enumerate(zip(xs, ys, strict=True)):
                before = self.save()
                self.begin(x, y)
                for phase, count in zip(PHASES, steps, strict=True):
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
