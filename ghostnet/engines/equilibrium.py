"""The equilibrium engine: MB without stepping (docs/equilibrium.md)."""

from __future__ import annotations

import math
import numbers

import numpy as np

from ghostnet.config import integer
from ghostnet.engines import Divergence, cpu, relaxation
from ghostnet.errors import ConfigError
from ghostnet.models import FREE, PHASES
from ghostnet.network import Network

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
        row = network.experiment.plasticity
        if row.W or row.W_pg or row.W_gp != (FREE,) or not row.fast_gp:
            raise ConfigError(
                f"engine = equilibrium: the slow weights of {network.experiment.model} move during the phases, so its "
                "learning depends on more than their fixed points; take the cpu engine"
            )
        self.settle_tol = SETTLE_TOL[dtype] if settle_tol is None else settle_tol
        self.max_sweeps = MAX_SWEEPS[dtype] if max_sweeps is None else max_sweeps
        real = isinstance(self.settle_tol, numbers.Real) and not isinstance(self.settle_tol, bool)
        if not (real and 0 < self.settle_tol < math.inf):
            raise ConfigError(f"settle_tol = {self.settle_tol!r}: expected a positive number")
        self.settle_tol = float(self.settle_tol)  # one type, for which the kernels are compiled once
        self.max_sweeps = integer("max_sweeps", self.max_sweeps, 1, MOST_SWEEPS)
        super().__init__(network, dtype, threads)
        self.sweeps = np.zeros((network.runs, self.max_sweeps + 1), np.int64)

    def _present(self, xs: np.ndarray, ys: np.ndarray) -> Divergence | None:
        inputs, histogram = (self._inputs(xs), self._inputs(ys)), self.sweeps.__getitem__
        settling = self.experiment.clamped_steps, self.settle_tol, self.max_sweeps
        return cpu.earliest(self._each(relaxation.present, *settling, *inputs, histogram))

    def advance(self, phase: str, steps: int) -> None:
        histogram = self.sweeps.__getitem__
        self._each(relaxation.advance, PHASES.index(phase), steps, self.settle_tol, self.max_sweeps, histogram)
