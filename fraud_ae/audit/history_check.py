"""Does a strategy look back further than it says?"""

from typing import Any

import numpy as np
import pandas as pd

from fraud_ae.features.history import History, history_of, needed_later
from fraud_ae.features.strategy import compute_features

# So many transactions are computed one by one.
_TRIED = 40
# More rows would take long, and show no more.
_MOST = 200_000


def features_beyond_history(strategy: Any, transactions: pd.DataFrame) -> list[str]:
    """Names of the features that change when a row is computed from its declared history alone.

    A service stores, of each customer and terminal, what `strategy.history` says. Some transactions
    are computed from just that, and compared with what the whole table gives.
    strategy: fitted. transactions: (n, d) canonical, in order of time; of a long table, the first
    ones are tried.
    """
    transactions = transactions.iloc[:_MOST]
    features = compute_features(strategy, transactions)
    history = history_of(strategy)
    rows = np.unique(np.linspace(0, len(transactions) - 1, _TRIED).astype(int))
    changed: dict[str, None] = {}
    for row in rows:
        frame = declared_history(transactions, int(row), history)
        alone, expected = compute_features(strategy, frame).iloc[-1], features.iloc[row]
        changed |= {name: None for name in features if not _same(alone[name], expected[name])}
    return list(changed)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    # Running sums over a whole table have other last digits than those over a few rows.
    return bool(np.isclose(one, other, rtol=1e-6, atol=1e-9, equal_nan=True))


def declared_history(transactions: pd.DataFrame, row: int, history: History) -> pd.DataFrame:
    """The stored history of a row, and the row as the last."""
    row_itself, before = transactions.iloc[row], transactions.iloc[:row]
    related = np.zeros(row, dtype=bool)
    for key in ("customer_id", "terminal_id"):
        if key in transactions:
            related |= (before[key] == row_itself[key]).to_numpy()
    before = before[related]
    history_rows = before[needed_later(before, history, row_itself["timestamp"])]
    return pd.concat([history_rows, transactions.iloc[[row]]], ignore_index=True)
