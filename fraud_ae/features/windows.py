"""Windows over the past transactions of a customer or a terminal, and over their known labels."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import polars as pl

from fraud_ae.errors import DataError, UserError
from fraud_ae.features.event_time import days_to_microseconds, microseconds


def trailing_amounts(
    df: pd.DataFrame, key: str, windows_days: Sequence[float]
) -> dict[str, np.ndarray]:
    """Count and mean of `amount` in the trailing windows of each `key`.

    The window of a transaction at time t is (t - w, t]; of those at t itself, only the ones that
    stand earlier in the frame count, and the transaction too. For each w there are `count_{w}d`
    and `mean_amount_{w}d`, float64 of shape (n,), NaN where the key is missing.

    Raises DataError if timestamps are missing or not sorted, UserError for a window of no length.
    After the Fraud Detection Handbook (Le Borgne et al., 2022), chapter 3.5.
    """
    times, periods = _tie_free_times(df["timestamp"], windows_days)
    amount, one = pl.col("amount"), pl.col("one")
    expressions = []
    for days, period in periods.items():
        expressions += [
            one.rolling_sum_by("time", period).alias(f"count_{days:g}d"),
            amount.rolling_mean_by("time", period).alias(f"mean_amount_{days:g}d"),
        ]
    return _rolled(df, key, times, expressions)


def earlier_amounts(df: pd.DataFrame, key: str, window_days: float) -> dict[str, np.ndarray]:
    """`mean` and `std` (ddof 1) of the earlier amounts of each `key` in one trailing window.

    The window is that of `trailing_amounts`, without the transaction itself. `std` is exactly 0
    where all earlier amounts are equal. Each is float64 of shape (n,), NaN where the key or the
    earlier amounts are missing. Raises what `trailing_amounts` does.
    """
    times, periods = _tie_free_times(df["timestamp"], [window_days])
    amount = pl.col("amount")
    earlier = {"window_size": periods[window_days], "closed": "none"}
    std = amount.rolling_std_by("time", **earlier)
    # The online variance leaves a residue of rounding where all amounts are equal.
    constant = amount.rolling_min_by("time", **earlier) == amount.rolling_max_by("time", **earlier)
    expressions = [
        amount.rolling_mean_by("time", **earlier).alias("mean"),
        pl.when(constant & std.is_not_null()).then(0.0).otherwise(std).alias("std"),
    ]
    return _rolled(df, key, times, expressions)


def delayed_rates(
    df: pd.DataFrame, key: str, windows_days: Sequence[float], delay_days: float
) -> dict[str, np.ndarray]:
    """Count and fraud rate of each `key` in windows that end `delay_days` before each row.

    The window of a transaction at time t is (t - d - w, t - d]. Without a delay it ends just
    before t: nothing simultaneous counts, least of all the label of the transaction itself. For
    each w there are `delayed_count_{w}d`, all transactions in the window, and
    `delayed_fraud_rate_{w}d`, the share of frauds among those whose `is_fraud` is known (not
    NaN): 0 where none is, and NaN if df has no `is_fraud`. Each is float64 of shape (n,), NaN
    where the key is missing.

    Raises DataError if timestamps are missing or not sorted, UserError for a negative delay (it
    would show a row its future) or a window of no length.
    After the Fraud Detection Handbook (Le Borgne et al., 2022), chapter 3.5.
    """
    if delay_days < 0:
        raise UserError(f"label_delay_days is {delay_days}; it cannot be negative")
    windows_us, delay_us = _in_microseconds(windows_days), days_to_microseconds(delay_days)
    keyed = df[key].notna().to_numpy()
    keys, times = pd.factorize(df[key])[0][keyed], microseconds(df["timestamp"])[keyed]
    totals = _running_totals(keys, times, _labels(df)[keyed])
    until = _totals_at(totals, keys, np.minimum(times - delay_us, times - 1))
    features = {}
    for days, window_us in windows_us.items():
        since = _totals_at(totals, keys, times - delay_us - window_us)
        count, labelled, frauds = (until - since).T
        rate = np.divide(frauds, labelled, out=np.zeros(len(frauds)), where=labelled > 0)
        if "is_fraud" not in df:
            rate[:] = np.nan
        features[f"delayed_count_{days:g}d"] = _scatter(count, keyed)
        features[f"delayed_fraud_rate_{days:g}d"] = _scatter(rate, keyed)
    return features


def _labels(df: pd.DataFrame) -> np.ndarray:
    if "is_fraud" not in df:
        return np.full(len(df), np.nan)
    return df["is_fraud"].to_numpy(dtype=np.float64, na_value=np.nan)


def _running_totals(keys: np.ndarray, times: np.ndarray, labels: np.ndarray) -> pl.DataFrame:
    """Transactions, labelled ones and frauds of each key up to and with each of its instants."""
    label = pl.col("label")
    rows = pl.DataFrame({"key": keys, "time": times, "label": labels})
    by_instant = rows.group_by("key", "time").agg(
        transactions=pl.len(), labelled=label.is_not_nan().sum(), frauds=(label == 1).sum()
    )
    return by_instant.sort("key", "time").select(
        "key", "time", pl.exclude("key", "time").cast(pl.Int64).cum_sum().over("key")
    )


def _totals_at(totals: pl.DataFrame, keys: np.ndarray, cutoff: np.ndarray) -> np.ndarray:
    """The totals of each row's key up to and with its cutoff, int64 of shape (n, 3)."""
    rows = pl.DataFrame({"key": keys, "time": cutoff})
    # Both sides are sorted, as cutoffs are times less a constant; polars cannot check it by group.
    at = rows.join_asof(totals, on="time", by="key", check_sortedness=False)
    return at.select(pl.exclude("key", "time").fill_null(0)).to_numpy()


def _rolled(
    df: pd.DataFrame, key: str, times: np.ndarray, expressions: list[pl.Expr]
) -> dict[str, np.ndarray]:
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
        expression.over("key").cast(pl.Float64) for expression in expressions
    ).fill_null(np.nan)
    return {column.name: _scatter(column.to_numpy(), keyed) for column in rolled}


def _tie_free_times(
    timestamp: pd.Series, windows_days: Sequence[float]
) -> tuple[np.ndarray, dict[float, str]]:
    """Integer times in which the n-th of simultaneous rows comes n ticks later, and the windows.

    An instant is 2k ticks long, and at most k rows share one. A window half an instant shorter
    than w then leaves out everything at t - w, and nothing after it.
    """
    us = microseconds(timestamp)
    elapsed = us - us[0] if len(us) else us
    windows_us = _in_microseconds(windows_days)
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


def _in_microseconds(windows_days: Sequence[float]) -> dict[float, int]:
    windows_us = {days: days_to_microseconds(days) for days in windows_days}
    if not windows_us or min(windows_us.values()) <= 0:
        raise UserError(f"windows_days is {tuple(windows_days)}; give at least one, all above 0")
    return windows_us


def _rank_among_ties(us: np.ndarray) -> np.ndarray:
    position = np.arange(len(us))
    starts_instant = np.ones(len(us), dtype=bool)
    starts_instant[1:] = us[1:] != us[:-1]
    return position - np.maximum.accumulate(np.where(starts_instant, position, 0))


def _scatter(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    scattered = np.full(len(rows), np.nan)
    scattered[rows] = values
    return scattered
