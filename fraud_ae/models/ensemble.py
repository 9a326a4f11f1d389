"""Several networks of one kind, trained side by side."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Networks that differ in their initial weights alone (Lakshminarayanan et al., NIPS 2017).

    They see the same batches and do not influence one another. Where they disagree, a row is
    unusual: residuals are the root mean square of theirs, not the mean, with the mean's sign. The
    latent code is all of their codes side by side.

    build: makes one network. members: how many, 1 or more.
    """

    def __init__(self, build: Callable[[], nn.Module], members: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(build() for _ in range(members))

    def encode(self, inputs: Tensor) -> Tensor:
        """Latent codes. (n, n_inputs) float32 -> (n, members * latent_dim) float32."""
        return torch.cat([member.encode(inputs) for member in self.members], dim=1)

    def residuals(self, inputs: Tensor) -> Tensor:
        """Residuals of the members together. (n, n_inputs) float32 -> the same shape."""
        residuals = torch.stack([member.residuals(inputs) for member in self.members])
        return residuals.mean(dim=0).sign() * residuals.square().mean(dim=0).sqrt()

    def loss(self, inputs: Tensor) -> Tensor:
        """Mean loss of the members, a scalar."""
        return torch.stack([member.loss(inputs) for member in self.members]).mean()
