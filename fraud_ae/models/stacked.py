"""Networks that are trained in one loop: their weights side by side.

A network for tabular data is so small that a step of its training mostly is overhead. Many of them
as batched matrices share that overhead. Each computes what it would compute alone.
"""

import copy
import itertools
import math
from collections.abc import Hashable, Iterable, Sequence
from typing import Protocol, Self

import torch
from torch import Tensor, nn

from fraud_ae.errors import UserError
from fraud_ae.models.batched_layers import (
    BatchedBottleneck,
    BatchedLayer,
    BatchedLayerNorm,
    BatchedLinear,
    BatchedSiLU,
    BatchedSlopes,
    BatchedTanh,
)
from fraud_ae.models.network import Autoencoder
from fraud_ae.models.parallel.share import Share

# Weights of a network take a multiple of so many numbers: processors go through them in such steps,
# and the numbers that are left over may be rounded differently.
_ALIGNED = 64

Trimmed = Sequence[int] | None


class Trainable(Protocol):
    """K networks in one loop.

    vectors: the weights of each, one after another, K of shape (n_weights,); `grad` of each is what
    `backward` fills. The weights of the networks themselves lie in the same memory.
    """

    vectors: list[nn.Parameter]

    def backward(self, inputs: Tensor, trimmed: Trimmed = None) -> Tensor:
        """Losses of a mini-batch, (K,), and their gradients, into the vectors' `grad`.

        inputs: (n, n_inputs), or (K, n, n_inputs), to each network its own. trimmed: how many rows
        of highest loss each network leaves out, K numbers below n; None for no rows.
        """

    def losses(self, inputs: Tensor, trimmed: Trimmed = None) -> Tensor:
        """Losses of n rows, (K,), without gradients. inputs: (n, n_inputs)."""

    def select(self, numbers: Sequence[int]) -> Self:
        """Some of the networks, in this order, with weights as they are, in memory of their own."""

    def part(self, start: int, end: int) -> Self:
        """Some neighbouring networks, in the memory of all."""


def stack_key(network: nn.Module) -> Hashable | None:
    """Networks of equal keys can share a loop; None for one that cannot.

    Plain autoencoders can whose hidden layers are alike; latent_dim may differ, and the slope of
    relu and leaky_relu. Whatever draws random numbers in training has to be alone with them.
    """
    if type(network) is not Autoencoder or network.input_noise:
        return None
    kinds: list[Hashable] = []
    for module in (*network.encoder, *network.decoder):
        match module:
            case nn.Linear():
                kinds.append("linear")
            case nn.LayerNorm():
                kinds.append(("norm", *module.normalized_shape))
            case nn.ReLU() | nn.LeakyReLU():
                kinds.append("slope")
            case nn.SiLU() | nn.Tanh():
                kinds.append(type(module).__name__)
            case _:
                return None
    hidden = [module.out_features for module in network.encoder if isinstance(module, nn.Linear)]
    return (network.decoder[-1].out_features, *hidden[:-1], *kinds)


def trainable(networks: Sequence[nn.Module]) -> Trainable:
    """The networks in one loop. Raises ValueError for several whose keys are not equal."""
    keys = {stack_key(network) for network in networks}
    if keys == {None} and len(networks) == 1:
        return SingleNetwork(networks[0])
    if None in keys or len(keys) > 1:
        raise ValueError("networks of different kinds cannot share a loop")
    return StackedAutoencoders(networks)


class SingleNetwork:
    """`Trainable` of one network with a `loss(inputs) -> (n,)`, by automatic differentiation.

    Its weights are one vector, which the optimiser takes in one go. A loss that is a scalar, of all
    rows together, will do where no rows are trimmed.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        vector = nn.Parameter(torch.cat([p.detach().flatten() for p in self._parameters]))
        self.vectors = [vector]
        sizes = [p.numel() for p in self._parameters]
        for parameter, part in zip(self._parameters, vector.detach().split(sizes), strict=True):
            parameter.data = part.view_as(parameter)

    def backward(self, inputs: Tensor, trimmed: Trimmed = None) -> Tensor:
        loss = self._loss(inputs, trimmed)
        gradients = torch.autograd.grad(loss, self._parameters, materialize_grads=True)
        self.vectors[0].grad = torch.cat([gradient.flatten() for gradient in gradients])
        return loss.detach()[None]

    def losses(self, inputs: Tensor, trimmed: Trimmed = None) -> Tensor:
        return self._loss(inputs, trimmed)[None]

    def _loss(self, inputs: Tensor, trimmed: Trimmed) -> Tensor:
        losses = self._network.loss(inputs)
        if trimmed is None:
            return losses.mean()
        if losses.ndim == 0:
            raise UserError(
                f"trainer.contamination: {type(self._network).__name__}.loss gives one number for "
                "all rows, and which to leave out cannot be told: give one for each, or set 0"
            )
        kept = _kept(losses.detach()[None], trimmed)[0]
        return losses @ kept / kept.sum()

    def select(self, numbers: Sequence[int]) -> Self:
        return self

    def part(self, start: int, end: int) -> Self:
        return self


class StackedAutoencoders:
    """`Trainable` of autoencoders of equal `stack_key`, as batched matrices.

    Gradients are written out: automatic differentiation takes longer for its books than for the
    products of matrices this small.
    """

    def __init__(self, networks: Sequence[Autoencoder], length: int = 0) -> None:
        """length: of the vectors at least."""
        self._networks = list(networks)
        places = [_places(network) for network in networks]
        length = max(length, *(end for part in places for _, end in part.values()))
        length = math.ceil(length / _ALIGNED) * _ALIGNED
        device = next(networks[0].parameters()).device
        self._weights = torch.zeros(len(networks), length, device=device)
        self._gradients = torch.zeros_like(self._weights)
        self.vectors = [nn.Parameter(part) for part in self._weights]
        for number, network in enumerate(networks):
            self.vectors[number].grad = self._gradients[number]
            for name, (start, end) in places[number].items():
                parameter = network.get_parameter(name)
                part = self._weights[number, start:end].view_as(parameter)
                parameter.data = part.copy_(parameter.detach())
        self._layers = self._all_layers()
        self._parts: dict[tuple[int, int], Self] = {(0, len(networks)): self}

    def select(self, numbers: Sequence[int]) -> Self:
        return type(self)(
            [self._networks[number] for number in numbers], length=self._weights.shape[1]
        )

    def part(self, start: int, end: int) -> Self:
        if (start, end) not in self._parts:
            part = copy.copy(self)
            part._networks = self._networks[start:end]
            part._weights, part._gradients = self._weights[start:end], self._gradients[start:end]
            part.vectors = self.vectors[start:end]
            part._layers = part._all_layers()
            self._parts[start, end] = part
        return self._parts[start, end]

    @torch.inference_mode()
    def losses(self, inputs: Tensor, trimmed: Trimmed = None) -> Tensor:
        return _losses(self._forward(inputs)[0], trimmed)[0]

    @torch.inference_mode()
    def backward(self, inputs: Tensor, trimmed: Trimmed = None) -> Tensor:
        error, saved = self._forward(inputs)
        losses, gradient_of_error = _losses(error, trimmed)
        self._backward(error.mul_(gradient_of_error), saved)
        return losses

    @torch.inference_mode()
    def shared_losses(self, inputs: Tensor, trimmed: Trimmed, share: Share, rows: int) -> Tensor:
        """As `losses`, a part of the sum over the processes. inputs: the part of `rows` rows."""
        return _shared_losses(self._forward(inputs)[0], trimmed, share, rows)[0]

    @torch.inference_mode()
    def shared_backward(self, inputs: Tensor, trimmed: Trimmed, share: Share, rows: int) -> Tensor:
        """As `backward`, of a mini-batch that processes share, who all get its gradients.

        Losses are parts of the sum over the processes. inputs: the part of `rows` rows.
        """
        error, saved = self._forward(inputs)
        losses, gradient_of_error = _shared_losses(error, trimmed, share, rows)
        self._backward(error.mul_(gradient_of_error), saved)
        self._gradients.copy_(share.add_up(self._gradients))
        return losses

    def _backward(self, d: Tensor, saved: list) -> None:
        for number, layer in reversed(list(enumerate(self._layers))):
            d = layer.backward(d, saved[number], first=number == 0)

    def _forward(self, inputs: Tensor) -> tuple[Tensor, list]:
        """Errors (K, n, n_inputs), and what the layers need on the way back."""
        saved = []
        values = inputs.expand(len(self._networks), *inputs.shape[-2:])
        for layer in self._layers:
            values, part = layer.forward(values)
            saved.append(part)
        return values.sub_(inputs), saved

    def _all_layers(self) -> list[BatchedLayer]:
        first = self._networks[0]
        *encoder, _ = self._some_layers("encoder", len(first.encoder))
        _, *decoder = self._some_layers("decoder", len(first.decoder))
        into, out_of = f"encoder.{len(first.encoder) - 1}", "decoder.0"
        dims = [network.get_submodule(into).out_features for network in self._networks]
        parts = [
            (networks, self._linear(into, networks), self._linear(out_of, networks))
            for networks, _ in _neighbours(dims)
        ]
        return [*encoder, BatchedBottleneck(parts), *decoder]

    def _some_layers(self, part: str, count: int) -> Iterable[BatchedLayer | None]:
        """The layers of the encoder or decoder; None where their widths differ."""
        for number in range(count):
            name = f"{part}.{number}"
            modules = [network.get_submodule(name) for network in self._networks]
            match modules[0]:
                case nn.Linear():
                    widths = {(module.in_features, module.out_features) for module in modules}
                    yield self._linear(name, slice(None)) if len(widths) == 1 else None
                case nn.LayerNorm(eps=eps):
                    yield BatchedLayerNorm(*self._weights_of(name, slice(None)), eps)
                case nn.SiLU():
                    yield BatchedSiLU()
                case nn.Tanh():
                    yield BatchedTanh()
                case _:
                    slopes = [getattr(module, "negative_slope", 0.0) for module in modules]
                    yield BatchedSlopes(_neighbours(slopes))

    def _linear(self, name: str, networks: slice) -> BatchedLinear:
        return BatchedLinear(*self._weights_of(name, networks))

    def _weights_of(self, name: str, networks: slice) -> list[Tensor]:
        """Weight, its gradient, bias, its gradient of some neighbouring networks."""
        example = self._networks[networks][0]
        layers = []
        for parameter in (f"{name}.weight", f"{name}.bias"):
            start, end = _places(example)[parameter]
            shape = example.get_parameter(parameter).shape
            layers += [
                memory[networks, start:end].unflatten(1, shape)
                for memory in (self._weights, self._gradients)
            ]
        return layers


def _losses(error: Tensor, trimmed: Trimmed) -> tuple[Tensor, Tensor | float]:
    """Losses of the rows that count, (K,), and what the error times is the gradient by it.

    error: of reconstruction, (K, n, n_inputs).
    """
    if trimmed is None:
        norms = torch.linalg.vector_norm(error.flatten(1), dim=1)
        return norms.square() / error[0].numel(), 2 / error[0].numel()
    row_losses = error.square().mean(dim=2)
    kept = _kept(row_losses, trimmed)
    weights = kept / kept.sum(dim=1, keepdim=True)
    return (row_losses * weights).sum(dim=1), (2 / error.shape[2] * weights)[:, :, None]


def _shared_losses(
    error: Tensor, trimmed: Trimmed, share: Share, rows: int
) -> tuple[Tensor, Tensor]:
    """As `_losses`, of the part of the rows that a process has; losses are a part of the sum."""
    row_losses = error.square().mean(dim=2)
    if trimmed is None:
        weights = torch.full_like(row_losses, 1 / rows)
    else:
        kept = _kept(share.of_all_rows(row_losses, rows), trimmed)
        weights = (kept / kept.sum(dim=1, keepdim=True))[:, slice(*share.bounds(rows))]
    return (row_losses * weights).sum(dim=1), (2 / error.shape[2] * weights)[:, :, None]


def _kept(row_losses: Tensor, trimmed: Sequence[int]) -> Tensor:
    """0 for the rows of highest loss, 1 for the others. row_losses: (K, n) -> (K, n) float32."""
    most = max(trimmed)
    highest = row_losses.topk(most, dim=1).indices
    counts = torch.tensor(trimmed, device=row_losses.device)
    beyond = torch.arange(most, device=row_losses.device) >= counts[:, None]
    return torch.ones_like(row_losses).scatter_(1, highest, beyond.to(row_losses.dtype))


def _places(network: Autoencoder) -> dict[str, tuple[int, int]]:
    """Where the weights of a network lie among each other: name -> (start, end).

    What depends on latent_dim comes last, so that everything else lies alike in all networks.
    """
    last = (f"encoder.{len(network.encoder) - 1}.", "decoder.0.")
    parameters = sorted(network.named_parameters(), key=lambda named: named[0].startswith(last))
    ends = list(itertools.accumulate(parameter.numel() for _, parameter in parameters))
    starts = [0, *ends[:-1]]
    return {name: place for (name, _), *place in zip(parameters, starts, ends, strict=True)}


def _neighbours(values: Sequence) -> list[tuple[slice, object]]:
    """Runs of equal values: where they are, and the value."""
    runs, start = [], 0
    for value, run in itertools.groupby(values):
        end = start + len(list(run))
        runs.append((slice(start, end), value))
        start = end
    return runs
