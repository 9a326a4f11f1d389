"""Features of two periods such that they can be compared, and what each of them depends on.

A feature may differ between two periods for reasons that are no drift: other rows before it, other
days of the week, more days that `fit` has learned of. Which of these a feature depends on is tried
out, so that it holds for any strategy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fraud_ae.audit.label_use import differing_rows, with_flipped_labels
from fraud_ae.data.columns import CATEGORICAL
from fraud_ae.features.history import history_of
from fraud_ae.features.strategy import compute_features

# What is tried out is tried out on so many rows.
_TRIED = 3_000
# Where a strategy has no windows, or does not say how far it looks back.
_USUAL_HISTORY = 30.0
# Fewer values may go with those of a category by chance.
_LEAST_VALUES = 3
_WEEK = pd.Timedelta(days=7)


@dataclass(frozen=True)
class Traits:
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


def history_days(strategy: Any) -> float:
    """How many days of earlier rows a feature has to be shown, so that it can be compared.

    The longest window of the strategy. What looks back without an end, such as a first use, is
    comparable if both periods show it equally long.
    """
    return history_of(strategy).days or _USUAL_HISTORY


def features_of(
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
    times = transactions["timestamp"]
    since = times[rows].iloc[0] - pd.Timedelta(days=days)
    seen = (times >= since).to_numpy()
    frame = transactions[seen].reset_index(drop=True)
    return _moved(strategy, frame, rows[seen], _behind(frame, learned_until))


def _moved(strategy: Any, frame: pd.DataFrame, rows: np.ndarray, by: pd.Timedelta) -> pd.DataFrame:
    features = compute_features(strategy, frame.assign(timestamp=frame["timestamp"] + by))
    columns = [name for name in CATEGORICAL if name in frame and name not in features]
    return pd.concat([features, frame[columns]], axis=1)[rows].reset_index(drop=True)


def _behind(frame: pd.DataFrame, learned_until: pd.Timestamp) -> pd.Timedelta:
    weeks = np.ceil((learned_until - frame["timestamp"].iloc[0]) / _WEEK)
    return max(int(weeks), 0) * _WEEK


def traits(
    strategy: Any,
    transactions: pd.DataFrame,
    rows: np.ndarray,
    days: float,
    learned_until: pd.Timestamp,
) -> dict[str, Traits]:
    """The traits of each feature that `features_of` gives of the same arguments."""
    newest = np.zeros(len(rows), dtype=bool)
    newest[np.flatnonzero(rows)[-_TRIED:]] = True
    times = transactions["timestamp"]
    seen = (times >= times[newest].iloc[0] - pd.Timedelta(days=days)).to_numpy()
    frame, newest = transactions[seen].reset_index(drop=True), newest[seen]
    by = _behind(frame, learned_until)
    usual = _moved(strategy, frame, newest, by)

    def changed(frame: pd.DataFrame, rows: np.ndarray, by: pd.Timedelta) -> set[str]:
        return set(differing_rows(usual, _moved(strategy, frame, rows, by)))

    alone = frame[newest].reset_index(drop=True)
    backward = changed(alone, np.ones(len(alone), dtype=bool), by)
    labels = set()
    if "is_fraud" in frame:
        every = np.ones(len(frame), dtype=bool)
        labels = changed(with_flipped_labels(frame, every), newest, by)
    hour = changed(frame, newest, by + pd.Timedelta(hours=1))
    weekday = changed(frame, newest, by + pd.Timedelta(days=1))
    date = set().union(*(changed(frame, newest, by + k * _WEEK) for k in (1, 26)))

    def cycle(name: str) -> str | None:
        if name in date:
            return "date"
        return "week" if name in weekday else "day" if name in hour else None

    def made(frame: pd.DataFrame) -> pd.DataFrame:
        return _moved(strategy, frame, newest, by)

    behind = _columns_behind(usual, frame, newest, made)
    return {
        name: Traits(
            name in backward,
            name in labels,
            cycle(name),
            behind.get(name) or _category_behind(name, usual),
        )
        for name in usual
    }


def _columns_behind(
    usual: pd.DataFrame,
    frame: pd.DataFrame,
    rows: np.ndarray,
    features: Callable[[pd.DataFrame], pd.DataFrame],
) -> dict[str, str]:
    """Which numbers are made of one categorical column alone: feature -> column.

    They change with its values, and move with them from row to row; how often a value comes does
    not matter. usual: what `features` gives of the frame, for some of its rows, (n,) bool.
    """
    behind = {}
    for column in (name for name in CATEGORICAL if name in frame):
        rolled, unseen = frame[column].copy(), frame[column].copy()
        rolled[rows] = np.roll(rolled[rows].to_numpy(), 1)
        unseen[rows] = "a value that nobody ever had"
        moved = features(frame.assign(**{column: rolled}))
        for name in differing_rows(usual, features(frame.assign(**{column: unseen}))):
            if _is_number(usual[name]):
                expected = np.roll(usual[name].to_numpy(np.float64), 1)
                if np.array_equal(expected, moved[name].to_numpy(np.float64), equal_nan=True):
                    behind[name] = column
    return behind


def _category_behind(name: str, features: pd.DataFrame) -> str | None:
    """The category among the features whose value decides a number, as an age band its rate."""
    if not _is_number(features[name]) or features[name].nunique() < _LEAST_VALUES:
        return None
    for other in features:
        values = features[other]
        if _is_number(values) or not _LEAST_VALUES <= values.nunique() <= len(values) / 2:
            continue
        if (features[name].groupby(values).nunique(dropna=False) <= 1).all():
            return other
    return None


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values.dtype)
