"""Feedback alignment and kin for torch, three ways in.

    gn.torch.FALinear(500, 10), FAConv2d, DFALinear, …   layers for torch's own, by method and kind
    gn.torch.mlp, lenet, resnet                          networks, plain ones, to convert
    gn.torch.convert(module, "dfa")                      any module
    gn.torch.connect(module)                             what a module made of DFA or DRTP layers needs before it learns
    gn.torch.for_opacus(module)                          a converted one, for differentially private training

Methods (equations: `ghostnet.baselines.layers`, `ghostnet.baselines.chains`): FA, FRSF, BRSF, USF, KP, WM, DFA, DRTP,
IFA, DTP. Kinds: Linear, Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d; of KP no
ConvTranspose, of DTP Linear only. They take the arguments of torch's layers, those that are connected `outputs` too,
how many the network has. B is drawn by torch's generator, as W is.
"""

from ghostnet.baselines.architectures import lenet, mlp, resnet
from ghostnet.baselines.conversion import METHODS, convert
from ghostnet.baselines.direct import connect
from ghostnet.baselines.layers import KINDS, layer_class
from ghostnet.baselines.perexample import for_opacus

_LAYERS = {made.__name__: made for method in METHODS.values() for made in (layer_class(method, kind) for kind in KINDS)}
globals().update(_LAYERS)

__all__ = ["connect", "convert", "for_opacus", "lenet", "mlp", "resnet", *_LAYERS]
