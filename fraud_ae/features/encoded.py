"""Transactions as a network reads them, and what made them so."""

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from fraud_ae.atomic_files import write_json
from fraud_ae.errors import UserError
from fraud_ae.features.encoder import Encoder
from fraud_ae.features.strategy import (
    compute_features,
    fit_strategy,
    strategy_from_dict,
    strategy_to_dict,
)

_INPUTS = "inputs.npy"
_ROWS = "rows.npz"
_STRATEGY, _ENCODER = "strategy.json", "encoder.json"


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
        """Write everything into a folder, which is there."""
        np.save(folder / _INPUTS, self.inputs)
        np.savez(
            folder / _ROWS,
            labels=self.labels,
            fit_rows=self.fit_rows,
            train_rows=self.train_rows,
        )
        write_json(folder / _STRATEGY, strategy_to_dict(self.strategy))
        write_json(folder / _ENCODER, self.encoder.to_dict())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote; the inputs are memory-mapped, so that processes share them."""
        rows = np.load(folder / _ROWS)
        return cls(
            strategy=strategy_from_dict(json.loads((folder / _STRATEGY).read_text())),
            encoder=Encoder.from_dict(json.loads((folder / _ENCODER).read_text())),
            # Copy on write: PyTorch takes no array that cannot be written to.
            inputs=np.load(folder / _INPUTS, mmap_mode="c"),
            **{name: rows[name] for name in ("labels", "fit_rows", "train_rows")},
        )


def encode(
    strategy: Any,
    encoder: Encoder,
    transactions: pd.DataFrame,
    fit_rows: np.ndarray,
    train_on: str,
) -> Encoded:
    """Fit copies of strategy and encoder on some transactions, and encode all of them.

    transactions: (n, d) canonical, in order of time. fit_rows: (n,) bool. train_on: see
    `trainable`. Raises UserError if no row is left to train on.
    """
    fitted_on = transactions[fit_rows].reset_index(drop=True)
    strategy = fit_strategy(copy.deepcopy(strategy), fitted_on)
    features = compute_features(strategy, transactions)
    labels = transactions["is_fraud"].to_numpy()
    train_rows = fit_rows & trainable(labels, train_on)
    if not train_rows.any():
        raise UserError(
            "no training row is known to be normal (data.train_on=normal): is "
            "data.columns.is_fraud mapped the right way round?"
        )
    encoder = copy.deepcopy(encoder).fit(features[train_rows])
    inputs = encoder.transform(features)
    return Encoded(strategy, encoder, inputs, labels, fit_rows, train_rows)


def trainable(labels: np.ndarray, train_on: str) -> np.ndarray:
    """Which transactions a network may learn to reconstruct. (n,) 0 or 1 -> (n,) bool.

    train_on: `normal` leaves out the rows known to be fraud, `all` keeps them.
    """
    return np.ones(len(labels), dtype=bool) if train_on == "all" else labels == 0
