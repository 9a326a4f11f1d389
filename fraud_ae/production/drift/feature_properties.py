"""What the features of a strategy depend on, and their values as two periods can be compared.

A feature may differ between two periods for reasons that are no drift: other rows before it, other
days of the week, more days that `fit` has learned of. Which of these a feature depends on is tried
out, so that it holds for any strategy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from fraud_ae.audit.label_use import differing_rows, with_flipped_labels
from fraud_ae.data.columns import CATEGORICAL
from fraud_ae.features.strategy import compute_features

# Dependences are tried out on so many rows.
_TRIED = 3_000
# Fewer values may go with those of a category by chance.
_LEAST_VALUES = 3
_WEEK = pd.Timedelta(days=7)


@dataclass(frozen=True)
class FeatureProperties:
    """What a feature depends on beyond its own row.

    looks_back: on earlier rows. reads_labels: on labels of earlier rows. cycle: on the hour
    (`day`), the day of the week (`week`) or the date (`date`) of its row, None for none of them.
    stands_for: the category of whose values it holds what `fit` has learned of each, if so. Such a
    number says as much as the category, while what was learned of rare values, or of values of the
    rows that were learned from, would look like a drift.
    """

    looks_back: bool
    reads_labels: bool
    cycle: str | None
    stands_for: str | None = None


def comparable_features(
    strategy: Any,
    transactions: pd.DataFrame,
    rows: np.ndarray,
    days: float,
    learned_until: pd.Timestamp,
) -> pd.DataFrame:
    """The features, and the categorical columns, of some rows as they compare with other periods.

    transactions: (n, d) canonical, in order of time. rows: (n,) bool. days: of history that they
    see. learned_until: whole weeks are added to all times, so that they lie behind it: what `fit`
    learned by day is then read as it stood in the end. Returns (rows.sum(), n_features).
    """
    return _features(strategy, *_with_history(transactions, rows, days, learned_until))


def _with_history(
    transactions: pd.DataFrame, rows: np.ndarray, days: float, learned_until: pd.Timestamp
) -> tuple[pd.DataFrame, np.ndarray, pd.Timedelta]:
    """What `_features` needs: the rows with their history, which they are, how to move them."""
    times = transactions["timestamp"]
    shown = (times >= times[rows].iloc[0] - pd.Timedelta(days=days)).to_numpy()
    weeks = np.ceil((learned_until - times[shown].iloc[0]) / _WEEK)
    return transactions[shown].reset_index(drop=True), rows[shown], max(int(weeks), 0) * _WEEK


def _features(
    strategy: Any, frame: pd.DataFrame, rows: np.ndarray, moved_by: pd.Timedelta
) -> pd.DataFrame:
    """The features of some rows of a frame, and the categorical columns that are no features."""
    features = compute_features(strategy, frame.assign(timestamp=frame["timestamp"] + moved_by))
    columns = [name for name in CATEGORICAL if name in frame and name not in features]
    return pd.concat([features, frame[columns]], axis=1)[rows].reset_index(drop=True)


def feature_properties(
    strategy: Any,
    transactions: pd.DataFrame,
    rows: np.ndarray,
    days: float,
    learned_until: pd.Timestamp,
) -> dict[str, FeatureProperties]:
    """The properties of each feature that `comparable_features` gives of the same arguments."""
    newest = np.zeros(len(rows), dtype=bool)
    newest[np.flatnonzero(rows)[-_TRIED:]] = True
    frame, newest, moved_by = _with_history(transactions, newest, days, learned_until)

    def features(frame=frame, rows=newest, moved_by=moved_by) -> pd.DataFrame:
        return _features(strategy, frame, rows, moved_by)

    usual = features()

    def changed(*args, **kwargs) -> set[str]:
        return set(differing_rows(usual, features(*args, **kwargs)))

    alone, every = frame[newest].reset_index(drop=True), np.ones(len(frame), dtype=bool)
    looks_back = changed(alone, every[: len(alone)])
    has_labels = "is_fraud" in frame
    reads_labels = changed(with_flipped_labels(frame, every)) if has_labels else set()
    # From the shortest on: a longer cycle takes the place of a shorter one.
    cycles = {
        name: cycle
        for cycle, move in (("day", "1h"), ("week", "1D"), ("date", "7D"), ("date", "182D"))
        for name in changed(moved_by=moved_by + pd.Timedelta(move))
    }
    categories = _encoded_categories(usual, frame, newest, features)
    return {
        name: FeatureProperties(
            name in looks_back,
            name in reads_labels,
            cycles.get(name),
            categories.get(name) or _deciding_category(name, usual),
        )
        for name in usual
    }


def _encoded_categories(
    usual: pd.DataFrame,
    frame: pd.DataFrame,
    rows: np.ndarray,
    features: Callable[[pd.DataFrame], pd.DataFrame],
) -> dict[str, str]:
    """Which numbers are made of one categorical column alone: feature -> column.

    They change with its values, and move with them from row to row; how often a value comes does
    not matter. usual: what `features` gives of the frame, for some of its rows, (n,) bool.
    """
    categories = {}
    for column in (name for name in CATEGORICAL if name in frame):
        rolled, unseen = frame[column].copy(), frame[column].copy()
        rolled[rows] = np.roll(rolled[rows].to_numpy(), 1)
        unseen[rows] = "a value that nobody ever had"
        of_rolled = features(frame.assign(**{column: rolled}))
        for name in differing_rows(usual, features(frame.assign(**{column: unseen}))):
            if is_numeric_dtype(usual[name]):
                expected = np.roll(usual[name].to_numpy(np.float64), 1)
                if np.array_equal(expected, of_rolled[name].to_numpy(np.float64), equal_nan=True):
                    categories[name] = column
    return categories


def _deciding_category(name: str, features: pd.DataFrame) -> str | None:
    """The category among the features whose value decides a number, as an age band its rate."""
    if not is_numeric_dtype(features[name]) or features[name].nunique() < _LEAST_VALUES:
        return None
    for other in features:
        values = features[other]
        if is_numeric_dtype(values) or not _LEAST_VALUES <= values.nunique() <= len(values) / 2:
            continue
        if (features[name].groupby(values).nunique(dropna=False) <= 1).all():
            return other
    return None
