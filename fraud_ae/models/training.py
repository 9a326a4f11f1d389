"""Training with Lightning: of one network, or of several in one loop."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytorch_lightning as pl
import torch
from torch import nn

from fraud_ae.errors import TrainingDiverged, UserError
from fraud_ae.models.batches import Batches, InOrder, Rows, Stream
from fraud_ae.models.checkpoint import Checkpoint
from fraud_ae.models.lightning_model import LightningNetworks
from fraud_ae.models.parallel.processes import other_processes
from fraud_ae.models.parallel.share import Share
from fraud_ae.models.settings import TrainerSettings
from fraud_ae.models.stacked import stack_key
from fraud_ae.models.training_state import TrainingState

logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
# So many rows of several networks fit into the caches of a core.
_VALIDATION_BATCH = 256
# What Lightning does around a step takes as long as a few steps of a network this small.
_BATCHES_TOGETHER = 64


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

    @property
    def epochs_before(self) -> int:
        """Epochs of the shorter training that this one goes on from."""
        return self.start.epochs if self.start else 0


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
    return only(train_together([training], [train], validation, logger))


def only(trained: list[TrainedNetwork | TrainingDiverged]) -> TrainedNetwork:
    """The one network that was trained. Raises TrainingDiverged if its loss was not finite."""
    (network,) = trained
    if isinstance(network, TrainingDiverged):
        raise network
    return network


def train_together(
    trainings: Sequence[Training], train: Sequence[Rows], validation: Rows | None, logger=None
) -> list[TrainedNetwork | TrainingDiverged]:
    """Train networks in one loop; each ends as if it were alone.

    train: what each is trained on. Their `stack_key` must be equal, and their batch size and
    accelerator. One that diverges leaves the others alone; its error is returned in its place.

    With `devices` of the settings above 1, one network alone, whose rows lie in files, is trained
    by so many processes. Raises UserError where that cannot be done, and WorkerLost if one of them
    ends early.
    """
    settings = trainings[0].settings
    if settings.devices == 1:
        return _train(trainings, train, validation, logger)
    (training,), (rows,) = trainings, train
    if stack_key(training.build(rows.inputs.shape[1])) is None:
        raise UserError(
            f"trainer.devices={settings.devices}: several processes train plain autoencoders, "
            "without noise, masks, dropout, batch normalisation or members; others need "
            "trainer.devices=1"
        )
    accelerator = _available(settings.accelerator)
    on_cards = torch.cuda.is_available() and accelerator != "cpu"
    arguments = (replace(training, report=None),)
    with other_processes(
        settings.devices, on_cards, _train_share, arguments, [rows, validation]
    ) as share:
        return _train(trainings, train, validation, logger, share)


def _train_share(training: Training, rows: Rows, validation: Rows | None, share: Share) -> None:
    _train([training], [rows], validation, None, share)


def _train(
    trainings: Sequence[Training],
    train: Sequence[Rows],
    validation: Rows | None,
    logger,
    share: Share | None = None,
) -> list[TrainedNetwork | TrainingDiverged]:
    # Networks this small are as fast on one thread, and results do not depend on the core count.
    torch.set_num_threads(1)
    networks, states, streams = [], [], []
    for training, rows in zip(trainings, train, strict=True):
        torch.manual_seed(training.seed)
        networks.append(training.build(rows.inputs.shape[1]))
        rates = training.learning_rates
        if validation is None and rates is None:
            rates = [training.settings.learning_rate] * training.settings.max_epochs
        states.append(TrainingState(training.settings, rates, training.report))
        streams.append(Stream(rows, training.seed, training.epochs_before))
    settings = trainings[0].settings
    batches = Batches(streams, settings.batch_size, together=_BATCHES_TOGETHER, share=share)
    starts = [training.start for training in trainings]
    module = LightningNetworks(networks, states, batches, starts, share)
    trainer = pl.Trainer(
        max_epochs=max(
            training.settings.max_epochs - training.epochs_before for training in trainings
        ),
        accelerator=_available(settings.accelerator),
        devices=_device(share),
        logger=logger if logger is not None else False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
    )
    validation_batches = (
        None if validation is None else InOrder(validation, _VALIDATION_BATCH, share)
    )
    with _without_subnormals(), warnings.catch_warnings():
        # Lightning advises DataLoader workers, which these batches have no use for, and meets
        # deprecations of its own.
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        if not all(state.ended for state in states):
            trainer.fit(module, batches, validation_batches)
    return [
        _trained(*network_parts)
        for network_parts in zip(networks, states, module.steps_per_epoch, module.ends, strict=True)
    ]


@contextmanager
def _without_subnormals() -> Iterator[None]:
    """Take subnormal numbers for 0, in training alone: what is read later is read as it stands.

    What Adam remembers of a dead unit fades to numbers so small that each costs a hundred others.
    """
    before = not float(torch.tensor(5e-324, dtype=torch.float64) * 1.0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _trained(
    network: nn.Module, state: TrainingState, steps: int, end: Checkpoint | None
) -> TrainedNetwork | TrainingDiverged:
    if state.error is not None:
        return state.error
    for parameter in network.parameters():
        parameter.grad = None
    # Assigned, because the weights still lie in the memory of all networks together.
    network.load_state_dict(state.weights, assign=True)
    return TrainedNetwork(network.cpu().eval(), state.best_epoch, state.history, steps, end)


def _device(share: Share | None) -> int | list[int]:
    """How many devices, or which, a process trains on, as Lightning takes it."""
    return [share.rank] if share is not None and share.device.type == "cuda" else 1


def _available(accelerator: str) -> str:
    usable = {"cpu": True, "cuda": torch.cuda.is_available()}
    usable |= {"mps": torch.backends.mps.is_available()}
    usable |= {"gpu": usable["cuda"] or usable["mps"]}
    if accelerator != "auto" and not usable[accelerator]:
        names = ", ".join(name for name, is_usable in usable.items() if is_usable)
        raise UserError(f"trainer.accelerator={accelerator}: not on this machine; here: {names}")
    return accelerator
