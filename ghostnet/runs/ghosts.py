"""Ghost networks as the training loop sees them: a simulator that is shown a data set."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib

import numpy as np

from ghostnet.data import Dataset
from ghostnet.engines.evaluation import Score
from ghostnet.errors import ConfigError, DivergenceError, FileError
from ghostnet.files.publishing import Place
from ghostnet.gradients.monitor import gradient_columns, warn_unsettled
from ghostnet.model.experiment import Experiment
from ghostnet.model.network import Network, build, checked
from ghostnet.model.order import presentation_order
from ghostnet.model.recorder import Recorder
from ghostnet.runs import checkpoint, traces
from ghostnet.runs.checkpoint import Checkpoint
from ghostnet.runs.settings import settings_of
from ghostnet.runs.store import RunDirectory
from ghostnet.simulator import Simulator


class Ghosts:
    """Every run of an experiment on one engine: see `ghostnet.runs.loop.Trainable`.

    Args:
        place: of the run, for traces; None keeps none.
        record, gradcheck_every, gradcheck_examples: see `ghostnet.train`.
    """

    compiles = True

    def __init__(
        self,
        simulator: Simulator,
        dataset: Dataset,
        place: Place | None,
        record: Recorder | None,
        gradcheck_every: int,
        gradcheck_examples: int,
    ):
        self.simulator = simulator
        self.experiment = simulator.experiment
        self.dtype = simulator.dtype
        self._dataset = dataset
        self._place = place
        self._record = record
        self._gradchecks = gradcheck_every, gradcheck_examples
        self._order = functools.lru_cache(1)(functools.partial(presentation_order, self.experiment))
        self._warned = False

    @property
    def network(self) -> Network:
        return self.simulator.network

    def during(self) -> contextlib.AbstractContextManager:
        if self._record is None or self._place is None:
            return contextlib.nullcontext()
        return traces.recording(self.simulator, self._record, self._place)

    def present(self, epoch: int, start: int, stop: int) -> None:
        try:
            self.simulator.run_examples(self._dataset, self._order(epoch)[start:stop])
        except DivergenceError as error:
            if self._place:
                where = traces.flight_record(self.simulator, self._dataset, error, self._place)
                error.args = (f"{error}{where}",)
            raise

    def evaluate(self, epoch: int) -> tuple[dict[str, Score], list[dict]]:
        scores = self.simulator.evaluate(self._dataset)
        further: list[dict] = [{} for _ in self.experiment.seeds]
        if self._gradchecks[0]:
            further = gradient_columns(self.simulator, self._dataset, epoch, *self._gradchecks)
        self._warned = self._warned or warn_unsettled(self.simulator, self._dataset)
        return scores, further

    def state(self) -> tuple[Network, dict[str, np.ndarray]]:
        return self.simulator.network, {}


def restored(
    directory: RunDirectory, e: Experiment, dataset: Dataset, threads: int | None, record: Recorder | None
) -> tuple[Ghosts, Checkpoint]:
    """What a run directory's newest readable checkpoint has, ready to go on, and that checkpoint.

    Args:
        e: the directory's experiment, perhaps with another number of epochs.

    Raises:
        ConfigError, FileError: see `ghostnet.resume`.
    """
    engine, dtype, options = settings_of(directory, "engine", "dtype", "options")
    gradchecks = settings_of(directory, "gradcheck_every", "gradcheck_examples")
    start = checkpoint.latest(directory.path, directory.configuration, dtype) or Checkpoint(None)
    if start.network is None and "start_sha256" in directory.settings:
        text = "began from a network that it was given, and no readable checkpoint is left; train anew"
        raise FileError(f"{directory.path}: {text}")
    network = dataclasses.replace(start.network or build(e), experiment=e)
    simulator = Simulator(network, engine, dtype, threads, **options)
    return Ghosts(simulator, dataset, directory.place, record, *gradchecks), start


def started(e: Experiment, start: Network) -> Network:
    """A network of an experiment with the weights and activities of another, which has seen nothing yet.

    Raises:
        ConfigError: they don't fit: names the array, its shape and the one expected.
    """
    if not isinstance(start, Network):
        raise ConfigError(f"start is a {type(start).__name__}: expected a Network, such as `ghostnet.build` gives")
    try:
        return checked(Network(e, start.weights, start.state), "float64")
    except ConfigError as error:
        raise ConfigError(f"start: {error}; give a network of such sizes, ghosts, model, batch and seeds") from None


def sha256(network: Network) -> str:
    """Of every weight and activity of a network, by symbol and layer: float64, little-endian."""
    found = hashlib.sha256()
    for symbol, layers in (network.weights._asdict() | network.state._asdict()).items():
        for k, array in enumerate(layers[1:], start=1):
            found.update(f"{symbol}_{k} {array.shape}".encode())
            found.update(np.ascontiguousarray(array, "<f8").tobytes())
    return found.hexdigest()
