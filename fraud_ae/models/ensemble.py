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
        return self.signals(inputs)[1]

    def residuals(self, inputs: Tensor) -> Tensor:
        """Residuals of the members together. (n, n_inputs) float32 -> the same shape."""
        return self.signals(inputs)[0]

    def signals(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Both at once: `residuals` and `encode`."""
        every, codes = zip(*(member.signals(inputs) for member in self.members), strict=True)
        residuals = torch.stack(every)
        together = residuals.mean(dim=0).sign() * residuals.square().mean(dim=0).sqrt()
        return together, torch.cat(codes, dim=1)

    def loss(self, inputs: Tensor) -> Tensor:
        """Mean loss of the members, a scalar."""
        return torch.stack([member.loss(inputs) for member in self.members]).mean()
