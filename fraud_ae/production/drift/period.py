"""The transactions to be checked, the history before them, and which rows can be compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from fraud_ae.data.source_columns import TEXT
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import to_transactions
from fraud_ae.data.values.times import newest
from fraud_ae.detector.trailing_history import TrailingHistory
from fraud_ae.features.event_time import DAY_US, days_to_microseconds, microseconds

# Days with fewer rows than this share of the usual ones are a gap in the history, ...
_THIN = 0.5
# ... unless it is as short as a weekend.
_SHORT_GAP = 2
_KNOWN_LABELS = 0.95


@dataclass(frozen=True)
class Period:
    """Transactions in order of time: those to be checked, and the history before them.

    transactions: (n, d) canonical; columns that are missing hold nothing. current: (n,) bool, those
    to be checked. missing: optional columns of the training data that the file does not have.
    """

    transactions: pd.DataFrame
    current: np.ndarray
    missing: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        file: pd.DataFrame,
        source_format: SourceFormat,
        columns: Mapping[str, bool],
        *,
        history: pd.DataFrame | None = None,
        remembered: TrailingHistory | None = None,
        days: float | None = None,
    ) -> Self:
        """From raw tables.

        columns: the optional ones of the training data. history: earlier rows; those that the file
        has too are left out, and so is whatever is later than the file. remembered: what the model
        keeps, of which the same holds. days: only so many newest ones are checked, and those before
        are history. Raises DataError for what cannot be mapped.
        """
        file, missing = _with_columns(file, source_format, columns)
        transactions = to_transactions(file, source_format, labelled=False)
        current = np.ones(len(transactions), dtype=bool)
        if days is not None:
            first = newest(transactions["timestamp"]) - pd.Timedelta(days=days)
            current = (transactions["timestamp"] > first).to_numpy()
        has_ids = bool(source_format.sources("transaction_id"))
        first, last = transactions["timestamp"].iloc[0], transactions["timestamp"].iloc[-1]
        both = transactions
        if history is not None:
            history, _ = _with_columns(history, source_format, columns)
            earlier = to_transactions(history, source_format, labelled=False)
            if has_ids:
                before = ~earlier["transaction_id"].isin(transactions["transaction_id"])
                before &= earlier["timestamp"] <= last
            else:
                before = earlier["timestamp"] < first
            both = pd.concat([earlier[before], both], ignore_index=True)
        if remembered is not None:
            both = pd.concat([remembered.before(both), both], ignore_index=True)
        current = np.append(np.zeros(len(both) - len(current), dtype=bool), current)
        # As integers: times with a zone would become an array of objects.
        order = np.argsort(both["timestamp"].astype("int64").to_numpy(), kind="stable")
        return cls(both.iloc[order].reset_index(drop=True), current[order], missing)

    def with_history(self, days: float, rows_per_day: float, gap: int) -> np.ndarray:
        """The rows to be checked that have so many days of history, without a gap: (n,) bool.

        rows_per_day: the usual number. gap: so many days in a row may have few rows, or none.
        """
        us = microseconds(self.transactions["timestamp"])
        complete_since = np.full(len(us), us[0])
        day = us // DAY_US
        for end in gaps(day, rows_per_day, gap):
            complete_since[day < end] = np.iinfo(np.int64).max // 2
            complete_since[day >= end] = end * DAY_US
        return self.current & (us - complete_since >= days_to_microseconds(days))

    def labels_known(self, delay_days: float) -> bool:
        """Whether nearly all rows have a label that are old enough to have one."""
        if "is_fraud" not in self.transactions:
            return False
        times = self.transactions["timestamp"]
        old = times <= newest(times) - pd.Timedelta(days=delay_days)
        known = self.transactions["is_fraud"][old].notna()
        return bool(len(known)) and float(known.mean()) >= _KNOWN_LABELS

    def rows_per_day(self) -> float:
        """How many rows there are in a day, from the first to be checked to the last."""
        us = microseconds(self.transactions["timestamp"])
        within = us[us >= us[self.current][0]]
        return float(len(within) / max((within[-1] - within[0]) / DAY_US, 1 / 24))


def gaps(day: np.ndarray, rows_per_day: float, allowed: int) -> list[int]:
    """The days that end a gap: more days in a row than allowed with few rows or none.

    day: (n,) int, never decreasing. rows_per_day: the usual number.
    """
    thin = np.bincount(day - day[0]) < _THIN * rows_per_day
    runs = np.flatnonzero(np.diff(thin, prepend=False, append=False)).reshape(-1, 2)
    return [int(end + day[0]) for start, end in runs if end - start > allowed]


def longest_gap(timestamp: pd.Series, rows_per_day: float) -> int:
    """How long gaps are that the training data have themselves, in days; a weekend at least."""
    day = microseconds(timestamp) // DAY_US
    allowed = _SHORT_GAP
    while gaps(day, rows_per_day, allowed):
        allowed += 1
    return allowed


def _with_columns(
    raw: pd.DataFrame, source_format: SourceFormat, columns: Mapping[str, bool]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table with empty columns in place of those that it does not have, and their names."""
    sources = {name: source_format.columns.get(name) or name for name in columns}
    absent = {n: s for n, s in sources.items() if s not in raw.columns and n not in raw.columns}
    empty = {
        source: pd.Series(np.nan, index=raw.index, dtype="str" if name in TEXT else "float64")
        for name, source in absent.items()
    }
    return raw.assign(**empty), tuple(absent)
