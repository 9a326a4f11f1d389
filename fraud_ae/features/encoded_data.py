"""Transactions as a network reads them, and what made them so."""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from fraud_ae.errors import UserError
from fraud_ae.features.encoder import Encoder
from fraud_ae.features.partitioned.batches import FrameBatches, TransactionBatches
from fraud_ae.features.partitioned.columns import FeatureColumns
from fraud_ae.features.partitioned.computation import FeatureComputation
from fraud_ae.features.partitioned.features import partitioned_features
from fraud_ae.features.serialization import strategy_from_dict, strategy_to_dict
from fraud_ae.features.strategy import columns_to_fit, compute_features, fit_strategy
from fraud_ae.runtime.atomic_files import write_json

_INPUTS = "inputs.npy"
_ROWS, _OF_ROWS = "rows.npz", ("labels", "fit_rows", "train_rows")
_STRATEGY, _ENCODER = "strategy.json", "encoder.json"
_IN_MEMORY = FeatureComputation()
# So many rows of features that lie on disk are encoded at a time.
_ROWS_AT_ONCE = 131_072


@dataclass(frozen=True)
class Encoded:
    """Encoded transactions, and the strategy and encoder that were fitted for them.

    inputs: (n, n_inputs) float32 of all given transactions, in memory or memory-mapped. labels:
    (n,) 0 or 1. fit_rows: (n,) bool, the period that is fitted on. train_rows: (n,) bool, what a
    network sees of it.
    """

    strategy: Any
    encoder: Encoder
    inputs: np.ndarray
    labels: np.ndarray
    fit_rows: np.ndarray
    train_rows: np.ndarray

    def save(self, folder: Path) -> None:
        """Write everything into an existing folder; inputs that lie in it are not written again."""
        if not (folder / _INPUTS).is_file():
            np.save(folder / _INPUTS, self.inputs)
        np.savez(folder / _ROWS, **{name: getattr(self, name) for name in _OF_ROWS})
        write_json(folder / _STRATEGY, strategy_to_dict(self.strategy))
        write_json(folder / _ENCODER, self.encoder.to_dict())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote; the inputs are memory-mapped, so that processes share them."""
        rows = np.load(folder / _ROWS)
        return cls(
            strategy=strategy_from_dict(json.loads((folder / _STRATEGY).read_text())),
            encoder=Encoder.from_dict(json.loads((folder / _ENCODER).read_text())),
            inputs=_mapped(folder / _INPUTS),
            **{name: rows[name] for name in _OF_ROWS},
        )


def encode(
    strategy: Any,
    encoder: Encoder,
    transactions: pd.DataFrame | TransactionBatches,
    fit_rows: np.ndarray,
    train_on: str,
    folder: Path | None = None,
    computation: FeatureComputation = _IN_MEMORY,
) -> Encoded:
    """Fit copies of strategy and encoder on some transactions, and encode all of them.

    transactions: (n, d) canonical, in order of time; as batches they are never all in memory.
    fit_rows: (n,) bool. train_on: see `trainable`. folder: where the inputs are written, part by
    part, and memory-mapped; without one they are in memory. computation: how features are computed,
    which changes none of them. Raises UserError if no row is left to train on.
    """
    batches = FrameBatches(transactions) if isinstance(transactions, pd.DataFrame) else transactions
    fitted_on = batches.rows(fit_rows, columns_to_fit(strategy))
    strategy = fit_strategy(copy.deepcopy(strategy), fitted_on)
    del fitted_on
    labels = batches.labels()
    train_rows = fit_rows & trainable(labels, train_on)
    if not train_rows.any():
        raise UserError(
            "no training row is known to be normal (data.train_on=normal): is "
            "data.columns.is_fraud mapped the right way round?"
        )
    with _features(strategy, batches, computation, folder) as features:
        encoder = copy.deepcopy(encoder).fit(features, train_rows)
        if folder is None:
            parts = [encoder.transform(frame) for frame in _frames(features)]
            inputs = parts[0] if len(parts) == 1 else np.concatenate(parts)
        else:
            inputs = _written(encoder, features, folder / _INPUTS)
    return Encoded(strategy, encoder, inputs, labels, fit_rows, train_rows)


@contextmanager
def _features(
    strategy: Any,
    transactions: TransactionBatches,
    computation: FeatureComputation,
    folder: Path | None,
) -> Iterator[pd.DataFrame | FeatureColumns]:
    if isinstance(transactions, FrameBatches) and not computation.is_partitioned:
        yield compute_features(strategy, transactions.frame)
        return
    with partitioned_features(strategy, transactions, computation, folder) as features:
        yield features


def _frames(features: pd.DataFrame | FeatureColumns) -> Iterator[pd.DataFrame]:
    if isinstance(features, FeatureColumns):
        yield from features.frames(_ROWS_AT_ONCE)
    else:
        yield features


def _written(encoder: Encoder, features: pd.DataFrame | FeatureColumns, path: Path) -> np.ndarray:
    layout = {"descr": "<f4", "fortran_order": False, "shape": (len(features), encoder.n_inputs)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, layout)
        for frame in _frames(features):
            for _, part in encoder.parts(frame):
                part.astype("<f4", copy=False).tofile(file)
    return _mapped(path)


def _mapped(path: Path) -> np.ndarray:
    # Copy on write: PyTorch takes no array that cannot be written to.
    return np.load(path, mmap_mode="c")


def trainable(labels: np.ndarray, train_on: str) -> np.ndarray:
    """Which transactions a network may learn to reconstruct. (n,) 0 or 1 -> (n,) bool.

    train_on: `normal` leaves out the rows known to be fraud, `all` keeps them.
    """
    return np.ones(len(labels), dtype=bool) if train_on == "all" else labels == 0
