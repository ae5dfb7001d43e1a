"""torch's layers with weights, learning by feedback: what each method hands down in place of BP's W^T δ.

    FA     B^T δ               B of W's shape, drawn once    Lillicrap et al. 2016, doi:10.1038/ncomms13276
    FRSF   (|B| ⊙ sign W)^T δ  B drawn once                  Liao et al. 2016, arXiv:1510.05067
    BRSF   (M ⊙ sign W)^T δ    M drawn anew at every pass    (the same)
    USF    (m sign W)^T δ      m a number                    (the same)
    KP     B^T δ               B learns as W does            Kolen & Pollack 1994; Akrout et al. 2019, arXiv:1904.05391
    WM     B^T δ               B follows W h h^T, h noise    (the same)
    DFA    B^T e               B (outputs, *x of an example) Nøkland 2016, arXiv:1609.01596
    DRTP   B^T y               likewise; y the targets       Frenkel et al. 2021, doi:10.3389/fnins.2021.629892

δ is the error at a layer's output, e = ∂C/∂u that at the network's, u the output of its last layer. ^T of a convolution
is its transpose. Each layer is a subclass of torch's and takes its arguments, so it has torch's attributes, keys of
state_dict() and forward pass. B is its buffer `feedback`, and has the type and device of W.

B is uniform in ±b, b = 1/√(terms that an input sums over). M is uniform in [0, b], m = b/√3: all as large as B.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from ghostnet.baselines import feedback
from ghostnet.baselines.draws import BaselineStream
from ghostnet.model.network import generator
from ghostnet.model.typed import require

KINDS = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip


class Feedback(nn.Module):
    """What all methods share: a layer of `KINDS` beside it gives the weights and the forward pass.

    Attributes:
        feedback: B, or the magnitudes that stand for it; see the method.
        own_forward: whether the layer is of a class whose forward pass is not torch's.

    A state_dict without `feedback`, such as that of torch's own layer, loads strictly, and B stays as it is.
    """

    method: str
    own_forward: bool
    weight: Tensor
    feedback: Any

    def __init__(self, *args: Any, outputs: int | None = None, **options: Any):
        super().__init__(*args, **options)
        self.draw(int(torch.randint(2**63 - 1, ())), 0, outputs)

    def draw(self, seed: int, index: int, outputs: int | None) -> None:
        """Draw B: from a seed and the number of the layer, for a network of so many outputs (DFA alone asks)."""
        raise NotImplementedError

    def upward(self, x: Tensor, *others: Any) -> Tensor:
        """The forward pass of the layer that this one was."""
        return super().forward(x, *others)

    def _keys(self) -> tuple[str, ...]:
        return ("feedback",)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *others: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *others)
        keys = [prefix + name for name in self._keys()]
        if not any(key in state_dict for key in keys):
            missing = others[2]
            missing[:] = [key for key in missing if key not in keys]


class Aligned(Feedback):
    """FA: down goes what the layer would hand down if its weights were B."""

    method = "fa"

    def draw(self, seed: int, index: int, outputs: int | None) -> None:
        self.register_buffer("feedback", uniform(self.weight, self.weight.shape, bound(self), seed, index))

    def downward(self) -> Tensor:
        """The weights in whose place W is on the way down, of W's shape."""
        return self.feedback

    def forward(self, x: Tensor, *others: Any) -> Tensor:
        if not (torch.is_grad_enabled() and x.requires_grad):
            return self.upward(x, *others)
        y = self.upward(x.detach(), *others)
        if self.own_forward:
            return y + self._vanishing(x, *others)
        return feedback.aligned(y, _padded(self, x), self.downward(), _geometry(self))

    def _vanishing(self, x: Tensor, *others: Any) -> Tensor:
        """0, with the derivative by x of a forward pass of weights B, which we don't know the transpose of."""
        held = {f"layer.{name}": p.detach() for name, p in self.named_parameters()} | {"layer.weight": self.downward()}
        by_feedback = functional_call(Upward(self), held, (x, *others))
        return by_feedback - by_feedback.detach()


class SignConcordant(Aligned):
    """FRSF: magnitudes of B, signs of W."""

    method = "frsf"

    def downward(self) -> Tensor:
        return feedback.concordant(super().downward(), self.weight.detach())


class UniformSign(SignConcordant):
    """USF: one magnitude, `feedback`, for all; signs of W."""

    method = "usf"

    def draw(self, seed: int, index: int, outputs: int | None) -> None:
        self.register_buffer("feedback", self.weight.new_tensor(bound(self) / math.sqrt(3)))


class BatchwiseSign(Aligned):
    """BRSF: magnitudes that torch's generator draws at every pass, uniform in [0, feedback]; signs of W."""

    method = "brsf"

    def draw(self, seed: int, index: int, outputs: int | None) -> None:
        self.register_buffer("feedback", self.weight.new_tensor(bound(self)))

    def downward(self) -> Tensor:
        W = self.weight.detach()
        return feedback.concordant(super().downward() * torch.rand_like(W), W)


class KolenPollack(Aligned):
    """KP: B, a Parameter here, gets the gradient of W; equal weight decay of both then brings them together."""

    method = "kp"

    def draw(self, seed: int, index: int, outputs: int | None) -> None:
        plain = not (self.own_forward or getattr(self, "transposed", False))
        require(plain, f"kp: takes Linear and Conv layers with torch's own forward pass, and not {self}")
        B = uniform(self.weight, self.weight.shape, bound(self), seed, index)
        self.register_parameter("feedback", nn.Parameter(B))

    def downward(self) -> Tensor:
        return super().downward().detach()

    def upward(self, x: Tensor, *others: Any) -> Tensor:
        """With weights W + B - B, whose gradient goes to both."""
        both, layer = self.weight + (self.feedback - self.feedback.detach()), cast(Any, self)
        if isinstance(self, nn.Linear):
            return functional.linear(x, both, layer.bias)
        return layer._conv_forward(x, both, layer.bias)


class Mirrored(Aligned):
    """WM: B, a Parameter here, comes to W by descent along B - mean of (W h) h^T, h standard normal.

    As many h as examples are drawn by torch's generator at every pass. A convolution is the matrix from a patch of its
    input to the units at a position, as its weights have it: no image is needed.
    """

    method = "wm"

    def draw(self, seed: int, index: int, outputs: int | None) -> None:
        B = uniform(self.weight, self.weight.shape, bound(self), seed, index)
        self.register_parameter("feedback", nn.Parameter(B))

    def downward(self) -> Tensor:
        return super().downward().detach()

    def forward(self, x: Tensor, *others: Any) -> Tensor:
        y = super().forward(x, *others)
        if not (torch.is_grad_enabled() and x.requires_grad):
            return y
        W, examples = self.weight.detach().flatten(1), x.shape[: -1 - positions(self)].numel()
        h = torch.randn(examples, W.shape[1], dtype=W.dtype, device=W.device)
        seen = (h @ W.mT).mT @ h / len(h)
        return feedback.taught(y, self.feedback, self.downward() - seen.reshape(self.weight.shape))


class Upward(nn.Module):
    """A layer's forward pass by itself, without its hooks, for torch.func.functional_call."""

    def __init__(self, layer: Feedback):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, *others: Any) -> Tensor:
        """What the layer gives."""
        return self.layer.upward(x, *others)


_CLASSES: dict[tuple[type, type], type[Feedback]] = {}


def layer_class(method: type[Feedback], kind: type[nn.Module]) -> type[Feedback]:
    """`kind`, one of `KINDS` or a subclass of one, learning by `method`: FALinear, DFAConv2d, …; always the same."""
    if (method, kind) not in _CLASSES:
        short, plain = method.method.upper(), next(base for base in KINDS if issubclass(kind, base))
        names = {
            "__module__": "ghostnet.torch",
            "__doc__": f"{kind.__name__}, with its arguments, learning by {short}.",
            "own_forward": any(
                getattr(kind, name, None) is not getattr(plain, name, None) for name in ("forward", "_conv_forward")
            ),
        }
        _CLASSES[method, kind] = type(f"{short}{kind.__name__}", (method, kind), names)
    return _CLASSES[method, kind]


def uniform(like: Tensor, shape: tuple[int, ...], most: float, seed: int, index: int) -> Tensor:
    """Feedback weights of layer `index`, uniform in ±most, of the type and device of a tensor."""
    draw = generator(seed, BaselineStream.FEEDBACK, index)
    return torch.from_numpy(draw.uniform(-most, most, tuple(shape))).to(like)


def bound(layer: Any) -> float:
    """1/√(how many terms of δ the transpose of a layer sums over per input)."""
    if isinstance(layer, nn.Linear):
        return 1 / math.sqrt(layer.out_features)
    return 1 / math.sqrt(layer.out_channels // layer.groups * math.prod(layer.kernel_size))


def positions(layer: Any) -> int:
    """How many last dimensions of a layer's output are positions: none for a dense one, two for images."""
    return 0 if isinstance(layer, nn.Linear) else len(layer.kernel_size)


def units(layer: Any) -> int:
    """Outputs of a layer, at a position."""
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels


def _padded(layer: Any, x: Tensor) -> Tensor:
    """x with the padding that is no plain number of zeros per side: autograd goes back through that."""
    if not _pads_apart(layer):
        return x
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    return functional.pad(x, layer._reversed_padding_repeated_twice, mode)


def _pads_apart(layer: Any) -> bool:
    return positions(layer) > 0 and (layer.padding_mode != "zeros" or isinstance(layer.padding, str))


def _geometry(layer: Any) -> feedback.Geometry | None:
    if isinstance(layer, nn.Linear):
        return None
    padding = (0,) * positions(layer) if _pads_apart(layer) else layer.padding
    return feedback.Geometry(
        layer.stride, padding, layer.dilation, layer.transposed, layer.output_padding, layer.groups
    )
