"""The torch engine: an ensemble of runs on the CPU or on a CUDA GPU.

On a GPU, one presentation (free phase, clamped phase, update, look for divergence) is captured once as a CUDA graph and
replayed: one launch per presentation. Presentations of a chunk lie on the device and are counted there, so the host
waits for the device once per chunk, to ask whether a run diverged. On the CPU the same presentation is called instead.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

import numpy as np
import torch

from ghostnet.config import Experiment, require_known
from ghostnet.engines import EXPLODED, Divergence
from ghostnet.engines.ensemble import Ensemble
from ghostnet.equations import State, Weights
from ghostnet.errors import ConfigError
from ghostnet.models import PHASES
from ghostnet.network import Network

DEVICES = ("cpu", "cuda")
PER_RUN = ("beta", "dt", "eta", "eta_ghost")
CHUNK_BYTES = 1 << 23  # of presentations on the device at a time
_NEVER = torch.iinfo(torch.int64).max


class Engine:
    """See `ghostnet.engines.Engine`.

    Args:
        threads: not used. Torch works on one CPU thread here: with more, where it cuts an array decides its last bits.
        device: "cpu" or "cuda".
        fast_matmul: let a GPU multiply float32 matrices in TF32: faster, three digits less.
        per_run: constants that differ between runs: "beta" and "dt" (runs,), "eta" (runs, N), "eta_ghost" (runs, N-1).

    Raises:
        ConfigError: no such device, no GPU, or per-run constants that don't fit; what any Experiment refuses.
    """

    def __init__(
        self,
        network: Network,
        dtype: str = "float32",
        threads: int = 1,
        device: str = "cpu",
        fast_matmul: bool = False,
        per_run: Mapping[str, np.ndarray] | None = None,
    ):
        _require_device(device)
        e = self.experiment = network.experiment
        self.device, self.precision, self.graph = device, "tf32" if fast_matmul else "ieee", None
        experiments = run_experiments(e, per_run or {})
        with self._settings():
            self.ensemble = Ensemble(network, experiments, torch.empty(0, dtype=getattr(torch, dtype), device=device))
            x, y = self.ensemble.x, self.ensemble.y
            self.chunk = max(1, CHUNK_BYTES // (x.nbytes + y.nbytes))  # presentations
            self.xs, self.ys = (a.new_zeros(self.chunk, *a.shape) for a in (x, y))
            self.position = torch.zeros(1, dtype=torch.int64, device=device)  # of the presentation in the chunk
            self.largest = x.new_zeros(e.depth, network.runs)
            self.never = torch.full((e.depth, network.runs), _NEVER, device=device)
            self.first_bad = self.never.clone()
            self.before = torch.empty_like(self.ensemble.lasting.memory)

    @contextlib.contextmanager
    def _settings(self) -> Iterator[None]:
        """Torch's process-wide settings, as this engine wants them, while it works."""
        threads, precision = torch.get_num_threads(), torch.backends.cuda.matmul.fp32_precision
        torch.set_num_threads(1)
        torch.backends.cuda.matmul.fp32_precision = self.precision
        try:
            with torch.inference_mode():
                yield
        finally:
            torch.set_num_threads(threads)
            torch.backends.cuda.matmul.fp32_precision = precision

    def present(self, xs: np.ndarray, ys: np.ndarray) -> Divergence | None:
        with self._settings():
            for start in range(0, len(xs), self.chunk):
                piece = slice(start, start + self.chunk)
                if found := self._present(xs[piece], ys[piece]):
                    return found._replace(presentation=start + found.presentation)
        return None

    def _present(self, xs: np.ndarray, ys: np.ndarray) -> Divergence | None:
        """A chunk. Each run goes on until its end; where one diverged, those before are presented again."""
        self.before.copy_(self.ensemble.lasting.memory)
        self._load(xs, ys)
        if self.device == "cuda" and self.graph is None:
            self._capture()
        self._replay(len(xs))
        found = self._divergence()
        if found:
            self.ensemble.lasting.memory.copy_(self.before)
            self._replay(found.presentation)
        return found

    def _load(self, xs: np.ndarray, ys: np.ndarray) -> None:
        """Bring presentations to the device, without waiting for them to arrive."""
        for values, target in ((xs, self.xs[: len(xs)]), (ys, self.ys[: len(ys)])):
            staging = torch.empty(target.shape, dtype=target.dtype, pin_memory=self.device == "cuda")
            staging.numpy()[...] = values
            target.copy_(staging, non_blocking=True)

    def _replay(self, presentations: int) -> None:
        self.position.zero_()
        self.first_bad.copy_(self.never)
        for _ in range(presentations):
            self.graph.replay() if self.graph else self._presentation()

    def _presentation(self) -> None:
        """The presentation at `position` of the chunk: nothing here depends on what the device has computed."""
        e = self.experiment
        self._show()
        for phase, steps in zip(PHASES, (e.free_steps, e.clamped_steps), strict=True):
            self.ensemble.advance(phase, steps)
        self.ensemble.finish()
        for s, largest in zip(self.ensemble.lasting.z.units[1:], self.largest, strict=True):
            torch.linalg.vector_norm(s, float("inf"), dim=(1, 2), out=largest)
        fine = self.largest <= EXPLODED  # false where it is no number
        torch.minimum(self.first_bad, torch.where(fine, self.never, self.position), out=self.first_bad)
        self.position.add_(1)

    def _show(self) -> None:
        for chunk, shown in ((self.xs, self.ensemble.x), (self.ys, self.ensemble.y)):
            torch.index_select(chunk, 0, self.position, out=shown[None])
        self.ensemble.begin()

    def _capture(self) -> None:
        """Record one presentation as a CUDA graph, after one in earnest on a side stream in which libraries set up."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self._presentation()
        torch.cuda.current_stream().wait_stream(side)
        self.ensemble.lasting.memory.copy_(self.before)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self._presentation()

    def _divergence(self) -> Divergence | None:
        """The first presentation of the chunk after which some activity is too large. Waits for the device."""
        first_bad = self.first_bad.cpu().numpy()
        presentation = int(first_bad.min())
        if presentation == _NEVER:
            return None
        run = int((first_bad == presentation).any(0).argmax())
        layer = 1 + int((first_bad[:, run] == presentation).argmax())
        return Divergence(run, presentation, layer)

    def begin(self, x: np.ndarray, y: np.ndarray) -> None:
        with self._settings():
            self._load(x[None], y[None])
            self.position.zero_()
            self._show()

    def advance(self, phase: str, steps: int) -> None:
        with self._settings():
            self.ensemble.advance(phase, steps)

    def finish(self) -> None:
        with self._settings():
            self.ensemble.finish()

    def export(self) -> tuple[Weights, State]:
        with self._settings():
            return self.ensemble.get()


def run_experiments(e: Experiment, per_run: Mapping[str, np.ndarray]) -> list[Experiment]:
    """The experiment of every run: `e` with the run's own constants.

    Raises:
        ConfigError: unknown names, lengths other than the number of runs, and what any Experiment refuses.
    """
    require_known(per_run, PER_RUN, "per-run constant")
    runs = len(e.seeds)
    for name, values in per_run.items():
        if np.ndim(values) < 1 or len(values) != runs:
            raise ConfigError(f"per_run: {name} has shape {np.shape(values)}: expected a value for each of {runs} runs")
    return [e.replace(**{name: np.asarray(values)[run].tolist() for name, values in per_run.items()})
            for run in range(runs)]  # fmt: skip


def _require_device(device: str) -> None:
    require_known([device], DEVICES, "device")
    if device == "cpu":
        return
    if not torch.cuda.is_available():
        raise ConfigError(
            f"device = cuda: torch {torch.__version__} finds no CUDA GPU; take device cpu, or install torch for CUDA"
        )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS gives the same bits in every run only with it
