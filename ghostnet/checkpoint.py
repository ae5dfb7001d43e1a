"""Checkpoints: everything that a run needs to go on as if it had never stopped, in one sealed HDF5 file."""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ghostnet import config, store
from ghostnet.errors import ConfigError, FileError
from ghostnet.network import Network, build, tie_feedback

if TYPE_CHECKING:
    import h5py

FOLDER = "checkpoints"
_KEPT = 3
_EXTRA = "extra_"

log = logging.getLogger("ghostnet")


@dataclass
class Checkpoint:
    """Where a run is.

    Attributes:
        network: weights and activities; `presentations` counts all that it has seen.
        epoch: finished and evaluated epochs; -1 before the initial evaluation.
        shown: presentations of the next epoch already done.
        seconds: training time so far.
        metrics: the rows of metrics.csv so far.
        extra: other arrays by name, such as an optimizer's, kept in their own types.
    """

    network: Network
    epoch: int = -1
    shown: int = 0
    seconds: float = 0.0
    metrics: list[dict] = field(default_factory=list)
    extra: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def name(self) -> str:
        part = f"_{self.shown:06d}" if self.shown else ""  # "_" sorts after "."
        return f"epoch-{self.epoch:04d}{part}.h5"


def save(run: Path, checkpoint: Checkpoint, dtype: np.dtype) -> Path:
    """Publish a checkpoint in a run directory; the newest few are kept. Values are stored in the engine's `dtype`.

    Raises:
        FileError: it can't be written; those before are untouched.
    """
    from ghostnet import hdf5  # here, so that the command line answers without loading HDF5

    c, weights, state = checkpoint, checkpoint.network.weights, checkpoint.network.state

    def write(file: h5py.File) -> None:
        file.attrs["config_toml"] = c.network.experiment.to_toml()
        file.attrs["metrics_csv"] = store.csv_text(c.metrics)
        file.attrs["epoch"], file.attrs["shown"], file.attrs["seconds"] = c.epoch, c.shown, c.seconds
        file.attrs["presentations"] = c.network.presentations
        for name, arrays in (weights._asdict() | state._asdict()).items():
            for k, values in enumerate(arrays):
                if values is not None:
                    file.create_dataset(f"{name}_{k}", data=values.astype(dtype))
        for name, values in c.extra.items():
            file.create_dataset(f"{_EXTRA}{name}", data=values)

    folder = run / FOLDER
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: can't be made ({error.strerror}); make its parent writable") from error
    path = folder / c.name
    store.publish(path, hdf5.image(write))
    for old in sorted(folder.glob("epoch-*.h5"))[:-_KEPT]:
        with contextlib.suppress(OSError):
            old.unlink()
    return path


def load(path: str | os.PathLike) -> Checkpoint:
    """Read a checkpoint; its seal is verified, so what it gives is what was saved.

    Raises:
        FileError: it can't be read, is damaged, or is no checkpoint.
    """
    from ghostnet import hdf5

    path = Path(path)
    with hdf5.open_strictly(path, sealed=True) as file:
        try:
            values = config.from_toml(file.attrs["config_toml"])
            network = build(values)
            groups = network.weights._asdict() | network.state._asdict()
            for name, arrays in groups.items():
                for k, expected in enumerate(arrays):
                    if expected is not None:
                        found = file[f"{name}_{k}"]
                        if found.shape != expected.shape:
                            raise ValueError(f"{name}_{k} has shape {found.shape}, expected {expected.shape}")
                        arrays[k] = found[:].astype(np.float64)
            tie_feedback(network)
            network.presentations = int(file.attrs["presentations"])
            rows = store.csv_rows(file.attrs["metrics_csv"])
            extra = {name.removeprefix(_EXTRA): np.asarray(file[name]) for name in file if name.startswith(_EXTRA)}
            position = int(file.attrs["epoch"]), int(file.attrs["shown"]), float(file.attrs["seconds"])
        except ConfigError as error:
            raise FileError(f"{path}: {error}") from error
    return Checkpoint(network, *position, rows, extra)


def latest(run: Path) -> Checkpoint | None:
    """The newest checkpoint of a run directory that can be read; None where there is none. Damaged ones are named in
    the log and passed over.
    """
    for path in sorted((run / FOLDER).glob("epoch-*.h5"), reverse=True):
        try:
            return load(path)
        except FileError as error:
            log.warning("%s; going back to the one before", error)
    return None


def newest(run: str | os.PathLike) -> Network:
    """The network of a run directory as its newest readable checkpoint has it.

    Raises:
        FileError: there is none.
    """
    found = latest(Path(run))
    if found is None:
        raise FileError(f"{run}: no readable checkpoint; give a run that `ghostnet train` has taken past epoch 0")
    return found.network
