"""What several commands ask for alike: settings as options, and a network by name."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable
from pathlib import Path

from ghostnet import presets
from ghostnet.errors import ConfigError


def add_setting(group, spec: dataclasses.Field) -> None:
    """A field of a settings dataclass as an option, with the help that it carries."""
    kind = str(spec.type)
    number = int if "int" in kind else float if "float" in kind else str
    many = {"nargs": "+"} if kind.startswith("tuple") else {}
    name = "NAME" if number is str else number.__name__.upper()
    option, text = f"--{spec.name.replace('_', '-')}", spec.metadata["help"]
    group.add_argument(option, dest=spec.name, type=number, metavar=name, help=text, **many)


def given(arguments: argparse.Namespace, names: Iterable[str]) -> dict:
    """Those of the named options that were given."""
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def network(name: str):
    """The newest checkpoint of a run directory, or the initial network of a preset.

    Raises:
        ConfigError: it is neither. FileError: the run has no readable checkpoint.
    """
    from ghostnet.network import build

    if Path(name).is_dir():
        from ghostnet import checkpoint

        return checkpoint.newest(name)
    if name not in presets.PRESETS and ("/" in name or Path(name).exists()):
        raise ConfigError(f"{name}: expected a run directory or a preset (see `ghostnet presets`)")
    return build(presets.preset(name))
