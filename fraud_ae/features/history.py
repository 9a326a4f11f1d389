"""Which earlier transactions the features of a transaction depend on."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class History:
    """How far a strategy looks back; what is older may be forgotten without changing a feature.

    customer_days, terminal_days: the earlier transactions of the same customer, or at the same
    terminal, within so many days. previous: the customer's transaction before, however long ago.
    first_uses: columns of which it matters whether the customer has had a value ever before.
    """

    customer_days: float = 0.0
    terminal_days: float = 0.0
    previous: bool = False
    first_uses: tuple[str, ...] = ()

    def __or__(self, other: "History") -> "History":
        """What either of two needs."""
        return History(
            max(self.customer_days, other.customer_days),
            max(self.terminal_days, other.terminal_days),
            self.previous or other.previous,
            tuple(dict.fromkeys((*self.first_uses, *other.first_uses))),
        )

    @property
    def days(self) -> float:
        """The longest window."""
        return max(self.customer_days, self.terminal_days)

    def within(self, columns: list[str]) -> "History":
        """What is left of it for transactions that have some columns only."""
        has_customers = "customer_id" in columns
        return replace(
            self,
            customer_days=self.customer_days if has_customers else 0.0,
            terminal_days=self.terminal_days if "terminal_id" in columns else 0.0,
            previous=self.previous and has_customers,
            first_uses=tuple(c for c in self.first_uses if c in columns and has_customers),
        )


def history_of(strategy: Any) -> History:
    """What a strategy declares as its `history`; one that declares nothing does not look back."""
    return getattr(strategy, "history", History())


def needed_later(transactions: pd.DataFrame, history: History, time: pd.Timestamp) -> np.ndarray:
    """Which transactions those at or after a time may still look back to: (n,) bool.

    transactions: (n, d) canonical, in order of time. Those after the time are needed, too.
    """
    history = history.within(list(transactions.columns))
    needed = (transactions["timestamp"] >= time - pd.Timedelta(days=history.days)).to_numpy()
    if history.previous:
        # Those at the time itself are not earlier than a transaction at that time.
        earlier = (transactions["timestamp"] < time).to_numpy()
        last = ~transactions["customer_id"][earlier].duplicated(keep="last").to_numpy()
        needed = needed | ~earlier
        needed[np.flatnonzero(earlier)[last]] = True
    for column in history.first_uses:
        needed = needed | ~transactions.duplicated(["customer_id", column]).to_numpy()
    return needed
