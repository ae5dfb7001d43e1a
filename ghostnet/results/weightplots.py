"""Pictures of weights: how far every ghost, and every unit that ghosts reach, is from what it is to learn."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from ghostnet.errors import ConfigError
from ghostnet.model.network import Network
from ghostnet.results.plots import ERROR, OTHER, RIGHT

_DOTS = 20_000  # weights of a scatter at most


def weights(network: Network, run: int = 0) -> plt.Figure:
    """W^pg_k against W_{k+1} and W^gp_k against B_k, for hidden layers whose ghosts have partners: Figure 3 by unit.

    Left, each weight beside the one that it is to become; right, by unit, the distance of its weights to those,
    relative to their norm, in order of size. Where every example owns a W^gp, their mean.

    Raises:
        ConfigError: no ghost has a partner, or there is no such run.
    """
    e, w = network.experiment, network.weights
    if not 0 <= run < network.runs:
        raise ConfigError(f"run = {run}: the network has {network.runs}; count from 0")
    hidden = [k for k in range(1, e.depth) if w.W_pg[k].shape[-2] == e.sizes[k + 1]]
    if not hidden:
        raise ConfigError(f"weights: no ghost of {e.model} has a partner (ghosts {e.ghosts}); nothing to compare")
    pairs = [pair for k in hidden for pair in _pairs(network, k, run)]
    figure, axes = plt.subplots(len(pairs), 2, figsize=(5.2, 2.2 * len(pairs)), squeeze=False)
    for row, pair in zip(axes, pairs, strict=True):
        _beside(*pair, ax=row[0])
        _distances(*pair, ax=row[1])
    return figure


def _pairs(network: Network, k: int, run: int) -> list[tuple[np.ndarray, np.ndarray, str, str]]:
    """(weights, what they are to become, their names) of the ghosts of a layer."""
    w = network.weights
    gp = w.W_gp[k][run]
    gp = gp.mean(0) if gp.ndim == 3 else gp
    return [
        (w.W_pg[k][run], w.W[k + 1][run], f"W$^{{pg}}_{k}$", f"W$_{k + 1}$"),
        (gp, w.B[k][run], f"W$^{{gp}}_{k}$", f"B$_{k}$"),
    ]


def _beside(own: np.ndarray, aim: np.ndarray, name: str, aim_name: str, ax: plt.Axes) -> None:
    step = max(1, own.size // _DOTS)
    ax.plot(aim.ravel()[::step], own.ravel()[::step], ".", color=RIGHT, markersize=1.5, rasterized=True)
    ends = np.array([aim.min(), aim.max()])
    ax.plot(ends, ends, color=OTHER, linestyle="-", linewidth=0.8)
    ax.set(xlabel=aim_name, ylabel=name)


def _distances(own: np.ndarray, aim: np.ndarray, name: str, aim_name: str, ax: plt.Axes) -> None:
    found = np.linalg.norm(own - aim, axis=1) / np.maximum(np.linalg.norm(aim, axis=1), np.finfo(float).tiny)
    ax.semilogy(np.arange(1, len(found) + 1), np.sort(found)[::-1], ".-", color=ERROR, markersize=3, linewidth=0.8)
    ax.set(xlabel=f"unit of {name}, in order", ylabel=f"‖{name} - {aim_name}‖ / ‖{aim_name}‖")
