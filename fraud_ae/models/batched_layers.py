"""Layers of K networks at once, with their gradients written out.

Every layer takes and gives values of shape (K, n, width). `forward` returns what `backward` needs
besides, and `backward` turns the gradient of what it gave into that of what it took; gradients of
weights go where the layer was told to put them. Weights are (K, ...), `d_` marks a gradient.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

aten = torch.ops.aten


class BatchedLayer(Protocol):
    """The contract of all layers here."""

    def forward(self, values: Tensor) -> tuple[Tensor, Any]:
        """Values of the next layer, and what `backward` needs."""

    def backward(self, d: Tensor, saved: Any, *, first: bool = False) -> Tensor | None:
        """Gradient of the values that were given; None for the first layer, which needs none."""


@dataclass
class BatchedLinear:
    """weight: (K, width, width_before). bias: (K, width)."""

    weight: Tensor
    d_weight: Tensor
    bias: Tensor
    d_bias: Tensor

    def __post_init__(self) -> None:
        # Views are made once: for matrices this small each costs a tenth of the product.
        self._bias, self._weight = self.bias[:, None], self.weight.transpose(1, 2)

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        return torch.baddbmm(self._bias, values, self._weight), values

    def backward(self, d: Tensor, saved: Tensor, *, first: bool = False) -> Tensor | None:
        torch.sum(d, dim=1, out=self.d_bias)
        torch.bmm(d.transpose(1, 2), saved, out=self.d_weight)
        return None if first else torch.bmm(d, self.weight)


@dataclass(frozen=True)
class BatchedBottleneck:
    """The layers into and out of the latent code, whose width differs between networks.

    parts: neighbouring networks of one width, with their two layers. To fill narrow codes up with
    zeros would be one product less, but a sum over more numbers is not rounded alike.
    """

    parts: Sequence[tuple[slice, BatchedLinear, BatchedLinear]]

    def forward(self, values: Tensor) -> tuple[Tensor, list]:
        results, saved = [], []
        for networks, into, out_of in self.parts:
            code, fed = into.forward(values[networks])
            result, code = out_of.forward(code)
            results.append(result)
            saved.append((fed, code))
        return _joined(results), saved

    def backward(self, d: Tensor, saved: list, *, first: bool = False) -> Tensor | None:
        results = []
        for (networks, into, out_of), (fed, code) in zip(self.parts, saved, strict=True):
            d_code = out_of.backward(d[networks], code)
            results.append(into.backward(d_code, fed, first=first))
        return None if first else _joined(results)


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


@dataclass
class BatchedLayerNorm:
    """Layer normalisation (Ba et al., 2016). gain, shift: (K, width)."""

    gain: Tensor
    d_gain: Tensor
    shift: Tensor
    d_shift: Tensor
    eps: float

    def __post_init__(self) -> None:
        self._gain, self._shift = self.gain[:, None], self.shift[:, None]
        # With weights of 1 PyTorch normalises twice as fast as without weights.
        width = self.gain.shape[-1:]
        self._ones, self._zeros = self.gain.new_ones(width), self.gain.new_zeros(width)

    def forward(self, values: Tensor) -> tuple[Tensor, tuple]:
        width = self._ones.shape
        normal, mean, rstd = torch.native_layer_norm(
            values, width, self._ones, self._zeros, self.eps
        )
        return torch.addcmul(self._shift, normal, self._gain), (values, normal, mean, rstd)

    def backward(self, d: Tensor, saved: tuple, *, first: bool = False) -> Tensor:
        values, normal, mean, rstd = saved
        torch.sum(d, dim=1, out=self.d_shift)
        torch.sum(normal.mul_(d), dim=1, out=self.d_gain)
        width, wanted = self._ones.shape, (True, False, False)
        return aten.native_layer_norm_backward(
            d.mul_(self._gain), values, width, mean, rstd, self._ones, self._zeros, wanted
        )[0]


@dataclass(frozen=True)
class BatchedSlopes:
    """relu and leaky_relu, in place. parts: neighbouring networks, and their slope below 0."""

    parts: Sequence[tuple[slice, float]]

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        for networks, slope in self.parts:
            F.leaky_relu_(values[networks], slope)
        return values, values

    def backward(self, d: Tensor, saved: Tensor, *, first: bool = False) -> Tensor:
        for networks, slope in self.parts:
            aten.leaky_relu_backward.grad_input(
                d[networks], saved[networks], slope, True, grad_input=d[networks]
            )
        return d


class BatchedSiLU:
    """x * sigmoid(x) (Elfwing et al., 2018)."""

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        return F.silu(values), values

    def backward(self, d: Tensor, saved: Tensor, *, first: bool = False) -> Tensor:
        return aten.silu_backward(d, saved)


class BatchedTanh:
    """Hyperbolic tangent, in place."""

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        return values.tanh_(), values

    def backward(self, d: Tensor, saved: Tensor, *, first: bool = False) -> Tensor:
        return aten.tanh_backward(d, saved)
