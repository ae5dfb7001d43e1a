"""ghostnet: a continuous-time simulator of ghost-unit networks (Mesnard et al. 2019, arXiv:1911.08585)."""

import importlib
from typing import Any

from ghostnet import baselines
from ghostnet.data import dataset
from ghostnet.errors import ConfigError, DataError, DivergenceError, FileError, GhostnetError, Stopped
from ghostnet.gradients import gradcheck
from ghostnet.model.experiment import Experiment
from ghostnet.model.laws import Cost, Transfer
from ghostnet.model.models import MODELS, Model, Phase, Rule
from ghostnet.model.network import Network, build
from ghostnet.model.presets import PRESETS, preset
from ghostnet.model.recorder import Recorder
from ghostnet.runs.loop import Run, Training
from ghostnet.runs.resuming import resume
from ghostnet.runs.training import train
from ghostnet.simulator import Simulator

__all__ = [
    "MODELS",
    "PRESETS",
    "ConfigError",
    "Cost",
    "DataError",
    "DivergenceError",
    "Experiment",
    "FileError",
    "GhostnetError",
    "Model",
    "Network",
    "Phase",
    "Recorder",
    "Rule",
    "Run",
    "Simulator",
    "Stopped",
    "Training",
    "Transfer",
    "baselines",
    "build",
    "dataset",
    "from_torch",
    "gradcheck",
    "load_sweep",
    "open_trace",
    "preset",
    "resume",
    "sweep",
    "torch",
    "train",
]


def __getattr__(name: str) -> Any:
    """What brings packages that most uses do without, or takes time: loaded when first asked for."""
    if name == "__version__":
        from importlib import metadata

        try:
            return metadata.version("ghost-units")
        except metadata.PackageNotFoundError:
            return "not installed"
    if name == "from_torch":
        from ghostnet.model.modules import from_torch

        return from_torch
    if name == "open_trace":
        from ghostnet.traces.reading import open_trace

        return open_trace
    if name == "load_sweep":
        from ghostnet.sweep.results import load_sweep

        return load_sweep
    if name in ("sweep", "torch"):
        return importlib.import_module(f"ghostnet.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
