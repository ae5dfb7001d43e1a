"""MLP baselines as the training loop sees them: a learner that is shown a data set."""

from __future__ import annotations

import functools
import os
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch

from ghostnet.baselines import measures, privacy
from ghostnet.baselines.learner import Learner
from ghostnet.baselines.rates import learning_rates
from ghostnet.data import Dataset
from ghostnet.engines.evaluation import Score, scored_parts
from ghostnet.engines.tensors import Images, working
from ghostnet.errors import ConfigError, DivergenceError, FileError
from ghostnet.files import toml
from ghostnet.model.baseline import BaselineRun
from ghostnet.model.equations import Layers
from ghostnet.model.network import Network, build
from ghostnet.model.order import presentation_order
from ghostnet.runs import checkpoint, store
from ghostnet.runs.checkpoint import Checkpoint

_MEASURED = 1000  # examples, the first of the training set, whose gradient is compared with backprop's


class MLP:
    """Every run of a baseline on an MLP: see `ghostnet.runs.loop.Trainable`."""

    compiles = False

    def __init__(self, run: BaselineRun, dataset: Dataset, dtype: str, threads: int):
        self.experiment = run.experiment
        self.dtype = dtype
        self._threads = threads
        self.learner, self._images = Learner(run.experiment, run.baseline, dtype), Images(dataset)
        self._batches = functools.lru_cache(1)(functools.partial(_batches, self.learner))

    @property
    def network(self) -> Network:
        """The trained network as the ghost units' code knows networks."""
        learner = self.learner
        network = build(BaselineRun(learner.experiment, learner.baseline).effective)
        network.method = learner.baseline.method

        def arrays(tensors: list) -> list:
            return [None, *(tensor.numpy().astype(np.float64) for tensor in tensors[1:])]

        network.weights = network.weights._replace(W=arrays(learner.W))
        if network.method in ("FA", "SSFA"):
            network.weights = network.weights._replace(B=arrays(learner.B))
        return network

    def during(self) -> AbstractContextManager:
        return working(self._threads)

    def present(self, epoch: int, start: int, stop: int) -> None:
        learner, (shown, present) = self.learner, self._batches(epoch)
        if start == 0:
            learner.begin(epoch)
        for step in range(start, stop):
            batch = self._images.batch(shown[step], learner.dtype)
            learner.step(*batch, None if present is None else present[step])
        for run, seed in enumerate(self.experiment.seeds):
            if not all(bool(W[run].isfinite().all()) for W in learner.W[1:]):
                smaller = " ".join(f"{rate / 4:g}" for rate in learning_rates(self.experiment, learner.baseline))
                raise DivergenceError(f"seed {seed} diverged: a weight is not finite; try learning_rate = {smaller}")

    def evaluate(self, epoch: int) -> tuple[dict[str, Score], list[dict]]:
        learner = self.learner
        images = self._images
        e = self.experiment
        b = learner.baseline
        parts = scored_parts(images.train, images.test, e.train_examples)
        scores = {name: measures.score(learner, *part) for name, part in parts.items()}
        x, y = images.batch(torch.arange(min(len(parts["train"][0]), _MEASURED)), learner.dtype)
        measured = measures.angles(learner, x, y) | measures.alignments(learner)
        spent = {} if b.clip is None else {"epsilon": privacy.epsilon(e, b.noise, b.delta, epoch)}
        runs = range(len(e.seeds))
        return scores, [{name: round(values[run], 6) for name, values in measured.items()} | spent for run in runs]

    def state(self) -> tuple[Network, dict[str, np.ndarray]]:
        return self.network, self.learner.state()

    def require_fit(self, found: Checkpoint) -> None:
        """Raise ValueError where a checkpoint can't be put back."""
        self.learner.require_fit(found.extra)

    def restore(self, found: Checkpoint) -> None:
        """Be as it was when that checkpoint was made."""
        self.learner.restore(_matrices(found), found.extra)


def load(run: str | os.PathLike, dtype: str = "float64") -> Learner:
    """The learner of a baseline's run directory, as its newest readable checkpoint has it.

    Raises:
        FileError: there is none. ConfigError: it is no run of a baseline, or of a convolutional one.
    """
    path = Path(run)
    about = BaselineRun.from_mapping(toml.read(path / store.CONFIG))
    if about.baseline.architecture != "mlp":
        raise ConfigError(f"{run}: a run of {about.baseline.architecture}; expected one of an MLP")
    learner = Learner(about.experiment, about.baseline, dtype)
    found = checkpoint.latest(path, about, accept=lambda found: learner.require_fit(found.extra))
    if found is None:
        raise FileError(f"{run}: no readable checkpoint; give a run that `ghostnet baseline` has taken past epoch 0")
    learner.restore(_matrices(found), found.extra)
    return learner


def _matrices(found: Checkpoint) -> Layers:
    """W of a checkpoint; ConfigError where it is none of an MLP."""
    if found.network is None:
        raise ConfigError(f"{found.name}: holds no network; expected a checkpoint of an MLP")
    return found.network.weights.W


def _batches(learner: Learner, epoch: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Indices (presentations, runs, batch) of an epoch's batches, and which of them count: None for all of them."""
    if learner.baseline.clip is None:
        return torch.from_numpy(presentation_order(learner.experiment, epoch)), None
    shown, present = privacy.poisson_batches(learner.experiment, epoch)
    return torch.from_numpy(shown), torch.from_numpy(present).to(learner.dtype)
