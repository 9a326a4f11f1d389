"""How the training of one network goes: its history, learning rate, best weights and end."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fraud_ae.errors import TrainingDiverged
from fraud_ae.models.settings import TrainerSettings


class TrainingState:
    """The state of one training after each epoch; others trained in the same loop do not matter.

    learning_rates: one for each epoch, to repeat a schedule that an earlier training found on its
    validation rows; without it the rate is halved when the validation loss stops falling. report:
    called with each row of the history.

    history: rows of epoch (from 1), train_loss, val_loss (None without validation rows),
    learning_rate, seconds (a share of those of the loop). The best epoch has the lowest validation
    loss; without validation rows it is the last, because their number was chosen before. error: why
    training had to end.
    """

    def __init__(
        self,
        settings: TrainerSettings,
        learning_rates: Sequence[float] | None = None,
        report: Callable[[dict], None] | None = None,
    ) -> None:
        self.settings = settings
        self.report = report
        self.history: list[dict] = []
        self.best_epoch = 0
        self.weights: dict[str, Tensor] = {}
        self.error: TrainingDiverged | None = None
        self._learning_rates = learning_rates
        self._best_loss = self._loss_to_beat = math.inf
        self._waited = 0
        # The schedule of PyTorch wants an optimiser; this one only holds the rate.
        self._rate = torch.optim.SGD([torch.zeros(1)], lr=settings.learning_rate)
        self._schedule = ReduceLROnPlateau(
            self._rate,
            factor=0.5,
            patience=settings.reduce_lr_patience,
            threshold=settings.min_delta,
            threshold_mode="abs",
        )

    @property
    def learning_rate(self) -> float:
        """The rate of the epoch that comes."""
        if self._learning_rates is not None:
            return self._learning_rates[len(self.history)]
        return self._rate.param_groups[0]["lr"]

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to train."""
        impatient = self._waited >= self.settings.early_stopping_patience
        finished = len(self.history) >= self.settings.max_epochs
        return finished or impatient or self.error is not None

    def add_epoch(
        self,
        train_loss: float,
        val_loss: float | None,
        seconds: float,
        weights: Callable[[], dict[str, Tensor]],
    ) -> dict:
        """Record an epoch, and draw the conclusions; returns its row of the history.

        weights: gives a copy of the network's weights, if they are worth keeping.
        """
        row = {
            "epoch": len(self.history) + 1,
            "train_loss": train_loss,
            "val_loss": val_loss,
            "learning_rate": self.learning_rate,
            "seconds": seconds,
        }
        self.history.append(row)
        self.error = _divergence(row)
        if self.error is None:
            if self._update(row):
                self.weights = weights()
            if self.report is not None:
                self.report(row)
        return row

    def resume(self, history: Sequence[dict], weights: dict[str, Tensor]) -> None:
        """Be where an earlier training ended. weights: of its best epoch."""
        for row in history:
            self.history.append(row)
            self._update(row)
        self.weights = weights

    def _update(self, row: dict) -> bool:
        """Take an epoch into account; returns whether it is the best so far."""
        val_loss = row["val_loss"]
        if val_loss is None:
            self.best_epoch = row["epoch"]
            return True
        is_best = val_loss < self._best_loss
        if is_best:
            self._best_loss, self.best_epoch = val_loss, row["epoch"]
        self._schedule.step(val_loss)
        if val_loss < self._loss_to_beat - self.settings.min_delta:
            self._loss_to_beat, self._waited = val_loss, 0
        else:
            self._waited += 1
        return is_best


def _divergence(row: dict) -> TrainingDiverged | None:
    for name in ("train_loss", "val_loss"):
        if row[name] is not None and not math.isfinite(row[name]):
            return TrainingDiverged(
                f"training diverged: {name} is {row[name]} in epoch {row['epoch']}; lower "
                f"trainer.learning_rate={row['learning_rate']:g}, or set encoder.clip"
            )
    return None
