"""What a network makes of transactions, from which scorers make one score for each."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from torch import nn

# So many rows go through a network at a time: what its layers make of them stays in the cache.
AT_ONCE = 16_384


@dataclass(frozen=True)
class Signals:
    """What is known of n encoded transactions once a network has seen them.

    inputs: (n, n_inputs) float32, as encoded. residuals: (n, n_inputs) float64, reconstruction
    minus input. code: (n, latent_dim) float64. groups: (n_inputs,) int, the number of the feature
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

    def parts(self) -> Iterator[Self]:
        """What is in memory already is one part."""
        yield self

    @property
    def errors(self) -> np.ndarray:
        """Squared error of each feature, the sum over its inputs: (n, n_features) float64."""
        return self.by_feature(np.square(self.residuals))

    def by_feature(self, of_inputs: np.ndarray) -> np.ndarray:
        """Sums over the inputs of each feature: (n, n_inputs) -> (n, n_features)."""
        # A product with the membership of inputs in features adds up many times faster than sums.
        belongs = np.eye(self.groups.max() + 1)[self.groups]
        return of_inputs @ belongs


@dataclass(frozen=True)
class SignalRows:
    """The signals of some rows of a matrix, computed when they are asked for, in parts.

    network: of `scoring_network`. inputs: (n, n_inputs) float32, in memory or memory-mapped.
    groups: (n_inputs,), see Signals. rows: (m,) int, which of them.
    """

    network: "nn.Module"
    inputs: np.ndarray
    groups: Sequence[int]
    rows: np.ndarray

    @classmethod
    def where(
        cls, network: "nn.Module", inputs: np.ndarray, groups: Sequence[int], mask: np.ndarray
    ) -> Self:
        """Those of the rows that a mask, (n,) bool, names."""
        return cls(network, inputs, groups, np.flatnonzero(mask))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: np.ndarray | slice) -> Self:
        """Some of the rows: a mask, indices or a slice."""
        return type(self)(self.network, self.inputs, self.groups, self.rows[rows])

    def parts(self) -> Iterator[Signals]:
        """The signals, so many rows at a time that they fit into memory; at least one part."""
        if len(self) <= AT_ONCE:
            yield self._only_part
            return
        for start in range(0, len(self), AT_ONCE):
            yield self._of(self.rows[start : start + AT_ONCE])

    @cached_property
    def _only_part(self) -> Signals:
        return self._of(self.rows)

    def _of(self, rows: np.ndarray) -> Signals:
        return signals_of(self.network, self.inputs[rows], self.groups)


def joined(parts: Iterable[Signals]) -> Signals:
    """The signals of several parts, one after another, as one; of one part at least."""
    every = list(parts)
    arrays = (
        np.concatenate([getattr(part, name) for part in every])
        for name in ("inputs", "residuals", "code")
    )
    return every[0] if len(every) == 1 else Signals(*arrays, every[0].groups)


def signals_of(network: "nn.Module", inputs: np.ndarray, groups: Sequence[int]) -> Signals:
    """Run a network of `scoring_network` over encoded rows.

    inputs: (n, n_inputs) float32. groups: (n_inputs,), see Signals.
    """
    import torch  # here, as a sweep has to know scorers before it needs any network

    with torch.inference_mode():
        batch = torch.from_numpy(np.ascontiguousarray(inputs)).double()
        residuals, code = network.signals(batch)
    return Signals(inputs, residuals.numpy(), code.numpy(), np.asarray(groups))
