"""ghostnet: a continuous-time simulator of ghost-unit networks (Mesnard et al. 2019, arXiv:1911.08585)."""

from ghostnet import baselines
from ghostnet.config import Experiment
from ghostnet.errors import ConfigError, DataError, DivergenceError, FileError, GhostnetError
from ghostnet.network import Network, build
from ghostnet.presets import PRESETS, preset
from ghostnet.simulator import Simulator
from ghostnet.training import Training, train

__all__ = [
    "PRESETS",
    "ConfigError",
    "DataError",
    "DivergenceError",
    "Experiment",
    "FileError",
    "GhostnetError",
    "Network",
    "Simulator",
    "Training",
    "baselines",
    "build",
    "preset",
    "train",
]
