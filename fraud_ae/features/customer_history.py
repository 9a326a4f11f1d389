"""What a customer did before a transaction, as a reviewer would look it up."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fraud_ae.features.event_time import microseconds

# With fewer earlier transactions nothing is usual for a customer.
_ENOUGH = 5
_USUAL = (0.05, 0.95)
# A burst is so many purchases within one of these times, in seconds.
_BURST = 3
_BURST_SECONDS = (600, 3600)


@dataclass(frozen=True)
class CustomerHistory:
    """A transaction and the earlier ones of the same customer in the same frame.

    transactions: (n, d) canonical, in order of time. us: (n,) int, their times in microseconds.
    row: the position of the transaction. earlier: (m,) int, those at earlier times.
    """

    transactions: pd.DataFrame
    us: np.ndarray
    row: int
    earlier: np.ndarray

    @property
    def time(self) -> pd.Timestamp:
        """When it happened, in UTC."""
        return pd.Timestamp(int(self.us[self.row]), unit="us", tz="UTC")

    @property
    def amount(self) -> float:
        """Its amount."""
        return float(self.transactions["amount"].iat[self.row])

    def value(self, column: str) -> str | None:
        """The value of a column of text; None where it is missing, or the column is."""
        value = self.transactions[column].iat[self.row] if column in self.transactions else None
        return value if isinstance(value, str) else None

    def usual_amounts(self) -> tuple[float, float] | None:
        """Where 90 % of the customer's earlier amounts lie; None of a customer hardly known."""
        return self._range(self.transactions["amount"].to_numpy(dtype=np.float64)[self.earlier])

    def usual_gaps(self) -> tuple[float, float] | None:
        """Where 90 % of the seconds between the customer's earlier purchases lie."""
        return self._range(np.diff(self.us[self.earlier]) / 1e6)

    def usual_hours(self) -> tuple[float, float] | None:
        """The hours of the day of the customer's earlier purchases, see `usual_hours`."""
        if len(self.earlier) < _ENOUGH:
            return None
        return usual_hours(self.us[self.earlier])

    def usual_category(self, column: str) -> str | None:
        """The value that most of the customer's earlier transactions have; None without one."""
        if len(self.earlier) < _ENOUGH or column not in self.transactions:
            return None
        counts = self.transactions[column].iloc[self.earlier].value_counts()
        common = len(counts) and 2 * counts.iloc[0] > len(self.earlier)
        return str(counts.index[0]) if common else None

    def burst(self) -> tuple[int, int] | None:
        """How many purchases, this one too, in how many seconds; None unless they are many."""
        for seconds in _BURST_SECONDS:
            since = self.us[self.row] - seconds * 1_000_000
            count = 1 + int(np.count_nonzero(self.us[self.earlier] > since))
            if count >= _BURST:
                return count, seconds
        return None

    @staticmethod
    def _range(values: np.ndarray) -> tuple[float, float] | None:
        if np.count_nonzero(~np.isnan(values)) < _ENOUGH:
            return None
        low, high = np.nanquantile(values, _USUAL)
        return float(low), float(high)


def customer_histories(transactions: pd.DataFrame, rows: np.ndarray) -> Iterator[CustomerHistory]:
    """The history of the customers of some transactions, in the order of `rows`.

    transactions: (n, d) canonical, in order of time. rows: (m,) int, positions. Other customers are
    left out at once; without customers all histories are empty.
    """
    us = microseconds(transactions["timestamp"])
    codes = np.full(len(transactions), -1)
    if "customer_id" in transactions:
        codes = pd.factorize(transactions["customer_id"])[0]
    wanted = np.flatnonzero(np.isin(codes, codes[rows]) & (codes >= 0))
    order = wanted[np.argsort(codes[wanted], kind="stable")]
    starts, ends = (np.searchsorted(codes[order], codes[rows], side=s) for s in ("left", "right"))
    for row, start, end in zip(rows, starts, ends, strict=True):
        # Within a customer, positions are in order of time; a missing customer has none.
        before = int(np.searchsorted(us[order[start:end]], us[row])) if codes[row] >= 0 else 0
        yield CustomerHistory(transactions, us, int(row), order[start : start + before])


def usual_hours(us: np.ndarray) -> tuple[float, float]:
    """The shortest stretch of the day, (from, to) in hours, that holds 90 % of some times.

    us: (m,) microseconds since an UTC midnight, m above 0. It may go over midnight: 22 to 4.
    """
    hours = np.sort(us % 86_400_000_000 / 3_600_000_000)
    held = min(int(np.ceil(0.9 * len(hours))), len(hours))
    ends = np.append(hours, hours + 24)[held - 1 : held - 1 + len(hours)]
    first = int(np.argmin(ends - hours))
    return float(hours[first]), float(ends[first] % 24)
