"""Checkpoints: everything that a run needs to go on as if it had never stopped, in one sealed HDF5 file."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ghostnet.errors import ConfigError, FileError
from ghostnet.files.publishing import Place
from ghostnet.model.equations import Layers
from ghostnet.model.experiment import MAX_TEXT, Experiment
from ghostnet.model.network import Group, Network, shapes, tie_feedback
from ghostnet.model.typed import LARGEST_COUNT
from ghostnet.runs import configuration, metrics, store
from ghostnet.runs.configuration import Configuration

if TYPE_CHECKING:
    import h5py

    from ghostnet.files.hdf5 import Contents

_KEPT = 3
_NAME = re.compile(r"epoch-(-?[0-9]{1,18})(?:_([0-9]{1,18}))?\.h5")
_EXTRA = "extra_"
_COUNTS = ("presentations", "epoch", "shown")

log = logging.getLogger("ghostnet")


@dataclass
class Checkpoint:
    """Where a run is.

    Attributes:
        network: weights and activities; `presentations` counts all that it has seen. None for a convolutional
            baseline, one with biases and one by CD: all of it is in `extra`.
        epoch: finished epochs, evaluated where that was due; -1 before the initial evaluation.
        shown: presentations of the next epoch already done.
        seconds: training time so far.
        metrics: the rows of metrics.csv so far.
        extra: other arrays by name, such as an optimizer's, kept in their own types.
        configuration: what the run was asked for; by default the network's experiment.
        dtype: the type that its values were stored in, where it was loaded.
    """

    network: Network | None
    epoch: int = -1
    shown: int = 0
    seconds: float = 0.0
    metrics: list[dict] = field(default_factory=list)
    extra: dict[str, np.ndarray] = field(default_factory=dict)
    configuration: Configuration | None = None
    dtype: str | None = None

    @property
    def name(self) -> str:
        part = f"_{self.shown:06d}" if self.shown else ""
        return f"epoch-{self.epoch:04d}{part}.h5"


def save(run: str | os.PathLike | Place, checkpoint: Checkpoint, dtype: np.dtype | str) -> Path:
    """Publish a checkpoint in a run directory; the newest few are kept. Values are stored in the engine's `dtype`.

    Args:
        run: the directory; as a Place, nothing is written elsewhere should it be moved.

    Raises:
        FileError: it can't be written; those before are untouched.
    """
    from ghostnet.files import hdf5  # here, so that the command line answers without loading HDF5

    c, n = checkpoint, checkpoint.network
    arrays = n.weights._asdict() | n.state._asdict() if n else {}
    made = c.configuration or (n.experiment if n else None)
    if made is None:
        raise FileError(f"{c.name}: neither a network nor a configuration to keep")

    def write(file: h5py.File) -> None:
        hdf5.describe(file, {"config_toml": made.to_toml(), "metrics_csv": metrics.csv_text(c.metrics)})
        file.attrs["epoch"] = c.epoch
        file.attrs["shown"] = c.shown
        file.attrs["seconds"] = c.seconds
        file.attrs["presentations"] = n.presentations if n else 0
        for name, layers in arrays.items():
            for k, values in enumerate(layers):
                if values is not None:
                    file.create_dataset(f"{name}_{k}", data=values.astype(dtype))
        for name, values in c.extra.items():
            file.create_dataset(f"{_EXTRA}{name}", data=values)

    folder = (run if isinstance(run, Place) else Place(run)).folder(store.CHECKPOINTS)
    path = folder.publish(c.name, hdf5.image(write))
    for old in in_order(folder.where)[:-_KEPT]:
        if old.name != c.name:  # the newest, whatever damaged ones were left after it
            folder.remove(old.name)
    return path


def in_order(folder: Path) -> list[Path]:
    """The checkpoints in a directory, oldest first: by the numbers in their names."""
    named = {path: found.groups() for path in folder.glob("epoch-*.h5") if (found := _NAME.fullmatch(path.name))}
    return sorted(named, key=lambda path: tuple(int(n or 0) for n in named[path]))


def load(path: str | os.PathLike) -> Checkpoint:
    """Read a checkpoint; its seal is verified, so what it gives is what was saved, and its values are checked.

    Raises:
        FileError: it can't be read, is damaged, is no checkpoint, or holds what no run of its experiment does.
    """
    from ghostnet.files import hdf5

    path = Path(path)
    with hdf5.open_strictly(path) as contents:
        made = _configuration(path, contents)
        e = configuration.experiment(made)
        presentations, epoch, shown = (_whole(contents, name) for name in _COUNTS)
        seconds = hdf5.number(contents, "seconds")
        _require_possible(e, presentations, epoch, shown, seconds)
        network = _network(contents, e, presentations) if configuration.has_network(made) else None
        rows = metrics.csv_rows(hdf5.text(contents, "metrics_csv", metrics.MAX_BYTES))
        metrics.require_sound(rows, e.seeds, list(filter(e.evaluates, range(epoch + 1))))
        names = [name for name in contents.arrays if name.startswith(_EXTRA)]
        extra = {name.removeprefix(_EXTRA): contents.arrays[name].whole() for name in names}
        if not all(np.isfinite(values).all() for values in extra.values()):
            raise ValueError("an array has values that are not finite")
        dtype = contents.arrays["W_1"].dtype.name if network else None
    return Checkpoint(network, epoch, shown, seconds, rows, extra, made, dtype)


def _whole(contents: Contents, name: str) -> int:
    from ghostnet.files import hdf5

    value = hdf5.number(contents, name)
    if not isinstance(value, int):
        raise ValueError(f"{name} = {value}: expected a whole number")
    return value


def _network(contents: Contents, e: Experiment, presentations: int) -> Network:
    weights, state = shapes(e)
    network = Network(e, _arrays(contents, weights), _arrays(contents, state), presentations)
    tie_feedback(network)
    return network


def _arrays(contents: Contents, wanted: Group) -> Group:
    """The arrays of these shapes, lists over k."""
    from ghostnet.files import hdf5

    def layers(symbol: str, shapes: Layers) -> Layers:
        return [None, *(hdf5.floats(contents, f"{symbol}_{k}", shape) for k, shape in enumerate(shapes[1:], start=1))]

    return type(wanted)(*map(layers, wanted._fields, wanted))


def _configuration(path: Path, contents: Contents) -> Configuration:
    from ghostnet.files import hdf5

    try:
        return configuration.from_toml(hdf5.text(contents, "config_toml", MAX_TEXT))
    except ConfigError as error:
        raise FileError(f"{path}: its config_toml: {error}") from error


def _require_possible(e: Experiment, presentations: int, epoch: int, shown: int, seconds: float) -> None:
    """Raise ValueError where no run of the experiment can be."""
    if e.train_examples is None:
        raise ValueError("train_examples is left out")
    each = e.presentations_per_epoch
    tops = {
        "epoch": (epoch, -1, e.epochs),
        "shown": (shown, 0, each if 0 <= epoch < e.epochs else 0),
        "presentations": (presentations, 0, e.epochs * each),
    }
    for name, (value, least, most) in tops.items():
        if not least <= value <= most:
            raise ValueError(f"{name} = {value}: expected a whole number from {least} to {most}")
    if not 0 <= seconds < LARGEST_COUNT:
        raise ValueError(f"seconds = {seconds}: expected 0 or more")


def latest(
    run: Path,
    written: Configuration | None = None,
    dtype: str | None = None,
    accept: Callable[[Checkpoint], None] = lambda found: None,
) -> Checkpoint | None:
    """The newest checkpoint of a run directory that can be read; None where there is none. Damaged ones are named in
    the log and passed over.

    Args:
        written, dtype: what the run's config.toml and provenance.json say, to be compared.
        accept: raises ValueError where a checkpoint can't be gone on from.

    Raises:
        ConfigError: the checkpoint was made with something else than is written.
        FormerFormat: it is of a former version.
    """
    from ghostnet.files.seal import FormerFormat

    for path in reversed(in_order(run / store.CHECKPOINTS)):
        try:
            found = load(path)
            accept(found)
        except FormerFormat:
            raise
        except (FileError, ValueError) as error:
            about = error if isinstance(error, FileError) else f"{path}: {error}"
            log.warning("%s; going back to the one before", about)
            continue
        if written and found.configuration:
            configuration.require_same(run, written, found.configuration)
        if dtype not in (None, found.dtype or dtype):
            text = f"dtype = {dtype}, but its checkpoint was made with {found.dtype}; undo the change, or train anew"
            raise ConfigError(f"{run / store.PROVENANCE}: {text}")
        return found
    return None


def require_same(run: Path, written: Configuration) -> None:
    """Raise ConfigError where the newest readable checkpoint of a run, if there is one, was made with something else
    than its config.toml says.
    """
    from ghostnet.files import hdf5

    for path in reversed(in_order(run / store.CHECKPOINTS)):
        try:
            with hdf5.open_strictly(path) as contents:
                made = _configuration(path, contents)
        except FileError:
            continue
        configuration.require_same(run, written, made)
        return


def newest(run: str | os.PathLike) -> Network:
    """The network of a run directory as its newest readable checkpoint has it.

    Raises:
        FileError: there is none. ConfigError: it was made with something else than config.toml says.
    """
    run = Path(run)
    found = latest(run, configuration.read(run) if (run / store.CONFIG).exists() else None)
    if found is None or found.network is None:
        what = "no readable checkpoint" if found is None else "of a convolutional baseline, one with biases or CD"
        raise FileError(f"{run}: {what}; give a run that `ghostnet train` has taken past epoch 0")
    return found.network
