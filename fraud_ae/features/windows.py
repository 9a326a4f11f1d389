"""Trailing windows over the transactions of a customer or a terminal."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import polars as pl

from fraud_ae.errors import DataError, UserError
from fraud_ae.features.event_time import days_to_microseconds, microseconds


def trailing_amounts(
    df: pd.DataFrame, key: str, windows_days: Sequence[float]
) -> dict[str, np.ndarray]:
    """Count, mean and standard deviation of `amount` in the trailing windows of each `key`.

    The window of a transaction at time t is (t - w, t]; of those at t itself, only the ones that
    stand earlier in the frame count, and the transaction too. For each w there are `count_{w}d`,
    `mean_amount_{w}d` and `std_amount_{w}d` (ddof 1); for the longest also `earlier_mean` and
    `earlier_std`, without the transaction itself (`earlier_std` is exactly 0 where all earlier
    amounts are equal). Each is float64 of shape (n,), NaN where the key is missing.

    Raises DataError if timestamps are missing or not sorted, UserError for a window of no length.
    After the Fraud Detection Handbook (Le Borgne et al., 2022), chapter 3.5.
    """
    times, periods = _tie_free_times(df["timestamp"], windows_days)
    keyed = df[key].notna().to_numpy()
    frame = pl.DataFrame(
        {
            "key": pd.factorize(df[key])[0][keyed],
            "time": times[keyed],
            "amount": df["amount"].to_numpy(dtype=np.float64)[keyed],
            "one": np.ones(keyed.sum()),
        }
    ).with_columns(pl.col("amount").fill_nan(None))
    rolled = frame.select(
        expression.over("key").cast(pl.Float64) for expression in _expressions(periods)
    )
    return {column.name: _scatter(column, keyed) for column in rolled}


def _expressions(periods: dict[float, str]) -> list[pl.Expr]:
    amount, one = pl.col("amount"), pl.col("one")
    expressions = []
    for days, period in periods.items():
        expressions += [
            one.rolling_sum_by("time", period).alias(f"count_{days:g}d"),
            amount.rolling_mean_by("time", period).alias(f"mean_amount_{days:g}d"),
            amount.rolling_std_by("time", period).alias(f"std_amount_{days:g}d"),
        ]
    longest = periods[max(periods)]
    earlier = {"window_size": longest, "closed": "none"}
    std = amount.rolling_std_by("time", **earlier)
    # The online variance leaves a residue of rounding where all amounts are equal.
    constant = amount.rolling_min_by("time", **earlier) == amount.rolling_max_by("time", **earlier)
    return [
        *expressions,
        amount.rolling_mean_by("time", **earlier).alias("earlier_mean"),
        pl.when(constant & std.is_not_null()).then(0.0).otherwise(std).alias("earlier_std"),
    ]


def _tie_free_times(
    timestamp: pd.Series, windows_days: Sequence[float]
) -> tuple[np.ndarray, dict[float, str]]:
    """Integer times in which the n-th of simultaneous rows comes n ticks later, and the windows.

    An instant is 2k ticks long, and at most k rows share one. A window half an instant shorter
    than w then leaves out everything at t - w, and nothing after it.
    """
    us = microseconds(timestamp)
    elapsed = us - us[0] if len(us) else us
    windows_us = {days: days_to_microseconds(days) for days in windows_days}
    if not windows_us or min(windows_us.values()) <= 0:
        raise UserError(f"windows_days is {tuple(windows_days)}; give at least one, all above 0")
    # Coarse timestamps (seconds, dates) are those with many ties: a coarse unit makes room.
    unit = int(np.gcd.reduce([np.gcd.reduce(elapsed), *windows_us.values()]))
    tie = _rank_among_ties(us)
    instant = 2 * (int(tie.max(initial=0)) + 1)
    if (int(elapsed.max(initial=0)) + max(windows_us.values())) // unit * instant >= 2**62:
        raise DataError(f"timestamp: {instant // 2} transactions share one; drop the sub-seconds")
    times = elapsed // unit * instant + tie
    return times, {
        days: f"{window // unit * instant - instant // 2}i" for days, window in windows_us.items()
    }


def _rank_among_ties(us: np.ndarray) -> np.ndarray:
    position = np.arange(len(us))
    starts_instant = np.ones(len(us), dtype=bool)
    starts_instant[1:] = us[1:] != us[:-1]
    return position - np.maximum.accumulate(np.where(starts_instant, position, 0))


def _scatter(column: pl.Series, rows: np.ndarray) -> np.ndarray:
    values = np.full(len(rows), np.nan)
    values[rows] = column.fill_null(np.nan).to_numpy()
    return values
