"""The history store: what it gives back, what it deletes, and files that are none."""

import random
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from fraud_ae.errors import UserError
from fraud_ae.serving.results import ScoreResult
from fraud_ae.serving.store import LEAST_DAYS, HistoryStore
from tests.damage import MUTATIONS, mutated


def history_of(store: HistoryStore, rows: pd.DataFrame) -> pd.DataFrame:
    """What is stored of the customers and terminals of some rows, without themselves."""
    frame, places = store.with_history(store.columns(rows))
    assert frame["transaction_id"].iloc[places].tolist() == rows["transaction_id"].tolist()
    return frame.drop(index=places).reset_index(drop=True)


def append(store: HistoryStore, rows: pd.DataFrame, *scores: float) -> None:
    store.append(store.columns(rows), results_of(rows, *scores))


def results_of(rows: pd.DataFrame, *scores: float) -> list[ScoreResult]:
    return [
        ScoreResult(key, score, score > 0.4, 0.4, (), "a model")
        for key, score in zip(rows["transaction_id"], scores or [0.3] * len(rows), strict=True)
    ]


def test_what_was_stored_is_the_same_after_opening_again(open_store, transactions):
    store = open_store()
    store.fill(transactions.iloc[:100])
    append(store, transactions.iloc[100:103])
    history, counts = history_of(store, transactions.iloc[[110]]), store.review.counts()
    store.close()
    reopened = open_store()
    assert reopened.review.counts() == counts
    pd.testing.assert_frame_equal(history_of(reopened, transactions.iloc[[110]]), history)
    results = reopened.results(transactions["transaction_id"].iloc[100:105].tolist())
    assert list(results.values()) == results_of(transactions.iloc[100:103])


def test_the_history_is_of_the_same_customer_or_terminal(open_store, transactions):
    store = open_store()
    store.fill(transactions.iloc[:600])
    new = transactions.iloc[600]
    history = history_of(store, transactions.iloc[[600]])
    same_customer = history["customer_id"] == new["customer_id"]
    assert len(history) > 0
    assert (same_customer | (history["terminal_id"] == new["terminal_id"])).all()
    assert history["timestamp"].is_monotonic_increasing
    expected = transactions.set_index("transaction_id").loc[history["transaction_id"]].reset_index()
    pd.testing.assert_frame_equal(history, expected.astype(history.dtypes)[list(history)])


def test_an_older_use_of_a_device_is_never_forgotten(open_store, transactions):
    start, days = transactions["timestamp"].iloc[0], range(200)
    rows = pd.concat([transactions.iloc[[0]]] * len(days), ignore_index=True).assign(
        transaction_id=[f"T{day}" for day in days],
        timestamp=[start + pd.Timedelta(days=day) for day in days],
        device=["old phone" if day == 4 else "laptop" for day in days],
    )
    store = open_store()
    append(store, rows)
    history = history_of(store, rows.iloc[[-1]].assign(transaction_id="new"))
    assert "old phone" in set(history["device"])
    ages = (rows["timestamp"].iloc[-1] - history["timestamp"]).dt.days
    # What is older is the first with the laptop and the first with the phone.
    assert (ages > store.history.days + 60).sum() == 2


def test_pruning_again_and_again_leaves_what_pruning_once_does(open_store, tmp_path, transactions):
    once, often = stores = [open_store(tmp_path / name) for name in ("once.db", "often.db")]
    for start in range(0, len(transactions), 100):
        for store in stores:
            append(store, transactions.iloc[start : start + 100])
        often.prune()
    once.prune()
    last = transactions.drop_duplicates("customer_id").assign(
        transaction_id=lambda d: "new" + d["transaction_id"],
        timestamp=transactions["timestamp"].max(),
    )
    one, other = (set(history_of(store, last)["transaction_id"]) for store in stores)
    assert one == other
    assert len(one) < len(transactions)


def test_one_wrong_clock_does_not_empty_the_store(open_store, transactions):
    store = open_store()
    store.fill(transactions.iloc[:500])
    before = store.review.counts()["transactions"]
    append(store, transactions.iloc[[500]].assign(timestamp=pd.Timestamp("2190-01-01", tz="UTC")))
    store.prune()
    assert store.review.counts()["transactions"] == before + 1


def test_results_are_deleted_when_nobody_will_ask_again(open_store, transactions):
    store = open_store()
    append(store, transactions.iloc[::5])
    store.prune()
    counts = store.review.counts()
    span = counts["newest"] - counts["oldest"]
    assert timedelta(days=LEAST_DAYS - 5) < span < timedelta(days=store.history.days + 40)


def test_an_outcome_may_come_before_its_transaction_and_may_be_corrected(open_store, transactions):
    store = open_store()
    row = transactions.iloc[[50]].drop(columns="is_fraud")
    key = row["transaction_id"].iloc[0]
    day = row["timestamp"].iloc[0].normalize()
    assert not store.label(key, True)
    append(store, row, 0.5)
    (alert,) = store.review.alerts(day, day + timedelta(days=1))
    assert alert["is_fraud"] is True
    assert store.label(key, False)
    (alert,) = store.review.alerts(day, day + timedelta(days=1))
    assert alert["is_fraud"] is False
    assert alert["amount"] == row["amount"].iloc[0]
    assert store.review.alerts(day - timedelta(days=1), day) == []


def test_scores_of_a_period_and_alerts_at_another_threshold(open_store, transactions):
    store = open_store()
    append(store, transactions.iloc[:4].drop(columns="is_fraud"), 0.1, 0.9, 0.3, 0.5)
    period = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    assert store.review.scores(*period)["score"].tolist() == [0.1, 0.9, 0.3, 0.5]
    assert [a["score"] for a in store.review.alerts(*period)] == [0.9, 0.5]
    assert [a["score"] for a in store.review.alerts(*period, above=0.2)] == [0.9, 0.5, 0.3]
    assert [a["score"] for a in store.review.alerts(*period, limit=1)] == [0.9]


@pytest.mark.parametrize("content", [b"not a database at all" * 100, None])
def test_what_is_no_store_is_refused(open_store, tmp_path, content):
    path = tmp_path / "history.db"
    if content is None:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE answers (other INTEGER)")
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"history\.db: not a store of transactions"):
        open_store()


@pytest.mark.slow
@pytest.mark.promise("B8")
def test_of_two_hundred_changes_those_that_tear_it_are_refused(open_store, tmp_path, transactions):
    store, path = open_store(), tmp_path / "history.db"
    store.fill(transactions.iloc[:400])
    append(store, transactions.iloc[400:440])
    store.close()
    whole, rng = path.read_bytes(), random.Random(0)
    for number in range(200):
        mutation = MUTATIONS[number % len(MUTATIONS)]
        path.write_bytes(whole)
        mutated(path, mutation, rng)
        if mutation in ("halved", "zeros"):
            with pytest.raises(UserError, match="restore a copy of it, or move it away"):
                open_store()
            continue
        # SQLite has no checksums: another digit in a row is another row.
        with suppress(UserError):
            open_store().close()
