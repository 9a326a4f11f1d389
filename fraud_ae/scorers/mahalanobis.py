"""How far errors and latent code together lie from those of normal rows."""

import json
from pathlib import Path
from typing import Self

import numpy as np

from fraud_ae.runtime.atomic_files import write_json
from fraud_ae.scorers.scorer import SCORER_FILE, Scorer
from fraud_ae.scorers.signals import SignalRows, Signals


class MahalanobisScorer(Scorer):
    """Squared Mahalanobis distance of residuals and latent code from those of the normal rows.

    Unlike a sum of errors it sees errors that are usual by themselves and unusual together, and
    rows that are reconstructed well from a code that no normal row has. After Lee et al., "A Simple
    Unified Framework for Detecting Out-of-Distribution Samples" (NeurIPS 2018), with the residuals
    of the reconstruction beside the code (Denouden et al., 2018).
    """

    # Directions in which normal rows do not vary at all say nothing about how far is far.
    _LEAST_VARIANCE = 1e-6

    def fit(
        self,
        fitted: SignalRows | Signals,
        labels: np.ndarray,
        validation: SignalRows | Signals | None = None,
        validation_labels: np.ndarray | None = None,
    ) -> Self:
        """Learn mean and covariance of the normal fitted rows."""
        normal = fitted[labels == 0] if (labels == 0).any() else fitted
        self.mean_, covariance = _mean_and_covariance(normal)
        variances, directions = np.linalg.eigh(covariance)
        least = self._LEAST_VARIANCE * max(variances.max(), self._LEAST_VARIANCE)
        varying = variances > least
        self.whitening_ = directions[:, varying] / np.sqrt(variances[varying])
        return self

    def score(self, signals: Signals) -> np.ndarray:
        """Scores of transactions: (n,) float32."""
        return self.squared_distances(signals).astype(np.float32)

    def squared_distances(self, signals: Signals) -> np.ndarray:
        """The same, (n,) float64."""
        white = (_values(signals) - self.mean_) @ self.whitening_
        return np.square(white).sum(axis=1)

    def to_dict(self) -> dict:
        """Everything learned, as plain data."""
        return {"mean": self.mean_.tolist(), "whitening": self.whitening_.tolist()}

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
        scorer = cls()
        scorer.mean_ = np.asarray(data["mean"])
        scorer.whitening_ = np.asarray(data["whitening"]).reshape(len(scorer.mean_), -1)
        return scorer


def _mean_and_covariance(normal: SignalRows | Signals) -> tuple[np.ndarray, np.ndarray]:
    near, total, products = 0.0, 0.0, 0.0
    for number, part in enumerate(normal.parts()):
        values = _values(part)
        if number == 0:
            # Products of numbers near 0 lose no digits when the mean is taken out of them.
            near = values.mean(axis=0)
        values -= near
        total, products = total + values.sum(axis=0), products + values.T @ values
    mean = total / len(normal)
    return near + mean, products / len(normal) - np.outer(mean, mean)


def _values(signals: Signals) -> np.ndarray:
    return np.hstack([signals.residuals, signals.code], dtype=np.float64)
