from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from fraud_ae.data.sources import Dataset, synthetic
from fraud_ae.data.split import Split, split_by_time
from fraud_ae.evaluation.scored_frames import known_compromised, scored_frame

DAYS = 40


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return synthetic(n_transactions=2000, days=DAYS, fraud_ratio=0.1, seed=1)


def split_of(transactions: pd.DataFrame, delay_days: float = 4, start: str = "2024-01-03") -> Split:
    """Boundaries at midnight, as in the book; there are transactions before the training period."""
    first = pd.Timestamp(start)
    dates = {
        "train_start": first,
        "train_end": first + pd.Timedelta(days=12),
        "validation_end": first + pd.Timedelta(days=24),
    }
    days = {name: f"{moment:%Y-%m-%d}" for name, moment in dates.items()}
    return split_by_time(transactions["timestamp"], label_delay_days=delay_days, dates=days)


def book_pools(transactions: pd.DataFrame, split: Split, delay_days: int) -> Iterator[set]:
    """For each day from the start of the training period, the cards known to be compromised.

    The book, whose training period is a week, fills the pool with the frauds of that week before
    the first test day. Here it grows by a day from the start, which is the same on test days.
    """
    day = (transactions["timestamp"].dt.floor("D") - split.train_start).dt.days
    frauds = transactions["is_fraud"] == 1
    pool = set()
    for k in range(DAYS):
        pool |= set(transactions["customer_id"][frauds & (day == k - delay_days - 1) & (day >= 0)])
        yield set(pool)


@pytest.mark.parametrize("delay_days", [0, 1, 4])
@pytest.mark.parametrize("start", ["2024-01-01", "2024-01-03"])
def test_a_customer_is_known_to_be_compromised_when_the_book_says_so(dataset, delay_days, start):
    transactions = dataset.transactions
    split = split_of(transactions, delay_days, start)
    pools = list(book_pools(transactions, split, delay_days))
    day = (transactions["timestamp"].dt.floor("D") - split.train_start).dt.days
    expected = [
        k >= 0 and customer in pools[k]
        for k, customer in zip(day, transactions["customer_id"], strict=True)
    ]
    assert known_compromised(transactions, split).tolist() == expected
    assert 0 < sum(expected) < len(expected)


def test_on_test_days_these_are_the_frauds_of_training_and_of_each_day_since(dataset):
    transactions, delay_days = dataset.transactions, 4
    split = split_of(transactions, delay_days)
    fraud = transactions[transactions["is_fraud"] == 1]
    pool = set(fraud["customer_id"][split.train(fraud)])
    day = transactions["timestamp"].dt.floor("D")
    found = known_compromised(transactions, split)
    first = split.train_end + pd.Timedelta(days=delay_days)
    for test_day in pd.date_range(first, day.max()):
        became_known = test_day - pd.Timedelta(days=delay_days + 1)
        pool |= set(fraud["customer_id"][fraud["timestamp"].dt.floor("D") == became_known])
        rows = (day == test_day).to_numpy()
        assert found[rows].tolist() == transactions["customer_id"][rows].isin(pool).tolist()


def test_frauds_whose_labels_are_not_known_yet_do_not_matter(dataset):
    transactions = dataset.transactions
    split = split_of(transactions)
    newest = transactions["timestamp"] > transactions["timestamp"].max() - pd.Timedelta(days=4)
    other = transactions.assign(is_fraud=transactions["is_fraud"].mask(newest, 1))
    before = known_compromised(transactions, split)
    np.testing.assert_array_equal(known_compromised(other, split), before)


def test_without_frauds_or_customers_nobody_is_known(dataset):
    transactions, split = dataset.transactions, split_of(dataset.transactions)
    assert not known_compromised(transactions.assign(is_fraud=0), split).any()
    assert not known_compromised(transactions.drop(columns="customer_id"), split).any()
    unknown = transactions.assign(customer_id=pd.Series([None] * 2000, dtype="str"))
    assert not known_compromised(unknown, split).any()


def test_a_scored_frame_has_each_transaction_beside_its_score(dataset):
    transactions, split = dataset.transactions, split_of(dataset.transactions)
    rows = split.validation(transactions)
    scores = np.arange(rows.sum(), dtype=np.float32)
    frame = scored_frame(dataset, rows, scores, split)
    assert frame.columns.tolist() == [
        *("transaction_id", "customer_id", "timestamp", "amount", "is_fraud", "score"),
        *("is_known_compromised", "fraud_scenario"),
    ]
    known = transactions[rows].reset_index(drop=True)
    for name in ("transaction_id", "customer_id", "timestamp", "amount", "is_fraud"):
        pd.testing.assert_series_equal(frame[name], known[name])
    np.testing.assert_array_equal(frame["score"], scores)
    compromised = known_compromised(transactions, split)[rows]
    np.testing.assert_array_equal(frame["is_known_compromised"], compromised)
    assert frame["fraud_scenario"].tolist() == dataset.scenarios[rows].tolist()
    assert frame.index.tolist() == list(range(len(frame)))


def test_rows_may_be_given_for_the_first_transactions_alone(dataset):
    split = split_of(dataset.transactions)
    rows = split.validation(dataset.transactions)
    visible = split.before_test(dataset.transactions).sum()
    scores = np.ones(rows.sum(), dtype=np.float32)
    whole = scored_frame(dataset, rows, scores, split)
    pd.testing.assert_frame_equal(scored_frame(dataset, rows[:visible], scores, split), whole)


def test_what_the_source_does_not_have_is_left_out(dataset):
    bare = Dataset(dataset.transactions.drop(columns="customer_id"), dataset.source_format)
    split = split_of(bare.transactions)
    rows = split.validation(bare.transactions)
    frame = scored_frame(bare, rows, np.ones(rows.sum(), dtype=np.float32), split)
    assert {"customer_id", "fraud_scenario"}.isdisjoint(frame.columns)
    assert not frame["is_known_compromised"].any()
