"""The loops that people write: bare PyTorch, and Lightning with a DataLoader."""

import warnings

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class PlainModule(pl.LightningModule):
    """A LightningModule as tutorials have it: automatic optimisation, a log in each step."""

    def __init__(self, network: nn.Module, learning_rate: float) -> None:
        super().__init__()
        self.network = network
        self.learning_rate = learning_rate

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss = self.network.loss(batch[0]).mean()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val_loss", self.network.loss(batch[0]).mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)


def plain_lightning(
    network: nn.Module,
    train: Tensor,
    validation: Tensor | None,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float = 1e-3,
) -> None:
    """Train with Trainer, DataLoader(TensorDataset) and per-step logging."""
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    loaders = [DataLoader(TensorDataset(train), batch_size=batch_size, shuffle=True)]
    if validation is not None:
        loaders.append(DataLoader(TensorDataset(validation), batch_size=1024))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's own advice
        trainer.fit(PlainModule(network, learning_rate), *loaders)


def bare_loop(network: nn.Module, train: Tensor, *, epochs: int, batch_size: int) -> None:
    """Train in a loop around a fused Adam, batches cut from one shuffled tensor."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    for _ in range(epochs):
        for inputs in train[torch.randperm(len(train))].split(batch_size):
            optimizer.zero_grad()
            network.loss(inputs).mean().backward()
            optimizer.step()
