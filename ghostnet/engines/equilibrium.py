"""The equilibrium engine: MB without stepping (docs/equilibrium.md)."""

from __future__ import annotations

import numpy as np

from ghostnet.engines import Divergence, cpu, relaxation
from ghostnet.errors import ConfigError
from ghostnet.models import FREE, PHASES
from ghostnet.network import Network
from ghostnet.stability import spectral_radius

SETTLE_TOL = {"float64": 1e-6, "float32": 1e-4}  # largest change of any s_k in the last sweep
MAX_SWEEPS = 50


class Engine(cpu.Engine):
    """See `ghostnet.engines.Engine`. A phase goes straight to its end, whatever number of steps it is asked for.

    Args:
        settle_tol: the clamped phase has settled when no activity changes by more in a sweep.
        max_sweeps: plain sweeps before damped ones are tried.

    Attributes:
        sweeps: how often the clamped phase took so many sweeps, int64 (runs, max_sweeps + 1).
    """

    def __init__(
        self,
        network: Network,
        dtype: str = "float32",
        threads: int = 1,
        settle_tol: float | None = None,
        max_sweeps: int = MAX_SWEEPS,
    ):
        row = network.experiment.plasticity
        if row.W or row.W_pg or row.W_gp != (FREE,) or not row.fast_gp:
            raise ConfigError(
                f"engine = equilibrium: the slow weights of {network.experiment.model} move during the phases, so its "
                "learning depends on more than their fixed points; take the cpu engine"
            )
        self.settle_tol = SETTLE_TOL[dtype] if settle_tol is None else settle_tol
        self.max_sweeps = max_sweeps
        if not self.settle_tol > 0 or max_sweeps < 1:
            raise ConfigError(f"settle_tol = {settle_tol}, max_sweeps = {max_sweeps}: expected positive numbers")
        super().__init__(network, dtype, threads)
        self.constants = network.constants
        self.sweeps = np.zeros((network.runs, max_sweeps + 1), np.int64)

    def _present(self, xs: np.ndarray, ys: np.ndarray) -> Divergence | None:
        inputs, histogram = (self._inputs(xs), self._inputs(ys)), self.sweeps.__getitem__
        ends = self._each(relaxation.present, self.settle_tol, self.max_sweeps, *inputs, histogram)
        bad = [(done, run, layer, settled) for run, (done, layer, settled) in enumerate(ends) if layer]
        if not bad:
            return None
        done, run, layer, settled = min(bad)
        return Divergence(run, done, layer, 0.0 if settled else self._radius(run))

    def _radius(self, run: int) -> float:
        """The spectral radius at the start of the clamped phase that did not settle: there the run was left."""
        return spectral_radius(*self.export(), self.experiment.beta, self.constants, run)

    def advance(self, phase: str, steps: int) -> None:
        histogram = self.sweeps.__getitem__
        self._each(relaxation.advance, PHASES.index(phase), self.settle_tol, self.max_sweeps, histogram)
