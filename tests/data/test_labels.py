"""Outcomes that arrive after their transactions, from every kind of file."""

import gzip
import sqlite3
from contextlib import closing

import pandas as pd
import pytest

from fraud_ae.data.labels import read_labels
from fraud_ae.data.sources import from_file
from fraud_ae.errors import DataError

CANONICAL = {n: n for n in ("transaction_id", "customer_id", "timestamp", "amount", "is_fraud")}
TEXT = "transaction_id,is_fraud\n001,1\n003,0\n"


@pytest.fixture
def transactions(tmp_path):
    path = tmp_path / "shop.csv"
    path.write_text(
        "transaction_id,customer_id,timestamp,amount,is_fraud\n"
        "001,A,2024-01-01,5,0\n002,A,2024-01-02,6,0\n003,B,2024-01-03,7,1\n"
    )
    return path


def store(path, *labels: tuple) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE labels (transaction_id, is_fraud, labelled_at)")
        connection.executemany("INSERT INTO labels VALUES (?, ?, ?)", labels)


def labels_of(path, labels=None, **settings) -> list[int]:
    dataset = from_file(path, labels=labels, columns=CANONICAL, **settings)
    return dataset.transactions["is_fraud"].tolist()


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "sqlite"])
def test_they_take_the_place_of_the_labels_in_the_file(transactions, tmp_path, kind):
    path = tmp_path / f"outcomes.{kind}"
    if kind == "csv":
        path.write_text(TEXT)
    elif kind == "csv.gz":
        path.write_bytes(gzip.compress(TEXT.encode()))
    elif kind == "parquet":
        frame = pd.DataFrame({"transaction_id": ["001", "003"], "is_fraud": [True, False]})
        frame.to_parquet(path)
    else:
        store(path, ("003", 1, "2024-02-01"), ("001", 1, "2024-02-01"), ("003", 0, "2024-02-02"))
    assert labels_of(transactions) == [0, 0, 1]
    assert labels_of(transactions, path) == [1, 0, 0]


def test_other_outcomes_are_other_data(transactions, tmp_path):
    path = tmp_path / "outcomes.csv"
    plain = from_file(transactions, columns=CANONICAL).fingerprint
    for text, is_equal in ((TEXT, False), ("transaction_id,is_fraud\n001,0\n", True)):
        path.write_text(text)
        relabelled = from_file(transactions, labels=path, columns=CANONICAL).fingerprint
        assert (relabelled == plain) == is_equal


@pytest.mark.parametrize(
    ("renamed", "outcomes", "expected"),
    [
        # Labels that the file lacks.
        ({"5,0": "5,", "7,1": "7,"}, TEXT, [1, 0, 0]),
        # Labels in the words of the file.
        ({"5,0": "5,Legit", "6,0": "6,Fraud", "7,1": "7,Legit"}, TEXT, [1, 1, 0]),
        # Ids that are numbers, with a point.
        ({"00": "70000"}, "transaction_id,is_fraud\n700001.0,1\n700003.0,1\n", [1, 0, 1]),
    ],
)
def test_they_are_read_as_the_file_is(transactions, tmp_path, renamed, outcomes, expected):
    path = tmp_path / "outcomes.csv"
    path.write_text(outcomes)
    text = transactions.read_text()
    for old, new in renamed.items():
        text = text.replace(old, new)
    transactions.write_text(text)
    assert labels_of(transactions, path) == expected


def test_the_last_one_counts_where_times_are_given(tmp_path):
    path = tmp_path / "outcomes.csv"
    path.write_text(
        "transaction_id,is_fraud,labelled_at\nA,1,2024-02-02\nA,0,2024-02-01\nB,0,2024-01-01\n"
    )
    assert read_labels(path).to_dict() == {"A": 1.0, "B": 0.0}


@pytest.mark.promise(5)
def test_outcomes_of_no_transaction_are_counted_and_refused_where_they_are_most(
    transactions, tmp_path, caplog
):
    path = tmp_path / "outcomes.csv"
    path.write_text(TEXT + "777,1\n")
    labels_of(transactions, path)
    assert "1 of 3 labels are of no transaction here" in caplog.text
    path.write_text("transaction_id,is_fraud\n777,1\n778,0\n001,1\n")
    with pytest.raises(DataError, match=r"2 of 3 labels .* 777.*--allow-unmatched"):
        labels_of(transactions, path)
    assert sum(labels_of(transactions, path, allow_unmatched=True)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,is_fraud\n1,1\n", "there is no transaction_id"),
        ("transaction_id,is_fraud\n1,2\n", "is_fraud must be 0 or 1, and is '?2"),
        ("transaction_id,is_fraud\n,1\n", "an id is missing"),
        ("transaction_id,is_fraud\n1,1\n1,0\n", "two labels that differ: '?1"),
        ("transaction_id,is_fraud,labelled_at\n1,1,soon\n", "labelled_at must be a time"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, message):
    path = tmp_path / "outcomes.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_labels(path)


def test_a_missing_file_or_another_store_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"data.labels: .*none.csv: no such file"):
        read_labels(tmp_path / "none.csv")
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE transactions (transaction_id)")
    with pytest.raises(DataError, match="no labels in this SQLite file"):
        read_labels(path)


def test_transactions_without_ids_cannot_be_given_outcomes(transactions, tmp_path):
    path = tmp_path / "outcomes.csv"
    path.write_text(TEXT)
    columns = {**CANONICAL, "transaction_id": None}
    transactions.write_text(transactions.read_text().replace("transaction_id", "number"))
    with pytest.raises(DataError, match="set data.columns.transaction_id=NAME_IN_THE_FILE"):
        from_file(transactions, labels=path, columns=columns)
