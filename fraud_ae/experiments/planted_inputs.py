"""Planted anomalies as a network reads them, and what a detector makes of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.evaluation.planted_anomalies import planted
from fraud_ae.features.encoded_data import Encoded
from fraud_ae.features.strategy import compute_features

_INPUTS, _ROWS = "planted.npy", "planted.parquet"
# Enough to rank against; with more of them the bootstrap takes long.
_MOST_ORDINARY = 20_000


@dataclass(frozen=True)
class PlantedInputs:
    """Encoded copies of transactions that have an anomaly, and the transactions to compare with.

    inputs: (m, n_inputs) float32 of the copies. rows: (m, d) of the copies and (k, d) after them
    of transactions as they are: kind (missing for these), place (of the transaction among those
    that copies were made of), transaction_id, customer_id (where there are customers).
    """

    inputs: np.ndarray
    rows: pd.DataFrame

    @classmethod
    def of(
        cls,
        fitted: Encoded | FraudDetector,
        transactions: pd.DataFrame,
        rows: np.ndarray,
        has_times: bool,
    ) -> Self:
        """Plant in copies of some transactions, and encode them.

        fitted: has the strategy and the encoder. transactions: (n, d) canonical, in order of time.
        rows: (n,) bool. has_times: see `anomaly_kinds`. The copies are the same whatever encodes
        them. Raises UserError where nothing can be planted.
        """
        inputs, kinds, originals = [], [], []
        for anomaly in planted(transactions, rows, has_times=has_times):
            features = compute_features(fitted.strategy, anomaly.transactions)
            inputs.append(fitted.encoder.transform(features.iloc[anomaly.copies]))
            kinds += [anomaly.kind] * len(anomaly.originals)
            originals.append(anomaly.originals)
        ordinary = np.flatnonzero(rows)
        if len(ordinary) > _MOST_ORDINARY:
            chosen = np.random.default_rng(0).choice(ordinary, _MOST_ORDINARY, replace=False)
            ordinary = np.sort(chosen)
        positions = np.concatenate([*originals, ordinary])
        columns = [c for c in ("transaction_id", "customer_id") if c in transactions]
        frame = transactions[columns].iloc[positions].reset_index(drop=True)
        frame.insert(0, "kind", pd.Series([*kinds, *[None] * len(ordinary)], dtype="str"))
        frame.insert(1, "place", np.cumsum(rows)[positions] - 1)
        return cls(np.concatenate(inputs), frame)

    def save(self, folder: Path) -> None:
        """Write everything into a folder, which is there."""
        np.save(folder / _INPUTS, self.inputs)
        self.rows.to_parquet(folder / _ROWS, index=False)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """What `save` wrote; None where nothing was planted."""
        if not (folder / _ROWS).is_file():
            return None
        return cls(np.load(folder / _INPUTS), pd.read_parquet(folder / _ROWS))

    def scored(self, detector: FraudDetector, scores: np.ndarray) -> pd.DataFrame:
        """Planted scores: see `evaluation.planted_figures`.

        scores: of the transactions as they are that some copies were made of, (rows.sum(),).
        """
        is_ordinary = self.rows["kind"].isna().to_numpy()
        ordinary = scores[self.rows["place"].to_numpy()[is_ordinary]]
        planted_scores = np.concatenate([detector.score_inputs(self.inputs), ordinary])
        return self.rows.drop(columns="place").assign(score=planted_scores)
