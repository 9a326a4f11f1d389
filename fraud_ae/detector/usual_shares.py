"""How many alerts, and how many rows of unknown customers, a model was made for."""

import numpy as np
import pandas as pd
from scipy import stats

from fraud_ae.evaluation.threshold import alerts

# A share is unusual if it is so many times as large or as small, and not by chance.
_TIMES = 2.0
_CHANCE = 1e-4
_LEAST_ROWS = 50


def usual_shares(
    transactions: pd.DataFrame, held_out: pd.DataFrame, threshold: float
) -> dict[str, float | None]:
    """Shares of the rows that the threshold was chosen on, as plain data.

    transactions: (n, d) canonical, in order of time. held_out: (m, d) some of them with their
    `score`. alert_rate: above the threshold. new_customers: whose customer has no transaction
    before them, None without customers.
    """
    new = None
    if "customer_id" in transactions:
        # Of all transactions: the customers of the training rows are known.
        is_first = ~transactions["customer_id"].duplicated()
        firsts = transactions["transaction_id"][is_first]
        new = float(held_out["transaction_id"].isin(firsts).mean())
    return {"alert_rate": float(alerts(held_out["score"], threshold).mean()), "new_customers": new}


def new_customers(transactions: pd.DataFrame, rows: np.ndarray) -> int | None:
    """How many of some rows, (m,) int, are of customers without an earlier one.

    transactions: (n, d) canonical, in order of time. None where there are no customers.
    """
    if "customer_id" not in transactions:
        return None
    return int((~transactions["customer_id"].duplicated().to_numpy())[rows].sum())


class ShareWatch:
    """Looks at the shares of transactions as they come, so many at a time.

    usual: see `usual_shares`. what_to_do: the command that looks further.
    """

    def __init__(self, usual: dict, what_to_do: str, rows: int = 1_000) -> None:
        self._usual, self._what_to_do, self._most = usual, what_to_do, rows
        self._rows = self._alerts = self._new = 0

    def add(self, alerts_count: int, new_count: int | None, rows: int) -> str | None:
        """Count some more; a line once there are enough of them and their shares are unusual.

        new_count: see `new_customers`.
        """
        self._rows += rows
        self._alerts += alerts_count
        self._new += new_count or 0
        if self._rows < self._most:
            return None
        new = None if new_count is None else self._new
        note = warning(self._alerts, new, self._rows, self._usual, self._what_to_do)
        self._rows = self._alerts = self._new = 0
        return note


def unusual(count: int, rows: int, usual: float | None) -> bool:
    """Whether so many of some rows are far from a usual share, and more than chance would make."""
    if usual is None or rows < _LEAST_ROWS:
        return False
    share = count / rows
    if usual / _TIMES <= share <= usual * _TIMES:
        return False
    # The usual share is an estimate itself: it is not taken for less than one row in a thousand.
    expected = float(np.clip(usual, 1e-3, 1 - 1e-3))
    return bool(stats.binomtest(count, rows, expected).pvalue < _CHANCE)


def warning(
    alerts_count: int, new_count: int | None, rows: int, usual: dict, what_to_do: str
) -> str | None:
    """One line where alerts or new customers are far from usual, with the likely reason.

    new_count: rows of customers without an earlier transaction, None where there are no customers.
    what_to_do: the command that looks further.
    """
    expected, expected_new = usual["alert_rate"], usual["new_customers"]
    many = unusual(alerts_count, rows, expected)
    new = new_count is not None and unusual(new_count, rows, expected_new)
    if not many and not new:
        return None
    parts = [f"{alerts_count / rows:.1%} alerts, where the model was made for {expected:.1%}"]
    if new:
        parts.append(
            f"{new_count / rows:.1%} of the transactions are of customers without earlier ones, "
            f"usually {expected_new:.1%}"
        )
    elif many:
        parts.append("the customers are as well known as usual, so the transactions differ")
    return f"{'; '.join(parts)}: {what_to_do}"
