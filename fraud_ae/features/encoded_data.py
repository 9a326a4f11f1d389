"""Transactions as a network reads them, and what made them so."""

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from fraud_ae.errors import UserError
from fraud_ae.features.encoder import Encoder
from fraud_ae.features.serialization import strategy_from_dict, strategy_to_dict
from fraud_ae.features.strategy import compute_features, fit_strategy
from fraud_ae.runtime.atomic_files import write_json

_INPUTS = "inputs.npy"
_ROWS, _OF_ROWS = "rows.npz", ("labels", "fit_rows", "train_rows")
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
    transactions: pd.DataFrame,
    fit_rows: np.ndarray,
    train_on: str,
    folder: Path | None = None,
) -> Encoded:
    """Fit copies of strategy and encoder on some transactions, and encode all of them.

    transactions: (n, d) canonical, in order of time. fit_rows: (n,) bool. train_on: see
    `trainable`. folder: where the inputs are written, part by part, and memory-mapped; without one
    they are in memory. Raises UserError if no row is left to train on.
    """
    fitted_on = _rows(transactions, fit_rows).reset_index(drop=True)
    strategy = fit_strategy(copy.deepcopy(strategy), fitted_on)
    features = compute_features(strategy, transactions)
    # A row without a label is not known to be fraud.
    labels = np.zeros(len(transactions), dtype=np.int8)
    if "is_fraud" in transactions:
        labels = (transactions["is_fraud"] == 1).to_numpy(np.int8)
    train_rows = fit_rows & trainable(labels, train_on)
    if not train_rows.any():
        raise UserError(
            "no training row is known to be normal (data.train_on=normal): is "
            "data.columns.is_fraud mapped the right way round?"
        )
    encoder = copy.deepcopy(encoder).fit(features, train_rows)
    if folder is None:
        inputs = encoder.transform(features)
    else:
        inputs = _written(encoder, features, folder / _INPUTS)
    return Encoded(strategy, encoder, inputs, labels, fit_rows, train_rows)


def _written(encoder: Encoder, features: pd.DataFrame, path: Path) -> np.ndarray:
    layout = {"descr": "<f4", "fortran_order": False, "shape": (len(features), encoder.n_inputs)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, layout)
        for _, part in encoder.parts(features):
            part.astype("<f4", copy=False).tofile(file)
    return _mapped(path)


def _mapped(path: Path) -> np.ndarray:
    # Copy on write: PyTorch takes no array that cannot be written to.
    return np.load(path, mmap_mode="c")


def _rows(frame: pd.DataFrame, mask: np.ndarray) -> pd.DataFrame:
    """The rows that a mask names; not copied where they follow one another."""
    rows = np.flatnonzero(mask)
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return frame.iloc[rows[0] : rows[-1] + 1]
    return frame[mask]


def trainable(labels: np.ndarray, train_on: str) -> np.ndarray:
    """Which transactions a network may learn to reconstruct. (n,) 0 or 1 -> (n,) bool.

    train_on: `normal` leaves out the rows known to be fraud, `all` keeps them.
    """
    return np.ones(len(labels), dtype=bool) if train_on == "all" else labels == 0
