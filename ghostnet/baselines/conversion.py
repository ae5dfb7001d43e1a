"""A torch module of Linear and Conv2d layers, learning by feedback alignment instead of backprop."""

from __future__ import annotations

import copy
import math
import numbers
from typing import Any

import numpy as np
import torch
from torch import nn

from ghostnet.baselines import feedback
from ghostnet.baselines.draws import BaselineStream
from ghostnet.errors import ConfigError
from ghostnet.model.network import generator
from ghostnet.model.typed import require, require_known

_METHODS = ("fa", "dfa")


def convert(module: nn.Module, method: str, output_dim: int, seed: int = 0) -> Converted:
    """A copy of `module`, same weights, whose layers learn by FA or DFA; train it as any module.

    Args:
        module: its layers with parameters are Linear and Conv2d, one chain of them, registered in the order in which
            they run; the last one is Linear and gives the outputs (n, output_dim). Softmax belongs to the loss.
        method: "fa" or "dfa".
        output_dim: outputs of the last layer.
        seed: of the feedback weights B, uniform in ±1/√(what they sum over); B is part of state_dict(), or, where a
            convolution under DFA has not run yet, the seed that it will be drawn from.

    Raises:
        ConfigError: unknown method, another kind of layer with parameters, another output_dim than the last layer's, a
            module converted before, or a seed that is no whole number from 0 to 2^63 - 1.
    """
    require_known([str(method).lower()], _METHODS, "method")
    require(isinstance(seed, numbers.Integral) and 0 <= seed < 2**63, f"seed = {seed!r}: expected 0 to 2^63 - 1")
    require(
        not any(isinstance(part, Feedback) for part in module.modules()),
        "convert: this module is converted already; give the one that it was made from",
    )
    layers = [
        (name, layer) for name, layer in module.named_modules() if next(layer.parameters(False), None) is not None
    ]
    for name, layer in layers:
        _check_layer(name or "the module itself", layer)
    name, last = layers[-1] if layers else ("", None)
    if not isinstance(last, nn.Linear):
        raise ConfigError("convert: the last layer with parameters has to be Linear, giving the outputs")
    if output_dim != last.out_features:
        raise ConfigError(
            f"output_dim = {output_dim}: the last layer, {name or 'Linear'}, has {last.out_features} outputs"
        )
    return Converted(copy.deepcopy(module), str(method).lower(), output_dim, seed)


def _check_layer(name: str, layer: nn.Module) -> None:
    kind = type(layer)
    if kind not in (nn.Linear, nn.Conv2d):
        raise ConfigError(f"unsupported layer {name}: {kind.__name__} has parameters; expected Linear and Conv2d only")
    if isinstance(layer, nn.Conv2d) and (layer.padding_mode != "zeros" or isinstance(layer.padding, str)):
        mode = layer.padding if isinstance(layer.padding, str) else layer.padding_mode
        raise ConfigError(f"unsupported layer {name}: Conv2d with padding {mode!r}; expected zeros, so many per side")


class Converted(nn.Module):
    """What `convert` returns; `module` is the copy, with a `Feedback` in place of every layer."""

    def __init__(self, module: nn.Module, method: str, output_dim: int, seed: int):
        super().__init__()
        places = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
        self.layers: list[Feedback] = []
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

    feedback: B, of W's shape (FA) or (outputs of the network, inputs of this layer) (DFA); None until the first pass
        of a convolution under DFA, which tells its inputs.
    seed: of a B that is still to be drawn, so that state_dict() of a module that has not run yet decides it too.
    """

    layer: nn.Linear | nn.Conv2d
    feedback: torch.Tensor | None
    seed: torch.Tensor | None

    def __init__(self, layer: nn.Linear | nn.Conv2d, method: str, output_dim: int, seed: int, index: int, last: bool):
        super().__init__()
        self.layer = layer
        self.method = method
        self.last = last
        self.signal = feedback.Signal()
        self._output_dim, self._index = output_dim, index
        fixed = None
        if method == "fa":
            fixed = self._draw(seed, layer.weight.shape, _summed(layer))
        elif isinstance(layer, nn.Linear):
            fixed = self._draw(seed, (output_dim, layer.in_features), output_dim)
        self.register_buffer("seed", torch.tensor(seed) if fixed is None else None)
        self.register_buffer("feedback", fixed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.seed is not None:
            self._fit(x, int(self.seed))
        if self.feedback is None:
            raise ConfigError("feedback: a layer has no B, and no seed to draw one from; convert the module anew")
        if self.method == "fa":
            carry = feedback.align(self.feedback)
        else:
            carry = feedback.direct(self.feedback, self.signal, self.last)
        if isinstance(self.layer, nn.Linear):
            return feedback.linear(self.layer, x, carry)
        return feedback.conv2d(self.layer, x, carry)

    def _fit(self, x: torch.Tensor, seed: int) -> None:
        """Draw the B of a convolution under DFA at its first pass; hold later ones to it."""
        inputs = math.prod(x.shape[-3:])
        if self.feedback is None:
            self.feedback = self._draw(seed, (self._output_dim, inputs), self._output_dim)
        elif self.feedback.shape[1] != inputs:
            raise ConfigError(
                f"dfa: an input of shape {tuple(x.shape)} has {inputs} values an example, the first had "
                f"{self.feedback.shape[1]}: B fits that size only; give such inputs, or convert the module anew"
            )

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *others: Any) -> None:
        """A B that the state has not drawn, or the module has not, is no mismatch: the state's seed or B decides."""
        if self.seed is not None and f"{prefix}seed" in state_dict:
            given = state_dict.get(f"{prefix}feedback")
            if given is None:
                self.feedback = None
            elif self.feedback is None:
                self.feedback = self.layer.weight.new_empty(given.shape)
        super()._load_from_state_dict(state_dict, prefix, *others)

    def _draw(self, seed: int, shape: tuple, summed: int) -> torch.Tensor:
        bound = 1 / np.sqrt(summed)
        draw = generator(seed, BaselineStream.FEEDBACK, self._index)
        return torch.from_numpy(draw.uniform(-bound, bound, tuple(shape))).to(self.layer.weight)


def _summed(layer: nn.Linear | nn.Conv2d) -> int:
    """How many terms of δ the transpose of a layer sums over per input."""
    if isinstance(layer, nn.Linear):
        return layer.out_features
    return layer.out_channels // layer.groups * int(np.prod(layer.kernel_size))
