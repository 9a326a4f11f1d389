import gzip
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fraud_ae.data.files.reading import read_table, read_transactions
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import (
    fingerprint,
    to_transactions,
    training_transactions,
    unused_columns,
)
from fraud_ae.data.values.kinds import ValueKind
from fraud_ae.errors import DataError

COLUMNS = {
    "transaction_id": "Id",
    "customer_id": "Client",
    "timestamp": "When",
    "amount": "Amt",
    "is_fraud": "Class",
    "quantity": "Items",
    "device": "device",
}
FORMAT = SourceFormat(COLUMNS)
HEADER = "Id,Client,When,Amt,Class,Items\n"
ROWS = (
    "007,01,2024-01-02 10:00:00,12.50,0,1\n"
    "008,02,2024-01-01 09:00:00,3,1,\n"
    "009,01,2024-01-01 09:00:00,4,0,2\n"
)


def raw_frame(**columns) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "Id": ["a", "b", "c"],
            "Client": ["x", "y", "x"],
            "When": pd.to_datetime(["2024-01-03", "2024-01-01", "2024-01-02"]),
            "Amt": [1.0, 2.0, 3.0],
            "Class": [0, 1, 0],
            "Items": [1, 2, 3],
        }
    )
    return frame.assign(**columns)


def written(path: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "T.CSV"])
def test_csv_becomes_canonical(tmp_path, name):
    frame, _ = read_transactions(written(tmp_path / name, HEADER + ROWS), FORMAT)

    assert frame.dtypes.astype(str).to_dict() == {
        "transaction_id": "str",
        "customer_id": "str",
        "timestamp": "datetime64[us, UTC]",
        "amount": "float64",
        "is_fraud": "int8",
        "quantity": "float64",
    }
    assert sorted(frame["transaction_id"][:2]) == ["008", "009"]
    assert frame["transaction_id"].tolist()[2] == "007"
    assert frame.index.tolist() == [0, 1, 2]
    assert frame["quantity"].isna().tolist() == (frame["transaction_id"] == "008").tolist()


def test_csv_and_parquet_give_the_same_transactions(tmp_path):
    raw = raw_frame(device=["phone", None, "phone"])
    raw.to_csv(tmp_path / "t.csv", index=False)
    raw.to_parquet(tmp_path / "t.parquet")
    raw.set_index("When").to_parquet(tmp_path / "indexed.parquet")

    names = ("t.csv", "t.parquet", "indexed.parquet")
    frames = [read_transactions(tmp_path / name, FORMAT)[0] for name in names]

    pd.testing.assert_frame_equal(frames[0], frames[1])
    pd.testing.assert_frame_equal(frames[0], frames[2])
    assert len({fingerprint(frame) for frame in frames}) == 1


@pytest.mark.promise(11)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_byte_order_mark_and_quoted_newlines(tmp_path, separator):
    row = '007,"a\nb",2024-01-02,1,0,1\n'
    text = (HEADER + row).replace(",", separator)
    frame, _ = read_transactions(written(tmp_path / "t.csv", "\ufeff" + text), FORMAT)
    assert frame["transaction_id"].tolist() == ["007"]
    assert frame["customer_id"].tolist() == ["a\nb"]


def test_ids_become_text(tmp_path):
    source = SourceFormat(COLUMNS | {"terminal_id": "Shop"})
    frame = to_transactions(
        raw_frame(Id=[1, 2, 3], Client=[12.0, 13.5, 1e15], Shop=[7.0, np.nan, 8.0]), source
    )
    assert frame["transaction_id"].tolist() == ["2", "3", "1"]
    assert frame["customer_id"].tolist() == ["13.5", "1000000000000000", "12"]
    assert frame["terminal_id"].isna().tolist() == [True, False, False]
    assert frame["terminal_id"].tolist()[1:] == ["8", "7"]

    long_ids = pd.array([2**60 + 1, None, 2**60 + 3], dtype="Int64")
    raw_frame(Shop=long_ids).to_parquet(tmp_path / "t.parquet")
    frame, _ = read_transactions(tmp_path / "t.parquet", source)
    assert frame["terminal_id"].tolist()[1:] == ["1152921504606846979", "1152921504606846977"]

    path = written(tmp_path / "t.csv", HEADER + "123456789012345678901,5,2024-01-01,1,0,1\n")
    ids = read_transactions(path, FORMAT)[0]["transaction_id"]
    assert ids.tolist() == ["123456789012345678901"]


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 1, 0], [1, 0, 0]),
        ([False, True, False], [1, 0, 0]),
        (["FALSE", "true", "False"], [1, 0, 0]),
        ([0.0, 1.0, 0.0], [1, 0, 0]),
        ([0, None, 1], [np.nan, 1, 0]),
        (["0", "", "1"], [np.nan, 1, 0]),
        (["false", " ", "True"], [np.nan, 1, 0]),
        (pd.array([False, None, True], dtype="boolean"), [np.nan, 1, 0]),
        (pd.Categorical(["0", None, "1"]), [np.nan, 1, 0]),
        ([None, " ", np.nan], None),
    ],
)
@pytest.mark.parametrize("labelled", [True, False])
def test_labels_that_are_known_are_read(labels, expected, labelled, caplog):
    frame = to_transactions(raw_frame(Class=labels), FORMAT, labelled=labelled)
    if expected is None:
        assert "is_fraud" not in frame
    else:
        np.testing.assert_array_equal(frame["is_fraud"], expected)
        assert frame["is_fraud"].dtype == ("float64" if np.isnan(expected).any() else "int8")
    pd.testing.assert_frame_equal(to_transactions(frame, FORMAT, labelled=False), frame)
    assert not caplog.records


def test_scoring_needs_no_labels():
    unlabelled = raw_frame().drop(columns="Class")
    assert "is_fraud" not in to_transactions(unlabelled, FORMAT, labelled=False)


@pytest.mark.parametrize(
    ("bad", "shown"), [(2, "2"), ("x", "'x'"), (0.5, "0.5"), (2.0**60, "1.15"), (["x"], r"\['x'\]")]
)
@pytest.mark.parametrize("labelled", [True, False])
def test_bad_labels_are_refused(bad, shown, labelled):
    raw = raw_frame(Class=pd.Series([bad, None, 0], dtype=object))
    with pytest.raises(
        DataError, match=f"is_fraud: 1 bad value: row 0 .* is {shown}.*; must be 0 or 1"
    ):
        to_transactions(raw, FORMAT, labelled=labelled)


def test_times_with_offsets_and_zones_are_converted():
    when = ["2024-10-27T02:30:00+02:00", "2024-10-27T02:30:00+01:00", "2024-10-27T02:30:00Z"]
    frame = to_transactions(raw_frame(When=when), FORMAT)
    assert frame["timestamp"].dt.hour.tolist() == [0, 1, 2]
    when = pd.Series(pd.date_range("2024-07-01", periods=3, tz="Europe/Paris", unit="ns"))
    frame = to_transactions(raw_frame(When=when), FORMAT)
    assert frame["timestamp"].iloc[0] == pd.Timestamp("2024-06-30 22:00", tz="UTC")


def test_time_format_keeps_leading_zeros(tmp_path):
    path = written(tmp_path / "t.csv", HEADER + "1,1,01022024,1,0,1\n2,1,31012024,1,0,1\n")
    frame, _ = read_transactions(path, SourceFormat(COLUMNS, time_format="%d%m%Y"))
    assert frame["timestamp"].dt.strftime("%Y-%m-%d").tolist() == ["2024-01-31", "2024-02-01"]


def test_source_without_customers_and_ids():
    source = SourceFormat(COLUMNS | {"transaction_id": None, "customer_id": None}, ("V1",))
    frame = to_transactions(raw_frame(V1=[1, None, 3]), source)
    assert "customer_id" not in frame
    assert frame["transaction_id"].tolist() == ["1", "2", "0"]  # numbered before sorting
    assert frame.columns[-1] == "V1"
    assert frame["V1"].dtype == np.float64


def test_canonical_frames_map_to_themselves():
    source = SourceFormat(
        COLUMNS | {"transaction_id": None}, time_unit="s", time_origin="2013-09-01"
    )
    frame = to_transactions(raw_frame(When=[9.0, 5.0, 7.0]), source)
    pd.testing.assert_frame_equal(to_transactions(frame, source), frame)


@pytest.mark.parametrize("kind", ["csv", "frame"])
def test_words_for_missing_are_of_any_case_and_may_be_numbers(tmp_path, kind):
    raw = raw_frame(Items=["-1", "na", "3"]) if kind == "csv" else raw_frame(Items=[-1, None, 3])
    transactions, _ = training_transactions(raw, SourceFormat(COLUMNS, missing=("-1", "NA")))
    assert transactions["quantity"].isna().sum() == 2


def test_an_unreadable_birth_date_is_not_a_missing_one():
    columns = {**COLUMNS, "customer_birth_date": "Born"}
    ages = to_transactions(raw_frame(Born=["1990-01-01", None, ""]), SourceFormat(columns))
    assert ages["customer_age"].notna().sum() == 1
    with pytest.raises(DataError, match="customer_age: 1 bad value: row 1 .* is '1.5.1990'"):
        to_transactions(raw_frame(Born=["1990-01-01", "1.5.1990", None]), SourceFormat(columns))


def test_labels_that_may_be_either_are_not_guessed():
    with pytest.raises(DataError, match=r"data\.labels_map"):
        training_transactions(raw_frame(Class=[1, 2, None]), SourceFormat(COLUMNS))


def test_input_is_not_changed():
    raw = raw_frame(Items=[-1, 2, 3])
    raw.index = [5, 5, 7]
    before = raw.copy(deep=True)
    to_transactions(raw, SourceFormat(COLUMNS, bad_values="missing"))
    pd.testing.assert_frame_equal(raw, before)


def test_unused_columns_are_the_numeric_ones_nobody_mapped(tmp_path):
    raw_frame(hour=[1, 2, 3], note="x", count=pd.array([1, None, 2], dtype="Int64")).to_parquet(
        tmp_path / "t.parquet"
    )
    assert unused_columns(read_table(tmp_path / "t.parquet"), FORMAT) == ["hour", "count"]


def test_a_missing_column_is_named_with_the_nearest_name():
    with pytest.raises(DataError) as error:
        to_transactions(raw_frame().rename(columns={"Amt": "Amnt", "Items": "N"}), FORMAT)
    message = str(error.value)
    assert "amount: no column 'Amt' in the file (did you mean 'Amnt'?)" in message
    assert "data.columns.amount=NAME_IN_THE_FILE" in message
    assert "quantity: no column 'Items'" in message
    assert "Id, Client, When, Amnt, Class, N" in message


def test_a_source_may_lack_amount_time_and_label():
    null = dict.fromkeys(("timestamp", "amount", "is_fraud"))
    frame = to_transactions(raw_frame(), SourceFormat(COLUMNS | null))
    assert frame.columns.tolist() == ["transaction_id", "customer_id", "timestamp", "quantity"]
    assert frame["transaction_id"].tolist() == ["a", "b", "c"]  # the order of the file


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("t.csv", "", "the file is empty"),
        ("t.csv", HEADER, "no rows"),
        ("t.csv", b"\0" * 100, "not text"),
        ("t.csv", HEADER + 'a,"b,2024-01-01,1,0,1\n', "cannot be read as a CSV"),
        ("t.csv", HEADER + "1,1,2024-01-01,1,0,1,9,9\n", "cannot be read as a CSV"),
        ("t.csv", HEADER + ROWS + "1,1,2024-01-01,1,0,1,9,9\n", "Expected 6 columns, got 8"),
        (
            "t.csv",
            "Amt," + HEADER + "1,7,1,2024-01-02,1,0,1\n",
            "amount: the file has more than one",
        ),
        ("t.csv.gz", gzip.compress((HEADER + ROWS * 500).encode())[:-20], "be read as a CSV"),
        ("t.parquet", "Id,Client", "cannot be read as a Parquet file"),
        ("t.jsonl", '{"Id": 1}\n[1]', "record 1 is a list, not an object"),
        ("t.xlsx", "", "must end in .csv"),
    ],
)
def test_unreadable_files(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError) as error:
        read_transactions(path, FORMAT)
    assert expected in str(error.value)
    assert str(path) in str(error.value)
    assert len(str(error.value).splitlines()) <= 2


@pytest.mark.parametrize("column", ["When", "Client", "Amt", "Items"])
def test_bytes_that_are_no_text_are_refused_by_their_column(column):
    raw = raw_frame()
    raw[column] = pd.Series([b"\xeb", *raw[column].iloc[1:]], dtype=object)
    several = {**COLUMNS, "customer_id": ["Client", "Items"], "quantity": None}
    for columns in (COLUMNS, several):
        with pytest.raises(DataError, match="1 problem in the transactions"):
            training_transactions(raw, SourceFormat(columns))


@pytest.mark.parametrize("absent", ["transaction_id", "timestamp", "amount"])
def test_a_file_of_no_rows_and_fewer_columns(tmp_path, absent):
    path = tmp_path / "t.csv"
    path.write_text(HEADER)
    with pytest.raises(DataError, match="no rows"):
        read_transactions(path, SourceFormat(COLUMNS | {absent: None}))


@pytest.mark.parametrize(
    ("path", "expected"),
    [(None, "data.path=FILE"), ("none.csv", "no such file"), ("", "no table in it")],
)
def test_no_file(tmp_path, path, expected):
    with pytest.raises(DataError, match=expected):
        read_table(path if path is None else tmp_path / path)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"columns": {"amout": "x"}}, "data.columns.amout: unknown name .did you mean 'amount'"),
        ({"columns": COLUMNS, "bad_values": "drop"}, "data.bad_values must be"),
        ({"columns": COLUMNS, "time_unit": "y"}, "data.time_unit must be"),
        ({"columns": COLUMNS, "time_format": "%H:%M"}, "has no date"),
        ({"columns": COLUMNS, "time_zone": "Berlin"}, "data.time_zone"),
        ({"columns": COLUMNS, "decimal": ";"}, "data.decimal"),
        ({"columns": COLUMNS, "labels_map": {"x": 2}}, "data.labels_map: x"),
        ({"columns": COLUMNS, "negative_amounts": "drop"}, "data.negative_amounts must be"),
        ({"columns": COLUMNS | {"amount": ["a", "b"]}}, "data.columns.amount: is one column"),
        ({"columns": COLUMNS, "time_unit": "s", "time_format": "%Y"}, "exclude each other"),
        ({"columns": COLUMNS, "time_origin": "soon"}, "data.time_origin"),
        ({"columns": COLUMNS, "extra_columns": ["Class"]}, "'Class' is used already"),
        ({"columns": COLUMNS | {"quantity": "Class"}}, "'Class' is the label"),
    ],
)
def test_impossible_formats(settings, expected):
    with pytest.raises(DataError, match=expected):
        SourceFormat(**settings)


def test_format_survives_json():
    source = SourceFormat(
        COLUMNS | {"customer_id": ["a", "b"]},
        ("V1",),
        time_unit="s",
        time_origin="2013-09-01",
        bad_values="missing",
        labels_map={"Yes": 1, "?": None},
        kinds={"device": ValueKind("text", ("na",), False)},
    )
    assert SourceFormat(**json.loads(json.dumps(asdict(source)))) == source


def test_fingerprint_sees_names_values_and_order():
    frame = to_transactions(raw_frame(device=["phone", None, "é"]), FORMAT)
    # The same in every process and on every machine.
    assert fingerprint(frame) == "b825268526e86f16"
    changed = [
        frame.iloc[::-1],
        frame.iloc[:, ::-1],
        frame.rename(columns={"quantity": "customer_age"}),
        frame.assign(amount=frame["amount"] + 1e-12),
        frame.assign(device=["phone", None, None]),
        frame.assign(timestamp=frame["timestamp"] + pd.Timedelta(1, unit="us")),
    ]
    assert len({fingerprint(other) for other in [frame, *changed]}) == 7
