"""What several commands ask for alike: settings as options, and a network by name."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ghostnet.errors import ConfigError
from ghostnet.files import toml
from ghostnet.model import presets
from ghostnet.model.experiment import Experiment, from_mapping
from ghostnet.runs import store

if TYPE_CHECKING:
    from ghostnet.model.network import Network


def add_setting(group: argparse._ActionsContainer, spec: dataclasses.Field) -> None:
    """A field of a settings dataclass as an option, with the help that it carries."""
    kind = str(spec.type)
    option, text = f"--{spec.name.replace('_', '-')}", spec.metadata["help"]
    if kind == "bool":
        group.add_argument(option, dest=spec.name, action=argparse.BooleanOptionalAction, help=text)
        return
    number = int if "int" in kind else float if "float" in kind else str
    count = "+" if kind.startswith("tuple") else None
    name = "NAME" if number is str else number.__name__.upper()
    group.add_argument(option, dest=spec.name, type=number, metavar=name, help=text, nargs=count)


def given(arguments: argparse.Namespace, names: Iterable[str]) -> dict:
    """Those of the named options that were given."""
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def add_config(parser: argparse.ArgumentParser) -> None:
    """--config: where settings come from, beside a preset or alone."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML, such as a run's config.toml")


def settings_file(arguments: argparse.Namespace) -> dict:
    """What the file of --config says; nothing where there is none.

    Raises:
        ConfigError: there is no preset either, or it is not TOML. FileError: it can't be read.
    """
    if arguments.preset is None and arguments.config is None:
        raise ConfigError("preset: expected a name such as mb-500-tf (see `ghostnet presets`), or --config FILE")
    return toml.read(arguments.config) if arguments.config else {}


def experiment_of(arguments: argparse.Namespace, changes: dict, names: Iterable[str]) -> Experiment:
    """The preset's settings, changed by a file's, changed by the options of these names."""
    changes = changes | given(arguments, names)
    return presets.preset(arguments.preset, **changes) if arguments.preset else from_mapping(changes)


def add_file(parser: argparse.ArgumentParser, what: str, about: str) -> None:
    """The file that a sweep or a search is in, and --out, its directory."""
    parser.add_argument("file", type=Path, help=about)
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"of the {what} (default: runs/NAME of the file)")


def folder_of(arguments: argparse.Namespace) -> Path:
    """The directory of the sweep or search in the file."""
    return arguments.out or Path("runs") / arguments.file.name.removesuffix(".toml")


def span(name: str, text: str) -> slice:
    """A:B, A: or :B, or a single number.

    Raises:
        ConfigError: it is none of these; `name` is the option's.
    """
    start, colon, stop = text.partition(":")
    try:
        first = int(start) if start else 0
        last = (int(stop) if stop else None) if colon else first + 1
    except ValueError:
        raise ConfigError(f"{name} = {text}: expected A:B, such as 0:8") from None
    if first < 0 or (last is not None and last <= first):
        raise ConfigError(f"{name} = {text}: expected A:B with 0 <= A < B")
    return slice(first, last)


def indices(examples: str, count: int) -> np.ndarray:
    """Those of `count` examples that a text names, integers: spans and single numbers, with commas in between.

    Raises:
        ConfigError: there is something else in it, or it goes beyond the last.
    """
    spans = [span("examples", part) for part in examples.split(",")]
    if any(some.start >= count or (some.stop or 0) > count for some in spans):
        raise ConfigError(f"examples = {examples}: expected A:B with 0 <= A < B <= {count}")
    return np.concatenate([np.arange(count)[some] for some in spans])


def baseline_method(run: str | Path) -> str | None:
    """The method of a baseline's run directory; None for any other, and where there is none."""
    path = Path(run) / store.CONFIG
    fields = toml.read(path) if path.is_file() else {}
    return str(fields["baseline"].get("method")) if isinstance(fields.get("baseline"), dict) else None


def add_data(parser: argparse.ArgumentParser) -> None:
    """--data: what to show, where it is not what the network was made for."""
    parser.add_argument(
        "--data",
        metavar="NAME",
        help="show others: mnist, fashion-mnist, a .npz file, or a directory of IDX or CIFAR files "
        "(default: the run's own, which have to be those that it began with)",
    )


def run_directory(name: str) -> Path | None:
    """The run directory that a network is taken from; None for a preset."""
    return Path(name) if Path(name).is_dir() else None


def network(name: str) -> Network:
    """The newest checkpoint of a run directory, or the initial network of a preset.

    Raises:
        ConfigError: it is neither, or a baseline's run. FileError: the run has no readable checkpoint.
    """
    from ghostnet.model.network import build

    if method := baseline_method(name):
        raise ConfigError(f"{name}: a run of the baseline {method} has no ghost units; give one of `ghostnet train`")
    if run_directory(name):
        from ghostnet.runs import checkpoint

        return checkpoint.newest(name)
    if name not in presets.PRESETS and ("/" in name or Path(name).exists()):
        raise ConfigError(f"{name}: expected a run directory or a preset (see `ghostnet presets`)")
    return build(presets.preset(name))
