"""A data set as tensors, shown and scored: for the torch engine and the baselines."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ghostnet.data import Dataset
from ghostnet.engines.evaluation import Score
from ghostnet.errors import ConfigError
from ghostnet.model.typed import require_known

DEVICES = ("cpu", "cuda")
_BLOCK = 1000  # examples scored at a time, so that memory does not grow with the data set


@contextlib.contextmanager
def own_precision() -> Iterator[None]:
    """torch in the types that we give it and able to differentiate, also where autocast or no_grad is around."""
    with torch.autocast("cpu", enabled=False), torch.inference_mode(False), torch.enable_grad():
        yield


@contextlib.contextmanager
def working(threads: int) -> Iterator[None]:
    """`own_precision`, and torch with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with own_precision():
            yield
    finally:
        torch.set_num_threads(before)


def require_device(device: str) -> None:
    """Raise ConfigError where there is no such device, or none to be used by this process."""
    require_known([device], DEVICES, "device")
    if device == "cpu":
        return
    if torch.cuda._is_in_bad_fork():
        raise ConfigError("device = cuda: this process was forked from one that uses the GPU; start it by 'spawn'")
    if not torch.cuda.is_available():
        raise ConfigError(
            f"device = cuda: torch {torch.__version__} finds no CUDA GPU; take device cpu, or install torch for CUDA"
        )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS gives the same bits in every run only with it


class Images:
    """A data set on a device.

    Attributes:
        train, test: images (n, n_0), uint8 or floats, and int64 labels (n,). classes: their number.
    """

    def __init__(self, dataset: Dataset, device: str | torch.device = "cpu"):
        self.train, self.test = (
            (torch.tensor(images, device=device), torch.tensor(labels, dtype=torch.int64, device=device))
            for images, labels in map(dataset.part, ("train", "test"))
        )
        self.classes = dataset.classes

    def batch(self, shown: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """x (*shown, n_0) and one-hot y (*shown, n_N) of training examples."""
        images, labels = self.train
        return scale(images[shown], dtype), one_hot(labels[shown], self.classes, dtype)


def scale(images: Tensor, dtype: torch.dtype) -> Tensor:
    """`ghostnet.data.scale` on the images' device, to the same bits."""
    if images.dtype != torch.uint8:
        return images.to(dtype)
    return images.to(dtype).div_(images.new_full((), 255, dtype=dtype))  # by a number, CUDA would take its reciprocal


def one_hot(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """`ghostnet.data.one_hot` on the labels' device; unlike torch's, it does not look at a label and so never waits."""
    return (labels[..., None] == torch.arange(classes, device=labels.device)).to(dtype)


def counted(
    u: Tensor, labels: Tensor, rates: Callable[[Tensor], Tensor], loss: Callable[[Tensor, Tensor], Tensor] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Right answers, Σ (y - ŷ)² and Σ C of outputs u_N (…, n, n_N) with labels (…, n) or (n,): (…) each, float64.

    Args:
        rates, loss: as for `score`.
    """
    y = one_hot(labels, u.shape[-1], u.dtype)
    right = (u.argmax(-1) == labels).sum(-1, dtype=torch.float64)
    squares = (y - rates(u)).square().sum((-2, -1), dtype=torch.float64)
    return right, squares, torch.zeros_like(right) if loss is None else loss(u, y).sum(-1, dtype=torch.float64)


def score(
    outputs: Callable[[Tensor], Tensor],
    rates: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    dtype: torch.dtype,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Score:
    """Score what classifies images (n, n_0) with labels (n,), on their device; waits for it once, at the end.

    Args:
        outputs: u_N (runs, n, n_N) of inputs (n, n_0) of `dtype`; its argmax is the answer.
        rates: ŷ of u_N, for the squared error.
        loss: of u_N and y, of every example (…, n).
    """
    right = squares = losses = torch.zeros((), dtype=torch.float64, device=images.device)
    for some, wanted in zip(images.split(_BLOCK), labels.split(_BLOCK), strict=True):
        u = outputs(scale(some, dtype))
        found = counted(u, wanted, rates, loss)
        right, squares, losses = (a + b for a, b in zip((right, squares, losses), found, strict=True))
    accuracy, summed, mean = (total.cpu().numpy() / len(images) for total in (right, squares, losses))
    return Score(accuracy, summed / u.shape[-1], None if loss is None else mean)
