"""A ridge regression on inputs and scores without labels: what few frauds can teach."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.linear_model import LogisticRegression

from fraud_ae.scorers.mahalanobis import MahalanobisScorer
from fraud_ae.scorers.reconstruction import ReconstructionScorer
from fraud_ae.scorers.signals import Signals

# A handful of frauds moves the weights of the two scores, and those of inputs and errors little:
# the scores, so many times as large, are penalised less.
_RIDGE, _SCORES_COUNT = 0.03, 3.0
LEAST_ERROR = 1e-4


@dataclass(frozen=True)
class RidgeOdds:
    """Logarithm of the odds of fraud, linear in inputs, log errors and two scores without labels.

    Both scores, the reconstruction error and the distance of Mahalanobis, say what is unusual;
    labels say which of it is fraud. Penalised weights (Hoerl and Kennard, Technometrics 12, 1970;
    le Cessie and van Houwelingen, Applied Statistics 41, 1992) of few frauds stay near 0.

    weights: (n_inputs + n_features + 2,) float64. intercept: of the log odds.
    """

    reconstruction: ReconstructionScorer
    distance: MahalanobisScorer
    weights: np.ndarray
    intercept: float

    @classmethod
    def fit(cls, signals: Signals, labels: np.ndarray, row_weights: np.ndarray) -> Self:
        """Learn from n rows. labels: (n,) 0 or 1, both there. row_weights: (n,), how many rows of
        the training window each stands for."""
        reconstruction, distance = ReconstructionScorer(), MahalanobisScorer()
        reconstruction.fit(signals, labels)
        distance.fit(signals, labels)
        values = _evidence(reconstruction, distance, signals)
        mean = np.average(values, axis=0, weights=row_weights)
        spread = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=row_weights))
        spread[spread == 0] = 1.0
        spread[-2:] /= _SCORES_COUNT
        ridge = LogisticRegression(C=_RIDGE, max_iter=1000)
        ridge.fit((values - mean) / spread, labels, sample_weight=row_weights)
        weights = ridge.coef_[0] / spread
        return cls(reconstruction, distance, weights, float(ridge.intercept_[0] - weights @ mean))

    def log_odds(self, signals: Signals) -> np.ndarray:
        """Of n rows: (n,) float64."""
        values = _evidence(self.reconstruction, self.distance, signals)
        return values @ self.weights + self.intercept

    def to_dict(self) -> dict:
        """Everything learned, as plain data."""
        return {
            "reconstruction": self.reconstruction.to_dict(),
            "distance": self.distance.to_dict(),
            "weights": self.weights.tolist(),
            "intercept": self.intercept,
        }

    @classmethod
    def from_dict(cls, data: dict) -> Self:
        """What `to_dict` described."""
        return cls(
            ReconstructionScorer.from_dict(data["reconstruction"]),
            MahalanobisScorer.from_dict(data["distance"]),
            np.asarray(data["weights"]),
            data["intercept"],
        )


def _evidence(
    reconstruction: ReconstructionScorer, distance: MahalanobisScorer, signals: Signals
) -> np.ndarray:
    errors = signals.errors
    scores = [reconstruction.of_errors(errors), distance.squared_distances(signals)]
    return np.hstack(
        [signals.inputs, np.log(errors + LEAST_ERROR), np.log(np.stack(scores, 1) + LEAST_ERROR)],
        dtype=np.float64,
    )
