"""Leakage audit: does a feature strategy show a transaction its future or its label?"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from fraud_ae.audit.label_use import (
    LEAST_FRAUDS,
    SEPARATES,
    differing_rows,
    separation,
    with_flipped_labels,
)
from fraud_ae.data.split import Split
from fraud_ae.features.event_time import days_to_microseconds, microseconds
from fraud_ae.features.strategy import compute_features, fit_strategy

TOO_FEW = f"cannot tell: it takes at least {LEAST_FRAUDS} frauds and {LEAST_FRAUDS} other rows"
STANDARD_ERRORS = 4
MOST_NAMED = 8
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Finding:
    """The result of one check: the names of the features that leak, and figures in a sentence."""

    check: str
    passed: bool
    features: tuple[str, ...]
    detail: str


def audit(
    strategy: Any,
    transactions: pd.DataFrame,
    split: Split,
    *,
    label_delay_days: float,
    allowed: Sequence[str] = (),
    seed: int = 0,
    report: Callable[[Finding], None] | None = None,
) -> list[Finding]:
    """Check that the features of a row depend on it, earlier rows and known labels alone.

    strategy: not fitted; copies of it are, on training rows. transactions: (n, d) canonical, in
    order of time; rows of the test period are not read. label_delay_days: how long after its
    transaction a label is known. allowed: features that may separate fraud by themselves. seed:
    of the shuffled labels. report: called with each finding as soon as there is one.

    Returns a finding for each of six checks. Raises UserError if the strategy breaks the contract
    of `compute_features`. Shuffled labels follow Ojala and Garriga, "Permutation Tests for
    Studying Classifier Performance" (2010); single features Kaufman et al., "Leakage in Data
    Mining" (2012).
    """
    known = transactions[split.before_test(transactions)].reset_index(drop=True)
    # Rows without a label are not known to be fraud.
    labels = known["is_fraud"].fillna(0) if "is_fraud" in known else 0
    known = known.assign(is_fraud=labels).astype({"is_fraud": "int8"})
    parts = split.train(known), split.validation(known)
    case = _Case(strategy, known, *parts, label_delay_days, allowed, seed)
    findings = []
    for check in (
        _truncated_history,
        _fitted_on_truncated_history,
        _labels_after_the_delay,
        _shuffled_labels,
        _single_feature,
        _equal_times,
    ):
        findings.append(check(case))
        if report:
            report(findings[-1])
    return findings


@dataclass(frozen=True)
class _Case:
    """A strategy and the rows that it is checked on; train, validation: bool of shape (n,)."""

    strategy: Any
    known: pd.DataFrame
    train: np.ndarray
    validation: np.ndarray
    label_delay_days: float
    allowed: Sequence[str]
    seed: int

    def fit(self, transactions: pd.DataFrame) -> Any:
        """A copy of the strategy, fitted on the training rows among the first rows or all."""
        rows = self.train[: len(transactions)]
        return fit_strategy(copy.deepcopy(self.strategy), transactions[rows].reset_index(drop=True))

    @cached_property
    def fitted(self) -> Any:
        return self.fit(self.known)

    @cached_property
    def features(self) -> pd.DataFrame:
        """What a training sees: (n, n_features)."""
        return compute_features(self.fitted, self.known)

    @cached_property
    def labels(self) -> np.ndarray:
        return self.known["is_fraud"].to_numpy()

    @cached_property
    def stretches(self) -> list[np.ndarray]:
        """Positions of the middle and of the last third of training, and of validation."""
        _, *thirds = np.array_split(np.flatnonzero(self.train), 3)
        return [s for s in (*thirds, np.flatnonzero(self.validation)) if len(s)]

    @cached_property
    def cuts(self) -> list[int]:
        """Positions of rows that come closest after another row, one of the same customer and one
        of the same terminal: there, what looks ahead by a minute shows, too.
        """
        times = pd.Series(microseconds(self.known["timestamp"]))
        keys = [self.known[k] for k in ("customer_id", "terminal_id") if k in self.known]
        cuts = set()
        for gap in [times.diff(), *(times.groupby(key).diff() for key in keys)]:
            for inside in (gap.iloc[stretch[1:]] for stretch in self.stretches):
                closest = inside.index[inside == inside.min()]
                cuts.update(closest[len(closest) // 2 :][:1])
        return sorted(int(cut) for cut in cuts)


def _truncated_history(case: _Case) -> Finding:
    pairs = _truncated(case, case.cuts, lambda rows: case.fitted)
    otherwise = f"nothing changes without later rows ({len(case.cuts)} cuts)"
    return _compared("truncated history", pairs, "changed without later rows", otherwise)


def _fitted_on_truncated_history(case: _Case) -> Finding:
    """What fit learns must not show a training row the rows after it."""
    cuts = [cut for cut in case.cuts if case.train[cut:].any()]
    check, fault = "fitted on truncated history", "changed when fit does not see later rows"
    pairs = _truncated(case, cuts, case.fit)
    return _compared(check, pairs, fault, f"nothing changes ({len(cuts)} cuts)")


def _truncated(case: _Case, cuts: Iterable[int], fitted: Callable) -> Iterator[tuple]:
    """The features of the rows before each cut: with the rows after it, and without them."""
    for cut in cuts:
        rows = case.known.iloc[:cut]
        yield case.features[:cut], compute_features(fitted(rows), rows)


def _labels_after_the_delay(case: _Case) -> Finding:
    delay = case.label_delay_days
    labels = "a row's own label" + (f" or others younger than {delay:g} days" if delay else "")
    check, pairs = "labels after the delay", _with_unknown_labels_flipped(case)
    return _compared(check, pairs, f"changed with {labels}", f"nothing changes with {labels}")


def _with_unknown_labels_flipped(case: _Case) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    times = microseconds(case.known["timestamp"])
    *_, last = case.stretches
    for row in [last[len(last) // 2], *(stretch[-1] for stretch in case.stretches)]:
        unknown = times > times[row] - days_to_microseconds(case.label_delay_days)
        # Without a delay, too, the label of the row itself and of those after it are unknown.
        unknown[row:] = True
        altered = with_flipped_labels(case.known, unknown)
        for fitted in [case.fitted, case.fit(altered)] if case.train[row] else [case.fitted]:
            yield case.features[: row + 1], compute_features(fitted, altered)[: row + 1]


def _compared(check: str, pairs: Iterable[tuple], fault: str, otherwise: str) -> Finding:
    """Fails where features differ; in how many of the rows, where these are the most."""
    most: dict[str, tuple[int, int]] = {}
    for expected, features in pairs:
        for name, rows in differing_rows(expected, features).items():
            most[name] = max(most.get(name, (0, 0)), (rows, len(expected)))
    if not most:
        return Finding(check, True, (), otherwise)
    figures = [f"{name} in {rows:,} of {of:,} rows" for name, (rows, of) in most.items()]
    return Finding(check, False, tuple(most), f"{fault}: {_listed(figures)}")


def _shuffled_labels(case: _Case) -> Finding:
    """Gradient boosting fitted on shuffled labels must rank the validation rows by chance."""
    check = "shuffled labels"
    labels = np.random.default_rng(case.seed).permutation(case.labels)
    actual = labels[case.validation]
    if not (_enough(labels[case.train]) and _enough(actual)):
        return Finding(check, True, (), f"{TOO_FEW} in training and in validation")
    shuffled = case.known.assign(is_fraud=labels)
    features = compute_features(case.fit(shuffled), shuffled)
    auc = roc_auc_score(actual, _boosting_scores(case, features, labels))
    # The exact variance of the Mann-Whitney statistic where scores and labels are independent.
    pairs = (actual == 1).sum() * (actual == 0).sum()
    bound = STANDARD_ERRORS * math.sqrt((len(actual) + 1) / (12 * pairs))
    figures = f"ROC AUC {auc:.4f}, chance is {0.5 - bound:.4f} to {0.5 + bound:.4f}"
    if abs(auc - 0.5) <= bound:
        return Finding(check, True, (), figures)
    made = differing_rows(case.features, features)
    strong = [n for n in made if separation(features[n][case.validation], actual) > 0.5 + bound]
    names = tuple(strong or made)
    return Finding(check, False, names, f"{figures}; made from labels: {_listed(names)}")


def _boosting_scores(case: _Case, features: pd.DataFrame, labels: np.ndarray) -> np.ndarray:
    inputs = np.column_stack([_ordinal(features[name]) for name in features])
    # A column without any value has no bins.
    inputs[:, np.isnan(inputs[case.train]).all(axis=0)] = 0.0
    gbm = HistGradientBoostingClassifier(max_iter=50, early_stopping=False, random_state=case.seed)
    # Its threads wait for one another in a loop, so that a second process slows them tenfold.
    with threadpool_limits(limits=1):
        gbm.fit(inputs[case.train], labels[case.train])
        return gbm.predict_proba(inputs[case.validation])[:, 1]


def _single_feature(case: _Case) -> Finding:
    check = "single feature"
    parts = [rows for rows in (case.train, case.validation) if _enough(case.labels[rows])]
    if not parts:
        return Finding(check, True, (), f"{TOO_FEW} in training or in validation")
    aucs = {
        name: max(separation(values[rows], case.labels[rows]) for rows in parts)
        for name, values in case.features.items()
    }
    allowed = {name for name in case.allowed if aucs.get(name, 0) >= SEPARATES}
    leaks = tuple(name for name in aucs if aucs[name] >= SEPARATES and name not in allowed)
    figures = {name: f"{name} (ROC AUC {auc:.4f})" for name, auc in aucs.items()}
    if leaks:
        listed = _listed([figures[name] for name in leaks])
        return Finding(check, False, leaks, f"tells fraud from the rest alone: {listed}")
    best = f"the best is {figures[max(aucs, key=aucs.get)]}"
    listed = f"allowed: {_listed([figures[name] for name in sorted(allowed)])}"
    return Finding(check, True, (), listed if allowed else best)


def _equal_times(case: _Case) -> Finding:
    """The order of rows that share a time is chance, or an answer: no feature may see it."""
    check, times = "equal times", microseconds(case.known["timestamp"])
    tied = pd.Series(times).duplicated(keep=False).to_numpy()
    if not tied.any():
        return Finding(check, True, (), "no two transactions share a time")
    order = np.lexsort((np.random.default_rng(case.seed).random(len(times)), times))
    permuted = compute_features(case.fitted, case.known.iloc[order].reset_index(drop=True))
    in_place = permuted.iloc[np.argsort(order)].reset_index(drop=True)
    moved = _compared(
        check,
        [(case.features, _up_to_rounding(in_place, case.features))],
        "changed where rows of equal time change places",
        f"nothing changes where {tied.sum():,} rows of equal time change places",
    )
    labels = case.labels[tied]
    if not moved.passed or not _enough(labels):
        return moved
    instants = times[tied]
    aucs = {
        name: separation(pd.Series(_ordinal(values)[tied]).groupby(instants).rank(pct=True), labels)
        for name, values in case.features.items()
        if name not in case.allowed
    }
    leaks = tuple(name for name, auc in aucs.items() if auc >= SEPARATES)
    if not leaks:
        return moved
    figures = _listed([f"{name} (ROC AUC {aucs[name]:.4f})" for name in leaks])
    return Finding(check, False, leaks, f"its rank within a time tells fraud: {figures}")


def _up_to_rounding(features: pd.DataFrame, expected: pd.DataFrame) -> pd.DataFrame:
    """The features with the expected numbers where they are as good as these: sums of the same
    amounts in another order differ in their last digits.
    """
    close = {}
    for name in features.columns.intersection(expected.columns):
        values, wanted = features[name], expected[name]
        if pd.api.types.is_float_dtype(values.dtype) and values.dtype == wanted.dtype:
            scale = float(np.nan_to_num(wanted.std()))
            is_close = np.isclose(values, wanted, rtol=_ROUNDING, atol=_ROUNDING * scale)
            close[name] = values.mask(is_close, wanted)
    return features.assign(**close)


def _enough(labels: np.ndarray) -> bool:
    return min((labels == 1).sum(), (labels == 0).sum()) >= LEAST_FRAUDS


def _ordinal(values: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy(dtype=np.float64)
    return pd.factorize(values, sort=True)[0].astype(np.float64)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
