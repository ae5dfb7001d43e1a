"""A network's weights as a safetensors file, which torch, JAX, NumPy and others read.

Tensors are called W_1, B_1, W_pg_1, W_gp_1, … (float64, shapes in `ghostnet.model.equations`); the metadata hold the
experiment as TOML (config_toml), the number of presentations, and the baseline that trained them (method), if any.
"""

from __future__ import annotations

import json
import os

import numpy as np

from ghostnet.errors import ConfigError, FileError
from ghostnet.files.opening import read_bytes
from ghostnet.files.publishing import publish
from ghostnet.model.equations import Weights
from ghostnet.model.experiment import MAX_TEXT, from_toml
from ghostnet.model.network import Network, build, checked, shapes

_MOST = 1 << 32  # bytes
_REMEDY = "give a file that `Network.save` wrote"


def save(network: Network, path: str | os.PathLike) -> None:
    """See `Network.save`."""
    import safetensors.numpy

    about = {"config_toml": network.experiment.to_toml(), "presentations": str(network.presentations)}
    if network.method is not None:
        about["method"] = network.method
    arrays = {name: np.ascontiguousarray(array) for name, array in _named(network.weights).items()}
    publish(path, safetensors.numpy.save(arrays, about))


def load(path: str | os.PathLike) -> Network:
    """See `Network.load`."""
    import safetensors

    content = read_bytes(path, _REMEDY, _MOST)
    try:
        tensors = dict(safetensors.deserialize(content))
        about = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__", {})
        text = about.get("config_toml", "")
        if not text or len(text) > MAX_TEXT:
            raise ValueError("holds no experiment of a sensible size")
        e = from_toml(text)
        weights = _weights(shapes(e)[0], tensors)
        network = build(e)
        network.weights = weights
        network.presentations, network.method = int(about.get("presentations", "0")), about.get("method")
        taken = checked(network, "float64")
    except (safetensors.SafetensorError, ConfigError, ValueError, KeyError) as error:
        raise FileError(f"{path}: no network's weights ({error}); {_REMEDY}") from error
    taken.method = network.method
    return taken


def _named(weights: Weights) -> dict[str, np.ndarray]:
    """Every matrix, or its shape, by its name in the file."""
    return {
        f"{symbol}_{k}": array
        for symbol, arrays in weights._asdict().items()
        for k, array in enumerate(arrays[1:], start=1)
    }


def _weights(wanted: Weights, tensors: dict[str, dict]) -> Weights:
    """The matrices of these shapes.

    Raises:
        ValueError: there are others.
    """
    names = _named(wanted)
    for name, shape in names.items():
        if name not in tensors or tensors[name]["dtype"] != "F64" or tuple(tensors[name]["shape"]) != shape:
            raise ValueError(f"{name} is not there as float64 of shape {shape}")
    arrays = {name: np.frombuffer(tensors[name]["data"], "<f8").reshape(shape) for name, shape in names.items()}
    return Weights(
        *([None, *(arrays[f"{symbol}_{k}"].astype(np.float64) for k in range(1, len(layers)))]
          for symbol, layers in wanted._asdict().items())
    )  # fmt: skip
