"""A ridge regression on inputs and scores without labels: what few frauds can teach."""

import itertools
from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.linear_model import LogisticRegression

from fraud_ae.scorers.mahalanobis import MahalanobisScorer
from fraud_ae.scorers.reconstruction import ReconstructionScorer
from fraud_ae.scorers.signals import Signals

# Variances of the prior of the weights, all of which are tried: of the inputs, of the log errors as
# a part of it, and of the log distance. A handful of frauds moves the weight of the reconstruction
# score, whose prior is the widest, and those of inputs and errors little.
_INPUTS, _ERRORS, _DISTANCE, _SCORE = (0.003, 0.01, 0.03), (0.1, 1.0), (0.0, 0.3), 0.3
LEAST_ERROR = 1e-4


@dataclass(frozen=True)
class RidgeOdds:
    """Logarithm of the odds of fraud, linear in inputs, log errors and two scores without labels.

    Both scores, the reconstruction error and the distance of Mahalanobis, say what is unusual;
    labels say which of it is fraud. Penalised weights (Hoerl and Kennard, Technometrics 12, 1970;
    le Cessie and van Houwelingen, Applied Statistics 41, 1992) of few frauds stay near 0. How near
    they should, few frauds cannot tell: the weights are the mean of those of several penalties.

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
        n_inputs, n_errors = signals.inputs.shape[1], values.shape[1] - signals.inputs.shape[1] - 2
        fits = []
        for inputs, errors, far in itertools.product(_INPUTS, _ERRORS, _DISTANCE):
            variances = [inputs] * n_inputs + [inputs * errors] * n_errors + [_SCORE, far]
            # A weight whose prior has the variance v, times its root, has one of variance 1.
            scale = np.sqrt(variances) / spread
            # As precise as others, and with many rows of few columns ten times as fast.
            ridge = LogisticRegression(C=1.0, solver="newton-cholesky", max_iter=100)
            ridge.fit((values - mean) * scale, labels, sample_weight=row_weights)
            fits.append(np.append(ridge.coef_[0] * scale, ridge.intercept_))
        found = np.mean(fits, axis=0)
        weights, intercept = found[:-1], found[-1] - found[:-1] @ mean
        return cls(reconstruction, distance, weights, float(intercept))

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
