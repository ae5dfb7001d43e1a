"""Every number of other authors that is shown beside ours: what it is of, and where it stands. In this table only.

tests/test_published.py holds each use of them to it: the network they are printed beside, and what the texts quote.
"""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """Numbers of one source.

    Attributes:
        source: who, and where to find it. where: in it.
        what: is measured, of what, under which settings as far as the source tells them.
        columns: of the numbers. rows: {network: numbers}, None where the source has none.
        epochs: that its networks are trained for, None where it doesn't say.
    """

    source: str
    where: str
    what: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[float | None, ...]]
    epochs: int | None = None


_GHOST_UNITS = "Mesnard, Vignoud, Sacramento, Senn, Bengio 2019, arXiv:1911.08585"

GHOST_UNITS = Published(
    source=_GHOST_UNITS,
    where="Table 1",
    what="percent correct on MNIST (55,000 training images), means of 5 runs; settings in its Tables 2 to 4. Rows are "
    "presets: the model, then the units of every hidden layer",
    columns=("TF train", "TF test", "FA train", "FA test"),
    rows={
        "ma-100": (99.97, 97.66, 99.90, 97.47),
        "ma-300": (100, 98.21, 99.99, 97.97),
        "ma-500": (100, 98.27, 100, 98.12),
        "ma-500-500": (99.67, 97.86, 99.93, 98.05),
        "ma-prime-500": (97.77, 96.57, None, None),
        "mb-100": (99.31, 97.22, 98.93, 97.39),
        "mb-300": (99.70, 98.05, 99.48, 97.98),
        "mb-500": (99.76, 98.13, 99.56, 98.01),
        "mb-300-300": (99.84, 97.95, 99.78, 98.05),
        "mb-500-500": (99.91, 98.13, 99.85, 98.21),
    },
)
GHOST_GRADIENT = Published(
    source=_GHOST_UNITS,
    where="section 5.1, (MB) dynamics, on Figure 5",
    what="largest relative error of the ghost units' gradient against backprop over 50 epochs, percent; how examples "
    "are averaged is not said",
    columns=("TF",),
    rows={"mb-500": (7,)},
)
FEEDBACK_ALIGNMENT = Published(
    source="Nøkland 2016, arXiv:1609.01596",
    where="Table 1",
    what="test error on MNIST in percent, up to 300 epochs, settings tuned per network. Rows are hidden layers × "
    "units, tanh where no other transfer function is named, with dropout or adversarial examples where they are",
    columns=("BP", "FA", "DFA"),
    rows={
        "7x240": (2.16, 2.20, 2.32),
        "100x240": (None, None, 3.92),
        "1x800": (1.59, 1.68, 1.68),
        "2x800": (1.60, 1.64, 1.74),
        "3x800": (1.75, 1.66, 1.70),
        "4x800": (1.92, 1.70, 1.83),
        "2x800-logistic": (1.67, 1.82, 1.75),
        "2x800-relu": (1.48, 1.74, 1.70),
        "2x800-dropout": (1.26, 1.53, 1.45),
        "2x800-adversarial": (1.01, 1.14, 1.02),
    },
    epochs=300,
)
SMALL_NETWORKS = Published(
    source='Thakkar, Patel, Patel, "Feedback Alignment Methods", slides of a deep learning project',
    where='"Results on ANN", "Results on CNN"',
    what="percent correct of MNIST's test images; sizes of the convolutions, transfer functions, optimiser and epochs "
    "are not given. Rows are the layers with weights, in order",
    columns=("BP", "FA", "DFA"),
    rows={
        "Linear(50) Linear(10)": (93.49, 94.12, 95.0),
        "Conv2d Conv2d Conv2d Linear Linear": (97.0, 90.34, 92.87),
    },
)
BIOTORCH = Published(
    source="Sanfiz, Akrout, BioTorch, github.com/jsalbert/biotorch",
    where='README.md, "Benchmarks", at commit 0064d0b',
    what="percent wrong, of the epoch that is best on the images that it is of; settings and epochs are not given",
    columns=("BP", "FA", "DFA", "uSF", "brSF", "frSF"),
    rows={
        "LeNet, MNIST": (0.84, 1.91, 1.71, 0.83, 0.79, 0.92),
        "LeNet, Fashion-MNIST": (8.88, 12.77, 12.76, 9.22, 9.31, 9.27),
    },
)
BIOTORCH_CIFAR = Published(
    source=BIOTORCH.source,
    where=BIOTORCH.where,
    what="percent wrong on the test set, of the epoch that is best on 5,000 images held out, by SGD; settings are in "
    "benchmark_configs/cifar10/resnet_20/sgd",
    columns=BIOTORCH.columns,
    rows={"ResNet-20": (9.42, 36.38, 39.35, 15.01, 14.95, 16.94)},
    epochs=250,
)
_REPORT = 'Adkins, Vasishta, "Biologically Plausible Training of Deep Learning Models", report, University of Georgia'
DEPTH = Published(
    source=_REPORT,
    where="Table 1",
    what="percent correct on MNIST, by depth; units, channels, epochs, and the noise of the private networks are not "
    "given (73 is what its Table 2 has at σ = 0.5)",
    columns=("BP",),
    rows={
        "private, one hidden layer": (73,),
        "private, two hidden layers": (64,),
        "CNN, one block": (95,),
        "CNN, two blocks": (97,),
    },
)
PRIVATE = Published(
    source=_REPORT,
    where="Table 2",
    what="percent correct on MNIST of a fully connected network by BP, by deviation σ of the noise: the shallower of "
    "its Table 1, with one hidden layer of a number of units that is not given; its authors distrust the "
    "implementation of privacy",
    columns=("no privacy", "σ = 0.1", "σ = 0.5", "σ = 1.0"),
    rows={"one hidden layer": (97, 78, 73, 61)},
)
ALL = (GHOST_UNITS, GHOST_GRADIENT, FEEDBACK_ALIGNMENT, SMALL_NETWORKS, BIOTORCH, BIOTORCH_CIFAR, DEPTH, PRIVATE)
