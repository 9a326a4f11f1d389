"""The store is for its owner alone, and a customer can be taken out of it for good."""

import hashlib
import json
import os
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from fraud_ae.data.input_schema import InputSchema
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.features.history import History
from fraud_ae.serving.results import ScoreResult
from fraud_ae.serving.store import HistoryStore
from tests.commands import fraud_ae

KINDS = {
    "transaction_id": "text",
    "customer_id": "text",
    "terminal_id": "text",
    "timestamp": "time",
    "amount": "number",
    "is_fraud": "label",
}
GONE, STAYS = "customer-to-be-forgotten", "customer-that-stays"


def transactions(prefix: str = "T") -> pd.DataFrame:
    """Twenty, in turn of two customers; a fraud of each."""
    return pd.DataFrame(
        {
            "transaction_id": [f"{prefix}{number:04}-of-a-customer" for number in range(20)],
            "customer_id": [GONE, STAYS] * 10,
            "terminal_id": "M1",
            "timestamp": pd.date_range("2026-01-01", periods=20, freq="h", tz="UTC"),
            "amount": 1.0,
            "is_fraud": [1.0, 1.0] + [0.0] * 18,
        }
    )


def opened(path: Path) -> HistoryStore:
    return HistoryStore(path, KINDS, History(7.0, 7.0, True, ("terminal_id",)))


def fill(path: Path) -> pd.DataFrame:
    rows = transactions()
    store = opened(path)
    results = [ScoreResult(key, 0.9, True, 0.4, (), "v1") for key in rows["transaction_id"]]
    store.append(store.columns(rows), results)
    store.prune()
    store.close()
    return rows


def written(path: Path) -> bytes:
    """All that lies in a store's file and those beside it."""
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


@pytest.mark.promise("A5")
def test_a_customer_is_forgotten_and_others_are_not(tmp_path):
    path = tmp_path / "history.db"
    rows = fill(path)
    models = tmp_path / "outputs" / "shop" / "models" / "v1"
    models.mkdir(parents=True)
    rows.to_parquet(models / "history.parquet")
    rows[["transaction_id", "amount"]].iloc[:3].to_parquet(models / "scores.parquet")
    rows[["amount"]].to_parquet(models / "without.parquet")
    (models / "damaged.parquet").write_text("no table")
    rows.to_parquet(models / "test_scores.parquet.damaged")
    top = [{"transaction_id": key, "customer_id": GONE} for key in rows["transaction_id"][:1]]
    (models / "top_transactions.json").write_text(json.dumps(top))
    # A model shows one real transaction as an example.
    InputSchema.of(rows, SourceFormat({name: name for name in rows}), ()).save(models)
    InputSchema.of(rows[:-1], SourceFormat({n: n for n in rows}), ()).save(models.parent)
    assert GONE.encode() in written(path)
    printed = fraud_ae("forget", "--customer", GONE, "--store", str(path), cwd=tmp_path)
    assert f"removed 10 transactions, 10 answers and 10 outcomes of customer {GONE}" in printed
    assert "models/v1/history.parquet: still holds 10 rows of theirs" in printed
    assert "models/v1/scores.parquet: still holds 2 rows of theirs" in printed
    assert "models/v1/top_transactions.json: still holds 1 rows of theirs" in printed
    assert "models/schema.json: still holds 1 rows of theirs" in printed
    assert "v1/schema.json" not in printed
    assert "models/v1/damaged.parquet: cannot be read" in printed
    assert "models/v1/test_scores.parquet.damaged: still holds 10 rows of theirs" in printed
    assert "without.parquet" not in printed
    assert "Weights & Biases" in printed
    left = written(path)
    assert GONE.encode() not in left
    assert not any(key.encode() in left for key in rows["transaction_id"][::2])
    assert all(key.encode() in left for key in rows["transaction_id"][1::2])
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT customer FROM forgotten").fetchall() == [
            (hashlib.sha256(GONE.encode()).hexdigest(),)
        ]
    again = fraud_ae("forget", "--customer", GONE, "--store", str(path), cwd=tmp_path)
    assert "removed 0 transactions, 0 answers and 0 outcomes" in again


def test_who_was_forgotten_does_not_come_back_with_a_file(tmp_path):
    path = tmp_path / "history.db"
    fill(path)
    fraud_ae("forget", "--customer", GONE, "--store", str(path), cwd=tmp_path)
    store = opened(path)
    try:
        assert store.fill(transactions("F")) == 10
        assert store.review.counts()["transactions"] == 20
        # What is scored from then on is kept like that of anybody.
        new = transactions("N").iloc[:1]
        result = ScoreResult(new["transaction_id"].iloc[0], 0.1, False, 0.4, (), "v1")
        store.append(store.columns(new), [result])
        assert store.review.counts()["transactions"] == 21
    finally:
        store.close()


def test_a_store_that_is_open_or_none_is_refused_in_one_line(tmp_path):
    path = tmp_path / "history.db"
    fill(path)
    options = ("forget", "--customer", GONE, "--store")
    store = opened(path)
    printed = fraud_ae(*options, str(path), cwd=tmp_path, code=2)
    store.close()
    assert "another service has it; stop that" in printed
    assert GONE.encode() in written(path)
    assert "no such store" in fraud_ae(*options, "nothing.db", cwd=tmp_path, code=2)
    assert not (tmp_path / "nothing.db").exists()
    (tmp_path / "text.db").write_text("not a database at all" * 100)
    printed = fraud_ae(*options, "text.db", cwd=tmp_path, code=2)
    assert "not a store of transactions" in printed
    assert len(printed.splitlines()) == 1


@pytest.mark.promise("A5")
@pytest.mark.parametrize("before", [None, 0o644, 0o666])
def test_the_store_is_for_its_owner_alone_while_it_is_open_and_after(tmp_path, before):
    path = tmp_path / "history.db"
    if before is not None:
        fill(path)
        path.chmod(before)
    store = opened(path)
    store.fill(transactions("O"))
    files = [file for file in tmp_path.glob("history.db*") if not file.name.endswith(".lock")]
    assert len(files) == 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    store.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_wide_mask_makes_no_wide_store(tmp_path):
    path, mask = tmp_path / "history.db", os.umask(0)
    try:
        fill(path)
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o600
