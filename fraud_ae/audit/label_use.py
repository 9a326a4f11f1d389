"""Which features are made from labels, and how well one by itself separates them."""

import copy
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from fraud_ae.features.encoded_data import Encoded
from fraud_ae.features.strategy import compute_features, fit_strategy

# A ROC AUC of fewer frauds, or of fewer other rows, says nothing.
LEAST_FRAUDS = 10
# What reaches this by itself is the label under another name, not a clue to it.
SEPARATES = 0.99
# So many other rows are enough to tell it.
_OTHER_ROWS = 20_000
# Rates need the whole histories of those they are about.
_ENTITIES = ("terminal_id", "customer_id")


def features_from_labels(
    strategy: Any, transactions: pd.DataFrame, max_rows: int = 20_000
) -> list[str]:
    """The features that change once every label is flipped, in the order of the columns.

    strategy: fitted or not; copies of it are fitted on the transactions. transactions: (n, d)
    canonical, in order of time; of more than `max_rows`, only the histories of some terminals and
    customers are used. Without `is_fraud` no feature is made from labels. Raises UserError if the
    strategy breaks the contract of `compute_features`.
    """
    if "is_fraud" not in transactions:
        return []
    sample = transactions.iloc[_some_histories(transactions, max_rows)].reset_index(drop=True)
    flipped = sample.assign(is_fraud=1 - sample["is_fraud"])
    return list(
        differing_rows(_fit_and_compute(strategy, sample), _fit_and_compute(strategy, flipped))
    )


def with_flipped_labels(transactions: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """The transactions with 1 - is_fraud in some rows, bool of shape (n,); others are shared."""
    labels = transactions["is_fraud"]
    return transactions.assign(is_fraud=labels.mask(rows, 1 - labels))


def differing_rows(one: pd.DataFrame, other: pd.DataFrame) -> dict[str, int]:
    """In how many rows the features differ: name -> rows, only of those that do.

    one, other: features of the same rows, in the same order. Values must be equal to the bit, NaN
    equals NaN; a feature that only one of them has differs in every row.
    """
    differing = {}
    for name in one.columns.union(other.columns, sort=False):
        if name not in one or name not in other:
            differing[name] = len(one)
            continue
        left, right = one[name].reset_index(drop=True), other[name].reset_index(drop=True)
        if left.equals(right):
            continue
        if left.dtype != right.dtype:
            left, right = left.astype(object), right.astype(object)
        rows = int(((left != right) & ~(left.isna() & right.isna())).sum())
        if rows:
            differing[name] = rows
    return differing


def separation(values: pd.Series, labels: np.ndarray) -> float:
    """ROC AUC of one feature by itself, the better direction: 0.5 to 1.

    values: (n,) numbers, bools or strings, as `compute_features` gives them. labels: (n,) 0 or 1,
    both of which occur. A missing number counts as the median, a category as its rate of fraud
    among other rows; where a value is missing is tried by itself, too.
    """
    if pd.api.types.is_numeric_dtype(values.dtype):
        numbers = values.astype("float64")
        numbers = numbers.fillna(numbers.median()).fillna(0.0)
    else:
        numbers = _rate_in_other_rows(values.reset_index(drop=True), pd.Series(labels))
    missing = values.isna()
    tried = (numbers, missing) if missing.any() else (numbers,)
    aucs = [roc_auc_score(labels, scores) for scores in tried]
    return max(max(auc, 1 - auc) for auc in aucs)


def features_that_tell_alone(encoded: Encoded) -> dict[str, float]:
    """The features that separate fraud of the fitted rows by themselves: name -> ROC AUC.

    As `separation` tells of what the network reads; of the rows that are not fraud some do.
    """
    fraud = np.flatnonzero(encoded.fit_rows & (encoded.labels == 1))
    other = np.flatnonzero(encoded.fit_rows & (encoded.labels == 0))
    if min(len(fraud), len(other)) < LEAST_FRAUDS:
        return {}
    rows = np.sort(np.append(fraud, other[:: -(-len(other) // _OTHER_ROWS)]))
    values, labels = encoded.encoder.values(encoded.inputs[rows]), encoded.labels[rows]
    aucs = {name: separation(column, labels) for name, column in values.items()}
    return {name: auc for name, auc in aucs.items() if auc >= SEPARATES}


def _fit_and_compute(strategy: Any, df: pd.DataFrame) -> pd.DataFrame:
    return compute_features(fit_strategy(copy.deepcopy(strategy), df), df)


def _some_histories(transactions: pd.DataFrame, max_rows: int) -> np.ndarray:
    """Positions of at most `max_rows` rows, spread over the whole time."""
    if len(transactions) <= max_rows:
        return np.arange(len(transactions))
    keys = [transactions[key] for key in _ENTITIES if key in transactions]
    keys = [key for key in keys if key.notna().any()]
    keys = keys or [pd.Series(np.zeros(len(transactions)))]
    most = max(max_rows // len(keys), 1)
    return np.unique(np.concatenate([_histories_of_some(key, most) for key in keys]))


def _histories_of_some(key: pd.Series, most: int) -> np.ndarray:
    """Positions of the rows of every n-th value, in the order in which the values appear.

    The first ones alone may all be over before a label of theirs is known.
    """
    codes, distinct = pd.factorize(key)
    step = 1
    while ((codes >= 0) & (codes % step == 0)).sum() > most and step < len(distinct):
        step *= 2
    positions = np.flatnonzero((codes >= 0) & (codes % step == 0))
    return positions[:: -(-len(positions) // most)]


def _rate_in_other_rows(values: pd.Series, labels: pd.Series) -> pd.Series:
    """The fraud rate of each category in every second row, for the rows between them."""
    odd = values.index % 2 == 1
    rates = pd.Series(np.nan, index=values.index)
    for half in (odd, ~odd):
        rates[half] = values[half].map(labels[~half].groupby(values[~half]).mean())
    return rates.fillna(labels.mean())
