"""Data sets: what networks are shown, and how it is read."""

from ghostnet.data.datasets import NAMES, Dataset, load, one_hot, read_idx, scale

__all__ = ["NAMES", "Dataset", "load", "one_hot", "read_idx", "scale"]
