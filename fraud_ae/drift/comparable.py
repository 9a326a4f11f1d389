"""Features of two periods such that they can be compared, and what each of them depends on.

A feature may differ between two periods for reasons that are no drift: other rows before it, other
days of the week, more days that `fit` has learned of. Which of these a feature depends on is tried
out, so that it holds for any strategy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fraud_ae.data.columns import CATEGORICAL
from fraud_ae.features.label_use import differing_rows, with_flipped_labels
from fraud_ae.features.strategy import compute_features

# What is tried out is tried out on so many rows.
_TRIED = 3_000
# Where a strategy does not say how far it looks back.
_USUAL_HISTORY = 30.0
_WEEK = pd.Timedelta(days=7)


@dataclass(frozen=True)
class Traits:
    """What a feature depends on beyond its own row.

    looks_back: on earlier rows. reads_labels: on labels of earlier rows. cycle: on the hour
    (`day`), the day of the week (`week`) or the date (`date`) of its row, None for none of them.
    """

    looks_back: bool
    reads_labels: bool
    cycle: str | None


def history_days(strategy: Any) -> float:
    """How many days of earlier rows the features of a strategy look at."""
    return max([*_windows(strategy)], default=_USUAL_HISTORY)


def _windows(strategy: Any) -> Iterator[float]:
    for part in getattr(strategy, "parts", {}).values():
        yield from _windows(part)
    windows = getattr(strategy, "windows_days", None)
    if windows is not None:
        yield max(windows) + getattr(strategy, "label_delay_days", 0.0)


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

    return {name: Traits(name in backward, name in labels, cycle(name)) for name in usual}
