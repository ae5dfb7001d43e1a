"""Backprop, feedback alignment and kin on the ghost units' data, weights and order: only credit assignment differs.

    baselines.train("DFA", experiment, learning_rate=2.0)    an MLP; `methods` is the page of equations
    baselines.train("BP", experiment, architecture="two-blocks", loss="cross-entropy", learning_rate=0.05)   a CNN
    baselines.convert(module, "DFA")                         a torch module; `ghostnet.torch` has layers, too

torch is imported when one of these is first asked for, not with the package.
"""

from typing import Any

from ghostnet.model.baseline import METHODS, Baseline, BaselineRun, mlp
from ghostnet.runs import resuming
from ghostnet.runs.checkpoint import Checkpoint
from ghostnet.runs.loop import Trainable

__all__ = ["METHODS", "Baseline", "convert", "gradcheck", "mlp", "train"]


def __getattr__(name: str) -> Any:
    if name == "train":
        from ghostnet.baselines.training import train

        return train
    if name == "gradcheck":
        from ghostnet.baselines.check import gradcheck

        return gradcheck
    if name == "convert":
        from ghostnet.baselines.conversion import convert

        return convert
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _restored(*given: Any) -> tuple[Trainable, Checkpoint]:
    from ghostnet.baselines.training import restored

    return restored(*given)


resuming.register(BaselineRun, _restored)
