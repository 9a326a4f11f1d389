"""What confirmed frauds say about how to weigh errors, latent code and inputs."""

import json
import logging
import threading
from pathlib import Path
from typing import Self

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from fraud_ae.runtime.atomic_files import write_json
from fraud_ae.scorers.linear import LEAST_ERROR, RidgeOdds
from fraud_ae.scorers.reconstruction import ReconstructionScorer
from fraud_ae.scorers.scorer import SCORER_FILE, Scorer
from fraud_ae.scorers.signals import SignalRows, Signals, joined
from fraud_ae.scorers.trees import fit_trees, load_trees, log_odds, save_trees

log = logging.getLogger("fraud_ae")

# Of fewer frauds not even the sign of a weight is known.
LEAST_FRAUDS = 3
# With fewer, two numbers of a calibration are noise.
LEAST_VALIDATION_FRAUDS = 10
# Whether trees help is tried on so many parts of the training window, each with so many frauds at
# least, and so many normal rows in all: with fewer frauds trees learn the few by heart.
_BLOCKS, _LEAST_IN_BLOCK, _TRIED_ROWS, _TRIED_ROUNDS = 3, 4, 4_000, 40
# Shares of the trees in the log odds that are tried. Where they do equally well, ridge and trees
# count the same with so many frauds.
_SHARES, _EQUAL_FRAUDS = (0.0, 0.25, 0.5, 0.75), 300
# Where fewer rows than this share are known frauds, the rest of it is taken to be unknown ones.
_USUAL_SHARE = 0.003
_TREES_FILE = "trees.json"
# Slope and intercept of a curve that leaves odds as they are.
_NO_CURVE = (1.0, 0.0)
_NOT_CALIBRATED = "scores are not calibrated"
# A booster whose number of threads is being set must not be asked; it has threads of its own.
_ONE_AT_A_TIME = threading.Lock()


class CalibratedScorer(Scorer):
    """Probability of fraud, learned from known labels; higher is more anomalous.

    Two models of the known frauds and normal rows of the training window are averaged in their log
    odds: a ridge regression, see `RidgeOdds`, which a handful of frauds is enough for, and boosted
    trees of the inputs, the logarithm of each feature's reconstruction error and the latent code,
    which need more. How much the trees count is decided by cross-validation over time within the
    training window; with few known frauds they do not. A logistic curve (Platt, 1999), of the
    validation rows, turns the odds into probabilities; it does not change the order of the scores.

    Frauds that nobody knows of lie among the normal rows and teach that fraud is normal. Where few
    are known, the normal rows of the highest odds are left out and everything is fitted again (as
    from unlabelled examples: Liu et al., ICDM 2003).

    With fewer than LEAST_FRAUDS known frauds it says so and scores as `ReconstructionScorer` does.
    seed: of the trees. members: fits with different seeds, whose odds are averaged. normal_rows:
    normal rows are thinned to so many at most, all frauds stay; more take longer and rank a little
    better. Odds are corrected for it (King and Zeng, Political Analysis 9, 2001). contamination:
    share of the normal rows that is left out; None: what known frauds lack to 0.3 % of all rows.

    trees_share_: the share of the trees in the log odds, from 0 to 1.
    """

    learns_labels = True

    def __init__(
        self,
        seed: int = 0,
        normal_rows: int = 15_000,
        members: int = 1,
        contamination: float | None = None,
    ) -> None:
        self.seed, self.normal_rows, self.members = seed, normal_rows, members
        self.contamination = contamination
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
        signals, known = joined(fitted[rows].parts()), labels[rows]
        trusted = self._trusted(signals, known, frauds / len(labels))
        signals, known = signals[trusted], known[trusted]
        seeds = np.random.SeedSequence(self.seed).generate_state(self.members).tolist()
        self.trees_share_ = _helpful_share(signals, known, self.thinned_by_, seeds[0])
        self.ridge_ = RidgeOdds.fit(signals, known, _row_weights(known, self.thinned_by_))
        self.trees_ = []
        if self.trees_share_:
            evidence = _evidence(signals)
            self.trees_ = [fit_trees(seed, evidence, known) for seed in seeds]
        if validation is not None:
            self._calibrate(validation, validation_labels)
        elif self.curve_ == _NO_CURVE:
            self._fall_back("no earlier fit was calibrated on validation rows", _NOT_CALIBRATED)
        return self

    def _trusted(self, signals: Signals, labels: np.ndarray, known_share: float) -> np.ndarray:
        """Which rows are learned from, (n,) bool: not the normal ones that look most like fraud."""
        share = self.contamination
        if share is None:
            share = max(0.0, _USUAL_SHARE - known_share)
        normal = np.flatnonzero(labels == 0)
        trusted = np.ones(len(labels), dtype=bool)
        count = round(share * len(normal))
        if count:
            ridge = RidgeOdds.fit(signals, labels, _row_weights(labels, self.thinned_by_))
            odds = ridge.log_odds(signals[normal])
            trusted[normal[np.argsort(odds, kind="stable")[-count:]]] = False
        return trusted

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
        odds = self.ridge_.log_odds(signals)
        if self.trees_:
            evidence = _evidence(signals)
            with _ONE_AT_A_TIME:
                of_trees = [log_odds(trees, evidence) for trees in self.trees_]
            # In float64: the mean of float32 depends on how they lie in memory.
            of_trees = np.mean(of_trees, axis=0, dtype=np.float64) - np.log(self.thinned_by_)
            odds = (1 - self.trees_share_) * odds + self.trees_share_ * of_trees
        return odds

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
        return slope * self._odds(signals) + intercept

    def save(self, folder: Path) -> None:
        """Write `scorer.json` and, for the trees, `trees.json`, which hold no pickle."""
        settings = {
            "seed": self.seed,
            "normal_rows": self.normal_rows,
            "members": self.members,
            "contamination": self.contamination,
            "curve": self.curve_,
            "fallback": self.fallback,
        }
        if self.fallback_scorer_ is not None:
            settings["reconstruction"] = self.fallback_scorer_.to_dict()
        else:
            settings["thinned_by"], settings["trees_share"] = self.thinned_by_, self.trees_share_
            settings["ridge"] = self.ridge_.to_dict()
            save_trees(self.trees_, folder / _TREES_FILE)
        write_json(folder / SCORER_FILE, settings)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The scorer that `save` wrote. Raises UserError if its trees are damaged."""
        data = json.loads((folder / SCORER_FILE).read_text())
        scorer = cls(data["seed"], data["normal_rows"], data["members"], data["contamination"])
        scorer.curve_, scorer.fallback = tuple(data["curve"]), data["fallback"]
        if "reconstruction" in data:
            scorer.fallback_scorer_ = ReconstructionScorer.from_dict(data["reconstruction"])
        else:
            scorer.thinned_by_, scorer.trees_share_ = data["thinned_by"], data["trees_share"]
            scorer.ridge_ = RidgeOdds.from_dict(data["ridge"])
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


def _row_weights(labels: np.ndarray, thinned_by: int) -> np.ndarray:
    """How many rows of the training window each of the thinned rows stands for: (n,) float64."""
    return np.where(labels == 1, 1.0, float(thinned_by))


def _helpful_share(signals: Signals, labels: np.ndarray, thinned_by: int, seed: int) -> float:
    """The share of the trees that ranks best in parts that were left out; 0 with too few frauds.

    signals, labels: n rows in order of time. The parts follow one another in time and hold equally
    many frauds. Of the shares whose mean average precision is within a standard error of the best
    (Breiman et al., Classification and Regression Trees, 1984) it is the one nearest to what so
    many frauds suggest.
    """
    frauds = np.count_nonzero(labels == 1)
    if frauds < _BLOCKS * _LEAST_IN_BLOCK:
        return 0.0
    rows, step = _thinned(labels, _TRIED_ROWS)
    signals, labels, thinned_by = signals[rows], labels[rows], thinned_by * step
    evidence, weights = _evidence(signals), _row_weights(labels, thinned_by)
    blocks = np.minimum((np.cumsum(labels == 1) - (labels == 1)) * _BLOCKS // frauds, _BLOCKS - 1)
    precision = np.empty((_BLOCKS, len(_SHARES)))
    for block in range(_BLOCKS):
        out = blocks == block
        ridge = RidgeOdds.fit(signals[~out], labels[~out], weights[~out]).log_odds(signals[out])
        booster = fit_trees(seed, evidence[~out], labels[~out], _TRIED_ROUNDS)
        trees = log_odds(booster, evidence[out])
        trees = trees.astype(np.float64) - np.log(thinned_by)
        for number, share in enumerate(_SHARES):
            odds = (1 - share) * ridge + share * trees
            precision[block, number] = average_precision_score(
                labels[out], odds, sample_weight=weights[out]
            )
    best = precision.mean(axis=0).argmax()
    behind = precision[:, [best]] - precision
    error = behind.std(axis=0, ddof=1) / np.sqrt(_BLOCKS)
    as_good = np.array(_SHARES)[behind.mean(axis=0) <= error]
    suggested = frauds / (frauds + _EQUAL_FRAUDS)
    return float(min(as_good, key=lambda share: abs(share - suggested)))


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
