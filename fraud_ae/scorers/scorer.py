"""The contract of a scorer."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

import numpy as np

from fraud_ae.runtime.named_objects import Kind
from fraud_ae.scorers.signals import SignalRows, Signals

SCORER_FILE = "scorer.json"


class Scorer(ABC):
    """Turns signals into anomaly scores: (n,) float32, higher is more anomalous.

    learns_labels: whether scores depend on which of the fitted rows were known to be fraud, beyond
    leaving those out. fallback: why a fitted scorer does not do what its name says, None where it
    does.
    """

    learns_labels: bool = False
    fallback: str | None = None

    @property
    def uses_labels(self) -> bool:
        """Whether this scorer, as it was fitted, makes use of labels."""
        return self.learns_labels

    @abstractmethod
    def fit(
        self,
        fitted: SignalRows | Signals,
        labels: np.ndarray,
        validation: SignalRows | Signals | None = None,
        validation_labels: np.ndarray | None = None,
    ) -> Self:
        """Learn what the signals of normal rows are like.

        fitted, labels: rows that the network was fitted on, with the frauds known among them, and
        (n,) 0 or 1. validation, validation_labels: rows that it was not fitted on, None where
        there are none; what the scorer learned from such rows in an earlier fit is then kept.
        Signals of many rows come in parts, and only for rows that are asked for.
        """

    @abstractmethod
    def score(self, signals: Signals) -> np.ndarray:
        """Scores of transactions: (n,) float32."""

    def additive_score(self, signals: Signals) -> np.ndarray:
        """The score on the scale on which reasons add up: (n,) float64; the score by default."""
        return self.score(signals).astype(np.float64)

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write settings and everything learned into a folder, as `scorer.json` at least."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """The scorer that `save` wrote."""


SCORER = Kind(
    "a scorer, a class of fraud_ae.scorers.scorer.Scorer",
    frozenset(
        (
            "fraud_ae.scorers.calibrated.CalibratedScorer",
            "fraud_ae.scorers.mahalanobis.MahalanobisScorer",
            "fraud_ae.scorers.reconstruction.ReconstructionScorer",
        )
    ),
    lambda found: isinstance(found, type) and issubclass(found, Scorer),
)
