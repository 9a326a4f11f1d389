"""What alerts are worth to the people who review them.

A scored frame has the columns transaction_id, customer_id (str), timestamp (datetime64[us, UTC]),
amount (float64), is_fraud (0 or 1) and score (float32, higher is more anomalous), in any order of
rows.
"""

import numpy as np
import pandas as pd

from fraud_ae.evaluation.threshold import alerts, utc_days


def recall_at_false_positive_rate(
    y_true: np.ndarray, scores: np.ndarray, rate: float = 0.01
) -> float | None:
    """The highest recall at a threshold whose false positive rate is at most `rate` (0 to 1).

    y_true: (n,) 0 or 1. scores: (n,), higher is more anomalous. Equal scores are alerted on
    together. None where only one class is present, because one of the rates is undefined then.
    """
    if len(np.unique(y_true)) < 2:
        return None
    from sklearn.metrics import roc_curve  # here, as in `fraud_ae.evaluation.metrics`

    # Points between two others on a line may be the last ones within the rate.
    false_positive_rate, recall, _ = roc_curve(y_true, scores, drop_intermediate=False)
    return float(recall[false_positive_rate <= rate].max())


def daily_precision(scored: pd.DataFrame, k: int) -> float | None:
    """Precision of the k transactions of highest score of a day, the mean over UTC calendar days.

    scored: a scored frame. A day of fewer than k transactions is divided by their number. Of equal
    scores, the earlier transaction is looked at, then the one whose id sorts first.
    None where there is no fraud, so that no transaction could be the right one.
    Source: precision top-k, Fraud Detection Handbook (Le Borgne et al., 2022), chapter 4, but for
    days of fewer than k transactions.
    """
    if not (scored["is_fraud"] == 1).any():
        return None
    rows = _candidates(scored, k)
    rows = rows.sort_values(
        ["day", "score", "timestamp", "transaction_id"], ascending=[True, False, True, True]
    )
    looked_at = rows.groupby("day", sort=False).head(k)
    return float(looked_at.groupby("day")["is_fraud"].mean().mean())


def _candidates(scored: pd.DataFrame, k: int) -> pd.DataFrame:
    """The rows of each day that are among its k highest scores or tie with the last of them."""
    day, score = utc_days(scored["timestamp"]), scored["score"].to_numpy()
    order = np.lexsort((-score, day))
    starts = np.flatnonzero(np.append(True, np.diff(day[order]).astype(bool)))
    sizes = np.diff(np.append(starts, len(order)))
    last = score[order][starts + np.minimum(k, sizes) - 1]
    # Ids are slow to sort: only those that can matter are.
    reviewed = order[score[order] >= np.repeat(last, sizes)]
    columns = ["timestamp", "transaction_id", "is_fraud", "score"]
    return scored[columns].iloc[reviewed].assign(day=day[reviewed])


def card_precision(scored: pd.DataFrame, k: int) -> float | None:
    """Card precision top-k: compromised customers among the k of highest score of a day, by k.

    scored: a scored frame. On each UTC calendar day a customer has the highest score and label of
    their transactions. Rows whose is_known_compromised is true (if the frame has that column) are
    left out: such customers have left the set. The mean over the days. As in the book, a day of
    fewer than k customers is divided by k, too. Of equal scores, the customer whose id sorts first
    is looked at. None where there are no customers, or no fraud among the rows that are left.
    Source: Fraud Detection Handbook (Le Borgne et al., 2022), chapter 4, precision top-k metrics.
    There, customers can also be made to leave on the day after they were detected, as if an alert
    were confirmed at once; here, as everywhere, a fraud is known after the label delay.
    """
    if "customer_id" not in scored:
        return None
    if "is_known_compromised" in scored:
        scored = scored[~scored["is_known_compromised"]]
    if not (scored["is_fraud"] == 1).any():
        return None
    customer, _ = pd.factorize(scored["customer_id"], sort=True)
    day = utc_days(scored["timestamp"])
    rows = scored[["score", "is_fraud"]].assign(day=day, customer=customer)
    highest = rows.groupby(["day", "customer"], as_index=False).max()
    highest = highest.sort_values(["day", "score", "customer"], ascending=[True, False, True])
    looked_at = highest.groupby("day").head(k)
    return float((looked_at.groupby("day")["is_fraud"].sum() / k).mean())


def value_caught(scored: pd.DataFrame, threshold: float) -> float | None:
    """The share of the frauds' summed amounts that is in frauds above the threshold.

    scored: a scored frame. None where the frauds have no value, or there is none.
    """
    frauds = scored[scored["is_fraud"] == 1]
    total = frauds["amount"].sum()
    if total == 0:
        return None
    return float(frauds["amount"][alerts(frauds["score"], threshold)].sum() / total)
