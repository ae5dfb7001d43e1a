"""ghostnet: a continuous-time simulator of ghost-unit networks (Mesnard et al. 2019, arXiv:1911.08585)."""

from ghostnet import baselines, sweep
from ghostnet.config import Experiment
from ghostnet.errors import ConfigError, DataError, DivergenceError, FileError, GhostnetError, Stopped
from ghostnet.gradients import gradcheck
from ghostnet.network import Network, build
from ghostnet.presets import PRESETS, preset
from ghostnet.recorder import Recorder
from ghostnet.simulator import Simulator
from ghostnet.training import Training, resume, train

__all__ = [
    "PRESETS",
    "ConfigError",
    "DataError",
    "DivergenceError",
    "Experiment",
    "FileError",
    "GhostnetError",
    "Network",
    "Recorder",
    "Simulator",
    "Stopped",
    "Training",
    "baselines",
    "build",
    "gradcheck",
    "load_sweep",
    "open_trace",
    "preset",
    "resume",
    "sweep",
    "train",
]


def __getattr__(name: str):
    if name == "open_trace":  # brings xarray and h5py, which most commands do without
        from ghostnet.traces import open_trace

        return open_trace
    if name == "load_sweep":
        from ghostnet.sweep.results import load_sweep

        return load_sweep
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
