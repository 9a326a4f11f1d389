"""Training with Lightning: of one network, or of several in one loop."""

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from fraud_ae.errors import TrainingDiverged, UserError
from fraud_ae.models.batches import Batches
from fraud_ae.models.checkpoint import Checkpoint
from fraud_ae.models.course import Course
from fraud_ae.models.lightning_model import LightningNetworks
from fraud_ae.models.settings import TrainerSettings

logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
_VALIDATION_BATCH = 1024
# What Lightning does around a step takes as long as a few steps of a network this small.
_BATCHES_TOGETHER = 64


@dataclass(frozen=True)
class Rows:
    """Some rows of a matrix, which is not copied.

    inputs: (n, n_inputs) float32, in memory or memory-mapped. numbers: (m,) int64; all by default.
    """

    inputs: Tensor
    numbers: Tensor | None = None


@dataclass(frozen=True)
class Training:
    """One network to be trained.

    build: makes it from the number of inputs; called after the seed is set. learning_rates: one for
    each epoch, in place of the reduction on a plateau. report: called with the history row of each
    epoch. start: the end of a shorter training of the very same network and rows, to go on from.
    """

    build: Callable[[int], nn.Module]
    settings: TrainerSettings
    seed: int
    learning_rates: Sequence[float] | None = None
    report: Callable[[dict], None] | None = None
    start: Checkpoint | None = None


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with the weights of its best epoch (counted from 1), and its history.

    end: for a longer training to go on from; None of a network that draws random numbers, whose
    state is not kept.
    """

    network: nn.Module
    best_epoch: int
    history: list[dict]
    steps_per_epoch: int
    end: Checkpoint | None = None


def train_network(
    training: Training, train: Rows, validation: Rows | None, logger=None
) -> TrainedNetwork:
    """Train a network, and return it on the CPU in evaluation mode.

    Without validation rows there is no early stopping, and the last epoch's weights are kept.
    logger: of Lightning. Raises TrainingDiverged if the loss is not finite.
    """
    return only(train_together([training], train, validation, logger))


def only(trained: list[TrainedNetwork | TrainingDiverged]) -> TrainedNetwork:
    """The one network that was trained. Raises TrainingDiverged if its loss was not finite."""
    (network,) = trained
    if isinstance(network, TrainingDiverged):
        raise network
    return network


def train_together(
    trainings: Sequence[Training], train: Rows, validation: Rows | None, logger=None
) -> list[TrainedNetwork | TrainingDiverged]:
    """Train networks on the same rows in one loop; each ends as if it were alone.

    Their `stack_key` must be equal, their batch size and accelerator, and the epochs that they have
    behind them, too. One that diverges leaves the others alone; its error is returned in its place.
    """
    # Networks this small are as fast on one thread, and results do not depend on the core count.
    torch.set_num_threads(1)
    # What Adam remembers of a dead unit fades to numbers so small that each costs a hundred others.
    torch.set_flush_denormal(True)
    n_inputs = train.inputs.shape[1]
    networks, courses = [], []
    for training in trainings:
        torch.manual_seed(training.seed)
        networks.append(training.build(n_inputs))
        rates = training.learning_rates
        if validation is None and rates is None:
            rates = [training.settings.learning_rate] * training.settings.max_epochs
        courses.append(Course(training.settings, rates, training.report))
    settings = trainings[0].settings
    before = _epochs_before(trainings)
    module = LightningNetworks(networks, courses, [training.start for training in trainings])
    trainer = pl.Trainer(
        max_epochs=max(training.settings.max_epochs for training in trainings) - before,
        accelerator=_available(settings.accelerator),
        devices=1,
        logger=logger if logger is not None else False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
    )
    batches = Batches(
        train.inputs,
        settings.batch_size,
        [training.seed for training in trainings],
        rows=train.numbers,
        together=_BATCHES_TOGETHER,
        epochs_before=before,
    )
    judged = None
    if validation is not None:
        judged = Batches(validation.inputs, _VALIDATION_BATCH, rows=validation.numbers)
    with warnings.catch_warnings():
        # Lightning advises DataLoader workers, which these batches have no use for, and meets
        # deprecations of its own.
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        if module.is_to_train:
            trainer.fit(module, batches, judged)
    return [
        _trained(network, course, module.steps_per_epoch, end)
        for network, course, end in zip(networks, courses, module.ends, strict=True)
    ]


def _epochs_before(trainings: Sequence[Training]) -> int:
    before = {training.start.epochs if training.start else 0 for training in trainings}
    if len(before) > 1:
        raise ValueError("trainings that go on from different epochs cannot share a loop")
    return before.pop()


def _trained(
    network: nn.Module, course: Course, steps: int, end: Checkpoint | None
) -> TrainedNetwork | TrainingDiverged:
    if course.error is not None:
        return course.error
    for parameter in network.parameters():
        parameter.grad = None
    # Assigned, because the weights still lie in the memory of all networks together.
    network.load_state_dict(course.weights, assign=True)
    return TrainedNetwork(network.cpu().eval(), course.best_epoch, course.history, steps, end)


def _available(accelerator: str) -> str:
    known = {"cpu": True, "cuda": torch.cuda.is_available()}
    known |= {"mps": torch.backends.mps.is_available()}
    known |= {"gpu": known["cuda"] or known["mps"]}
    if accelerator != "auto" and not known[accelerator]:
        here = ", ".join(name for name, there in known.items() if there)
        raise UserError(f"trainer.accelerator={accelerator}: not on this machine; here: {here}")
    return accelerator
