"""The CPU engine: the page of equations as kernels that Numba compiles."""

from ghostnet.engines.cpu.engine import Engine

__all__ = ["Engine"]
