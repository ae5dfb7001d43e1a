"""The feedforward graph of a network as a torch module, and back."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor, nn

from ghostnet.errors import ConfigError
from ghostnet.model import names
from ghostnet.model.experiment import Experiment
from ghostnet.model.laws import Transfer
from ghostnet.model.network import Network, build, checked
from ghostnet.model.typed import integer, require, require_known

_ACTIVATIONS = {
    "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "hard-sigmoid": nn.Hardsigmoid, "softplus": nn.Softplus, "relu": nn.ReLU,
    "leaky-relu": nn.LeakyReLU,
}  # fmt: skip


class Rate(nn.Module):
    """A transfer function of a user's own as a layer: its text takes tensors as it stands.

    Attributes:
        transfer: with the law ρ(s).
    """

    def __init__(self, transfer: Transfer):
        super().__init__()
        self.transfer = transfer

    def forward(self, s: Tensor) -> Tensor:
        """ρ(s), of s's type."""
        return torch.as_tensor(self.transfer.rho(s)).to(s)


def to_torch(network: Network, run: int = 0, dtype: str = "float32") -> nn.Sequential:
    """See `Network.to_torch`."""
    run = integer("run", run, 0, network.runs - 1)
    require_known([dtype], ("float32", "float64"), "dtype")
    W = [torch.tensor(W[run], dtype=getattr(torch, dtype)) for W in network.weights.W[1:]]
    return nn.Sequential(*layers(W, None, network.experiment))


def layers(W: list[Tensor], bias: list[Tensor] | None, e: Experiment) -> list[nn.Module]:
    """For every matrix a Linear layer with a copy of it, and of its bias where there are any, and ρ."""
    found: list[nn.Module] = []
    for k, weight in enumerate(W):
        units, inputs = weight.shape
        biased = bias is not None
        linear = nn.utils.skip_init(nn.Linear, inputs, units, bias=biased)  # draws nothing from torch's generator
        linear.weight = nn.Parameter(weight.clone())
        if bias is not None:
            linear.bias = nn.Parameter(bias[k].clone())
        found += [linear, _activation(e)]
    return found


def from_torch(module: nn.Sequential, experiment: Experiment) -> Network:
    """A network with a torch module's weights; B, W_pg and W_gp are as `ghostnet.build` draws them (under TF, B = W^T).

    Args:
        module: Linear layers without bias, each followed by the experiment's transfer function as a layer (Sigmoid,
            Tanh, Hardsigmoid, Softplus, ReLU, or what `Network.to_torch` makes of one's own); the last may lack it.
        experiment: of these sizes. All its runs get these weights.

    Raises:
        ConfigError: the module is another, or its weights are not finite.

    Examples:
        >>> module = net.to_torch()
        >>> gn.from_torch(module, exp).weights.W[1].shape
        (1, 3, 4)
    """
    network, runs = build(experiment), len(experiment.seeds)
    require(isinstance(module, nn.Sequential), f"module is a {type(module).__name__}: expected a torch.nn.Sequential")
    wanted = [layer for sizes in itertools.pairwise(experiment.sizes) for layer in (sizes, None)]
    given = list(module)
    if len(given) not in (len(wanted) - 1, len(wanted)):
        expected = f"{len(wanted)}, Linear and {_name(_activation(experiment))} in turn, for sizes = {experiment.sizes}"
        raise ConfigError(f"module has {len(given)} layers: expected {expected}")
    for index, (layer, sizes) in enumerate(zip(given, wanted, strict=False)):
        if sizes:
            weight = _linear(f"module[{index}]", layer, *sizes).weight.detach().cpu().double().numpy()
            network.weights.W[1 + index // 2] = np.repeat(weight[None], runs, 0)
        else:
            _require_activation(f"module[{index}]", layer, experiment)
    return checked(network, "float64")


def _activation(e: Experiment) -> nn.Module:
    return _ACTIVATIONS[e.transfer]() if e.transfer in _ACTIVATIONS else Rate(names.transfer(e.transfer))


def _name(layer: nn.Module) -> str:
    return type(layer).__name__


def _linear(name: str, layer: nn.Module, inputs: int, units: int) -> nn.Linear:
    """The layer, which has to be a Linear of these sizes without bias."""
    if type(layer) is not nn.Linear:
        raise ConfigError(f"{name} is a {_name(layer)}: expected a Linear of {inputs} to {units}")
    found = layer.in_features, layer.out_features
    text = f"{name} is a Linear of {found[0]} to {found[1]}: expected {inputs} to {units}, as sizes say"
    require(found == (inputs, units), text)
    require(layer.bias is None, f"{name} has a bias, and networks here have none: make it with bias=False")
    return layer


def _require_activation(name: str, layer: nn.Module, e: Experiment) -> None:
    wanted = _activation(e)
    same = type(layer) is type(wanted)
    if isinstance(layer, Rate) and isinstance(wanted, Rate):
        same = same and layer.transfer.identity == wanted.transfer.identity
    if isinstance(layer, nn.Softplus) and isinstance(wanted, nn.Softplus):
        same = same and layer.beta == wanted.beta
    if isinstance(layer, nn.LeakyReLU) and isinstance(wanted, nn.LeakyReLU):
        same = same and layer.negative_slope == wanted.negative_slope
    require(same, f"{name} is {layer}: expected {wanted}, as transfer = {e.transfer}")
