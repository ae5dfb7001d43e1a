"""Numbers that all runs share, or that differ between them, and updates that they scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

Factor: TypeAlias = float | Tensor  # a number where all runs share it


def factor(values: Sequence[float], like: Tensor, repeat: int = 1) -> Factor:
    """A number where all runs share it, else a tensor (runs · repeat, 1, 1)."""
    if len(set(values)) == 1:
        return values[0]
    return like.new_tensor(values).repeat_interleave(repeat).view(-1, 1, 1)


def add_outer(out: Tensor, a: Tensor, b: Tensor, rate: Factor, scaled: Tensor, keep: Factor = 1.0) -> None:
    """out = keep out + rate a^T b, summed over the batch; `scaled` takes rate · a where runs have own rates."""
    if isinstance(rate, Tensor):
        a, rate = torch.mul(a, rate, out=scaled), 1
    if isinstance(keep, Tensor):
        out.mul_(keep).baddbmm_(a.mT, b, alpha=rate)
    else:
        out.baddbmm_(a.mT, b, beta=keep, alpha=rate)
