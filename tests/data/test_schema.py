import numpy as np
import pandas as pd
import pytest

from fraud_ae.data.columns import REQUIRED
from fraud_ae.data.files.reading import read_transactions
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import to_transactions
from fraud_ae.errors import DataError

OPTIONAL_NUMBERS = ("quantity", "customer_age", "account_age_days")
FORMAT = SourceFormat(
    {name: name for name in (*REQUIRED, *OPTIONAL_NUMBERS)}, ("score",), negative_amounts="refuse"
)


def canonical(rows: int = 10, **columns) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "transaction_id": [f"T{row}" for row in range(rows)],
            "customer_id": "C1",
            "timestamp": pd.date_range("2024-01-01", periods=rows, freq="s"),
            "amount": 5.0,
            "is_fraud": 0,
            "quantity": 1,
            "customer_age": 30,
            "account_age_days": 10,
            "score": 0.5,
        }
    )
    return frame.assign(**columns)


def changed(name: str, values: dict) -> pd.DataFrame:
    frame = canonical()
    column = frame[name].astype(object)
    for row, value in values.items():
        column.iloc[row] = value
    return frame.assign(**{name: column})


def message(frame: pd.DataFrame, source_format: SourceFormat = FORMAT) -> str:
    with pytest.raises(DataError) as error:
        to_transactions(frame, source_format)
    return str(error.value)


def test_bad_values_are_named_by_row_and_transaction():
    report = message(changed("amount", {7: -5.0, 9: "abc"}))
    assert (
        "amount: 2 bad values: row 7 (transaction T7) is -5.0, row 9 (transaction T9) is 'abc'; "
        "must be a finite number, 0 or more"
    ) in report
    assert report.count("counted from 0") == 1


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("transaction_id", None, "row 3 is missing"),
        ("transaction_id", " ", "row 3 is missing"),
        ("customer_id", None, "is missing"),
        ("timestamp", None, "is missing"),
        ("timestamp", "soon", "is 'soon'"),
        ("timestamp", "31/01/2024", "is '31/01/2024'"),
        ("timestamp", 1_700_000_000, "is 1700000000"),
        ("timestamp", "9999-12-31", "is '9999-12-31'"),
        ("amount", None, "is missing"),
        ("amount", np.inf, "is inf"),
        ("amount", "1.234,50", "is '1.234,50'; must be a finite number, 0 or more"),
        ("amount", "1.234,50", "written like 1234.50 (data.decimal)"),
        ("is_fraud", 2, "is 2"),
        ("is_fraud", "perhaps", "is 'perhaps'"),
        ("quantity", -1, "is -1"),
        ("customer_age", 121, "is 121"),
        ("account_age_days", -0.5, "is -0.5"),
        ("score", -np.inf, "is -inf"),
        ("score", "high", "is 'high'"),
    ],
)
def test_every_rule(name, value, shown):
    report = message(changed(name, {3: value}))
    assert report.startswith("1 problem in the transactions")
    assert f"{name}: 1 bad value: row 3" in report
    assert shown in report
    assert ("data.bad_values=missing" in report) == (name in (*OPTIONAL_NUMBERS, "amount", "score"))


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, ""])
def test_optional_values_may_be_missing(missing):
    names = [*OPTIONAL_NUMBERS, "score"]
    column = pd.Series([1, missing, *[2] * 8], dtype=object)
    frame = to_transactions(canonical(**dict.fromkeys(names, column)), FORMAT)
    assert frame[names].isna().sum().tolist() == [1, 1, 1, 1]
    frame = to_transactions(canonical(**dict.fromkeys(names, missing)), FORMAT)
    assert frame[names].isna().all(axis=None)


def test_missing_columns_and_all_bad_values_are_one_report():
    frame = changed("amount", {1: -1}).drop(columns=["customer_id", "score"])
    frame.loc[2, "is_fraud"] = 7
    frame.loc[4, "transaction_id"] = "T5"
    frame.loc[6, "customer_age"] = -2
    report = message(frame)
    assert report.startswith("6 problems")
    for expected in (
        "amount: 1 bad value",
        "is_fraud: 1 bad value",
        "customer_age: 1 bad value",
        "T5 (rows 4, 5)",
        "customer_id: no column 'customer_id'",
        "no column 'score'",
    ):
        assert expected in report


def test_duplicates_are_named():
    report = message(canonical(transaction_id=["a", "a", "b", "b", "b", None, None, *"xyz"]))
    assert "2 ids occur more than once, with other values: a (rows 0, 1), b (rows 2, 3, 4)" in (
        report
    )
    assert "2 bad values: row 5 is missing, row 6 is missing" in report


def test_required_values_never_become_missing_and_optional_ones_do_with_a_warning(caplog):
    source = SourceFormat(FORMAT.columns, ("score",), bad_values="missing")
    assert "row 1" in message(changed("customer_id", {1: None}), source)
    frame = to_transactions(changed("quantity", {0: -1, 2: "many"}), source)
    assert frame["quantity"].isna().tolist() == [True, False, True] + [False] * 7
    assert "quantity: 2 bad values: row 0 (transaction T0) is -1" in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.promise(7)
def test_negative_amounts_are_what_the_format_says():
    frame = changed("amount", {1: -1})
    assert "data.negative_amounts" in message(frame)
    for choice, expected in (("refund", -1.0), ("missing", None)):
        source = SourceFormat(FORMAT.columns, ("score",), negative_amounts=choice)
        amount = to_transactions(frame, source)["amount"]
        assert pd.isna(amount[1]) if expected is None else amount[1] == expected
        assert amount.notna().sum() == (9 if expected is None else 10)


def test_rows_are_those_of_the_file(tmp_path):
    frame = changed("amount", {8: "x"}).iloc[::-1]
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=r"t\.csv: 1 problem.*\n- amount: 1 bad value: row 1 .*T8"):
        read_transactions(tmp_path / "t.csv", FORMAT)


def test_many_bad_rows_are_counted_and_five_of_them_shown():
    report = message(canonical(rows=1_000).assign(amount=-1.0, customer_id=None))
    assert "amount: 1000 bad values" in report
    assert report.count("is -1.0") == 5
    assert len(report) < 3000
