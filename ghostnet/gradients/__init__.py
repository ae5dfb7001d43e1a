"""Ghost-unit gradients beside backprop's: what a network learns, how far it is off, and why (docs/gradients.md)."""

from ghostnet.gradients.check import gradcheck
from ghostnet.gradients.report import GradientReport

__all__ = ["GradientReport", "gradcheck"]
