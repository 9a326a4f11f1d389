import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from fraud_ae.errors import UserError
from fraud_ae.serving.online.results import ScoreResult
from fraud_ae.serving.online.store import LEAST_DAYS, HistoryStore
from tests.commands import ROOT


def before(store: HistoryStore, rows: pd.DataFrame) -> pd.DataFrame:
    """What is kept of the customers and terminals of some rows, without themselves."""
    frame, places = store.with_history(store.columns(rows))
    assert frame["transaction_id"].iloc[places].tolist() == rows["transaction_id"].tolist()
    return frame.drop(index=places).reset_index(drop=True)


def keep(store: HistoryStore, rows: pd.DataFrame, **answered) -> None:
    store.append(store.columns(rows), answers_to(rows, **answered))


def answers_to(rows: pd.DataFrame, score: float = 0.5, alert: bool = False) -> list[ScoreResult]:
    return [ScoreResult(key, score, alert, 0.4, (), "a model") for key in rows["transaction_id"]]


def test_what_was_kept_is_there_after_opening_again(open_store, transactions):
    store = open_store()
    store.fill(transactions.iloc[:100])
    keep(store, transactions.iloc[100:103])
    kept, counts = before(store, transactions.iloc[[110]]), store.review.counts()
    store.close()
    reopened = open_store()
    assert reopened.review.counts() == counts
    pd.testing.assert_frame_equal(before(reopened, transactions.iloc[[110]]), kept)
    known = reopened.results(transactions["transaction_id"].iloc[100:105].tolist())
    assert list(known.values()) == answers_to(transactions.iloc[100:103])


def test_only_transactions_of_the_same_customer_or_terminal_are_given(open_store, transactions):
    store = open_store()
    store.fill(transactions.iloc[:600])
    own = transactions.iloc[600]
    found = before(store, transactions.iloc[[600]])
    related = (found["customer_id"] == own["customer_id"]) | (
        found["terminal_id"] == own["terminal_id"]
    )
    assert len(found) > 0
    assert related.all()
    assert found["timestamp"].is_monotonic_increasing
    expected = transactions.set_index("transaction_id").loc[found["transaction_id"]]
    for name in expected:
        values = found[name].astype("float64") if name == "is_fraud" else found[name]
        kept = expected[name].astype(values.dtype)
        pd.testing.assert_series_equal(values, kept.reset_index(drop=True), check_index=False)


def test_an_older_use_of_a_device_is_never_forgotten(open_store, transactions):
    customer = transactions["customer_id"].iloc[0]
    start = transactions["timestamp"].iloc[0]
    row = transactions.iloc[[0]]
    days = range(200)
    rows = pd.concat([row] * len(days), ignore_index=True).assign(
        transaction_id=[f"T{day}" for day in days],
        timestamp=[start + pd.Timedelta(days=day) for day in days],
        device=["old phone" if day == 4 else "laptop" for day in days],
    )
    store = open_store()
    for number in range(len(rows)):
        keep(store, rows.iloc[[number]])
    assert store.prune() > 0
    kept = before(store, rows.iloc[[-1]].assign(transaction_id="new"))
    assert (kept["customer_id"] == customer).all()
    assert "old phone" in set(kept["device"])
    ages = (rows["timestamp"].iloc[-1] - kept["timestamp"]).dt.days
    # What is older is the first with the laptop and the first with the phone.
    recent = store.history.days + 60
    assert (ages > recent).sum() == 2


def test_pruning_again_and_again_keeps_what_pruning_once_does(online, tmp_path, transactions):
    stores = [
        HistoryStore.open(tmp_path / f"{n}.db", online.schema, online.history) for n in range(2)
    ]
    once, often = stores
    for start in range(0, len(transactions), 100):
        part = transactions.iloc[start : start + 100]
        for store in stores:
            keep(store, part)
        often.prune()
    once.prune()
    last = transactions.drop_duplicates("customer_id").assign(
        transaction_id=lambda d: "new" + d["transaction_id"],
        timestamp=transactions["timestamp"].max(),
    )
    found = [before(store, last) for store in stores]
    for store in stores:
        store.close()
    columns = ["timestamp", "transaction_id"]
    one, other = (set(map(tuple, frame[columns].itertuples(index=False))) for frame in found)
    assert one == other
    assert len(one) < len(transactions)


def test_one_wrong_clock_does_not_empty_the_store(open_store, transactions):
    store = open_store()
    store.fill(transactions.iloc[:500])
    before = store.review.counts()["transactions"]
    future = transactions.iloc[[500]].assign(timestamp=pd.Timestamp("2190-01-01", tz="UTC"))
    keep(store, future)
    store.prune()
    assert store.review.counts()["transactions"] == before + 1


def test_answers_are_forgotten_when_nobody_will_ask_again(open_store, transactions):
    store = open_store()
    rows = transactions.iloc[::5]
    keep(store, rows)
    store.prune()
    counts = store.review.counts()
    span = counts["newest"] - counts["oldest"]
    assert timedelta(days=LEAST_DAYS - 5) < span < timedelta(days=store.history.days + 40)


def test_an_outcome_may_come_before_its_transaction_and_may_be_corrected(open_store, transactions):
    store = open_store()
    row = transactions.iloc[[50]].drop(columns="is_fraud")
    key = row["transaction_id"].iloc[0]
    assert not store.label(key, True)
    keep(store, row, alert=True)
    day = row["timestamp"].iloc[0].normalize()
    (alert,) = store.review.alerts(day, day + timedelta(days=1))
    assert alert["is_fraud"] is True
    assert store.label(key, False)
    (alert,) = store.review.alerts(day, day + timedelta(days=1))
    assert alert["is_fraud"] is False
    assert alert["amount"] == row["amount"].iloc[0]
    assert store.review.alerts(day - timedelta(days=1), day) == []


def test_scores_of_a_period_and_alerts_at_another_threshold(open_store, transactions):
    store, rows = open_store(), transactions.iloc[:4]
    answers = [
        ScoreResult(key, score, score > 0.4, 0.4, (), "a model")
        for key, score in zip(rows["transaction_id"], (0.1, 0.9, 0.3, 0.5), strict=True)
    ]
    store.append(store.columns(rows.drop(columns="is_fraud")), answers)
    period = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    assert store.review.scores(*period)["score"].tolist() == [0.1, 0.9, 0.3, 0.5]
    assert [a["score"] for a in store.review.alerts(*period)] == [0.9, 0.5]
    assert [a["score"] for a in store.review.alerts(*period, above=0.2)] == [0.9, 0.5, 0.3]
    assert [a["score"] for a in store.review.alerts(*period, limit=1)] == [0.9]


@pytest.mark.slow
def test_a_second_service_is_refused_in_one_line(open_store, tmp_path, online):
    open_store()
    code = f"""
    from pathlib import Path
    from fraud_ae.serving.online.detector import OnlineDetector
    from fraud_ae.serving.online.store import HistoryStore
    online = OnlineDetector.load(Path({str(online.detector.folder)!r}))
    HistoryStore.open(Path({str(tmp_path / "history.db")!r}), online.schema, online.history)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 1
    assert "UserError" in found.stderr
    assert "another service has it" in found.stderr


@pytest.mark.parametrize("content", [b"not a database at all" * 100, None])
def test_what_is_no_store_is_refused(online, tmp_path, content):
    path = tmp_path / "history.db"
    if content is None:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE answers (other INTEGER)")
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"history\.db"):
        HistoryStore.open(path, online.schema, online.history)


def test_what_was_answered_survives_sigkill(online, open_store, transactions, tmp_path, published):
    """A process answers one transaction after another, says each, and is killed somewhere."""
    rows = tmp_path / "rows.parquet"
    transactions.iloc[:400].to_parquet(rows)
    path = tmp_path / "killed.db"
    code = f"""
    from pathlib import Path
    import pandas as pd
    from fraud_ae.serving.online.detector import OnlineDetector
    from fraud_ae.serving.online.store import HistoryStore
    online = OnlineDetector.load(Path({str(online.detector.folder)!r}))
    store = HistoryStore.open(Path({str(path)!r}), online.schema, online.history)
    rows = pd.read_parquet({str(rows)!r})
    for number in range(len(rows)):
        (answer,) = online.score(rows.iloc[[number]], store)
        print(answer.transaction_id, repr(answer.score), flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        said = [process.stdout.readline() for _ in range(25)]
        os.kill(process.pid, signal.SIGKILL)
        said += process.stdout.readlines()
    told = dict(line.split() for line in said if line.endswith("\n"))
    assert len(told) >= 25
    assert process.returncode == -signal.SIGKILL
    store = open_store(path)
    kept = store.results(list(told))
    assert {key: repr(answer.score) for key, answer in kept.items()} == told
    frame = before(store, transactions.iloc[[399]])
    assert frame["transaction_id"].is_unique
    reopened = online.score(transactions.iloc[:25], store)
    assert all(answer.repeated for answer in reopened)
    assert np.isfinite([answer.score for answer in reopened]).all()
