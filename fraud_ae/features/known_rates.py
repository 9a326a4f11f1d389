"""Fraud rates and shares as they were known at the time of each transaction.

What is learned is a table by day, so that a fitted object, too, shows a row nothing but its past.
"""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.compute as pc

from fraud_ae.errors import UserError
from fraud_ae.features.event_time import DAY_US, days_to_microseconds, microseconds


def count_by_day(
    timestamp: pd.Series, values: pd.Series | None = None, is_fraud: pd.Series | None = None
) -> pl.DataFrame:
    """Transactions (and frauds) of each value up to the end of each day on which it occurs.

    Columns: value (String; "" for all when `values` is None), day (days since 1970-01-01 UTC),
    transactions, and frauds if `is_fraud` is given, both cumulative. Missing values are not
    counted. Raises DataError if timestamps are missing or not sorted.
    """
    columns = {"value": _strings(values, len(timestamp)), "day": microseconds(timestamp) // DAY_US}
    totals = [pl.len().cast(pl.Int64).alias("transactions")]
    if is_fraud is not None:
        columns["frauds"] = is_fraud.to_numpy(dtype=np.int64)
        totals.append(pl.col("frauds").sum())
    by_day = pl.DataFrame(columns).drop_nulls("value").group_by("value", "day").agg(totals)
    return by_day.sort("value", "day").with_columns(
        pl.exclude("value", "day").cum_sum().over("value")
    )


def known_rate(
    counts: pl.DataFrame,
    overall: pl.DataFrame,
    timestamp: pd.Series,
    values: pd.Series,
    delay_days: float,
    smoothing: float,
) -> np.ndarray:
    """The fraud rate of each row's value, from the days that ended `delay_days` before the row.

    `(frauds + smoothing * prior) / (transactions + smoothing)`, where the prior is the rate of
    all transactions known at that time (Micci-Barreca, 2001). float64 of shape (n,); the prior
    for a new value, NaN for a missing one or where nothing at all is known. Raises UserError for
    a negative delay (it would show a row its future) or smoothing.
    """
    if delay_days < 0 or smoothing < 0:
        raise UserError(
            f"label_delay_days is {delay_days}, smoothing is {smoothing}; neither can be negative"
        )
    own = _known(counts, timestamp, values, delay_days)
    everything = _known(overall, timestamp, None, delay_days)
    nothing = np.full(len(timestamp), np.nan)
    prior = _divide(everything["frauds"], everything["transactions"], otherwise=nothing)
    frauds, transactions = own["frauds"] + smoothing * prior, own["transactions"] + smoothing
    rate = _divide(frauds, transactions, otherwise=prior)
    return np.where(values.isna(), np.nan, rate)


def known_share(
    counts: pl.DataFrame, overall: pl.DataFrame, timestamp: pd.Series, values: pd.Series
) -> np.ndarray:
    """The share of each row's value among the transactions of the days before the row's.

    `(transactions of the value + 1) / (transactions + 1)`, so that a new value has a share, too.
    float64 of shape (n,); NaN for a missing value or where nothing at all is known.
    """
    own = _known(counts, timestamp, values, 0.0)["transactions"]
    everything = _known(overall, timestamp, None, 0.0)["transactions"]
    unknown = values.isna().to_numpy() | (everything == 0)
    return np.where(unknown, np.nan, (own + 1) / (everything + 1))


def _known(
    counts: pl.DataFrame, timestamp: pd.Series, values: pd.Series | None, delay_days: float
) -> dict[str, np.ndarray]:
    day = (microseconds(timestamp) - days_to_microseconds(delay_days)) // DAY_US - 1
    known = counts["value"].unique(maintain_order=True)
    if values is None:
        codes = np.zeros(len(timestamp), dtype=np.int64)
    else:
        text = _strings(values, len(timestamp)).to_arrow()
        codes = pc.index_in(text, value_set=known.to_arrow()).to_numpy(zero_copy_only=False)
    # The table is sorted by value and day: one number for both. Unknown values are before all.
    first = int(counts["day"].min()) if len(counts) else 0
    span = int(counts["day"].max()) - first + 2 if len(counts) else 1
    own = np.repeat(np.arange(len(known)), counts["value"].rle().struct.field("len").to_numpy())
    places = own * span + counts["day"].to_numpy() - first + 1
    asked = np.nan_to_num(codes, nan=-1).astype(np.int64) * span
    row = np.searchsorted(places, asked + np.clip(day - first + 1, 0, span - 1), side="right") - 1
    found = (row >= 0) & (places[row] >= asked) & (asked >= 0) if len(places) else row >= 0
    return {
        name: np.where(found, counts[name].to_numpy()[row], 0.0)
        if len(places)
        else np.zeros(len(day))
        for name in counts.columns
        if name not in ("value", "day")
    }


def _strings(values: pd.Series | None, length: int) -> pl.Series:
    if values is None:
        return pl.repeat("", length, dtype=pl.String, eager=True)
    return pl.from_pandas(values).cast(pl.String)


def _divide(numerator: np.ndarray, denominator: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """The quotient, and `otherwise` where the denominator is 0."""
    return np.divide(numerator, denominator, out=otherwise.copy(), where=denominator != 0)
