"""Training of one network with Lightning: batches, early stopping, best weights."""

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping
from torch import Tensor, nn

from fraud_ae.errors import UserError
from fraud_ae.models.lightning_model import LightningAutoencoder

logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
_VALIDATION_BATCH = 8192


class TrainingDiverged(UserError):
    """The loss became infinite or NaN."""


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
    accelerator: str = "auto"


class Batches:
    """Batches cut from one tensor; with a seed, shuffled anew in each epoch.

    A single row that would be left over joins the batch before it: no variance can be told from
    one row, which batch normalisation needs.

    Several times faster than a DataLoader for rows this small: nothing is collated or copied twice.
    """

    def __init__(self, inputs: Tensor, batch_size: int, seed: int | None = None) -> None:
        self.inputs = inputs
        self.batch_size = batch_size
        self.generator = None if seed is None else torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self._sizes())

    def _sizes(self) -> list[int]:
        full, rest = divmod(len(self.inputs), self.batch_size)
        sizes = [self.batch_size] * full
        if rest == 1 and full:
            sizes[-1] += 1
        elif rest:
            sizes.append(rest)
        return sizes

    def __iter__(self) -> Iterator[Tensor]:
        inputs = self.inputs
        if self.generator is not None:
            inputs = inputs[torch.randperm(len(inputs), generator=self.generator)]
        yield from inputs.split(self._sizes())


class EpochHistory(Callback):
    """Records each epoch, keeps the weights of the best one, and refuses a loss that is NaN.

    rows: epoch (from 1), train_loss, val_loss (None without validation rows), learning_rate,
    seconds. The best epoch has the lowest validation loss; without validation rows it is the last,
    because their number was chosen before.
    """

    def __init__(self, report: Callable[[dict], None] | None) -> None:
        self.report = report
        self.rows: list[dict] = []
        self.best_loss = math.inf
        self.best_epoch = 0
        self.weights: dict[str, Tensor] = {}

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        summary = module.epoch_summary()
        module.log_dict(summary)
        val_loss = trainer.callback_metrics.get("val_loss")
        row = {
            "epoch": trainer.current_epoch + 1,
            "train_loss": summary["train_loss"],
            "val_loss": None if val_loss is None else float(val_loss),
            "learning_rate": summary["learning_rate"],
            "seconds": time.perf_counter() - self._started,
        }
        self.rows.append(row)
        self._refuse_nan(row)
        if val_loss is None or row["val_loss"] < self.best_loss:
            self.best_loss, self.best_epoch = row["val_loss"], row["epoch"]
            state = module.network.state_dict()
            self.weights = {name: t.detach().cpu().clone() for name, t in state.items()}
        if self.report is not None:
            self.report(row)

    def _refuse_nan(self, row: dict) -> None:
        for name in ("train_loss", "val_loss"):
            if row[name] is not None and not math.isfinite(row[name]):
                raise TrainingDiverged(
                    f"training diverged: {name} is {row[name]} in epoch {row['epoch']}; lower "
                    f"trainer.learning_rate={row['learning_rate']:g}, or set encoder.clip"
                )


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with the weights of its best epoch (counted from 1), and its history."""

    network: nn.Module
    best_epoch: int
    history: list[dict]


def _available(accelerator: str) -> str:
    known = {"cpu": True, "cuda": torch.cuda.is_available()}
    known |= {"mps": torch.backends.mps.is_available()}
    known |= {"gpu": known["cuda"] or known["mps"]}
    if accelerator != "auto" and not known[accelerator]:
        here = ", ".join(name for name, there in known.items() if there)
        raise UserError(f"trainer.accelerator={accelerator}: not on this machine; here: {here}")
    return accelerator


def train_network(
    build: Callable[[int], nn.Module],
    train_inputs: Tensor,
    validation_inputs: Tensor | None,
    settings: TrainerSettings,
    seed: int,
    *,
    learning_rates: Sequence[float] | None = None,
    logger=None,
    report: Callable[[dict], None] | None = None,
) -> TrainedNetwork:
    """Train a network, and return it on the CPU in evaluation mode.

    build: makes the network from the number of inputs; called after the seed is set.
    train_inputs, validation_inputs: (n, n_inputs) float32. Without validation rows there is no
    early stopping, and the last epoch's weights are kept.
    learning_rates: one for each epoch, in place of the reduction on a plateau; without validation
    rows there is no plateau to see, and the rate stays as it is unless they are given.
    report: called with the history row of each epoch.
    Raises TrainingDiverged if the loss is not finite.
    """
    # Networks this small are as fast on one thread, and results do not depend on the core count.
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    network = build(train_inputs.shape[1])
    if validation_inputs is None and learning_rates is None:
        learning_rates = [settings.learning_rate] * settings.max_epochs
    module = LightningAutoencoder(
        network,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        reduce_lr_patience=settings.reduce_lr_patience,
        min_delta=settings.min_delta,
        learning_rates=learning_rates,
    )
    history = EpochHistory(report)
    callbacks: list[Callback] = [history]
    if validation_inputs is not None:
        callbacks.append(
            EarlyStopping(
                "val_loss",
                patience=settings.early_stopping_patience,
                min_delta=settings.min_delta,
                check_finite=False,
            )
        )
    trainer = pl.Trainer(
        max_epochs=settings.max_epochs,
        accelerator=_available(settings.accelerator),
        devices=1,
        logger=logger if logger is not None else False,
        callbacks=callbacks,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        log_every_n_steps=len(train_inputs),
    )
    batches = Batches(train_inputs, settings.batch_size, seed)
    validation = None
    if validation_inputs is not None:
        validation = Batches(validation_inputs, _VALIDATION_BATCH)
    with warnings.catch_warnings():
        # Lightning advises DataLoader workers, which these batches have no use for, and meets
        # deprecations of its own.
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        trainer.fit(module, batches, validation)
    network.load_state_dict(history.weights)
    return TrainedNetwork(network.cpu().eval(), history.best_epoch, history.rows)
