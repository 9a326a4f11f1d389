"""Scorers turn what a network makes of transactions into one anomaly score for each."""

import numpy as np


class ReconstructionScorer:
    """Mean over the inputs of the squared reconstruction error; higher is more anomalous.

    Each input's error is divided by its mean on the normal training rows, so that an input that is
    always hard to reconstruct does not drown the others.

    cap: most that one input counts. Without it (None) a value that training never saw, such as a
    new category, whose input was always 0, would raise an alert all by itself.
    """

    # An input that is all but constant has an error close to 0, by which nothing can be divided.
    _FLOOR = 1e-3

    def __init__(self, cap: float | None = 20.0) -> None:
        self.cap = cap

    def fit(self, errors: np.ndarray) -> "ReconstructionScorer":
        """Learn the typical size of each input's error.

        errors: (n, n_inputs) squared errors of the normal training rows.
        """
        typical = errors.mean(axis=0, dtype=np.float64)
        self.scale_ = np.maximum(typical, self._FLOOR)
        return self

    def score(self, errors: np.ndarray) -> np.ndarray:
        """Scores of transactions. (n, n_inputs) squared errors -> (n,) float32."""
        shares = errors / self.scale_
        if self.cap is not None:
            shares = np.minimum(shares, self.cap)
        return shares.mean(axis=1).astype(np.float32)

    def to_dict(self) -> dict:
        """Settings and everything learned, as plain data."""
        return {"cap": self.cap, "scale": self.scale_.tolist()}

    @classmethod
    def from_dict(cls, data: dict) -> "ReconstructionScorer":
        """The scorer that `to_dict` described."""
        scorer = cls(data["cap"])
        scorer.scale_ = np.asarray(data["scale"])
        return scorer
