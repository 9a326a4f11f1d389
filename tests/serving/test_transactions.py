"""A request's transactions are what `map_columns` makes of the same values."""

import json
import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from fraud_ae.data.columns import CANONICAL
from fraud_ae.data.format_inference import infer_format
from fraud_ae.data.input_schema import InputSchema
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import map_columns, to_transactions
from fraud_ae.serving.errors import RequestRefused
from fraud_ae.serving.online.tables import to_frame
from fraud_ae.serving.transactions import LONGEST_ID, TransactionReader, parse_json

NEWEST = datetime(2024, 6, 1, tzinfo=UTC)
SAME = {name: name for name in CANONICAL}
SHOP = {
    **SAME,
    "transaction_id": "order",
    "customer_id": "user",
    "timestamp": "when",
    "amount": "Amt",
    "terminal_id": "shop",
    "is_fraud": "chargeback",
}
FORMATS = {
    "canonical": SourceFormat(SAME),
    "own names": SourceFormat(SHOP, extra_columns=("V1",)),
    "seconds": SourceFormat(SHOP, time_unit="s", time_origin="2013-09-01"),
    "milliseconds": SourceFormat(SHOP, time_unit="ms"),
    "days first": SourceFormat(SHOP, time_format="%d/%m/%Y %H:%M"),
    "forgiving": SourceFormat(SHOP, bad_values="missing"),
}
TEXTS = (
    "a",
    "b c",
    "7.0",
    7,
    7.0,
    10**20,
    "",
    "  ",
    None,
    True,
    "Zürich",
    "\u00a0",
    "'\"",
)
IDS = ("a", "7.0", 7, 8.0, 10**18, " x ", "ö", True)
MOMENTS = (
    "2024-01-31T13:45:00Z",
    "2024-01-31 13:45:00",
    "2024-01-31",
    "2024-01-31T13:45:00.123456+02:00",
    "2024-01-31T13:45:00.123",
    "2024-01-31T13:45:00.1234567Z",
    "2024-01-31T13:45",
    "20240131T134500",
    "1900-01-01T00:00:00Z",
)
NUMBERS = (0, 1, 1.5, 0.1, 1e-300, 99.99, 1e15)
OWN_MOMENTS = {
    "seconds": (0, 1.5, 86400, 1e8, 0.0000015, 12.3456785, "77", " 8.5"),
    "milliseconds": (1706708700123, 1.7e12, 0.5, "1706708700123"),
    "days first": ("31/01/2024 13:45", "01/02/2024 00:00"),
}


@pytest.fixture(params=FORMATS)
def kind(request) -> str:
    return request.param


def format_of(kind: str) -> SourceFormat:
    """A format as training data decide it that have numbers as ids and categories."""
    source_format = FORMATS[kind]
    row = {source: "1" for name in CANONICAL for source in source_format.sources(name)}
    return infer_format(pd.DataFrame([row | {"V1": 1.0}]), source_format)


def reader_of(kind: str, newest: datetime = NEWEST) -> TransactionReader:
    source_format = format_of(kind)
    row = {
        **dict.fromkeys(CANONICAL, "1"),
        "timestamp": "2024-01-31T13:45:00Z",
        **dict.fromkeys(source_format.extra_columns, 1.0),
    }
    same = SourceFormat(SAME, extra_columns=source_format.extra_columns)
    schema = InputSchema.of(to_transactions(pd.DataFrame([row]), same), source_format, ())
    return TransactionReader(schema, source_format, newest)


def value_of(chance: random.Random, kind: str, column, by_source: bool):
    if column.type == "time":
        return chance.choice(OWN_MOMENTS.get(kind, MOMENTS) if by_source else MOMENTS)
    if column.type == "label":
        return chance.choice((0, 1, True, False, None, 1.0))
    if column.type == "text":
        return chance.choice(TEXTS if column.nullable else IDS)
    if column.name == "amount":
        return chance.choice(NUMBERS)
    if kind == "forgiving" and column.name == "customer_age":
        return chance.choice((*NUMBERS[:2], -3, 121, 1e14))
    return chance.choice((*NUMBERS, None) if column.highest is None else (0, 18, 99.5, None))


@pytest.mark.parametrize("by_source", [True, False], ids=["as in the files", "canonical"])
def test_it_is_what_map_columns_makes_of_the_same_values(kind, by_source):
    reader, chance = reader_of(kind), random.Random(f"{kind} {by_source}")
    for _ in range(20):
        rows = []
        for number in range(chance.choice((1, 1, 4))):
            row = {}
            for column in reader.columns:
                name = column.sources[0] if by_source else column.name
                row[name] = value_of(chance, kind, column, by_source)
            row[reader.columns[0].sources[0] if by_source else "transaction_id"] = f"T{number}"
            row["something else"] = {"a": [1]}
            rows.append(row)
        given = json.loads(json.dumps(rows))
        raw = pd.DataFrame({k: pd.Series([r[k] for r in rows], dtype=object) for k in rows[0]})
        expected = map_columns(raw, format_of(kind), labelled=False)
        pd.testing.assert_frame_equal(frame(reader, given), with_floats(expected), check_exact=True)


def frame(reader: TransactionReader, given: list[dict]) -> pd.DataFrame:
    """The canonical transactions of JSON values, in their order."""
    columns = reader.as_columns(reader.read(given, is_list=True))
    kinds = {column.name: column.type for column in reader.columns} | {"is_fraud": "label"}
    if all(label is None for label in columns["is_fraud"]):
        del columns["is_fraud"]
    return to_frame(columns, kinds)


def with_floats(transactions: pd.DataFrame) -> pd.DataFrame:
    """Labels are integers where each row has one."""
    if "is_fraud" not in transactions:
        return transactions
    return transactions.astype({"is_fraud": "float64"})


def transaction(**changes) -> dict:
    row = {
        **dict.fromkeys(CANONICAL, "1"),
        "timestamp": "2024-01-31T13:45:00Z",
        "amount": 1,
        "quantity": 1,
        "customer_age": 30,
        "account_age_days": 9,
        "is_fraud": 0,
        **changes,
    }
    return {name: value for name, value in row.items() if value is not ...}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"amount": ...}, "amount: is missing; give a number from 0 to 1e+15"),
        ({"amount": None}, "amount: must be a number from 0 to 1e+15, got null"),
        ({"amount": -1}, "amount: must be a number from 0 to 1e+15, got -1"),
        ({"amount": "12"}, "amount: must be a number from 0 to 1e+15, got '12'"),
        ({"amount": True}, "amount: must be a number from 0 to 1e+15, got True"),
        ({"amount": 1e300}, "amount: must be a number from 0 to 1e+15, got 1e+300"),
        ({"amount": 10**400}, "amount: must be a number from 0 to 1e+15, got 1000"),
        ({"amount": float("inf")}, "amount: must be a number from 0 to 1e+15, got inf"),
        ({"customer_age": 121}, "customer_age: must be a number from 0 to 120 or null, got 121"),
        ({"transaction_id": ""}, "transaction_id: must be text of 1 to 200 characters, got ''"),
        ({"customer_id": "x" * 201}, "customer_id: must be text of 1 to 200 characters"),
        ({"device": "x" * 1001}, "device: must be text of 1 to 1000 characters or null"),
        ({"device": {"a": 1}}, "device: must be text of 1 to 1000 characters or null"),
        ({"timestamp": 1706708700}, "timestamp: must be a time from 1900 to a day from now"),
        ({"timestamp": "yesterday"}, "timestamp: must be a time from 1900 to a day from now"),
        (
            {"timestamp": "2024-02-30T00:00:00Z"},
            "timestamp: must be a time from 1900 to a day from now",
        ),
        (
            {"timestamp": "1899-12-31T23:59:59Z"},
            "timestamp: must be a time from 1900 to a day from now",
        ),
        (
            {"timestamp": "2300-01-01T00:00:00Z"},
            "timestamp: must be a time from 1900 to a day from now",
        ),
        ({"is_fraud": 2}, "is_fraud: must be 0, 1, true or false or null, got 2"),
        ({"is_fraud": "true"}, "is_fraud: must be 0, 1, true or false or null, got 'true'"),
    ],
)
def test_what_is_wrong_is_told_with_its_field(changes, told):
    reader, (field,) = reader_of("canonical"), changes
    with pytest.raises(RequestRefused) as refused:
        reader.read([transaction(**changes)], is_list=False)
    assert refused.value.status == 422
    assert refused.value.field == field
    assert refused.value.error.startswith(told)
    with pytest.raises(RequestRefused, match=rf"^1\.{field}: ") as refused:
        reader.read([transaction(), transaction(**changes)], is_list=True)
    assert refused.value.field == f"1.{field}"


def test_a_time_ahead_of_the_clock_is_refused_unless_the_model_comes_from_there():
    now = datetime.now(UTC)
    far = (now + timedelta(days=2)).isoformat()
    with pytest.raises(
        RequestRefused, match="timestamp: must be a time from 1900 to a day from now"
    ):
        reader_of("canonical").read([transaction(timestamp=far)], is_list=False)
    near = (now + timedelta(hours=2)).isoformat()
    assert reader_of("canonical").read([transaction(timestamp=near)], is_list=False)
    reader = reader_of("canonical", newest=now + timedelta(days=300))
    assert reader.read([transaction(timestamp=far)], is_list=False)


def test_a_field_under_both_of_its_names_is_refused():
    reader = reader_of("own names")
    row = {**transaction(), "V1": 0.5, "Amt": 2}
    with pytest.raises(RequestRefused, match="amount: is there twice, also as Amt"):
        reader.read([row], is_list=False)


def test_an_unknown_optional_value_must_be_said_to_be_unknown_where_it_is_used():
    reader = reader_of("canonical")
    with pytest.raises(
        RequestRefused, match="device: is missing; give text .*, or null where it is unk"
    ):
        reader.read([transaction(device=...)], is_list=False)
    (row,) = reader.read([transaction(device=None, is_fraud=...)], is_list=False)
    assert row["device"] is None
    assert reader.as_columns([row])["is_fraud"] == [None]


@pytest.mark.parametrize("given", [None, 1, "text", [], [{}], True])
def test_what_is_no_object_is_refused(given):
    with pytest.raises(RequestRefused, match="a transaction must be an object"):
        reader_of("canonical").read([given], is_list=True)


def test_many_problems_are_told_together_and_the_rest_counted():
    with pytest.raises(
        RequestRefused, match="transaction_id: is missing.*; and 10 more"
    ) as refused:
        reader_of("canonical").read([{}], is_list=False)
    assert refused.value.field == "transaction_id"


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"[Infinity]", b'{"a": 01}', b"\xff", b"'a'"])
def test_what_is_no_json_is_told(body):
    with pytest.raises(RequestRefused, match="not JSON") as refused:
        parse_json(body)
    assert refused.value.status == 400


def test_the_longest_id_is_taken():
    (row,) = reader_of("canonical").read([transaction(customer_id="x" * LONGEST_ID)], is_list=False)
    assert len(row["customer_id"]) == LONGEST_ID


def test_the_schema_for_clients_says_what_is_needed():
    openapi_document = reader_of("own names").model.model_json_schema()
    assert "is_fraud" not in openapi_document["required"]
    assert {"transaction_id", "amount", "V1"} <= set(openapi_document["required"])
    amount = openapi_document["properties"]["amount"]
    assert (amount["minimum"], amount["maximum"]) == (0.0, 1e15)
    assert "also as Amt" in amount["description"]
    assert np.isfinite(amount["maximum"])


def test_fields_that_make_one_column_together_are_read_as_in_a_file():
    columns = {
        "transaction_id": "Id",
        "customer_id": ["User", "Card"],
        "timestamp": ["Year", "Month", "Day", "Time"],
        "amount": "Amount",
        "is_fraud": None,
    }
    row = {"Id": 7.0, "User": 24, "Card": "0|1", "Amount": 5.0}
    row |= {"Year": 2018, "Month": 3, "Day": "9", "Time": "6:21"}
    raw = pd.DataFrame([row], dtype=object)
    source_format = infer_format(raw, SourceFormat(columns))
    mapped = to_transactions(raw, source_format)
    reader = TransactionReader(InputSchema.of(mapped, source_format, ()), source_format, NEWEST)
    pd.testing.assert_frame_equal(frame(reader, [row]), mapped)
    assert mapped["customer_id"].tolist() == [r"24|0\|1"]
    with pytest.raises(RequestRefused, match="customer_id: Card missing"):
        reader.read([{key: value for key, value in row.items() if key != "Card"}], is_list=False)
    with pytest.raises(RequestRefused, match="is there twice"):
        reader.read([{**row, "customer_id": "24|0"}], is_list=False)
