"""How the torch engine lays out an ensemble: layers in blocks, weights stacked, all that lasts in one flat tensor.

Block 1 is s_1 and block k > 1 is [s_k | g_{k-1}], because r_{k-1} drives both: one product with [W_k over W^pg_{k-1}]
gives both currents, and one operation on the flat tensor serves all layers. W^gp is kept transposed, (lanes, m_k, n_k),
where a lane is what owns one: a run or, in MB, an example.
"""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from ghostnet.model.equations import Layers, State, Weights
from ghostnet.model.experiment import Experiment
from ghostnet.model.network import Network

_ALIGN = 64  # elements: whole cache lines and whole vectors, so that no result depends on where a block begins


def carve(shapes: list[tuple], like: Tensor) -> tuple[Tensor, list[Tensor]]:
    """A flat tensor of zeros and, in it, an aligned contiguous view of every shape."""
    flat = like.new_zeros(sum(map(_aligned, shapes)))
    return flat, views(flat, shapes)


def views(flat: Tensor, shapes: list[tuple]) -> list[Tensor]:
    """The views that `carve` gives, in a flat tensor."""
    parts = flat.split(list(map(_aligned, shapes)))
    return [part[: math.prod(shape)].view(shape) for part, shape in zip(parts, shapes, strict=True)]


def _aligned(shape: tuple) -> int:
    return -(-math.prod(shape) // _ALIGN) * _ALIGN


class Blocks:
    """One quantity of all layers in a flat tensor.

    Attributes:
        flat: the tensor, gaps included. whole[k]: block k, (runs, batch, n_k + m_{k-1}).
        units[k]: its part s_k, (runs, batch, n_k). ghosts[k]: g_k, (runs, batch, m_k), in block k + 1.
    """

    def __init__(self, e: Experiment, flat: Tensor):
        self.flat, n = flat, e.sizes
        self.whole: Layers = [None, *views(flat, block_shapes(e))]
        self.units: Layers = [None, *(block[..., : n[k]] for k, block in enumerate(self.whole[1:], start=1))]
        self.ghosts: Layers = [None, *(block[..., n[k] :] for k, block in enumerate(self.whole[2:], start=2))]

    def new(self, e: Experiment) -> Blocks:
        """Another quantity of the same layers, zero."""
        return Blocks(e, torch.zeros_like(self.flat))


def block_shapes(e: Experiment) -> list[tuple]:
    m = (0, *e.ghosts)
    return [(len(e.seeds), e.batch, e.sizes[k] + m[k - 1]) for k in range(1, e.depth + 1)]


class Lasting:
    """What lasts from one presentation to the next: activities and weights, lists over the paper's k.

    Attributes:
        memory: all of it, flat. z: the activities.
        up[k]: W_k over W^pg_{k-1}, (runs, n_k + m_{k-1}, n_{k-1}). W[k], W_pg[k]: its parts.
        down[k]: B_k^T, (runs, n_{k+1}, n_k): W_{k+1} itself under TF.
        V[k]: W^gp_k^T, (lanes, m_k, n_k).
    """

    def __init__(self, network: Network, like: Tensor):
        e = network.experiment
        R = network.runs
        N = e.depth
        n = e.sizes
        m = (0, *e.ghosts)
        self.batch = e.batch
        self.fast = e.plasticity.owned
        blocks = block_shapes(e)
        up = [(R, n[k] + m[k - 1], n[k - 1]) for k in range(1, N + 1)]
        V = [(R * e.batch if self.fast else R, m[k], n[k]) for k in range(1, N)]
        down = [] if e.feedback == "TF" else [(R, n[k + 1], n[k]) for k in range(1, N)]
        self.memory, parts = carve([*blocks, *up, *V, *down], like)
        matrices = iter(parts[N:])
        layers: list[Layers] = [[None, *islice(matrices, len(shapes))] for shapes in (up, V, down)]
        self.up, self.V, self.down = layers
        self.W: Layers = [None, *(self.up[k][:, : n[k]] for k in range(1, N + 1))]
        self.W_pg: Layers = [None, *(self.up[k][:, n[k] :] for k in range(2, N + 1))]
        if e.feedback == "TF":
            self.down = [None, *self.W[2:]]
        self.z = Blocks(e, self.memory[: sum(map(_aligned, blocks))])
        self._put(network)

    def _put(self, network: Network) -> None:
        w, z = network.weights, network.state
        pairs = [(self.z.units, z.s), (self.z.ghosts, z.g), (self.W, w.W), (self.W_pg, w.W_pg)]
        pairs += [(self.V, _transposed(w.W_gp)), (self.down, _transposed(w.B))]
        for tensors, arrays in pairs:
            for tensor, array in zip(tensors[1:], arrays[1:], strict=True):
                tensor.copy_(torch.tensor(array).view(tensor.shape))

    def get(self) -> tuple[Weights, State]:
        """Copies of the weights and activities, float64 arrays in the shapes of `ghostnet.model.equations`."""
        runs = self.W[1].shape[0]
        lanes = (runs, self.batch) if self.fast else (runs,)
        W_gp = [None, *(V.view(*lanes, *V.shape[1:]) for V in self.V[1:])]
        W, B, W_pg, W_gp, s, g = map(_arrays, (self.W, self.down, self.W_pg, W_gp, self.z.units, self.z.ghosts))
        return Weights(W, _transposed(B), W_pg, _transposed(W_gp)), State(s, g)


def _arrays(tensors: Layers) -> Layers:
    return [None, *(tensor.cpu().numpy().astype(np.float64, order="C") for tensor in tensors[1:])]


def _transposed(arrays: Layers) -> Layers:
    return [None, *(np.ascontiguousarray(array.swapaxes(-1, -2)) for array in arrays[1:])]
