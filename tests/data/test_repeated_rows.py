"""Rows that are there twice, and times of which some have an offset and others have none."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fraud_ae.data import canonical_file as parts
from fraud_ae.data.canonical_file import canonical_file
from fraud_ae.data.files.reading import read_transactions
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import to_transactions
from fraud_ae.errors import DataError

COLUMNS = ("transaction_id", "customer_id", "timestamp", "amount", "is_fraud")
FORMAT = SourceFormat({name: name for name in COLUMNS})
UTC_NOON = dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)


def raw_frame(when: list) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "transaction_id": ["a", "b", "c"],
            "customer_id": ["x", "y", "x"],
            "timestamp": pd.Series(when, dtype=object),
            "amount": [1.0, 2.0, 3.0],
            "is_fraud": [0, 1, 0],
        }
    )


def table(rows: int = 40) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "transaction_id": [f"T{row:03}" for row in range(rows)],
            "customer_id": [f"C{row % 3}" for row in range(rows)],
            "timestamp": pd.date_range("2024-01-01", periods=rows, freq="h"),
            "amount": np.arange(rows) + 0.5,
            "is_fraud": np.arange(rows) % 2,
            "loaded": pd.date_range("2025-01-01", periods=rows, freq="s"),
        }
    )


@pytest.mark.promise("B10")
def test_identical_rows_of_a_file_count_once_with_a_line(tmp_path, caplog):
    once = table()
    # When a row was exported is no value of the transaction.
    again = once.iloc[[3, 7, 7]].assign(loaded="2025-02-02 00:00:00")
    pd.concat([again, once]).to_csv(tmp_path / "twice.csv", index=False)
    once.to_csv(tmp_path / "once.csv", index=False)
    twice, _ = read_transactions(tmp_path / "twice.csv", FORMAT)
    assert "3 rows repeat a transaction that is there already" in caplog.text
    caplog.clear()
    expected, _ = read_transactions(tmp_path / "once.csv", FORMAT)
    assert caplog.text == ""
    pd.testing.assert_frame_equal(twice, expected)


@pytest.mark.promise("B10")
@pytest.mark.parametrize("column", ["amount", "customer_id", "timestamp", "is_fraud"])
def test_rows_of_one_id_that_differ_are_refused(tmp_path, column):
    once = table()
    other = once.iloc[[7]].assign(**{column: once[column].iloc[2]})
    pd.concat([once, once.iloc[[3]], other]).to_csv(tmp_path / "twice.csv", index=False)
    with pytest.raises(DataError) as refused:
        read_transactions(tmp_path / "twice.csv", FORMAT)
    told = "transaction_id: 1 id occurs more than once, with other values: T007 (rows 7, 41); "
    assert told in str(refused.value)


@pytest.mark.parametrize("part_rows", [7, 100_000])
def test_in_a_file_to_be_scored_too_whatever_parts_it_is_read_in(
    tmp_path, monkeypatch, caplog, part_rows
):
    monkeypatch.setattr(parts, "PART_ROWS", part_rows)
    once = table()
    pd.concat([once, once.iloc[[3, 39]]]).to_csv(tmp_path / "twice.csv", index=False)
    with canonical_file(tmp_path / "twice.csv", FORMAT, None) as file:
        assert file.rows == 40
        read = pd.concat(file.parts())
    assert read["transaction_id"].tolist() == once["transaction_id"].tolist()
    assert "not counted again" in caplog.text
    other = once.iloc[[3]].assign(amount=99.0)
    pd.concat([once, other]).to_csv(tmp_path / "twice.csv", index=False)
    with (
        pytest.raises(DataError, match="more than once, with other values"),
        canonical_file(tmp_path / "twice.csv", FORMAT, None),
    ):
        pass


def test_without_ids_equal_rows_are_transactions_of_their_own():
    same = table(1).loc[[0, 0, 0]].reset_index(drop=True)
    numbered = replace(FORMAT, columns={**FORMAT.columns, "transaction_id": None})
    assert len(to_transactions(same.drop(columns="transaction_id"), numbered)) == 3


@pytest.mark.parametrize(
    ("when", "row", "wrong"),
    [
        (["2024-07-01 10:00", "2024-07-01 11:00+02:00", "2024-07-01 12:00"], 1, "an offset"),
        (["2024-07-01 10:00Z", "2024-07-01 11:00", "2024-07-01 12:00+02:00"], 1, "no offset"),
        ([dt.datetime(2024, 7, 1), dt.datetime(2024, 7, 2), UTC_NOON], 2, "an offset"),
    ],
)
def test_times_with_and_without_an_offset_are_not_mixed_unless_a_zone_is_named(when, row, wrong):
    raw = raw_frame(when)
    with pytest.raises(DataError, match=f"timestamp: 1 bad value: row {row} .*; has {wrong}"):
        to_transactions(raw, FORMAT)
    # A time that is missing has neither.
    one_kind = raw.assign(timestamp=raw["timestamp"].where(raw.index != row, None))
    with pytest.raises(DataError) as refused:
        to_transactions(one_kind, FORMAT)
    assert "offset" not in str(refused.value)
    named = to_transactions(raw, replace(FORMAT, time_zone="Europe/Paris"))
    assert named["timestamp"].dt.hour.between(8, 22).all()
