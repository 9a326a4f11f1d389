"""Scored frames: transactions with their scores, and all that figures are made of."""

import numpy as np
import pandas as pd

from fraud_ae.data.sources import Dataset
from fraud_ae.data.split import Split
from fraud_ae.features.event_time import DAY_US, days_to_microseconds, microseconds


def scored_frame(
    dataset: Dataset, rows: np.ndarray, scores: np.ndarray, split: Split
) -> pd.DataFrame:
    """The transactions of some rows beside their scores.

    rows: (n,) bool of the dataset's transactions, or of its first n. scores: (rows.sum(),).
    Columns: those of `evaluation_frame`, with `score` after `is_fraud`.
    """
    return with_scores(evaluation_frame(dataset, rows, split), scores)


def with_scores(frame: pd.DataFrame, scores: np.ndarray) -> pd.DataFrame:
    """An evaluation frame and the scores of its rows, (n,)."""
    scored = frame.copy()
    scored.insert(scored.columns.get_loc("is_fraud") + 1, "score", scores)
    return scored


def evaluation_frame(dataset: Dataset, rows: np.ndarray, split: Split) -> pd.DataFrame:
    """All that figures are made of, but for the scores.

    rows: (n,) bool of the dataset's transactions, or of its first n.
    Columns: transaction_id, customer_id (where the data have it), timestamp, amount and is_fraud
    (NaN where there is none),
    is_known_compromised (see `known_compromised`), fraud_scenario (where it is known).
    """
    transactions = dataset.transactions.iloc[: len(rows)]
    columns = ["transaction_id", "customer_id", "timestamp", "amount", "is_fraud"]
    frame = transactions.loc[rows, [c for c in columns if c in transactions]]
    compromised = known_compromised(transactions, split)[rows]
    absent = {name: np.nan for name in ("amount", "is_fraud") if name not in frame}
    frame = frame.assign(**absent)[[c for c in columns if c in frame or c in absent]]
    frame = frame.assign(is_known_compromised=compromised)
    if dataset.scenarios is not None:
        frame["fraud_scenario"] = dataset.scenarios.iloc[: len(rows)][rows]
    return frame.reset_index(drop=True)


def known_compromised(transactions: pd.DataFrame, split: Split) -> np.ndarray:
    """Whether a customer's fraud was known before the UTC day of each transaction: (n,) bool.

    Frauds count from the start of the training period, and are known the label delay after the
    transaction. Such a customer's card is blocked, so that there is nothing left to detect. Source:
    `get_train_test_set`, Fraud Detection Handbook (Le Borgne et al., 2022), chapter 3.
    """
    if "customer_id" not in transactions or "is_fraud" not in transactions:
        return np.zeros(len(transactions), dtype=bool)
    us = microseconds(transactions["timestamp"])
    is_counted = (transactions["is_fraud"] == 1) & (transactions["timestamp"] >= split.train_start)
    known_on = pd.Series(us + days_to_microseconds(split.label_delay_days))[is_counted.to_numpy()]
    customers = transactions["customer_id"].to_numpy()
    first = known_on.groupby(customers[is_counted.to_numpy()]).min() // DAY_US
    day_known = pd.Series(customers).map(first).to_numpy(dtype=np.float64)
    # A customer without a fraud has NaN, which is before no day.
    return day_known < us // DAY_US
