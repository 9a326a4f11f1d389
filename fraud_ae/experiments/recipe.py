"""What makes a detector of encoded transactions."""

from dataclasses import dataclass

from fraud_ae.models.settings import TrainerSettings
from fraud_ae.scorers.scorer import Scorer


@dataclass(frozen=True)
class Recipe:
    """Network, scorer and how both are trained.

    network: `{"class": path, ...}`. scorer: not fitted, or of an earlier fit; copies of it are.
    train_on: see `fraud_ae.features.encoded_data.trainable`.
    """

    network: dict
    scorer: Scorer
    trainer: TrainerSettings
    train_on: str
    seed: int
