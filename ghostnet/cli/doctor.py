"""What this installation runs on: the first thing to look at, and to quote, when something is odd."""

from __future__ import annotations

import os

from threadpoolctl import threadpool_info

from ghostnet.files.provenance import cpu_name, versions
from ghostnet.host.cpus import available_cpus
from ghostnet.model.presets import preset


def report() -> str:
    """Versions, processor, threads, BLAS, directories and GPU, one per line."""
    from ghostnet.engines.cpu.processor import targeted  # loads Numba, which takes a second

    target = targeted()
    blas = [f"{lib['internal_api']} {lib['version']}, {lib['num_threads']} threads" for lib in threadpool_info()]
    lines = [
        *(f"{name:<14}{version}" for name, version in versions().items()),
        f"processor     {cpu_name()}, {available_cpus()} of {os.cpu_count()} CPUs allowed",
        f"compiles for  {target.name}: vectors of {8 * target.vector_bytes} bits; {_features(target.features)}",
        f"one run       {_threads_of_a_run()}",
        f"BLAS          {'; '.join(blas)}",
        f"kernel cache  {_kernels()}",
        f"data          {os.environ.get('GHOSTNET_DATA', 'bundled MNIST (GHOSTNET_DATA is not set)')}",
        f"GPU           {_gpu()}",
    ]
    return "\n".join(lines)


def _threads_of_a_run() -> str:
    """How many threads the cpu engine gives some networks."""
    from ghostnet.engines.cpu.engine import members

    names = ("mb-500-tf", "ma-100-tf", "ma-500-tf", "ma-500-500-tf")
    threads = (members(preset(name), available_cpus()) for name in names)
    return "threads on the cpu engine: " + ", ".join(f"{n} for {name}" for n, name in zip(threads, names, strict=True))


def _features(features: str) -> str:
    """Those that LLVM was told of and that matter for speed."""
    has = sorted(name[1:] for name in features.split(",") if name.startswith(("+avx", "+fma", "+neon", "+sve", "+amx")))
    return " ".join(has) or "what the name implies"


def _kernels() -> str:
    """Where kernels are kept, and whether those there are this processor's."""
    from ghostnet.engines.cpu import cache

    own = cache.directory()
    if own is None:
        return "none: kernels are compiled in every session"
    others = sum(1 for folder in own.parent.glob("kernels-*") if folder != own)
    beside = f"; beside it {others} for other processors or versions" if others else ""
    return f"{own}: {cache.kernels(own)} kernels, compiled for this processor by this version{beside}"


def _gpu() -> str:
    try:
        import torch
    except ImportError as error:
        return f"torch can't be imported ({error})"
    if not torch.cuda.is_available():
        return f"none that torch {torch.__version__} can use"
    return torch.cuda.get_device_name()
