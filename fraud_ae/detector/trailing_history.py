"""The transactions that a model remembers: what those after its training still look back to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.values.times import newest
from fraud_ae.features.history import history_of, needed_later

TRAILING_HISTORY = "history.parquet"
_ALWAYS = ("transaction_id", "customer_id", "terminal_id", "timestamp", "amount", "is_fraud")
# Ids that are numbers of rows would be taken for those of another file.
_NUMBERED = "history "


@dataclass(frozen=True)
class TrailingHistory:
    """Canonical transactions in order of time, (n, d), the last ones of the training data.

    has_ids: whether transactions can be told apart by their id.
    """

    transactions: pd.DataFrame
    has_ids: bool

    @classmethod
    def of(cls, transactions: pd.DataFrame, strategy: Any, source_format: SourceFormat) -> Self:
        """What features of transactions after all of these depend on, and no more.

        transactions: (n, d) canonical, in order of time.
        """
        used = getattr(strategy, "columns", ()) or tuple(transactions.columns)
        columns = [name for name in transactions if name in used or name in _ALWAYS]
        last = newest(transactions["timestamp"])
        needed = needed_later(transactions, history_of(strategy), last)
        remembered = transactions.loc[needed, columns].reset_index(drop=True)
        has_ids = bool(source_format.sources("transaction_id"))
        if not has_ids:
            numbered = _NUMBERED + remembered["transaction_id"]
            remembered = remembered.assign(transaction_id=numbered)
        return cls(remembered, has_ids)

    def save(self, folder: Path) -> None:
        """Write `history.parquet`."""
        self.transactions.to_parquet(folder / TRAILING_HISTORY, index=False, compression="zstd")

    @classmethod
    def load(cls, folder: Path, source_format: SourceFormat) -> Self | None:
        """What `save` wrote; None where the model does not remember anything."""
        path = folder / TRAILING_HISTORY
        if not path.is_file():
            return None
        return cls(pd.read_parquet(path), bool(source_format.sources("transaction_id")))

    def __len__(self) -> int:
        return len(self.transactions)

    @property
    def period(self) -> str:
        """From which day to which day it reaches."""
        times = self.transactions["timestamp"]
        return f"{times.iloc[0]:%Y-%m-%d} to {times.iloc[-1]:%Y-%m-%d}"

    @property
    def last(self) -> pd.Timestamp:
        """The time of the last of them."""
        return newest(self.transactions["timestamp"])

    def gap(self, first: pd.Timestamp, rows: int) -> str | None:
        """A line where transactions lie before the last that is remembered; None otherwise.

        first: the earliest of them; rows: their number. Only what later ones look back to is
        remembered, so that the windows of these are not whole.
        """
        if first > self.last:
            return None
        return (
            f"{rows:,} transactions begin on {first:%Y-%m-%d}, before the model's history ends on "
            f"{self.last:%Y-%m-%d}: the windows of the earliest may be incomplete"
        )

    def before(self, transactions: pd.DataFrame) -> pd.DataFrame:
        """The remembered history of some canonical transactions, (m, d), without themselves.

        Without ids, only what lies before the first of them.
        """
        known = self.transactions
        if self.has_ids:
            others = ~known["transaction_id"].isin(transactions["transaction_id"])
            return known[others & (known["timestamp"] <= transactions["timestamp"].max())]
        return known[known["timestamp"] < transactions["timestamp"].min()]

    def related(self, transactions: pd.DataFrame) -> pd.DataFrame:
        """`before`, of the customers and terminals of some canonical transactions alone."""
        earlier = self.before(transactions)
        related = np.zeros(len(earlier), dtype=bool)
        for key in ("customer_id", "terminal_id"):
            if key in earlier and key in transactions:
                related |= earlier[key].isin(transactions[key].dropna()).to_numpy()
        return earlier[related]
