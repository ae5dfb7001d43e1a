"""MLP baselines as the training loop sees them: a learner that is shown a data set."""

from __future__ import annotations

import functools
import os
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ghostnet.baselines import accounting, measures, privacy
from ghostnet.baselines.boltzmann import JointRBM
from ghostnet.baselines.learner import Learner
from ghostnet.baselines.rates import learning_rates
from ghostnet.data import Dataset
from ghostnet.engines.evaluation import Score, loss_columns, scored_parts
from ghostnet.engines.tensors import Images, working
from ghostnet.errors import ConfigError, DivergenceError, FileError
from ghostnet.files import toml
from ghostnet.model.baseline import CONTRASTIVE, DIRECT, BaselineRun
from ghostnet.model.modules import layers
from ghostnet.model.network import Network, build
from ghostnet.runs import checkpoint, store
from ghostnet.runs.checkpoint import Checkpoint

_MOVED, _MET = "moved", "met"  # in a checkpoint
_MEASURED = 1000  # examples, the first of the training set, whose gradient is compared with backprop's


class MLP:
    """Every run of a baseline on an MLP: see `ghostnet.runs.loop.Trainable`."""

    compiles = False

    def __init__(self, run: BaselineRun, dataset: Dataset, dtype: str, threads: int, device: str = "cpu"):
        self.experiment = run.experiment
        self.dtype = dtype
        self._threads = threads
        self.learner, self._images = Learner(run.experiment, run.baseline, dtype, device), Images(dataset, device)
        self._moved = np.zeros((len(run.experiment.seeds), run.experiment.depth))  # ‖ΔW_k‖ / ‖W_k‖ of the last update
        self._counts = run.baseline.train_scores == "during"
        self._met = np.zeros((4, len(run.experiment.seeds)))  # see `measures.met`, of this epoch so far
        self._batches = functools.lru_cache(1)(functools.partial(_batches, self.learner))

    @property
    def network(self) -> Network | list[nn.Module]:
        """The trained network as the ghost units' code knows networks; with biases or by CD, a torch module of every
        run.
        """
        learner = self.learner
        if learner.baseline.modular:
            return [_module(learner, run) for run in range(len(self.experiment.seeds))]
        network = build(BaselineRun(learner.experiment, learner.baseline).effective)
        network.method = learner.baseline.method

        def arrays(tensors: list) -> list:
            return [None, *(tensor.cpu().numpy().astype(np.float64) for tensor in tensors[1:])]

        network.weights = network.weights._replace(W=arrays(learner.W))
        if network.method not in ("BP", *DIRECT, *CONTRASTIVE):
            network.weights = network.weights._replace(B=arrays(learner.B))
        return network

    def during(self) -> AbstractContextManager:
        return working(self._threads)

    def present(self, epoch: int, start: int, stop: int) -> None:
        learner, (shown, present) = self.learner, self._batches(epoch)
        u, before = [], None
        if start == 0:
            learner.begin(epoch)
            self._met = np.zeros_like(self._met)
        for step in range(start, stop):
            batch = self._images.batch(shown[step], learner.dtype)
            if step == len(shown) - 1:
                before = [W.clone() for W in learner.W[1:]]
            found = learner.step(*batch, None if present is None else present[step])
            if self._counts and found is not None:
                u.append(found)
        if u:
            self._met += measures.met(learner, u, self._images.train[1][shown[start:stop]])
        if before:
            self._moved = measures.movement(before, learner.W[1:])
        for run, seed in enumerate(self.experiment.seeds):
            if not all(bool(W[run].isfinite().all()) for W in learner.W[1:]):
                smaller = " ".join(f"{rate / 4:g}" for rate in learning_rates(self.experiment, learner.baseline))
                raise DivergenceError(f"seed {seed} diverged: a weight is not finite; try learning_rate = {smaller}")

    def evaluate(self, epoch: int) -> tuple[dict[str, Score], list[dict]]:
        learner = self.learner
        images = self._images
        e = self.experiment
        parts = scored_parts(images.train, images.test, e.train_examples)
        during = {}
        if epoch and self._counts:
            examples, *sums = self._met
            during["train"] = Score(*(total / examples for total in sums))
        scores = {name: during.get(name) or measures.score(learner, *part) for name, part in parts.items()}
        x, y = images.batch(torch.arange(min(len(parts["train"][0]), _MEASURED)), learner.dtype)
        measured = measures.angles(learner, x, y) | measures.alignments(learner) | measures.norms(learner.W)
        measured |= measures.update_ratios(self._moved)
        spent = accounting.columns(e, learner.baseline, epoch)
        runs = range(len(e.seeds))
        return scores, [loss_columns(scores, run) | measures.row(measured, run) | spent for run in runs]

    def state(self) -> tuple[Network | None, dict[str, np.ndarray]]:
        network = self.network
        found = self.learner.state() | {_MOVED: self._moved} | ({_MET: self._met} if self._counts else {})
        return network if isinstance(network, Network) else None, found

    def require_fit(self, found: Checkpoint) -> None:
        """Raise ValueError where a checkpoint can't be put back."""
        _require_fit(self.learner, found)

    def restore(self, found: Checkpoint) -> None:
        """Be as it was when that checkpoint was made."""
        _restore(self.learner, found)
        self._moved = found.extra[_MOVED]
        self._met = found.extra.get(_MET, self._met).copy()


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
    found = checkpoint.latest(path, about, accept=lambda found: _require_fit(learner, found))
    if found is None:
        raise FileError(f"{run}: no readable checkpoint; give a run that `ghostnet baseline` has taken past epoch 0")
    _restore(learner, found)
    return learner


def _require_fit(learner: Learner, found: Checkpoint) -> None:
    """Raise ValueError where a checkpoint is none of such a learner."""
    e, runs = learner.experiment, len(learner.experiment.seeds)
    wanted = {_MOVED: (runs, e.depth)} | ({_MET: (4, runs)} if learner.baseline.train_scores == "during" else {})
    given = {name: values.shape for name, values in found.extra.items() if name in (_MOVED, _MET)}
    if given != wanted or not all(found.extra[name].dtype == np.float64 for name in given):
        raise ValueError(f"its arrays {', '.join(wanted)} are missing, or of another shape")
    learner.require_fit(_of_learner(found))


def _restore(learner: Learner, found: Checkpoint) -> None:
    learner.restore(found.network.weights.W if found.network else None, _of_learner(found), found.epoch + 1)


def _of_learner(found: Checkpoint) -> dict[str, np.ndarray]:
    """Its state in a checkpoint."""
    return {name: values for name, values in found.extra.items() if name not in (_MOVED, _MET)}


def _module(learner: Learner, run: int) -> nn.Module:
    """A run of a network with biases, or a Boltzmann machine: images to u_N."""
    W = [values[run].cpu() for values in learner.W[1:]]
    bias = [values[run, 0].cpu() for values in learner.bias or [] if values is not None]
    if learner.baseline.method == "CD":
        return JointRBM(W, bias)
    return nn.Sequential(*layers(W, bias, BaselineRun(learner.experiment, learner.baseline).effective)[:-1])


def _batches(learner: Learner, epoch: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Indices (presentations, runs, batch) of an epoch's batches, and which of them count: None for all of them."""
    shown, present = privacy.batches(learner.experiment, learner.baseline, epoch)
    counting = None if present is None else torch.from_numpy(present).to(learner.device, learner.dtype)
    return torch.from_numpy(shown).to(learner.device), counting
