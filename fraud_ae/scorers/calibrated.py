"""What confirmed frauds say about how to weigh errors, latent code and inputs."""

import json
import logging
import threading
from pathlib import Path
from typing import Self

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from fraud_ae.runtime.atomic_files import write_json
from fraud_ae.scorers.reconstruction import ReconstructionScorer
from fraud_ae.scorers.scorer import SCORER_FILE, Scorer
from fraud_ae.scorers.signals import SignalRows, Signals
from fraud_ae.scorers.trees import fit_trees, load_trees, log_odds, save_trees

log = logging.getLogger("fraud_ae")

# With fewer frauds, trees learn the few by heart.
LEAST_FRAUDS = 20
# With fewer, two numbers of a calibration are noise.
LEAST_VALIDATION_FRAUDS = 10
_TREES_FILE = "trees.json"
LEAST_ERROR = 1e-4
# Slope and intercept of a curve that leaves odds as they are.
_NO_CURVE = (1.0, 0.0)
_NOT_CALIBRATED = "scores are not calibrated"
# A booster whose number of threads is being set must not be asked; it has threads of its own.
_ONE_AT_A_TIME = threading.Lock()


class CalibratedScorer(Scorer):
    """Probability of fraud, learned from known labels; higher is more anomalous.

    Boosted trees that are fitted on the known frauds and normal rows of the training window weigh
    the inputs, the logarithm of each feature's reconstruction error, and the latent code. A
    logistic curve (Platt, 1999), of the validation rows, turns their odds into probabilities; it
    does not change the order of the scores.

    With fewer than LEAST_FRAUDS known frauds it says so and scores as `ReconstructionScorer` does.
    seed: of the trees. members: fits with different seeds, whose odds are averaged. normal_rows:
    normal rows are thinned to so many at most, all frauds stay; more take longer and rank a little
    better. Odds are corrected for it (King and Zeng, Political Analysis 9, 2001).
    """

    learns_labels = True

    def __init__(self, seed: int = 0, normal_rows: int = 15_000, members: int = 1) -> None:
        self.seed, self.normal_rows, self.members = seed, normal_rows, members
        self.curve_ = _NO_CURVE
        self.fallback_scorer_ = None

    @property
    def uses_labels(self) -> bool:
        """Whether there were labels enough to learn from."""
        return self.fallback_scorer_ is None

    def fit(
        self,
        fitted: SignalRows | Signals,
        labels: np.ndarray,
        validation: SignalRows | Signals | None = None,
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
        rows, self.thinned_by_ = _thinned(labels, self.normal_rows)
        evidence = np.concatenate([_evidence(part) for part in fitted[rows].parts()])
        seeds = np.random.SeedSequence(self.seed).generate_state(self.members).tolist()
        self.trees_ = [fit_trees(seed, evidence, labels[rows]) for seed in seeds]
        if validation is not None:
            self._calibrate(validation, validation_labels)
        elif self.curve_ == _NO_CURVE:
            self._fall_back("no earlier fit was calibrated on validation rows", _NOT_CALIBRATED)
        return self

    def _calibrate(self, validation: SignalRows | Signals, labels: np.ndarray) -> None:
        frauds = int(np.count_nonzero(labels == 1))
        self.curve_ = _NO_CURVE
        if not LEAST_VALIDATION_FRAUDS <= frauds < len(labels):
            needed = f"at least {LEAST_VALIDATION_FRAUDS} are needed"
            self._fall_back(f"{frauds} frauds in validation, {needed}", _NOT_CALIBRATED)
            return
        odds = np.concatenate([self._odds(part) for part in validation.parts()])
        slope, intercept = _logistic_curve(odds, labels, frauds)
        # A falling curve would turn the ranking round.
        if slope > 0:
            self.curve_ = (slope, intercept)
        else:
            self._fall_back("in validation high odds are not fraud more often", _NOT_CALIBRATED)

    def _odds(self, signals: Signals) -> np.ndarray:
        evidence = _evidence(signals)
        with _ONE_AT_A_TIME:
            odds = [log_odds(trees, evidence) for trees in self.trees_]
        return np.mean(odds, axis=0) - np.log(self.thinned_by_)

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
        return expit(slope * self._odds(signals) + intercept).astype(np.float32)

    def additive_score(self, signals: Signals) -> np.ndarray:
        """Logarithm of the odds of fraud: (n,) float64; the score itself if it fell back."""
        if self.fallback_scorer_ is not None:
            return self.fallback_scorer_.additive_score(signals)
        slope, intercept = self.curve_
        return slope * self._odds(signals).astype(np.float64) + intercept

    def save(self, folder: Path) -> None:
        """Write `scorer.json` and, for the trees, `trees.json`, which hold no pickle."""
        settings = {
            "seed": self.seed,
            "normal_rows": self.normal_rows,
            "members": self.members,
            "curve": self.curve_,
            "fallback": self.fallback,
        }
        if self.fallback_scorer_ is not None:
            settings["reconstruction"] = self.fallback_scorer_.to_dict()
        else:
            settings["thinned_by"] = self.thinned_by_
            save_trees(self.trees_, folder / _TREES_FILE)
        write_json(folder / SCORER_FILE, settings)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The scorer that `save` wrote. Raises UserError if its trees are damaged."""
        data = json.loads((folder / SCORER_FILE).read_text())
        scorer = cls(data["seed"], data["normal_rows"], data["members"])
        scorer.curve_, scorer.fallback = tuple(data["curve"]), data["fallback"]
        if "reconstruction" in data:
            scorer.fallback_scorer_ = ReconstructionScorer.from_dict(data["reconstruction"])
        else:
            scorer.thinned_by_ = data["thinned_by"]
            scorer.trees_ = load_trees(folder / _TREES_FILE)
        return scorer


def _evidence(signals: Signals) -> np.ndarray:
    """What the trees see: (n, n_inputs + n_features + latent_dim) float32."""
    errors = np.log(signals.errors + LEAST_ERROR)
    return np.hstack([signals.inputs, errors, signals.code], dtype=np.float32)


def _thinned(labels: np.ndarray, normal_rows: int) -> tuple[np.ndarray, int]:
    """Indices of all frauds and of every k-th normal row, (m,), and k."""
    normal = np.flatnonzero(labels != 1)
    step = max(1, -(-len(normal) // normal_rows))
    return np.sort(np.concatenate([np.flatnonzero(labels == 1), normal[::step]])), step


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
