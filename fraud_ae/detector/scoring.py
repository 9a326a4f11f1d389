"""Scores of some transactions among others that are their history, and the reasons of any."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.reasons import Reason
from fraud_ae.evaluation.threshold import alerts
from fraud_ae.features.strategy import compute_features


@dataclass(frozen=True)
class ScoredTransactions:
    """What a detector makes of m of n transactions.

    transactions: (n, d) canonical, in order of time. rows: (m,) int, which of them. features:
    (m, n_features). scores: (m,) float32.
    """

    detector: FraudDetector
    transactions: pd.DataFrame
    rows: np.ndarray
    features: pd.DataFrame
    scores: np.ndarray

    @property
    def scored(self) -> pd.DataFrame:
        """The transactions that were scored: (m, d)."""
        return self.transactions.iloc[self.rows]

    @property
    def alerts(self) -> np.ndarray:
        """Which of them exceed the threshold: (m,) bool."""
        return alerts(self.scores, self.detector.threshold)

    def reasons(self, some: np.ndarray, top: int = 3) -> list[list[Reason]]:
        """Why some of them, (k,) int positions or (m,) bool, score as they do: k lists."""
        features = self.features[some] if some.dtype == bool else self.features.iloc[some]
        if not len(features):
            return []
        return self.detector.explain_features(features, self.transactions, self.rows[some], top)


def score_rows(
    detector: FraudDetector, transactions: pd.DataFrame, rows: np.ndarray
) -> ScoredTransactions:
    """Score some transactions among others, which are their history.

    transactions: (n, d) canonical, in order of time. rows: (m,) int.
    """
    features = compute_features(detector.strategy, transactions).iloc[rows]
    return ScoredTransactions(
        detector, transactions, rows, features, detector.score_features(features)
    )
