"""A torch module whose layers with weights learn by feedback alignment or kin instead of backprop."""

from __future__ import annotations

import copy
import numbers
import warnings
from typing import Any, cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils import _pytree as pytree

from ghostnet.baselines import layers
from ghostnet.baselines.chains import Indirect, TargetPropagation
from ghostnet.baselines.direct import Connected, Direct, Projected, connect
from ghostnet.baselines.layers import KINDS, Feedback, layer_class, units
from ghostnet.errors import ConfigError
from ghostnet.model.typed import require, require_known

METHODS: dict[str, type[Feedback]] = {
    kind.method: kind
    for kind in (
        layers.Aligned, layers.SignConcordant, layers.UniformSign, layers.BatchwiseSign, layers.KolenPollack,
        layers.Mirrored, Direct, Projected, Indirect, TargetPropagation,
    )
}  # fmt: skip

# They scale, shift or look up, unit by unit: no matrix whose transpose a synapse would have to know.
_THEIR_OWN = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm, nn.PReLU, nn.Embedding, nn.EmbeddingBag)


def convert(module: nn.Module, method: str, output_dim: int | None = None, seed: int = 0) -> nn.Module:
    """A copy of `module`, same class, weights and keys of state_dict(), that learns by another method than BP.

    Its Linear, Conv and ConvTranspose layers become subclasses of what they were (`ghostnet.baselines.layers`, where
    the methods are defined), with their feedback weights beside, as a buffer `feedback`. Batch, layer, group and
    instance normalisation, PReLU and embeddings keep their own gradient. A state_dict of `module` loads into the copy
    and leaves B as it is; one of the copy has B too, so `module` takes it with strict=False.

    What isn't a chain of layers: FA and its kin send B^T δ from every layer to its input, and autograd does the rest;
    sums, forks, layers used twice and several heads are as under BP, with B for W. DFA and DRTP send their signal to
    every layer's input. Where several layers read one tensor, it gets the sum of their signals; where a residual
    connection joins, both branches get what the sum gets; a layer used twice sends its signal at both places. Their
    outputs have to come from one layer, the last; other heads are refused. Whatever a module computes but for these
    layers, with their weights or without, is differentiated as it stands. IFA and DTP are for chains of layers and
    transfer functions in nn.Sequential, DTP of Linear layers (`ghostnet.baselines.chains`).

    The gradient of the network's input is the method's, too, and a warning says so once.

    Args:
        module: any whose other parameters belong to the layers named above. For DFA and DRTP, the layer that gives the
            outputs is registered last; pooling or softmax may follow it. If it is a convolution, e is its error summed
            over positions. A Linear layer that sees several positions of an example sends each the same signal.
        method: "fa", "dfa", "frsf", "usf", "brsf", "kp", "wm", "drtp", "ifa", "dtp", or "bp" for a plain copy.
        output_dim: outputs of the last layer; checked if given.
        seed: of the feedback weights B; where a convolution under DFA has not run yet, state_dict() has the seed that
            its B will be drawn from.

    Raises:
        ConfigError: unknown method, another kind of layer with parameters, for IFA and DTP a module that is no chain,
            another output_dim than the last layer's, a module converted before, or a seed that is no whole number from
            0 to 2^63 - 1.

    Examples:
        >>> net = gn.torch.convert(gn.torch.mlp(4, 3, 2), "dfa")
        >>> [type(layer).__name__ for layer in net]
        ['Flatten', 'DFALinear', 'ReLU', 'DFALinear']
    """
    method = str(method).lower()
    require_known([method], ("bp", *METHODS), "method")
    require(isinstance(seed, numbers.Integral) and 0 <= seed < 2**63, f"seed = {seed!r}: expected 0 to 2^63 - 1")
    net = copy.deepcopy(module)
    found = _convertible(net)
    name, last = found[-1]
    if output_dim not in (None, units(last)):
        raise ConfigError(f"output_dim = {output_dim}: the last layer, {name}, has {units(last)} outputs")
    if method != "bp":
        _become(net, METHODS[method], [layer for _, layer in found], seed)
    return net


def _become(net: nn.Module, method: type[Feedback], found: list[nn.Module], seed: int) -> None:
    """The layers in place, as whoever else holds one, such as a list of the module's own, has to hold the same."""
    outputs = units(found[-1])
    for index, layer in enumerate(found):
        layer.__class__ = layer_class(method, type(layer))
        cast(Feedback, layer).draw(seed, index, outputs)
    if issubclass(method, Connected):
        connect(net)
    net.register_forward_pre_hook(_InputGradient(method.method), with_kwargs=True)


class _InputGradient:
    """Warns once that the gradient of a network's input is not the true one."""

    def __init__(self, method: str):
        self._method, self._warned = method, False

    def __call__(self, net: nn.Module, given: tuple, named: dict) -> None:
        if self._warned or torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return
        if any(isinstance(x, torch.Tensor) and x.requires_grad for x in pytree.tree_leaves((given, named))):
            self._warned = True
            warnings.warn(
                f"{self._method}: the gradient of this module's input is the method's, not the true one; for that, "
                "load its weights into the module that it was made from (strict=False)",
                stacklevel=2,
            )


def _convertible(net: nn.Module) -> list[tuple[str, nn.Module]]:
    """The layers to convert, by name; ConfigError for what has parameters that no method is defined for."""
    found: list[tuple[str, nn.Module]] = []
    for name, layer in net.named_modules():
        own = {name for name, _ in layer.named_parameters(recurse=False)}
        name = name or "the module itself"
        require(
            not isinstance(layer, Feedback),
            "convert: this module is converted already; give the one that it was made from",
        )
        if isinstance(layer, KINDS):
            _check_layer(name, layer, own)
            found.append((name, layer))
        elif own and not isinstance(layer, _THEIR_OWN):
            raise ConfigError(
                f"unsupported layer {name}: {type(layer).__name__} has parameters of its own; expected them in Linear, "
                "Conv, ConvTranspose, normalisation, PReLU and Embedding layers"
            )
    require(found, "convert: the module has no Linear, Conv or ConvTranspose layer")
    return found


def _check_layer(name: str, layer: Any, own: set[str]) -> None:
    kind = type(layer).__name__
    lazy = isinstance(layer, nn.modules.lazy.LazyModuleMixin)
    require(not lazy, f"unsupported layer {name}: {kind} has no weights yet; run the module once before")
    if not own <= {"weight", "bias"}:
        raise ConfigError(f"unsupported layer {name}: {kind} has parameters beside weight and bias: {', '.join(own)}")
