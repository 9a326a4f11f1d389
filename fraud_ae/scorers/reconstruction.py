"""The score of an autoencoder as it is mostly used: how badly a row is reconstructed."""

import json
from pathlib import Path
from typing import Self

import numpy as np

from fraud_ae.runtime.atomic_files import write_json
from fraud_ae.scorers.scorer import SCORER_FILE, Scorer
from fraud_ae.scorers.signals import SignalRows, Signals


class ReconstructionScorer(Scorer):
    """Mean over the features of the squared reconstruction error; higher is more anomalous.

    Each feature's error is divided by its typical size, the mean on normal validation rows, so
    that a feature that is always hard to reconstruct does not drown the others.

    cap: most that one feature counts. Without it (None) a value that training never saw, such as a
    new category, whose input was always 0, would raise an alert all by itself.
    """

    # A feature that is all but constant has an error close to 0, by which nothing can be divided.
    _FLOOR = 1e-3

    def __init__(self, cap: float | None = None) -> None:
        self.cap = cap

    def fit(
        self,
        fitted: SignalRows | Signals,
        labels: np.ndarray,
        validation: SignalRows | Signals | None = None,
        validation_labels: np.ndarray | None = None,
    ) -> Self:
        """Learn the typical errors, of the fitted rows where there is no normal validation row."""
        normal = fitted[labels == 0] if (labels == 0).any() else fitted
        if validation is not None and (validation_labels == 0).any():
            normal = validation[validation_labels == 0]
        total = sum(part.errors.sum(axis=0, dtype=np.float64) for part in normal.parts())
        typical = total / len(normal)
        self.scale_ = np.maximum(typical, self._FLOOR)
        return self

    def score(self, signals: Signals) -> np.ndarray:
        """Scores of transactions: (n,) float32."""
        return self.of_errors(signals.errors).astype(np.float32)

    def of_errors(self, errors: np.ndarray) -> np.ndarray:
        """The same of the error of each feature, (n, n_features): (n,) float64."""
        shares = errors / self.scale_
        if self.cap is not None:
            shares = np.minimum(shares, self.cap)
        return shares.mean(axis=1)

    def to_dict(self) -> dict:
        """Settings and everything learned, as plain data."""
        return {"cap": self.cap, "scale": self.scale_.tolist()}

    def save(self, folder: Path) -> None:
        """Write `scorer.json`."""
        write_json(folder / SCORER_FILE, self.to_dict())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The scorer that `save` wrote."""
        return cls.from_dict(json.loads((folder / SCORER_FILE).read_text()))

    @classmethod
    def from_dict(cls, data: dict) -> Self:
        """The scorer that `to_dict` described."""
        scorer = cls(data["cap"])
        scorer.scale_ = np.asarray(data["scale"])
        return scorer
