"""What this installation runs on: the first thing to look at, and to quote, when something is odd."""

from __future__ import annotations

import os

from threadpoolctl import threadpool_info

from ghostnet import store
from ghostnet.simulator import available_cpus


def report() -> str:
    """Versions, processor, threads, BLAS, directories and GPU, one per line."""
    from ghostnet.engines import compiled, simd  # loads Numba, which takes a second

    blas = [f"{lib['internal_api']} {lib['version']}, {lib['num_threads']} threads" for lib in threadpool_info()]
    lines = [
        *(f"{name:<14}{version}" for name, version in store.versions().items()),
        f"processor     {store.cpu_name()}, {available_cpus()} of {os.cpu_count()} CPUs allowed",
        f"vectors       {8 * simd.VECTOR_BYTES} bits",
        f"BLAS          {'; '.join(blas)}",
        f"kernel cache  {compiled.cache_directory()}",
        f"data          {os.environ.get('GHOSTNET_DATA', 'bundled MNIST (GHOSTNET_DATA is not set)')}",
        f"GPU           {_gpu()}",
    ]
    return "\n".join(lines)


def _gpu() -> str:
    try:
        import torch
    except ImportError as error:
        return f"torch can't be imported ({error})"
    if not torch.cuda.is_available():
        return f"none that torch {torch.__version__} can use"
    return torch.cuda.get_device_name()
