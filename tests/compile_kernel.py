"""Compiles the kernel of mb-500-fa for a GPU that need not be there: python compile_kernel.py 90

Prints a line for each type and phase: registers of a thread and bytes of its stack, from the machine code.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from ghostnet import build, preset
from ghostnet.engines import create
from ghostnet.engines.torch import fused

CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"


def compiled(phase: int, dtype: str, capability: int) -> bytes:
    """The machine code of what a launch for mb-500-fa runs."""
    ensemble = create("torch", build(preset("mb-500-fa")), dtype, 1).ensemble
    found = []

    def compile_only(*arguments, num_warps, enable_fp_fusion, **constants):
        pointer = {torch.float32: "*fp32", torch.float64: "*fp64"}
        kinds = [pointer[a.dtype] if isinstance(a, torch.Tensor) else "i32" for a in arguments]
        names = kernel.arg_names
        signature = dict(zip(names, kinds, strict=False)) | dict.fromkeys(constants, "constexpr")
        source = ASTSource(kernel, signature, {(names.index(name),): value for name, value in constants.items()})
        options = {"num_warps": num_warps, "enable_fp_fusion": enable_fp_fusion}
        found.append(triton.compile(source, GPUTarget("cuda", capability, 32), options).asm["cubin"])

    kernel = fused.step_phase
    fused.step_phase = {(1,): compile_only}
    try:
        with torch.inference_mode():  # as the engine
            fused.Phases(ensemble, [ensemble.experiment]).advance(phase, 1)
    finally:
        fused.step_phase = kernel
    return found[0]


def usage(cubin: bytes) -> list[str]:
    """REG:… and STACK:…, as the disassembler that comes with Triton prints them."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [CUOBJDUMP, "--dump-resource-usage", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [word for word in text.split() if word.startswith(("REG:", "STACK:"))]


if __name__ == "__main__":
    for dtype in ("float32", "float64"):
        for phase in range(2):
            print(dtype, ("free", "clamped")[phase], *usage(compiled(phase, dtype, int(sys.argv[1]))))
