"""Backprop, feedback alignment and kin on the ghost units' data, weights and order: only credit assignment differs.

    baselines.train("DFA", experiment, learning_rate=2.0)    an MLP; `methods` is the page of equations
    baselines.convert(module, "DFA", output_dim=10)          a torch module of Linear and Conv2d layers

torch is imported when one of these is first asked for, not with the package.
"""

from ghostnet.model.baseline import METHODS, Baseline, mlp

__all__ = ["METHODS", "Baseline", "convert", "gradcheck", "mlp", "resume", "train"]


def __getattr__(name: str):
    if name in ("train", "resume"):
        from ghostnet.baselines import training

        return getattr(training, name)
    if name == "gradcheck":
        from ghostnet.baselines.check import gradcheck

        return gradcheck
    if name == "convert":
        from ghostnet.baselines.conversion import convert

        return convert
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
