"""The torch engine: all runs at once, on the CPU or a GPU."""

from ghostnet.engines.torch.engine import Engine

__all__ = ["Engine"]
