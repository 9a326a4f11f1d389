"""Scorers turn what a network makes of transactions into one anomaly score for each."""

import numpy as np


class ReconstructionScorer:
    """Mean over the inputs of the squared reconstruction error; higher is more anomalous.

    normalise: divide each input's error by its mean on the normal training rows, so that an input
    that is always hard to reconstruct does not drown the others.
    """

    # An input that is all but constant has an error close to 0, by which nothing can be divided.
    _FLOOR = 1e-3

    def __init__(self, normalise: bool = True) -> None:
        self.normalise = normalise

    def fit(self, errors: np.ndarray) -> "ReconstructionScorer":
        """Learn the typical size of each input's error.

        errors: (n, n_inputs) squared errors of the normal training rows.
        """
        typical = errors.mean(axis=0, dtype=np.float64)
        self.scale_ = np.maximum(typical, self._FLOOR) if self.normalise else np.ones_like(typical)
        return self

    def score(self, errors: np.ndarray) -> np.ndarray:
        """Scores of transactions. (n, n_inputs) squared errors -> (n,) float32."""
        return (errors / self.scale_).mean(axis=1).astype(np.float32)

    def to_dict(self) -> dict:
        """Settings and everything learned, as plain data."""
        return {"normalise": self.normalise, "scale": self.scale_.tolist()}

    @classmethod
    def from_dict(cls, data: dict) -> "ReconstructionScorer":
        """The scorer that `to_dict` described."""
        scorer = cls(data["normalise"])
        scorer.scale_ = np.asarray(data["scale"])
        return scorer
