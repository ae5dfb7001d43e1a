"""Networks for torch to train, as they are or converted; outputs are scores, softmax belongs to the loss."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional

from ghostnet.model.typed import require


def mlp(*sizes: int, transfer: type[nn.Module] = nn.ReLU, bias: bool = True) -> nn.Sequential:
    """Dense layers of these sizes with a transfer function between them; takes inputs (n, …), flattened.

    Args:
        sizes: units of every layer, from the inputs to the outputs, such as 784, 500, 10.
        transfer: the class of the layers between them.

    Raises:
        ConfigError: fewer than two sizes.

    Examples:
        >>> [layer.out_features for layer in gn.torch.mlp(784, 500, 10)[1::2]]
        [500, 10]
    """
    require(len(sizes) >= 2, f"sizes = {sizes}: expected inputs and outputs at least, such as 784, 500, 10")
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, units in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, units, bias), transfer()]
    return nn.Sequential(*layers[:-1])


def lenet(channels: int = 1, side: int = 28, classes: int = 10) -> nn.Sequential:
    """LeNet-5 with ReLU and max-pooling (LeCun et al. 1998, doi:10.1109/5.726791, Fig. 2).

    Args:
        channels: of the images (n, channels, side, side).
        side: 12 or more, a multiple of 4.

    Raises:
        ConfigError: another side.

    Examples:
        >>> sum(parameter.numel() for parameter in gn.torch.lenet().parameters())
        61706
    """
    require(side >= 12 and side % 4 == 0, f"side = {side}: expected 12, 16, 20, …")
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(16 * (side // 4 - 2) ** 2, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes),
    )  # fmt: skip


def one_block(side: int = 28, classes: int = 10, channels: int = 1) -> nn.Sequential:
    """One block of convolution and max-pooling, dropout, a dense layer."""
    return nn.Sequential(
        nn.Conv2d(channels, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(16 * (side // 2) ** 2, classes),
    )  # fmt: skip


def two_blocks(side: int = 28, classes: int = 10, channels: int = 1) -> nn.Sequential:
    """Two blocks of convolution and max-pooling, dropout, a dense layer."""
    return nn.Sequential(
        nn.Conv2d(channels, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(32 * (side // 4) ** 2, classes),
    )  # fmt: skip


def three_convolutions(side: int = 28, classes: int = 10, channels: int = 1) -> nn.Sequential:
    """Three convolutions, tanh, pooled after the first two, and two dense layers."""
    return nn.Sequential(
        nn.Conv2d(channels, 16, 5, padding=2), nn.Tanh(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2), nn.Tanh(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1), nn.Tanh(),
        nn.Flatten(), nn.Linear(32 * (side // 4) ** 2, 128), nn.Tanh(), nn.Linear(128, classes),
    )  # fmt: skip


class Block(nn.Module):
    """relu(x + norm(conv(relu(norm(conv(x)))))); where it halves the image, x is every other pixel, more channels 0."""

    def __init__(self, channels: int, units: int):
        super().__init__()
        self.stride, self.added = (1, 0) if channels == units else (2, units - channels)
        self.conv1 = nn.Conv2d(channels, units, 3, self.stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(units)
        self.conv2 = nn.Conv2d(units, units, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(units)

    def forward(self, x: Tensor) -> Tensor:
        change = self.norm2(self.conv2(functional.relu(self.norm1(self.conv1(x)))))
        if self.added:
            x = functional.pad(x[..., :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))
        return functional.relu(x + change)


def resnet(depth: int = 20, channels: int = 3, classes: int = 10) -> nn.Sequential:
    """A residual network for small images, CIFAR's (He et al. 2016, arXiv:1512.03385, section 4.2).

    Args:
        depth: layers with weights, 6 m + 2: 20, 32, 44, 56, 110.
        channels: of the images (n, channels, height, width).

    Raises:
        ConfigError: another depth.

    Examples:
        >>> import torch
        >>> gn.torch.resnet(20)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """
    require(depth >= 8 and depth % 6 == 2, f"depth = {depth}: expected 6 m + 2, such as 20, 32, 44, 56, 110")
    of_blocks = [units for units in (16, 32, 64) for _ in range(depth // 6)]
    net = nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        *(Block(before, units) for before, units in itertools.pairwise([16, *of_blocks])),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes),
    )  # fmt: skip
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return net


# By name, of a side, classes and channels.
_OF_IMAGES: dict[str, Callable[[int, int, int], nn.Sequential]] = {
    "one-block": one_block,
    "two-blocks": two_blocks,
    "three-convolutions": three_convolutions,
    "lenet": lambda side, classes, channels: lenet(channels, side, classes),
    "resnet-20": lambda side, classes, channels: resnet(20, channels, classes),
}


def of_rows(architecture: str, sizes: Sequence[int]) -> nn.Sequential:
    """A network of images for what data sets hold: rows of pixels.

    Args:
        sizes: pixels first, classes last.

    Raises:
        ConfigError: these are no pixels of a square image.
    """
    pixels, *_, classes = sizes
    channels = 3 if pixels % 3 == 0 and math.isqrt(pixels // 3) ** 2 == pixels // 3 else 1
    side = math.isqrt(pixels // channels)
    kind = f"{architecture} takes square images of 4 x 4 or more, grey or in three colours"
    require(channels * side * side == pixels and side >= 4, f"sizes = {tuple(sizes)}: {kind}")
    return nn.Sequential(nn.Unflatten(1, (channels, side, side)), *_OF_IMAGES[architecture](side, classes, channels))
