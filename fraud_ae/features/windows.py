"""Windows over the past transactions of a customer or a terminal, and over their known labels."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from fraud_ae.errors import UserError
from fraud_ae.features.event_time import days_to_microseconds, microseconds

# Times are integers of 64 bits.
_LATEST = 2**62


def key_codes(keys: pd.Series) -> np.ndarray:
    """Each key as a number from 0, in order of appearance, -1 where it is missing: (n,) int."""
    return pd.factorize(keys)[0]


def amounts(
    df: pd.DataFrame,
    keys: np.ndarray,
    trailing_days: Sequence[float] = (),
    earlier_days: Sequence[float] = (),
) -> dict[str, np.ndarray]:
    """Statistics of `amount` in the trailing windows of each key. keys: (n,), see `key_codes`.

    The window of a transaction at time t is (t - w, t) and the transaction itself: others at t do
    not count, so that no value depends on the order of rows. For each w of `trailing_days` there
    are `count_{w}d` and, where there are amounts, `mean_amount_{w}d`. For each of `earlier_days`
    there are `earlier_mean_{w}d` and `earlier_std_{w}d` (ddof 1), without the transaction itself;
    the latter is exactly 0 where all earlier amounts are equal. Negative amounts are refunds and
    count in none of them. Each is float64 of shape (n,), NaN where the key is missing, or the
    earlier amounts are.

    Raises DataError if timestamps are missing or not sorted, UserError for a window of no length.
    After the Fraud Detection Handbook (Le Borgne et al., 2022), chapter 3.5.
    """
    amount, purchase = _spending(df)
    periods = _in_microseconds((*trailing_days, *earlier_days))
    expressions = []
    for days in dict.fromkeys(trailing_days):
        expressions += _earlier_totals(periods[days], f"{days:g}d")
    for days in dict.fromkeys(earlier_days):
        expressions += _earlier_statistics(periods[days], f"{days:g}d")
    frame = pl.DataFrame(
        {
            "amount": pl.Series(amount, nan_to_null=True),
            "purchase": purchase.astype(np.float64),
            "has_amount": np.isfinite(amount).astype(np.float64),
        }
    )
    rolled = _rolled(frame, keys, microseconds(df["timestamp"]), max(periods.values()), expressions)
    for days in dict.fromkeys(trailing_days):
        name = f"{days:g}d"
        # The transaction's own amount is added to the earlier ones.
        has_amount = np.isfinite(amount)
        total = rolled.pop(f"sum_{name}") + np.where(has_amount, amount, 0.0)
        count = rolled.pop(f"amounts_{name}") + has_amount
        rolled[f"count_{name}"] += purchase
        if "amount" in df:
            mean = np.full(len(df), np.nan)
            rolled[f"mean_amount_{name}"] = np.divide(total, count, out=mean, where=count > 0)
    return rolled


def _spending(df: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Amounts that were paid, (n,) float64 with NaN where none was, and what is no refund."""
    if "amount" not in df:
        return np.full(len(df), np.nan), np.ones(len(df), dtype=bool)
    amount = df["amount"].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(amount < 0, np.nan, amount), ~(amount < 0)


def _earlier_totals(window_us: int, name: str) -> list[pl.Expr]:
    earlier = {"window_size": f"{window_us}i", "closed": "none"}
    columns = {"count": "purchase", "sum": "amount", "amounts": "has_amount"}
    return [
        pl.col(column).rolling_sum_by("time", **earlier).fill_null(0.0).alias(f"{total}_{name}")
        for total, column in columns.items()
    ]


def _earlier_statistics(window_us: int, name: str) -> list[pl.Expr]:
    amount, earlier = pl.col("amount"), {"window_size": f"{window_us}i", "closed": "none"}
    std = amount.rolling_std_by("time", **earlier)
    # The online variance leaves a residue of rounding where all amounts are equal.
    constant = amount.rolling_min_by("time", **earlier) == amount.rolling_max_by("time", **earlier)
    return [
        amount.rolling_mean_by("time", **earlier).alias(f"earlier_mean_{name}"),
        pl.when(constant & std.is_not_null()).then(0.0).otherwise(std).alias(f"earlier_std_{name}"),
    ]


def seconds_since_previous(us: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Seconds since the last earlier time of the same key: (n,) float64, NaN without one.

    us: (n,) int, microseconds, never decreasing. keys: (n,), see `key_codes`; NaN where one is
    missing, too.
    """
    order = _order_by_key(keys)
    key, time = keys[order], us[order]
    starts_key = np.append(True, key[1:] != key[:-1])[: len(key)]
    starts_instant = starts_key | np.append(True, time[1:] != time[:-1])[: len(key)]
    first = np.maximum.accumulate(np.where(starts_instant, np.arange(len(key)), 0))
    seconds = np.full(len(us), np.nan)
    known = np.flatnonzero(~starts_key[first] & (key >= 0))
    seconds[order[known]] = (time[known] - time[first[known] - 1]) / 1e6
    return seconds


def is_first_use(us: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Whether no row at an earlier time has the same key: (n,) bool.

    us: (n,) int, microseconds, never decreasing. keys: (n,), see `key_codes`; False where one is
    missing.
    """
    # Keys are numbered as they appear.
    appears = keys > np.append(-1, np.maximum.accumulate(keys))[:-1]
    return us == np.append(us[appears], us[:1] - 1)[keys]


def delayed_rates(
    df: pd.DataFrame, keys: np.ndarray, windows_days: Sequence[float], delay_days: float
) -> dict[str, np.ndarray]:
    """Count and fraud rate of each key in windows that end `delay_days` before each row.

    keys: (n,), see `key_codes`.
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
    keyed = keys >= 0
    times = microseconds(df["timestamp"])[keyed]
    totals = _RunningTotals(keys[keyed], times, _labels(df)[keyed])
    until = totals.places(np.minimum(times - delay_us, times - 1))
    features = {}
    for days, window_us in windows_us.items():
        since = totals.places(times - delay_us - window_us)
        count, labelled, frauds = totals.between(since, until)
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


class _RunningTotals:
    """Cumulative counts of each key up to any time; all are whole numbers, and so exact.

    keys: (n,) int from 0. times: (n,) int, never decreasing. labels: (n,) 0, 1 or NaN.
    """

    def __init__(self, keys: np.ndarray, times: np.ndarray, labels: np.ndarray) -> None:
        # Key by key, because it is a hundred times as far to a number that is in no cache.
        self._order = _order_by_key(keys)
        is_new = np.append(True, times[1:] != times[:-1])[: len(times)]
        self._instants = times[is_new]
        self._keys = keys[self._order].astype(np.int64) * (len(self._instants) + 1)
        # Key and instant in one number.
        self._places = self._keys + np.cumsum(is_new)[self._order]
        ones = np.ones(len(labels), dtype=np.int64)
        columns = (ones, ~np.isnan(labels), labels == 1)
        self._totals = [np.append(0, np.cumsum(column[self._order])) for column in columns]

    def places(self, cutoff: np.ndarray) -> np.ndarray:
        """Positions in the order of keys: the end of each row's key up to and with its cutoff."""
        ranks = np.searchsorted(self._instants, cutoff, side="right")[self._order]
        return np.searchsorted(self._places, self._keys + ranks, side="right")

    def between(self, since: np.ndarray, until: np.ndarray) -> Iterator[np.ndarray]:
        """Transactions, labelled ones and frauds of each row's key from one place to another."""
        for total in self._totals:
            difference = np.empty(len(until), dtype=np.int64)
            difference[self._order] = total[until] - total[since]
            yield difference


def _rolled(
    frame: pl.DataFrame, keys: np.ndarray, us: np.ndarray, longest: int, expressions: list[pl.Expr]
) -> dict[str, np.ndarray]:
    """What expressions over `time` give of a frame, (n, d), within each key.

    longest: window, in microseconds, of any of the expressions.
    """
    # Those without a key come first.
    order = _order_by_key(keys)[np.count_nonzero(keys < 0) :]
    times = us - us[0] if len(us) else us
    # Key by key, the keys so far apart in time that no window reaches the key before: one pass over
    # all keys takes a third of the time of one over each.
    reach = int(times.max(initial=0)) + longest + 1
    parts = []
    for rows in _runs_of_keys(keys[order], most=_LATEST // reach):
        positions = order[rows]
        apart = (keys[positions] - keys[positions[0]]).astype(np.int64) * reach
        time = pl.Series("time", apart + times[positions]).set_sorted()
        keyed = frame[positions].with_columns(time)
        parts.append(keyed.select(e.cast(pl.Float64) for e in expressions))
    if not parts:
        return {e.meta.output_name(): np.full(len(us), np.nan) for e in expressions}
    places = np.zeros(len(us), dtype=np.uint32)
    places[order] = np.arange(len(order), dtype=np.uint32)
    # Polars does it in all its threads; a row without a key is at no place.
    in_place = pl.concat(parts)[pl.Series(pa.array(places, mask=keys < 0))]
    return {column.name: column.to_numpy().copy() for column in in_place}


def _order_by_key(codes: np.ndarray) -> np.ndarray:
    """The stable order of codes from -1 on: numpy sorts numbers of 16 bits in linear time."""
    positive = codes + 1
    low = np.argsort((positive & 0xFFFF).astype(np.uint16), kind="stable")
    high = (positive >> 16).astype(np.uint16)
    return low[np.argsort(high[low], kind="stable")]


def _runs_of_keys(codes: np.ndarray, most: int) -> Iterator[slice]:
    """Slices of at most so many neighbouring codes; a code is never in two of them."""
    starts = np.searchsorted(codes, np.arange(codes[0], codes[-1] + 1, most)) if len(codes) else []
    for start, end in itertools.pairwise([*starts, len(codes)]):
        if end > start:
            yield slice(start, end)


def longest_window(windows_days: Sequence[float]) -> float:
    """In days. Raises UserError where there is none, or one of no length."""
    return max(_in_microseconds(windows_days))


def _in_microseconds(windows_days: Sequence[float]) -> dict[float, int]:
    windows_us = {days: days_to_microseconds(days) for days in windows_days}
    if not windows_us or min(windows_us.values()) <= 0:
        raise UserError(f"windows_days is {tuple(windows_days)}; give at least one, all above 0")
    return windows_us


def _scatter(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    scattered = np.full(len(rows), np.nan)
    scattered[rows] = values
    return scattered
