"""What confirmed frauds say about how to weigh errors, latent code and inputs."""

import json
import logging
from pathlib import Path
from typing import Self

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from fraud_ae.atomic_files import write_json
from fraud_ae.scorers.reconstruction import ReconstructionScorer
from fraud_ae.scorers.scorer import SCORER_FILE, Scorer
from fraud_ae.scorers.signals import Signals
from fraud_ae.scorers.trees import KINDS, Trees, fit_trees, load_trees, log_odds, save_trees

log = logging.getLogger("fraud_ae")

# With fewer frauds, trees learn the few that there are by heart.
LEAST_FRAUDS = 20
# With fewer, two numbers of a calibration are noise.
LEAST_VALIDATION_FRAUDS = 10
# More normal rows hardly help, and cost time in every run of a sweep; to see which kind of trees is
# the better one takes fewer still.
_MOST_NORMAL_ROWS = 70_000
_MOST_NORMAL_ROWS_TO_CHOOSE = 15_000
_TREES_FILE = "scorer.skops"
_LEAST_ERROR = 1e-4
# Slope and intercept of a curve that leaves odds as they are.
_NO_CURVE = (1.0, 0.0)
_NOT_CALIBRATED = "scores are not calibrated"


class CalibratedScorer(Scorer):
    """Probability of fraud, from the labels that there are; higher is more anomalous.

    Trees that are fitted on the known frauds and normal rows of the training window weigh the
    inputs, the logarithm of each feature's reconstruction error, and the latent code: extremely
    randomised trees or gradient boosting, whichever has the higher average precision on validation
    rows. A logistic curve (Platt, 1999), also of the validation rows, turns their odds into
    probabilities; it does not change the order of the scores.

    With fewer than LEAST_FRAUDS known frauds it says so and scores as `ReconstructionScorer` does.
    seed: of the trees.
    """

    learns_labels = True

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.kind_, self.curve_ = KINDS[0], _NO_CURVE
        self.fallback_scorer_ = None

    @property
    def uses_labels(self) -> bool:
        """Whether there were labels enough to learn from."""
        return self.fallback_scorer_ is None

    def fit(
        self,
        fitted: Signals,
        labels: np.ndarray,
        validation: Signals | None = None,
        validation_labels: np.ndarray | None = None,
    ) -> Self:
        """Learn from the labelled fitted rows, and calibrate on validation rows."""
        frauds = int(np.count_nonzero(labels == 1))
        self.fallback = self.fallback_scorer_ = None
        if frauds < LEAST_FRAUDS or frauds == len(labels):
            known = f"{frauds} known frauds in the training window"
            needed = f"at least {LEAST_FRAUDS} are needed"
            self._fall_back(f"{known}, {needed}", "scores are reconstruction errors")
            scorer = ReconstructionScorer()
            self.fallback_scorer_ = scorer.fit(fitted, labels, validation, validation_labels)
            return self
        if validation is not None:
            self._choose_kind(fitted, labels, validation, validation_labels)
        self.trees_ = self._trees(self.kind_, fitted, labels, _MOST_NORMAL_ROWS)
        if validation is not None:
            self._calibrate(validation, validation_labels)
            return self
        if self.curve_ == _NO_CURVE:
            self._fall_back("no earlier fit was calibrated on validation rows", _NOT_CALIBRATED)
        return self

    def _trees(self, kind: str, fitted: Signals, labels: np.ndarray, most_normal: int) -> Trees:
        rows, weights = _thinned(labels, most_normal)
        return fit_trees(kind, self.seed, _evidence(fitted[rows]), labels[rows], weights)

    def _choose_kind(
        self,
        fitted: Signals,
        labels: np.ndarray,
        validation: Signals,
        validation_labels: np.ndarray,
    ) -> None:
        self.kind_ = KINDS[0]
        if not _enough(validation_labels):
            return
        evidence, reached = _evidence(validation), {}
        for kind in KINDS:
            trees = self._trees(kind, fitted, labels, _MOST_NORMAL_ROWS_TO_CHOOSE)
            reached[kind] = average_precision_score(validation_labels, log_odds(trees, evidence))
        self.kind_ = max(KINDS, key=reached.get)

    def _calibrate(self, validation: Signals, labels: np.ndarray) -> None:
        frauds = int(np.count_nonzero(labels == 1))
        self.curve_ = _NO_CURVE
        if not _enough(labels):
            needed = f"at least {LEAST_VALIDATION_FRAUDS} are needed"
            self._fall_back(f"{frauds} frauds in validation, {needed}", _NOT_CALIBRATED)
            return
        odds = log_odds(self.trees_, _evidence(validation))
        slope, intercept = _logistic_curve(odds, labels, frauds)
        # A falling curve would turn the ranking round.
        if slope > 0:
            self.curve_ = (slope, intercept)
        else:
            self._fall_back("in validation high odds are not fraud more often", _NOT_CALIBRATED)

    def _fall_back(self, reason: str, consequence: str) -> None:
        self.fallback = f"{reason}: {consequence}"
        log.warning("scorer=calibrated: %s", self.fallback)

    def score(self, signals: Signals) -> np.ndarray:
        """Probabilities of fraud: (n,) float32, between 0 and 1 unless it fell back."""
        if self.fallback_scorer_ is not None:
            return self.fallback_scorer_.score(signals)
        if len(signals) == 0:
            return np.empty(0, dtype=np.float32)
        slope, intercept = self.curve_
        odds = log_odds(self.trees_, _evidence(signals))
        return expit(slope * odds + intercept).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write `scorer.json` and, for the trees, `scorer.skops`, which holds no pickle."""
        settings = {
            "seed": self.seed,
            "kind": self.kind_,
            "curve": self.curve_,
            "fallback": self.fallback,
        }
        if self.fallback_scorer_ is not None:
            settings["reconstruction"] = self.fallback_scorer_.to_dict()
        else:
            save_trees(self.trees_, folder / _TREES_FILE)
        write_json(folder / SCORER_FILE, settings)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The scorer that `save` wrote. Raises UserError if its trees are damaged."""
        data = json.loads((folder / SCORER_FILE).read_text())
        scorer = cls(data["seed"])
        scorer.kind_, scorer.curve_ = data["kind"], tuple(data["curve"])
        scorer.fallback = data["fallback"]
        if "reconstruction" in data:
            scorer.fallback_scorer_ = ReconstructionScorer.from_dict(data["reconstruction"])
        else:
            scorer.trees_ = load_trees(folder / _TREES_FILE)
        return scorer


def _evidence(signals: Signals) -> np.ndarray:
    """What the trees see: (n, n_inputs + n_features + latent_dim) float32."""
    errors = np.log(signals.errors + _LEAST_ERROR)
    return np.hstack([signals.inputs, errors, signals.code]).astype(np.float32)


def _enough(validation_labels: np.ndarray) -> bool:
    frauds = np.count_nonzero(validation_labels == 1)
    return LEAST_VALIDATION_FRAUDS <= frauds < len(validation_labels)


def _thinned(labels: np.ndarray, most_normal: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of all frauds and of so many normal rows, and the weight of each: (m,), (m,)."""
    normal = np.flatnonzero(labels != 1)
    step = max(1, -(-len(normal) // most_normal))
    rows = np.sort(np.concatenate([np.flatnonzero(labels == 1), normal[::step]]))
    return rows, np.where(labels[rows] == 1, 1.0, step)


def _logistic_curve(odds: np.ndarray, labels: np.ndarray, frauds: int) -> tuple[float, float]:
    """Slope and intercept, fitted to the targets of Platt, which never are quite 0 or 1.

    With 0 and 1 the curve of odds that separate well is a step: high scores would all be 1.
    """
    normal = len(labels) - frauds
    target = np.where(labels == 1, (frauds + 1) / (frauds + 2), 1 / (normal + 2))
    curve = LogisticRegression(C=np.inf).fit(
        np.tile(odds, 2)[:, None],
        np.repeat([1, 0], len(odds)),
        sample_weight=np.append(target, 1 - target),
    )
    return float(curve.coef_[0, 0]), float(curve.intercept_[0])
