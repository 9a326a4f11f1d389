"""From scores to alerts: the threshold, and the policies that choose it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from fraud_ae.errors import UserError
from fraud_ae.evaluation.labelled import labelled
from fraud_ae.features.event_time import DAY_US

log = logging.getLogger("fraud_ae")

METHODS = ("percentile", "best_f1", "recall", "precision", "budget", "cost")
# These learn from labels, so that rows without any fraud teach them nothing.
NEEDS_FRAUD = ("best_f1", "recall", "precision", "cost")
_ALLOWED = {
    "percentile": (0.0, 100.0),
    "least_recall": (0.0, 1.0),
    # What no threshold reaches is told when it is chosen.
    "least_precision": (0.0, np.inf),
    "alerts_per_day": (0.0, np.inf),
    "review_cost": (0.0, np.inf),
}


def percentile_threshold(scores: np.ndarray, percentile: float) -> float:
    """The score that `percentile` percent of the given transactions do not exceed.

    scores: (n,) of transactions that the model was not fitted on; percentile: 0 to 100, so that
    95 asks for alerts on 5 % of the transactions.
    """
    return float(np.percentile(scores, percentile))


def alerts(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Which transactions exceed the threshold. (n,) float -> (n,) bool."""
    return np.asarray(scores) > threshold


def utc_days(timestamp: pd.Series) -> np.ndarray:
    """The calendar day in UTC of each time: (n,) datetime64[us, UTC] -> (n,) datetime64[D]."""
    us = timestamp.dt.as_unit("us").astype("int64").to_numpy()
    return (us // DAY_US).astype("datetime64[D]")


@dataclass(frozen=True)
class ThresholdPolicy:
    """How the threshold is chosen on scored transactions that the model was not fitted on.

    method: one of
    - `percentile`: the score that `percentile` percent (0 to 100) do not exceed;
    - `best_f1`: the highest F1, with as few alerts as give it;
    - `recall`: as few alerts as reach `least_recall` (0 to 1);
    - `precision`: as many alerts as keep `least_precision` (0 to 1); where none does, the highest
      precision there is, with a warning;
    - `budget`: as many alerts as fit into `alerts_per_day`, the mean over the UTC calendar days
      that have transactions;
    - `cost`: the least sum of the amounts of missed frauds and `review_cost`, in the currency of
      the amounts, for each alert, with as few alerts as give it (example-dependent costs,
      Bahnsen et al., 2014). It may alert on nothing or on everything.

    Equal scores are alerted on together or not at all. Raises UserError for an unknown method or a
    number that cannot be.
    """

    method: str = "percentile"
    percentile: float = 95.0
    least_recall: float = 0.8
    least_precision: float = 0.5
    alerts_per_day: float = 100.0
    review_cost: float = 10.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UserError(
                f"threshold.method={self.method}: unknown; known are {', '.join(METHODS)}"
            )
        for name, (low, high) in _ALLOWED.items():
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (is_number and low <= value <= high):
                up_to = f"from {low:g} to {high:g}" if high < np.inf else f"of {low:g} or more"
                raise UserError(f"threshold.{name}={value}: must be a number {up_to}")

    def choose(self, scored: pd.DataFrame) -> float:
        """The threshold; `alerts(scores, threshold)` are the transactions above it.

        scored: n rows, in any order, with timestamp (datetime64[us, UTC]), amount, is_fraud (0, 1
        or NaN) and score (float32, higher is more anomalous). The number is finite and exact in
        float32, so that it gives the same alerts after it was written as text.
        Raises UserError where there is no row, a score is not finite, or the method needs frauds
        and there is none.
        """
        if self.method in NEEDS_FRAUD and len(scored):
            self.check_labels(scored["is_fraud"])
            scored = labelled(scored)
        scores = scored["score"].to_numpy(np.float32)
        self._check(scores, scored["is_fraud"])
        if self.method == "cost" and scored["amount"].isna().all():
            raise UserError("threshold.method=cost: weighs amounts, and these data have none")
        if self.method == "percentile":
            return percentile_threshold(scores, self.percentile)
        cutoffs = _Cutoffs.of(scored, scores)
        chosen = {
            "best_f1": self._best_f1,
            "recall": self._recall,
            "precision": self._precision,
            "budget": self._budget,
            "cost": self._cost,
        }[self.method](cutoffs)
        return float(cutoffs.threshold[chosen])

    def check_labels(self, is_fraud: np.ndarray | pd.Series) -> None:
        """Say before any scoring whether these rows, (n,) 0 or 1, can teach the method anything.

        Raises UserError where the method needs frauds and there is none.
        """
        if self.method in NEEDS_FRAUD and not (is_fraud == 1).any():
            others = " or ".join(name for name in METHODS if name not in NEEDS_FRAUD)
            raise UserError(
                f"threshold.method={self.method}: there is no fraud among the {len(is_fraud)} "
                f"transactions to choose on, and this method learns from frauds; use {others}"
            )

    def _check(self, scores: np.ndarray, is_fraud: pd.Series) -> None:
        if len(scores) == 0:
            raise UserError("there is no scored transaction to choose a threshold on")
        wrong = np.count_nonzero(~np.isfinite(scores))
        if wrong:
            raise UserError(
                f"score: {wrong} of {len(scores)} are not finite, so no threshold can be chosen"
            )
        self.check_labels(is_fraud)

    def _best_f1(self, cutoffs: "_Cutoffs") -> int:
        # argmax takes the first of equals, which has the fewest alerts.
        return int(np.argmax(2 * cutoffs.frauds / (cutoffs.alerts + cutoffs.frauds[-1])))

    def _recall(self, cutoffs: "_Cutoffs") -> int:
        return int(np.argmax(cutoffs.frauds / cutoffs.frauds[-1] >= self.least_recall))

    def _precision(self, cutoffs: "_Cutoffs") -> int:
        # Without any alert there is no precision.
        precision = cutoffs.frauds[1:] / cutoffs.alerts[1:]
        best = precision.max()
        if best < self.least_precision:
            log.warning(
                "threshold.least_precision=%g: no threshold reaches it; the one taken has the "
                "highest precision there is, %.4f",
                self.least_precision,
                best,
            )
        wanted = min(self.least_precision, best)
        return 1 + int(np.flatnonzero(precision >= wanted)[-1])

    def _budget(self, cutoffs: "_Cutoffs") -> int:
        # Dividing, as days * 0.29 may come out below the whole number that it stands for.
        return int(np.flatnonzero(cutoffs.alerts / cutoffs.days <= self.alerts_per_day)[-1])

    def _cost(self, cutoffs: "_Cutoffs") -> int:
        missed = cutoffs.fraud_amount[-1] - cutoffs.fraud_amount
        # Rounded, so that equal costs are equal whatever order their amounts were added up in.
        return int(np.argmin((missed + self.review_cost * cutoffs.alerts).round(6)))


def policy_of(settings: Mapping[str, str | float]) -> ThresholdPolicy:
    """A policy of some fields. Raises UserError for an unknown one, with those that there are."""
    known = [field.name for field in fields(ThresholdPolicy)]
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise UserError(f"threshold: unknown {', '.join(unknown)}; known are {', '.join(known)}")
    return ThresholdPolicy(**settings)


@dataclass(frozen=True)
class _Cutoffs:
    """Every set of alerts that a threshold can give, from none to all: arrays of shape (m + 1,).

    m: number of distinct scores. alerts: how many. frauds, fraud_amount: number and summed
    amounts of the frauds among them. days: UTC calendar days that have transactions.
    """

    threshold: np.ndarray
    alerts: np.ndarray
    frauds: np.ndarray
    fraud_amount: np.ndarray
    days: int

    @classmethod
    def of(cls, scored: pd.DataFrame, scores: np.ndarray) -> "_Cutoffs":
        is_fraud = scored["is_fraud"].to_numpy() == 1
        amount = np.where(is_fraud, np.nan_to_num(scored["amount"].to_numpy(np.float64)), 0.0)
        order = np.argsort(-scores, kind="stable")
        descending = scores[order]
        # Equal scores cannot be told apart, so that only the last of them ends a set.
        ends = np.flatnonzero(np.append(descending[1:] != descending[:-1], True))
        return cls(
            # The highest score without an alert is the lowest threshold of its set.
            threshold=np.append(descending[ends], _just_below(descending[-1])),
            alerts=np.append(0, ends + 1),
            frauds=np.append(0, np.cumsum(is_fraud[order])[ends]),
            fraud_amount=np.append(0.0, np.cumsum(amount[order])[ends]),
            days=len(np.unique(utc_days(scored["timestamp"]))),
        )


def _just_below(score: np.float32) -> np.float32:
    # Next to 0 the nearest float32 is subnormal, which some processors are set to take for 0.
    limits = np.finfo(np.float32)
    return max(min(np.nextafter(score, limits.min), score - limits.tiny), limits.min)
