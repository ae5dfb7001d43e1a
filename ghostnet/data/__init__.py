"""Data sets: what networks are shown, and how it is read."""

from ghostnet.data.datasets import OWN, Dataset
from ghostnet.data.encoding import one_hot, scale
from ghostnet.data.idx import read_idx
from ghostnet.data.loading import dataset, load
from ghostnet.data.published import NAMES

__all__ = ["NAMES", "OWN", "Dataset", "dataset", "load", "one_hot", "read_idx", "scale"]
