"""The part of each mini-batch that one of several processes computes, and sums over all of them."""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Share:
    """One process of those that train a network together; the first alone writes anything.

    rank: its number, from 0. size: how many there are. device: where what they exchange lies, as
    NCCL takes nothing from the processor.
    """

    rank: int
    size: int
    device: torch.device

    def bounds(self, rows: int) -> tuple[int, int]:
        """First row, and the one after the last, of this process in a mini-batch."""
        return self.rank * rows // self.size, (self.rank + 1) * rows // self.size

    def add_up(self, values: Tensor) -> Tensor:
        """The sum over the processes, in all of them the same, on the device of the values."""
        total = values.to(self.device, copy=True)
        dist.all_reduce(total)
        return total.to(values.device)

    def from_first(self, values: Tensor) -> Tensor:
        """What the first process has, on the device of the values."""
        sent = values.detach().to(self.device, copy=True)
        dist.broadcast(sent, 0)
        return sent.to(values.device)

    def of_all_rows(self, values: Tensor, rows: int) -> Tensor:
        """Values of the rows of all processes. (K, own rows) -> (K, rows)."""
        start, end = self.bounds(rows)
        everything = values.new_zeros(len(values), rows)
        everything[:, start:end] = values
        return self.add_up(everything)
