"""Fraud rates and shares as they were known at the time of each transaction.

What is learned is a table by day, so that a fitted object, too, shows a row nothing but its past.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.compute as pc

from fraud_ae.errors import UserError
from fraud_ae.features.event_time import DAY_US, days_to_microseconds, microseconds

_AT_ONCE = 1_000_000


def count_by_day(
    timestamp: pd.Series, values: pd.Series | None = None, is_fraud: pd.Series | None = None
) -> pl.DataFrame:
    """Transactions (and frauds) of each value up to the end of each day on which it occurs.

    Columns: value (String; "" for all when `values` is None), day (days since 1970-01-01 UTC),
    transactions, and frauds if `is_fraud` is given, both cumulative. Missing values are not
    counted. Raises DataError if timestamps are missing or not sorted.
    """
    columns = ["transactions"] if is_fraud is None else ["transactions", "frauds"]
    totals = [pl.col(name).sum() for name in columns]
    days = microseconds(timestamp) // DAY_US
    # Whole numbers, so that a part at a time gives the same, in less memory.
    parts = []
    for start in range(0, max(len(days), 1), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        part = {
            "value": _strings(None if values is None else values[rows], len(days[rows])),
            "day": days[rows],
            "transactions": np.ones(len(days[rows]), dtype=np.int64),
        }
        if is_fraud is not None:
            part["frauds"] = is_fraud[rows].to_numpy(dtype=np.int64)
        counted = pl.DataFrame(part).drop_nulls("value")
        parts.append(counted.group_by("value", "day").agg(totals))
    by_day = pl.concat(parts).group_by("value", "day").agg(totals)
    return by_day.sort("value", "day").with_columns(
        pl.exclude("value", "day").cum_sum().over("value")
    )


class KnownCounts:
    """A table of `count_by_day`, put in order once so that many small frames can be looked up."""

    def __init__(self, by_day: pl.DataFrame) -> None:
        value, day = by_day["value"], by_day["day"].to_numpy()
        self._values = value.unique(maintain_order=True).to_arrow()
        self._first = int(day.min()) if len(day) else 0
        self._span = int(day.max()) - self._first + 2 if len(day) else 1
        # The table is sorted by value and day: one number for both.
        value_numbers = np.repeat(
            np.arange(len(self._values)), value.rle().struct.field("len").to_numpy()
        )
        self._places = value_numbers * self._span + day - self._first + 1
        # Before all is a row for what is not known.
        self._totals = {
            column.name: np.append(0, column.to_numpy()).astype(np.float64)
            for column in by_day
            if column.name not in ("value", "day")
        }

    def until(self, day: np.ndarray, values: pd.Series | None = None) -> dict[str, np.ndarray]:
        """Transactions (and frauds) up to the end of a day, of each row's value or of all.

        day: (n,) int, days since 1970-01-01 UTC. values: (n,), with None only for a table of all.
        float64 of shape (n,), 0 for what has not occurred by then, NaN for a missing value.
        """
        if values is None:
            asked, missing = np.zeros(len(day), dtype=np.int64), False
        else:
            text = _strings(values, len(day)).to_arrow()
            missing = text.is_null().to_numpy(zero_copy_only=False)
            codes = pc.fill_null(pc.index_in(text, value_set=self._values), -1)
            asked = codes.to_numpy().astype(np.int64) * self._span
        latest = asked + np.clip(day - self._first + 1, 0, self._span - 1)
        row = np.searchsorted(self._places, latest, side="right")
        # The place found may be another value's; one of an unknown value is before all.
        row[np.append(-1, self._places)[row] < asked] = 0
        return {
            name: np.where(missing, np.nan, totals[row]) for name, totals in self._totals.items()
        }


def known_rates(
    counts: Mapping[str, KnownCounts],
    overall: KnownCounts,
    timestamp: pd.Series,
    values: Mapping[str, pd.Series],
    delay_days: float,
    smoothing: float,
) -> dict[str, np.ndarray]:
    """The fraud rate of each row's value, from the days that ended `delay_days` before the row.

    counts: of each of some columns. values: those columns and maybe others, each of shape (n,).
    `(frauds + smoothing * prior) / (transactions + smoothing)`, where the prior is the rate of
    all transactions known at that time (Micci-Barreca, 2001). float64 of shape (n,) for each of
    `counts` that is in `values`; the prior for a new value, NaN for a missing one or where nothing
    at all is known. Raises UserError for a negative delay (it would show a row its future) or
    smoothing.
    """
    if delay_days < 0 or smoothing < 0:
        raise UserError(
            f"label_delay_days is {delay_days}, smoothing is {smoothing}; neither can be negative"
        )
    day = _last_known_day(timestamp, delay_days)
    everything = overall.until(day)
    nothing = np.full(len(day), np.nan)
    prior = _divide(everything["frauds"], everything["transactions"], otherwise=nothing)
    rates = {}
    for name in values:
        if name not in counts:
            continue
        counted = counts[name].until(day, values[name])
        frauds = counted["frauds"] + smoothing * prior
        transactions = counted["transactions"] + smoothing
        rates[name] = _divide(frauds, transactions, otherwise=prior)
    return rates


def known_share(
    counts: KnownCounts, overall: KnownCounts, timestamp: pd.Series, values: pd.Series
) -> np.ndarray:
    """The share of each row's value among the transactions of the days before the row's.

    `(transactions of the value + 1) / (transactions + 1)`, so that a new value has a share, too.
    float64 of shape (n,); NaN for a missing value or where nothing at all is known.
    """
    day = _last_known_day(timestamp, 0.0)
    of_value = counts.until(day, values)["transactions"]
    everything = overall.until(day)["transactions"]
    return np.where(everything == 0, np.nan, (of_value + 1) / (everything + 1))


def _last_known_day(timestamp: pd.Series, delay_days: float) -> np.ndarray:
    return (microseconds(timestamp) - days_to_microseconds(delay_days)) // DAY_US - 1


def _strings(values: pd.Series | None, length: int) -> pl.Series:
    if values is None:
        return pl.repeat("", length, dtype=pl.String, eager=True)
    return pl.from_pandas(values).cast(pl.String)


def _divide(numerator: np.ndarray, denominator: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """The quotient, and `otherwise` where the denominator is 0."""
    return np.divide(numerator, denominator, out=otherwise.copy(), where=denominator != 0)
