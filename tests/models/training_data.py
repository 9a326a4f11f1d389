"""Rows near a plane, small settings, and how trained networks are compared."""

import dataclasses

import torch

from fraud_ae.models.batches import Rows
from fraud_ae.models.network import Autoencoder
from fraud_ae.models.settings import TrainerSettings
from fraud_ae.models.training import TrainedNetwork, Training

N_INPUTS = 12
SETTINGS = TrainerSettings(max_epochs=4, batch_size=32, learning_rate=0.005, accelerator="cpu")


def rows(n: int, seed: int, n_inputs: int = N_INPUTS, noise: float = 0.1) -> torch.Tensor:
    """(n, n_inputs), near a plane of three dimensions, so that there is something to learn."""
    generator = torch.Generator().manual_seed(seed)
    plane = torch.randn(3, n_inputs, generator=torch.Generator().manual_seed(99))
    around = noise * torch.randn(n, n_inputs, generator=generator)
    return torch.randn(n, 3, generator=generator) @ plane + around


TRAIN, VALIDATION = Rows(rows(500, 1)), Rows(rows(150, 2))


def changed(**settings: object) -> TrainerSettings:
    return dataclasses.replace(SETTINGS, **settings)


def training(seed=0, start=None, settings=SETTINGS, **network: object) -> Training:
    arguments = {"hidden_sizes": [10, 6], "latent_dim": 4, "activation": "relu", **network}

    def build(n_inputs: int) -> Autoencoder:
        return Autoencoder(n_inputs, **arguments)

    return Training(build, settings, seed, start=start)


def curve(trained: TrainedNetwork) -> list[tuple]:
    names = ("epoch", "train_loss", "val_loss", "learning_rate")
    return [tuple(row[name] for name in names) for row in trained.history]
