"""The LightningModule around a network: loss, optimiser, learning-rate schedule."""

from collections.abc import Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor, nn


class LightningAutoencoder(pl.LightningModule):
    """Trains any network that has a `loss(inputs) -> scalar`.

    learning_rates: one for each epoch, to repeat a schedule that an earlier training found on its
    validation rows; without it the rate is halved when the validation loss stops falling.
    """

    def __init__(
        self,
        network: nn.Module,
        learning_rate: float,
        weight_decay: float = 0.0,
        reduce_lr_patience: int = 3,
        min_delta: float = 0.001,
        learning_rates: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.reduce_lr_patience = reduce_lr_patience
        self.min_delta = min_delta
        self.learning_rates = learning_rates

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(
            self.network.parameters(),
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            fused=True,
        )
        if self.learning_rates is not None:
            return optimizer
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            factor=0.5,
            patience=self.reduce_lr_patience,
            threshold=self.min_delta,
            threshold_mode="abs",
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "monitor": "val_loss"},
        }

    def on_train_epoch_start(self) -> None:
        self._sum = torch.zeros((), device=self.device)
        self._rows = 0
        if self.learning_rates is not None:
            for group in self.optimizers().param_groups:
                group["lr"] = self.learning_rates[self.current_epoch]

    def training_step(self, inputs: Tensor, batch_idx: int) -> Tensor:
        loss = self.network.loss(inputs)
        # Summed on the device: reading the value in every step would stall a GPU.
        self._sum += loss.detach() * len(inputs)
        self._rows += len(inputs)
        return loss

    def validation_step(self, inputs: Tensor, batch_idx: int) -> None:
        loss = self.network.loss(inputs)
        self.log("val_loss", loss, batch_size=len(inputs), on_step=False, on_epoch=True)

    def epoch_summary(self) -> dict[str, float]:
        """Mean loss over the rows of the epoch that just ended, and its learning rate."""
        return {
            "train_loss": float(self._sum) / self._rows,
            "learning_rate": self.optimizers().param_groups[0]["lr"],
        }
