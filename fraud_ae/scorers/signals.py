"""What a network makes of transactions, from which scorers make one score for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import nn

_AT_ONCE = 65_536


@dataclass(frozen=True)
class Signals:
    """What is known of n encoded transactions once a network has seen them.

    inputs: (n, n_inputs) float32, as encoded. residuals: (n, n_inputs) float32, reconstruction
    minus input. code: (n, latent_dim) float32. groups: (n_inputs,) int, the number of the feature
    that each input belongs to, from 0 without gaps.
    """

    inputs: np.ndarray
    residuals: np.ndarray
    code: np.ndarray
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, rows: np.ndarray | slice) -> Self:
        """The signals of some rows: a mask, indices or a slice."""
        return type(self)(self.inputs[rows], self.residuals[rows], self.code[rows], self.groups)

    @property
    def errors(self) -> np.ndarray:
        """Squared error of each feature, the sum over its inputs: (n, n_features) float32."""
        squared = np.square(self.residuals)
        order = np.argsort(self.groups, kind="stable")
        starts = np.flatnonzero(np.diff(self.groups[order], prepend=-1))
        return np.add.reduceat(squared[:, order], starts, axis=1)


def signals_of(network: nn.Module, inputs: np.ndarray, groups: Sequence[int]) -> Signals:
    """Run a network, on the CPU and in evaluation mode, over encoded rows.

    inputs: (n, n_inputs) float32. groups: (n_inputs,), see Signals.
    """
    parts = []
    with torch.inference_mode():
        # At least one part, so that no rows give empty signals of the right width.
        for start in range(0, max(1, len(inputs)), _AT_ONCE):
            batch = torch.from_numpy(np.ascontiguousarray(inputs[start : start + _AT_ONCE]))
            parts.append((network.residuals(batch).numpy(), network.encode(batch).numpy()))
    residuals, code = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Signals(inputs, residuals, code, np.asarray(groups))
