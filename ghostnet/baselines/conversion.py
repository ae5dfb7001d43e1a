"""A torch module of Linear and Conv2d layers, learning by feedback alignment instead of backprop."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from ghostnet.baselines import feedback
from ghostnet.baselines.draws import BaselineStream
from ghostnet.config import require_known
from ghostnet.errors import ConfigError
from ghostnet.network import generator

_METHODS = ("fa", "dfa")


def convert(module: nn.Module, method: str, output_dim: int, seed: int = 0) -> Converted:
    """A copy of `module`, same weights, whose layers learn by FA or DFA; train it as any module.

    Args:
        module: its layers with parameters are Linear and Conv2d, one chain of them, registered in the order in which
            they run; the last one is Linear and gives the outputs (n, output_dim). Softmax belongs to the loss.
        method: "fa" or "dfa".
        output_dim: outputs of the last layer.
        seed: of the feedback weights B, uniform in ±1/√(what they sum over); they are drawn anew from it whenever the
            module is made, so state_dict() leaves them out.

    Raises:
        ConfigError: unknown method, another kind of layer with parameters, or another output_dim than the last layer's.
    """
    require_known([str(method).lower()], _METHODS, "method")
    layers = [
        (name, layer) for name, layer in module.named_modules() if next(layer.parameters(False), None) is not None
    ]
    for name, layer in layers:
        _check_layer(name or "the module itself", layer)
    if not layers or type(layers[-1][1]) is not nn.Linear:
        raise ConfigError("convert: the last layer with parameters has to be Linear, giving the outputs")
    wanted = layers[-1][1].out_features
    if output_dim != wanted:
        raise ConfigError(
            f"output_dim = {output_dim}: the last layer, {layers[-1][0] or 'Linear'}, has {wanted} outputs"
        )
    return Converted(copy.deepcopy(module), str(method).lower(), output_dim, seed)


def _check_layer(name: str, layer: nn.Module) -> None:
    kind = type(layer)
    if kind not in (nn.Linear, nn.Conv2d):
        raise ConfigError(f"unsupported layer {name}: {kind.__name__} has parameters; expected Linear and Conv2d only")
    if kind is nn.Conv2d and (layer.padding_mode != "zeros" or isinstance(layer.padding, str)):
        mode = layer.padding if isinstance(layer.padding, str) else layer.padding_mode
        raise ConfigError(f"unsupported layer {name}: Conv2d with padding {mode!r}; expected zeros, so many per side")


class Converted(nn.Module):
    """What `convert` returns; `module` is the copy, with a `Feedback` in place of every layer."""

    def __init__(self, module: nn.Module, method: str, output_dim: int, seed: int):
        super().__init__()
        places = [(name, layer) for name, layer in module.named_modules() if type(layer) in (nn.Linear, nn.Conv2d)]
        self.layers = []
        for index, (name, layer) in enumerate(places):
            last = index == len(places) - 1
            wrapped = Feedback(layer, method, output_dim, seed, index, last)
            self.layers.append(wrapped)
            if name:
                parent, _, own = name.rpartition(".")
                setattr(module.get_submodule(parent), own, wrapped)
            else:
                module = wrapped
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        signal = feedback.Signal()
        for layer in self.layers:
            layer.signal = signal
        return self.module(x)


class Feedback(nn.Module):
    """A Linear or Conv2d layer that hands its error down by FA or DFA.

    feedback: B, of W's shape (FA) or (outputs of the network, inputs of this layer) (DFA); None until DFA's first pass,
        which tells the inputs of a convolution.
    """

    def __init__(self, layer: nn.Module, method: str, output_dim: int, seed: int, index: int, last: bool):
        super().__init__()
        self.layer, self.method, self.last = layer, method, last
        self.signal = feedback.Signal()
        self._output_dim, self._stream = output_dim, (seed, BaselineStream.FEEDBACK, index)
        fixed = self._draw(layer.weight.shape, _summed(layer)) if method == "fa" else None
        self.register_buffer("feedback", fixed, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.method == "dfa" and self.feedback is None:
            inputs = x.shape[-1] if isinstance(self.layer, nn.Linear) else x[0].numel()
            self.feedback = self._draw((self._output_dim, inputs), self._output_dim)
        if self.method == "fa":
            carry = feedback.align(self.feedback)
        else:
            carry = feedback.direct(self.feedback, self.signal, self.last)
        apply = feedback.linear if isinstance(self.layer, nn.Linear) else feedback.conv2d
        return apply(self.layer, x, carry)

    def _draw(self, shape: tuple, summed: int) -> torch.Tensor:
        bound = 1 / np.sqrt(summed)
        like = self.layer.weight
        return torch.from_numpy(generator(*self._stream).uniform(-bound, bound, tuple(shape))).to(
            like.device, like.dtype
        )


def _summed(layer: nn.Module) -> int:
    """How many terms of δ the transpose of a layer sums over per input."""
    if isinstance(layer, nn.Linear):
        return layer.out_features
    return layer.out_channels // layer.groups * int(np.prod(layer.kernel_size))
