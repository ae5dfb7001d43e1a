"""DFA: every layer's input gets the error at the network's outputs, e, by way of weights of its own.

A pass gathers a token of every layer whose input learns; the layer that gives the outputs, the head, joins them to its
own output, from where autograd brings e to all of them (`feedback`). So a layer's input gets B^T e whatever lies
between it and the head, and where several layers read the same input, as in a residual network, the sum of theirs.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ghostnet.baselines import feedback
from ghostnet.baselines.layers import Feedback, positions, uniform, units
from ghostnet.errors import ConfigError
from ghostnet.model.typed import require

_OUTSIDE = (
    "direct feedback: a layer ran outside of a pass of its network, or after the last one; expected connect(net), "
    "calls of net itself, and the layer that gives the outputs made last and used once"
)
_COMPILING = (
    "direct feedback: a convolution draws its B when it sees its first input; run the module once before torch.compile"
)


@dataclass
class Pass:
    """A pass under way.

    Attributes:
        targets: where they are given.
        tokens: of the layers so far.
        below, links: what layers of a chain leave for the next one, and for the head (`ghostnet.baselines.chains`).
        done: whether the head has joined them, and at which node of autograd's graph.
    """

    targets: Tensor | None
    tokens: list[Tensor] = field(default_factory=list)
    below: Tensor | None = None
    links: list[Any] = field(default_factory=list)
    done: bool = False
    node: Any = None


class Signal(threading.local):
    """What the layers of a network have in common: the pass under way, one for every thread, as in DataParallel."""

    under_way: Pass | None = None

    def __reduce__(self) -> tuple:
        return Signal, ()  # of a copy, no pass is under way

    def begin(self, net: nn.Module, given: tuple, named: dict) -> tuple[tuple, dict]:
        """Before a pass; `targets` is for this one, not for the network."""
        self.under_way = Pass(named.get("targets"))
        return given, {name: value for name, value in named.items() if name != "targets"}

    def current(self) -> Pass:
        """The pass that a layer is part of."""
        if self.under_way is None or self.under_way.done:
            raise ConfigError(_OUTSIDE)
        return self.under_way

    def end(self, net: nn.Module, given: tuple, outputs: Any) -> None:
        """After a pass: what the layers learn from has to be the head's error."""
        found, self.under_way = self.under_way, None
        if found is None:
            return
        text = "direct feedback: the layer that was registered last did not run; expected it to give the outputs"
        require(found.done or not found.tokens, text)
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            _require_head_last(net, outputs, found.node)


class Connected(Feedback):
    """A layer that learns with all others of its network, from the error at the outputs.

    Attributes:
        outputs: how many the network has, as an argument of the layer.
        signal, head: what `connect` says: whom the layer learns with, and whether it gives the outputs.
    """

    outputs: int
    signal: Signal | None = None
    head: bool = False

    @classmethod
    def arrange(cls, net: nn.Module, layers: list[Any]) -> None:
        """Raise ConfigError where the method is not defined for a network of these layers, in their order."""

    def under_way(self) -> Pass:
        """The pass that this layer is part of."""
        if self.signal is None:
            raise ConfigError(_OUTSIDE)
        return self.signal.current()

    def finish(self, under_way: Pass, joined: Tensor) -> Tensor:
        """The outputs, tied to what the layers learn from."""
        under_way.done = True
        if not torch.compiler.is_compiling():
            under_way.node = joined.grad_fn
        return joined


class Direct(Connected):
    """DFA: down goes B^T e.

    Attributes:
        feedback: B (outputs, *x of an example); None until the first pass of a convolution, which tells its inputs.
        seed: of a B that is still to be drawn, so that state_dict() of a module that has not run yet decides it too.
    """

    method = "dfa"
    index: int
    seed: Tensor | None

    def draw(self, seed: int, index: int, outputs: int | None) -> None:
        if outputs is None:
            raise ConfigError(f"{self.method}: outputs is left out; give the number of outputs of the network")
        self.outputs, self.index = outputs, index
        self.register_buffer("seed", None if positions(self) == 0 else torch.tensor(seed))
        self.register_buffer("feedback", None)
        if positions(self) == 0:
            self._fit((self.weight.shape[1],), seed)

    def forward(self, x: Tensor, *others: Any) -> Tensor:
        if not (torch.is_grad_enabled() and x.requires_grad):
            return self.upward(x, *others)
        under_way = self.under_way()
        if self.seed is not None:
            self._fit(x.shape[-1 - positions(self) :], self.seed)
        under_way.tokens.append(feedback.token(x, self.feedback))
        y = self.upward(x.detach(), *others)
        return self._join(y, under_way) if self.head else y

    def _join(self, y: Tensor, under_way: Pass) -> Tensor:
        """The outputs, as the head gives them, tied to the inputs of all layers."""
        examples = y.shape[: y.ndim - positions(self) - 1]
        for token in under_way.tokens:
            if token.shape[: len(examples)] != examples:
                raise ConfigError(
                    f"{self.method}: the outputs' error is one for each of {tuple(examples)} examples, a layer's input "
                    f"of {tuple(token.shape[:-1])}; expected all layers to see the same examples"
                )
        targets = self._sent(under_way.targets)
        if targets is not None and targets.shape != (*examples, self.outputs):
            expected = " x ".join(map(str, (*examples, self.outputs)))
            raise ConfigError(f"targets has shape {tuple(targets.shape)}: expected {expected}, as the outputs' error")
        return self.finish(under_way, feedback.joined(y, positions(self), targets, under_way.tokens))

    def _sent(self, targets: Tensor | None) -> Tensor | None:
        require(targets is None, "targets: dfa takes none, it learns from the loss; drtp does")
        return None

    def _fit(self, features: tuple[int, ...], seed: Tensor | int) -> None:
        """Draw the B of a convolution at its first pass; hold later ones to it."""
        if self.feedback is None:
            require(not torch.compiler.is_compiling(), _COMPILING)
            shape = (self.outputs, *features)
            self.feedback = uniform(self.weight, shape, 1 / math.sqrt(self.outputs), int(seed), self.index)
        elif self.feedback.shape[1:] != features:
            now, first = (" x ".join(map(str, shape)) for shape in (features, self.feedback.shape[1:]))
            raise ConfigError(
                f"{self.method}: an example of {now} reached {self}, the first had {first}: B fits that size only; "
                "give such inputs, or convert the module anew"
            )

    def _keys(self) -> tuple[str, ...]:
        return ("feedback", "seed")

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *others: Any) -> None:
        """A B that the state has not drawn, or the module has not, is no mismatch: the state's seed or B decides."""
        if self.seed is not None and f"{prefix}seed" in state_dict:
            given = state_dict.get(f"{prefix}feedback")
            if given is None:
                self.feedback = None
            elif self.feedback is None:
                self.feedback = self.weight.new_empty(given.shape)
        super()._load_from_state_dict(state_dict, prefix, *others)


class Projected(Direct):
    """DRTP: down goes B^T y; the targets y come with every pass, as net(x, targets=y), like e of shape (n, outputs).

    Where the loss is a mean over n examples, y/n weighs them alike.
    """

    method = "drtp"

    def _sent(self, targets: Tensor | None) -> Tensor | None:
        require(targets is not None, "drtp: targets are left out; call net(x, targets=y)")
        return targets


def connect(net: nn.Module) -> None:
    """Have the DFA layers of a network learn from the error of the last of them, by the order of registration; those of
    DRTP, IFA and DTP likewise.

    Raises:
        ConfigError: there is none, one is connected already, the last one has another number of outputs than they
            were made for, or the network is no chain, for IFA and DTP.

    Examples:
        >>> from torch import nn
        >>> net = nn.Sequential(gn.torch.DFALinear(4, 3, outputs=2), nn.Tanh(), gn.torch.DFALinear(3, 2, outputs=2))
        >>> gn.torch.connect(net)
    """
    layers = [layer for layer in net.modules() if isinstance(layer, Connected)]
    require(layers, "connect: the module has no layer that learns by DFA, DRTP, IFA or DTP")
    require(all(layer.signal is None for layer in layers), "connect: a layer of the module is connected already")
    signal, outputs = Signal(), units(layers[-1])
    type(layers[-1]).arrange(net, layers)
    for layer in layers:
        require(layer.outputs == outputs, f"outputs = {layer.outputs}: the last layer has {outputs}")
        layer.signal, layer.head = signal, layer is layers[-1]
    net.register_forward_pre_hook(signal.begin, with_kwargs=True)
    net.register_forward_hook(signal.end)


def _require_head_last(net: nn.Module, outputs: Any, head: Any) -> None:
    """Raise ConfigError where a layer's weights reach the outputs by a way around the head."""
    around = {id(parameter) for parameter in _reached(outputs, head)}
    for name, layer in net.named_modules() if around else ():
        if isinstance(layer, Connected) and not layer.head and id(layer.weight) in around:
            raise ConfigError(
                f"direct feedback: {name} reaches the outputs around the last layer, where another error than e would "
                "arrive; expected outputs that all come from the layer registered last"
            )


def _reached(outputs: Any, head: Any) -> Iterator[Tensor]:
    """The parameters that outputs come from, but for what autograd's node `head` brings."""
    waiting = [y.grad_fn for y in pytree.tree_leaves(outputs) if isinstance(y, Tensor)]
    seen = {head}
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        waiting.extend(above for above, _ in node.next_functions)
