"""What the torch engine shows, on its device: arrays, a chunk of them at a time, or examples of a data set.

Both are filled by `load` without waiting for the device, and copy to x and y what is shown at a position that only the
device knows. A presentation of either is captured as a CUDA graph of its own.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ghostnet.data import Dataset
from ghostnet.engines.tensors import Images

CHUNK_BYTES = 1 << 23  # of arrays on the device at a time


class Arrays:
    """Inputs and targets as they come, of the shapes and the type of x and y."""

    def __init__(self, x: Tensor, y: Tensor):
        self.capacity = max(1, CHUNK_BYTES // (x.nbytes + y.nbytes))
        self.graph: torch.cuda.CUDAGraph | None = None
        self.xs, self.ys = (a.new_zeros(self.capacity, *a.shape) for a in (x, y))

    def load(self, xs: np.ndarray, ys: np.ndarray) -> None:
        bring(xs, self.xs[: len(xs)])
        bring(ys, self.ys[: len(ys)])

    def show(self, position: Tensor, x: Tensor, y: Tensor) -> None:
        torch.index_select(self.xs, 0, position, out=x[None])
        torch.index_select(self.ys, 0, position, out=y[None])


class Examples:
    """Training examples of a data set, by their indices; as many presentations as an epoch has."""

    def __init__(self, dataset: Dataset, presentations: int, x: Tensor):
        self.dataset, self.images = dataset, Images(dataset, x.device)
        self.capacity = presentations
        self.graph: torch.cuda.CUDAGraph | None = None
        self.order = torch.zeros(presentations, *x.shape[:2], dtype=torch.int64, device=x.device)

    def load(self, order: np.ndarray) -> None:
        bring(order, self.order[: len(order)])

    def show(self, position: Tensor, x: Tensor, y: Tensor) -> None:
        shown = torch.index_select(self.order, 0, position)[0]
        for values, target in zip(self.images.batch(shown, x.dtype), (x, y), strict=True):
            target.copy_(values)


def bring(values: np.ndarray, target: Tensor) -> None:
    """Copy to the device without waiting until it has arrived."""
    staging = torch.empty(target.shape, dtype=target.dtype, pin_memory=target.device.type == "cuda")
    staging.numpy()[...] = values
    target.copy_(staging, non_blocking=True)
