"""The torch engine: an ensemble of runs on the CPU or on a CUDA GPU.

On a GPU, one presentation (free phase, clamped phase, update, look for divergence) is captured once as a CUDA graph and
replayed: one launch per presentation. Within it the steps of a phase are operations on batched tensors or, where a
network is small enough for that, one Triton kernel. What is shown lies on the device and is counted there, and so is
the score, so the host waits for the device only where it asks whether a run diverged: once for all the presentations it
was given. On the CPU the same presentation is called instead.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from ghostnet.data import Dataset
from ghostnet.engines import EXPLODED, Divergence, require_usual_rules, run_experiments
from ghostnet.engines.evaluation import Score, scored_parts
from ghostnet.engines.recordable import Recordable
from ghostnet.engines.tensors import require_device, score
from ghostnet.engines.torch.ensemble import Ensemble
from ghostnet.engines.torch.stimuli import Arrays, Examples, bring
from ghostnet.errors import ConfigError
from ghostnet.host.threads import Turns
from ghostnet.model.equations import State, Weights
from ghostnet.model.experiment import Experiment
from ghostnet.model.network import Network
from ghostnet.model.typed import require

if TYPE_CHECKING:
    from ghostnet.engines.torch.fused import Phases

_NEVER = torch.iinfo(torch.int64).max
_PROCESS = Turns()  # torch's settings are the process's: one engine works at a time


class Engine(Recordable):
    """See `ghostnet.engines.Engine`.

    Args:
        threads: not used. Torch works on one CPU thread here: with more, where it cuts an array decides its last bits.
        device: "cpu" or "cuda".
        fast_matmul: let a GPU multiply float32 matrices in TF32: faster, three digits less.
        per_run: constants that differ between runs: "beta" and "dt" (runs,), "eta" (runs, N), "eta_ghost" and
            "eta_imitation" (runs, N-1).

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
        require_device(device)
        require(isinstance(fast_matmul, bool), f"fast_matmul = {fast_matmul!r}: expected True or False")
        e = self.experiment = network.experiment
        require_usual_rules(e)
        self.device, self.precision = device, "tf32" if fast_matmul else "ieee"
        experiments = run_experiments(e, per_run)
        self.process = os.getpid()
        with self._settings(), _gpu_memory():
            self.ensemble = Ensemble(network, experiments, torch.empty(0, dtype=getattr(torch, dtype), device=device))
            self.constants = self.ensemble.constants
            self.stepper = stepper(self.ensemble, experiments, device)
            self.position = torch.zeros(1, dtype=torch.int64, device=device)  # of what is shown
            self.largest = self.ensemble.x.new_zeros(e.depth, network.runs)
            self.never = torch.full((e.depth, network.runs), _NEVER, device=device)
            self.first_bad = self.never.clone()
            self.before = torch.empty_like(self.ensemble.lasting.memory)
        self.arrays: Arrays | None = None
        self.examples: Examples | None = None

    @contextlib.contextmanager
    def _settings(self, precision: str | None = None) -> Iterator[None]:
        """Torch's process-wide settings, as this engine wants them, while it works."""
        if self.device == "cuda" and self.process != os.getpid():
            raise ConfigError("device = cuda: a forked process can't go on with its parent's GPU; start it by 'spawn'")
        with _PROCESS:
            threads, before = torch.get_num_threads(), torch.backends.cuda.matmul.fp32_precision
            torch.set_num_threads(1)
            torch.backends.cuda.matmul.fp32_precision = precision or self.precision
            try:
                with torch.inference_mode():
                    yield
            finally:
                torch.set_num_threads(threads)
                torch.backends.cuda.matmul.fp32_precision = before

    def present(self, xs: np.ndarray, ys: np.ndarray) -> Divergence | None:
        with self._settings():
            if self.arrays is None:
                self.arrays = Arrays(self.ensemble.x, self.ensemble.y)
            return self._present_all(self.arrays, xs, ys)

    def present_examples(self, dataset: Dataset, order: np.ndarray) -> Divergence | None:
        with self._settings():
            return self._present_all(self._examples(dataset), order)

    def evaluate(self, dataset: Dataset) -> dict[str, Score]:
        e, ensemble = self.experiment, self.ensemble
        with self._settings("ieee"):
            images = self._examples(dataset).images
            parts = scored_parts(images.train, images.test, e.train_examples)
            how = ensemble.outputs, ensemble.rates
            return {name: score(*how, x, labels, ensemble.x.dtype) for name, (x, labels) in parts.items()}

    def _examples(self, dataset: Dataset) -> Examples:
        """The data set on the device: the last one asked for stays there."""
        if self.examples is None or self.examples.dataset is not dataset:
            e = self.experiment
            shown = (e.train_examples or len(dataset.train_images)) // e.batch
            self.examples = Examples(dataset, max(1, shown), self.ensemble.x)
        return self.examples

    def _present_all(self, stimuli: Arrays | Examples, *shown: np.ndarray) -> Divergence | None:
        for start in range(0, len(shown[0]), stimuli.capacity):
            piece = slice(start, start + stimuli.capacity)
            if found := self._present(stimuli, *(values[piece] for values in shown)):
                return found._replace(presentation=start + found.presentation)
        return None

    def _present(self, stimuli: Arrays | Examples, *shown: np.ndarray) -> Divergence | None:
        """As many as fit. Each run goes on until the end; where one diverged, those before are presented again."""
        self.before.copy_(self.ensemble.lasting.memory)
        stimuli.load(*shown)
        if self.device == "cuda" and stimuli.graph is None:
            self._capture(stimuli)
        self._replay(stimuli, len(shown[0]))
        found = self._divergence()
        if found:
            self.ensemble.lasting.memory.copy_(self.before)
            self._replay(stimuli, found.presentation)
        return found

    def _replay(self, stimuli: Arrays | Examples, presentations: int) -> None:
        self.position.zero_()
        self.first_bad.copy_(self.never)
        for _ in range(presentations):
            stimuli.graph.replay() if stimuli.graph else self._presentation(stimuli)

    def _presentation(self, stimuli: Arrays | Examples) -> None:
        """What is shown at `position`: nothing here depends on what the device has computed."""
        e = self.experiment
        stimuli.show(self.position, self.ensemble.x, self.ensemble.y)
        self.ensemble.begin()
        for phase, steps in enumerate(e.steps):
            self.stepper.advance(phase, steps)
        self.ensemble.finish()
        for s, largest in zip(self.ensemble.lasting.z.units[1:], self.largest, strict=True):
            torch.linalg.vector_norm(s, float("inf"), dim=(1, 2), out=largest)
        fine = self.largest <= EXPLODED  # false where it is no number
        torch.minimum(self.first_bad, torch.where(fine, self.never, self.position), out=self.first_bad)
        self.position.add_(1)

    def _capture(self, stimuli: Arrays | Examples) -> None:
        """Record one presentation as a CUDA graph, after one in earnest on a side stream in which libraries set up."""
        self.position.zero_()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self._presentation(stimuli)
        torch.cuda.current_stream().wait_stream(side)
        self.ensemble.lasting.memory.copy_(self.before)
        stimuli.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(stimuli.graph):
            self._presentation(stimuli)

    def _divergence(self) -> Divergence | None:
        """The first presentation after which some activity is too large. Waits for the device."""
        first_bad = self.first_bad.cpu().numpy()
        presentation = int(first_bad.min())
        if presentation == _NEVER:
            return None
        run = int((first_bad == presentation).any(0).argmax())
        layer = 1 + int((first_bad[:, run] == presentation).argmax())
        return Divergence(run, presentation, layer)

    def save(self) -> torch.Tensor:
        with self._settings():  # on one thread: in a forked child there are no others
            return self.ensemble.lasting.memory.clone()

    def restore(self, saved: torch.Tensor) -> None:
        with self._settings():
            self.ensemble.lasting.memory.copy_(saved)

    def shown(self) -> tuple[np.ndarray, np.ndarray]:
        return self.ensemble.x.cpu().numpy(), self.ensemble.y.cpu().numpy()

    @property
    def beta(self) -> np.ndarray:
        return self.ensemble.beta.cpu().numpy()

    def begin(self, x: np.ndarray, y: np.ndarray) -> None:
        with self._settings():
            bring(x, self.ensemble.x)
            bring(y, self.ensemble.y)
            self.ensemble.begin()

    def advance(self, phase: int, steps: int) -> None:
        with self._settings():
            self.stepper.advance(phase, steps)

    def finish(self) -> None:
        with self._settings():
            self.ensemble.finish()

    def export(self) -> tuple[Weights, State]:
        with self._settings():
            return self.ensemble.get()


def stepper(ensemble: Ensemble, experiments: list[Experiment], device: str) -> Ensemble | Phases:
    """What advances the ensemble: on a GPU the Triton kernel, where it fits and Triton is there; else itself."""
    if device != "cuda":
        return ensemble
    try:
        from ghostnet.engines.torch import fused
    except ImportError:  # torch for CUDA brings Triton along on Linux only
        return ensemble
    return fused.Phases(ensemble, experiments) if fused.fits(ensemble) else ensemble


@contextlib.contextmanager
def _gpu_memory() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        text = "the GPU's memory is too small for this network; take fewer units, a smaller batch or fewer seeds"
        raise ConfigError(f"device = cuda: {text}") from error
