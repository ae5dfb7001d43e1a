"""The equilibrium engine: MB and the mixed model without stepping (docs/equilibrium.md)."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike

from ghostnet.engines import Divergence, cpu
from ghostnet.engines.cpu import relaxation
from ghostnet.engines.cpu.engine import earliest
from ghostnet.errors import ConfigError
from ghostnet.model.laws import cancellation, imitation
from ghostnet.model.network import Network
from ghostnet.model.typed import integer, require

SETTLE_TOL = {"float64": 1e-6, "float32": 1e-5}  # largest change of any s_k in the last sweep
MAX_SWEEPS = {"float64": 11, "float32": 8}  # beyond, the 40 steps of the paper's phase end before the fixed point
MOST_SWEEPS = 10**6


class Engine(cpu.Engine):
    """See `ghostnet.engines.Engine`. The free phase goes straight to its end, whatever number of steps it is asked for.

    Args:
        settle_tol: the clamped phase has settled when no activity changes by more in a sweep.
        max_sweeps: a clamped phase that takes more is stepped instead.

    Attributes:
        sweeps: how often the clamped phase took so many sweeps, int64 (runs, max_sweeps + 1); at 0 those stepped.
    """

    def __init__(
        self,
        network: Network,
        dtype: str = "float32",
        threads: int = 1,
        settle_tol: float | None = None,
        max_sweeps: int | None = None,
    ):
        _require_settled(network)
        self.settle_tol = SETTLE_TOL[dtype] if settle_tol is None else settle_tol
        self.max_sweeps = MAX_SWEEPS[dtype] if max_sweeps is None else max_sweeps
        real = isinstance(self.settle_tol, numbers.Real) and not isinstance(self.settle_tol, bool)
        if not (real and 0 < self.settle_tol < math.inf):
            raise ConfigError(f"settle_tol = {self.settle_tol!r}: expected a positive number")
        self.settle_tol = float(self.settle_tol)  # one type, for which the kernels are compiled once
        self.max_sweeps = integer("max_sweeps", self.max_sweeps, 1, MOST_SWEEPS)
        super().__init__(network, dtype, threads)
        self.sweeps = np.zeros((network.runs, self.max_sweeps + 1), np.int64)

    def _share(self, dtype: DTypeLike, threads: int) -> int:
        return 1

    def _panels(self, dtype: DTypeLike) -> None:
        return None

    def _present(self, xs: np.ndarray, ys: np.ndarray) -> Divergence | None:
        inputs, histogram = (self._inputs(xs), self._inputs(ys)), self.sweeps.__getitem__
        settling = np.array(self.experiment.steps, np.int64), self.settle_tol, self.max_sweeps
        return earliest(self._each(relaxation.present, *settling, *inputs, histogram))

    def advance(self, phase: int, steps: int) -> None:
        settling = steps, self.settle_tol, self.max_sweeps
        self._each(relaxation.advance, phase, *settling, self.sweeps.__getitem__)


def _require_settled(network: Network) -> None:
    """Raise ConfigError for a model whose learning depends on more than the ends of its phases."""
    e = network.experiment
    model = e.plasticity
    made = network.constants.rules

    def settles(matrix: str, post: Callable) -> bool:
        rule = model.rule(matrix)
        return rule is None or (
            rule.post is post and rule.when == (e.phases[0].name,) and not (rule.clip or made[matrix].decay)
        )

    expected = {
        "W learns once, at the end": model.once,
        "every example owns its W_gp": model.owned,
        "one phase is free": sum(phase.nudge == 0 for phase in e.phases) == 1,
        "W_pg stands still, or imitates in the free phase": settles("W_pg", imitation),
        "W_gp cancels in the free phase": settles("W_gp", cancellation),
    }
    for what, holds in expected.items():
        text = f"engine = equilibrium: {e.model} learns from more than fixed points; expected a model where {what}"
        require(holds, f"{text}; take the cpu engine")
