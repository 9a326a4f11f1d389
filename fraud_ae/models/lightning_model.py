"""The LightningModule around networks that share a loop: steps, losses, learning rates."""

import time
from collections.abc import Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from fraud_ae.models.adam import FusedAdam
from fraud_ae.models.batches import Batches, Piece, split_batches
from fraud_ae.models.checkpoint import Checkpoint
from fraud_ae.models.history import curve_point
from fraud_ae.models.parallel.share import Share
from fraud_ae.models.stacked import stack_key, trainable
from fraud_ae.models.training_state import TrainingState


class LightningNetworks(pl.LightningModule):
    """Trains one network or several in one loop; each has a TrainingState.

    Optimisation is manual: Lightning hands over chunks of several mini-batches, so that what it
    does around a step is done once for all of them. states: one for each network. batches: of all
    of them. starts: where an earlier training left each; None for a new one. share: the part of
    each mini-batch that this process computes; all of it by default.

    ends: where the training of each has ended, once it has; None of a network that draws random
    numbers. steps_per_epoch: of the optimiser, for each network, once there was an epoch.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        states: Sequence[TrainingState],
        batches: Batches,
        starts: Sequence[Checkpoint | None],
        share: Share | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.networks = nn.ModuleList(networks)
        self.states = list(states)
        self.batches = batches
        self.share = share
        self.ends = list(starts)
        self.steps_per_epoch = [start.steps_per_epoch if start else 0 for start in starts]
        for state, start in zip(states, starts, strict=True):
            if start is not None:
                state.resume(start.history, start.best)
        self._running = [n for n, state in enumerate(states) if not state.ended]
        self.batches.keep(self._running)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        # Here, and not before, the networks lie on the device where they are trained.
        self._stack = trainable([self.networks[number] for number in self._running])
        if self.share is not None:
            for vector in self._stack.vectors:
                vector.detach().copy_(self.share.from_first(vector))
        optimizer = FusedAdam(self._stack.vectors)
        for number, vector in zip(self._running, self._stack.vectors, strict=True):
            start = self.ends[number]
            if start is not None:
                vector.detach().copy_(_padded(start.last, vector))
                steps = start.epochs * start.steps_per_epoch
                averages = (
                    _padded(average, vector) for average in (start.exp_avg, start.exp_avg_sq)
                )
                optimizer.remember(vector, steps, *averages)
        return optimizer

    def on_train_epoch_start(self) -> None:
        self._started = time.perf_counter()
        self._train_losses, self._val_losses = (
            _Losses(len(self._running), self.share) for _ in range(2)
        )
        states = [self.states[number] for number in self._running]
        rates = [(state.learning_rate, state.settings.weight_decay) for state in states]
        self._optimizer().train_only(self._stack.vectors, rates)

    def _optimizer(self) -> FusedAdam:
        return self.optimizers(use_pl_optimizer=False)

    def training_step(self, chunk: list[Piece], batch_idx: int) -> None:
        optimizer = self._optimizer()
        for piece in chunk:
            start, end, rows = piece.start, piece.end, piece.batch_rows
            stack, losses = self._stack.part(start, end), []
            running = [self.states[number] for number in self._running[start:end]]
            # What a new network finds hard says nothing about the rows yet.
            shares = [state.settings.contamination if state.history else 0 for state in running]
            trimmed = _trimmed(shares, rows)
            for batch in split_batches(piece):
                if self.share is None:
                    losses.append(stack.backward(batch, trimmed))
                else:
                    losses.append(stack.shared_backward(batch, trimmed, self.share, rows))
                optimizer.take_step(start, end)
            self._train_losses.add(start, end, losses, [rows] * piece.count)

    def validation_step(self, batch: tuple[Tensor, int], batch_idx: int) -> None:
        inputs, rows = batch
        shares = [self.states[number].settings.contamination for number in self._running]
        trimmed = _trimmed(shares, rows)
        if self.share is None:
            losses = self._stack.losses(inputs, trimmed)
        else:
            losses = self._stack.shared_losses(inputs, trimmed, self.share, rows)
        self._val_losses.add(0, len(self._running), [losses], [rows])

    def on_train_epoch_end(self) -> None:
        seconds = (time.perf_counter() - self._started) / len(self._running)
        train_losses, val_losses = self._train_losses.means(), self._val_losses.means()
        for number, train_loss, val_loss, steps in zip(
            self._running, train_losses, val_losses, self._train_losses.steps, strict=True
        ):
            network = self.networks[number]
            self.steps_per_epoch[number] = steps
            row = self.states[number].add_epoch(
                train_loss, val_loss, seconds, lambda network=network: _copy(network)
            )
            # A logger belongs to one run, so that several networks cannot share it.
            if len(self.networks) == 1 and self.logger is not None:
                self.logger.log_metrics(*curve_point(row, steps))
        self._leave_those_that_ended()

    def _leave_those_that_ended(self) -> None:
        for number, vector in zip(self._running, self._stack.vectors, strict=True):
            state, network = self.states[number], self.networks[number]
            if state.ended and state.error is None and stack_key(network) is not None:
                self.ends[number] = self._end(number, vector)
        remaining = [i for i, n in enumerate(self._running) if not self.states[n].ended]
        if not remaining:
            self.trainer.should_stop = True
        elif len(remaining) < len(self._running):
            before, moments = self._stack.vectors, self._optimizer().state
            self._stack = self._stack.select(remaining)
            self._running = [self._running[i] for i in remaining]
            self.batches.keep(remaining)
            moved = {
                self._stack.vectors[new]: moments[before[old]] for new, old in enumerate(remaining)
            }
            moments.clear()
            moments.update(moved)

    def _end(self, number: int, vector: nn.Parameter) -> Checkpoint:
        moments, state = self._optimizer().state[vector], self.states[number]
        return Checkpoint(
            history=state.history,
            best=state.weights,
            last=vector.detach().cpu().clone(),
            exp_avg=moments["exp_avg"].cpu().clone(),
            exp_avg_sq=moments["exp_avg_sq"].cpu().clone(),
            steps_per_epoch=self.steps_per_epoch[number],
        )


class _Losses:
    """The losses of the mini-batches of an epoch; steps: how many of each network.

    share: what is added is a part of the sum over the processes.
    """

    def __init__(self, networks: int, share: Share | None) -> None:
        self._share = share
        self.steps = [0] * networks
        self._batches: list[tuple[int, int, Tensor, list[int]]] = []

    def add(self, start: int, end: int, losses: list[Tensor], rows: list[int]) -> None:
        """Losses of some neighbouring networks, (end - start,) for each mini-batch, and its rows.

        They stay on the device: to read them in every step would stall a GPU.
        """
        self._batches.append((start, end, torch.stack(losses), rows))
        for number in range(start, end):
            self.steps[number] += len(losses)

    def means(self) -> list[float | None]:
        """The mean over the rows for each network; None for one without rows."""
        # Summed so that no rounding depends on how many networks there are.
        total, count = torch.zeros(2, len(self.steps), dtype=torch.float64)
        for start, end, losses, rows in self._batches:
            weights = torch.tensor(rows, dtype=torch.float64)
            total[start:end] += weights @ losses.cpu().double()
            count[start:end] += weights.sum()
        if self._share is not None:
            # What is decided by them is decided alike in all processes.
            total = self._share.from_first(self._share.add_up(total))
        means = (total / count).float().tolist()
        return [mean if steps else None for mean, steps in zip(means, self.steps, strict=True)]


def _trimmed(shares: Sequence[float | None], rows: int) -> list[int] | None:
    """How many of the rows of a mini-batch each network leaves out; None where none does any."""
    counts = [round((share or 0) * rows) for share in shares]
    return counts if any(counts) else None


def _padded(remaining: Tensor, vector: Tensor) -> Tensor:
    """Numbers of a network in a vector like this one, whose end belongs to no weight."""
    padded = torch.zeros_like(vector, requires_grad=False)
    length = min(len(remaining), len(padded))
    padded[:length] = remaining[:length]
    return padded


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: t.detach().cpu().clone() for name, t in network.state_dict().items()}
