"""How a network is trained."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrainerSettings:
    """How a network is trained; the fields of `conf/trainer/`.

    Patience counts epochs; `min_delta` is the least fall of the validation loss that counts.
    """

    max_epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 0.001
    weight_decay: float = 0.0
    early_stopping_patience: int = 5
    reduce_lr_patience: int = 3
    min_delta: float = 0.001
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
