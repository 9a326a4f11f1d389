"""Several networks of one kind, trained side by side."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Networks that differ in their initial weights alone (Lakshminarayanan et al., NIPS 2017).

    They see the same batches and do not influence one another.

    build: makes one network. members: how many, 1 or more.
    """

    def __init__(self, build: Callable[[], nn.Module], members: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(build() for _ in range(members))

    def signals(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals (n, n_inputs) and latent codes side by side, (n, members * latent_dim).

        Where networks disagree, a row is unusual: residuals are the root mean square of theirs, not
        the mean, with the mean's sign.
        """
        every, codes = zip(*(member.signals(inputs) for member in self.members), strict=True)
        residuals = torch.stack(every)
        together = residuals.mean(dim=0).sign() * residuals.square().mean(dim=0).sqrt()
        return together, torch.cat(codes, dim=1)

    def loss(self, inputs: Tensor) -> Tensor:
        """Mean loss of the members, of each row, (n,)."""
        return torch.stack([member.loss(inputs) for member in self.members]).mean(dim=0)
