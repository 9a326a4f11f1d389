"""A request's transactions are what `map_columns` makes of the same values."""

import itertools
import json
import random
from datetime import UTC, datetime, timedelta
from functools import cache

import pandas as pd
import pytest

from fraud_ae.data.columns import CANONICAL
from fraud_ae.data.format_inference import infer_format
from fraud_ae.data.input_schema import InputSchema
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.transactions import map_columns, to_transactions
from fraud_ae.serving.errors import RequestRefused
from fraud_ae.serving.tables import to_frame
from fraud_ae.serving.transactions import TransactionReader

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
    "shop": SourceFormat(SHOP, extra_columns=("V1",)),
    "seconds": SourceFormat(SHOP, time_unit="s", time_origin="2013-09-01"),
    "milliseconds": SourceFormat(SHOP, time_unit="ms"),
    "days first": SourceFormat(SHOP, time_format="%d/%m/%Y %H:%M"),
    "forgiving": SourceFormat(SHOP, bad_values="missing"),
}
TEXTS = ("a", "b c", "7.0", 7, 7.0, 10**20, "", "  ", None, True, "Zürich", "\u00a0", "'\"")
IDS = ("a", "7.0", 7, 8.0, 10**18, " x ", "ö", True)
# A table has times with offsets or times without.
WITH_OFFSET = (
    "2024-01-31T13:45:00Z",
    "2024-01-31T13:45:00.123456+02:00",
    "2024-01-31T13:45:00.1234567Z",
    "1900-01-01T00:00:00Z",
)
WITHOUT_OFFSET = (
    "2024-01-31 13:45:00",
    "2024-01-31",
    "2024-01-31T13:45:00.123",
    "2024-01-31T13:45",
    "20240131T134500",
)
NUMBERS = (0, 1, 1.5, 0.1, 1e-300, 99.99, 1e15)
SOURCE_MOMENTS = {
    "seconds": (0, 1.5, 86400, 1e8, 0.0000015, 12.3456785, "77", " 8.5"),
    "milliseconds": (1706708700123, 1.7e12, 0.5, "1706708700123"),
    "days first": ("31/01/2024 13:45", "01/02/2024 00:00"),
}


@cache
def format_of(kind: str) -> SourceFormat:
    """A format as training data decide it that have numbers as ids and categories."""
    source_format = FORMATS[kind]
    row = {source: "1" for name in CANONICAL for source in source_format.sources(name)}
    return infer_format(pd.DataFrame([row | {"V1": 1.0}]), source_format)


@cache
def schema_of(kind: str) -> InputSchema:
    source_format = format_of(kind)
    extras = source_format.extra_columns
    row = dict.fromkeys(CANONICAL, "1") | {"timestamp": WITH_OFFSET[0]} | dict.fromkeys(extras, 1.0)
    transactions = to_transactions(pd.DataFrame([row]), SourceFormat(SAME, extra_columns=extras))
    return InputSchema.of(transactions, source_format, ())


@cache
def reader_of(kind: str, newest: datetime = NEWEST) -> TransactionReader:
    return TransactionReader(schema_of(kind), format_of(kind), newest)


def value_of(chance: random.Random, kind: str, column, by_source: bool, moments: tuple):
    if column.type == "time":
        return chance.choice(SOURCE_MOMENTS.get(kind, moments) if by_source else moments)
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
@pytest.mark.parametrize("kind", FORMATS)
def test_it_is_what_map_columns_makes_of_the_same_values(kind, by_source):
    schema, chance = schema_of(kind), random.Random(f"{kind} {by_source}")
    for size, moments in itertools.product((1, 30), (WITH_OFFSET, WITHOUT_OFFSET)):
        rows = []
        for number in range(size):
            row = {"something else": {"a": [1]}}
            for column in schema.columns:
                name = column.sources[0] if by_source else column.name
                row[name] = value_of(chance, kind, column, by_source, moments)
            row[schema.columns[0].sources[0] if by_source else "transaction_id"] = f"T{number}"
            rows.append(row)
        given = json.loads(json.dumps(rows))
        raw = pd.DataFrame({k: pd.Series([r[k] for r in rows], dtype=object) for k in rows[0]})
        expected = map_columns(raw, format_of(kind), labelled=False)
        if "is_fraud" in expected:  # integers where each row has one
            expected = expected.astype({"is_fraud": "float64"})
        found = frame(reader_of(kind), schema, given)
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


def frame(reader: TransactionReader, schema: InputSchema, given: list[dict]) -> pd.DataFrame:
    """The canonical transactions of JSON values, in their order."""
    columns = reader.as_columns(reader.read(given, is_list=True))
    kinds = {column.name: column.type for column in schema.columns} | {"is_fraud": "label"}
    if all(label is None for label in columns["is_fraud"]):
        del columns["is_fraud"]
    return to_frame(columns, kinds)


def transaction(**changes) -> dict:
    numbers = {"amount": 1, "quantity": 1, "customer_age": 30, "account_age_days": 9, "is_fraud": 0}
    row = dict.fromkeys(CANONICAL, "1") | {"timestamp": WITH_OFFSET[0]} | numbers | changes
    return {name: value for name, value in row.items() if value is not ...}


def refused(field: str, reader: TransactionReader | None = None, **changes) -> str:
    """The error of a transaction, and that it is the same in a list, but for the place."""
    reader = reader or reader_of("canonical")
    with pytest.raises(RequestRefused) as alone:
        reader.read([transaction(**changes)], is_list=False)
    with pytest.raises(RequestRefused) as listed:
        reader.read([transaction(), transaction(**changes)], is_list=True)
    error = alone.value.error
    assert (alone.value.status, alone.value.field) == (422, field)
    assert (listed.value.error[:1000], listed.value.field) == (f"1.{error}"[:1000], f"1.{field}")
    assert "\n" not in error
    assert len(error) < 2000
    return error


AMOUNT, TIME = "a number from 0 to 1e+15", "a time from 1900 to a day from now, as 2024-01-31T13:45"


@pytest.mark.parametrize(
    ("field", "rule", "values"),
    [
        ("transaction_id", "text of 1 to 200 characters, got", ["", "   ", None, ["a"], {"a": 1}]),
        ("customer_id", "text of 1 to 200 characters, got", [None, "x" * 201, 10**4000]),
        ("device", "text of 1 to 1000 characters or null, got", ["x" * 1001, [], {"a": 1}]),
        ("amount", f"{AMOUNT}, got", [None, -0.01, "12", True, [1], 1e16, 10**4000, float("inf")]),
        ("quantity", f"{AMOUNT} or null, got", [-1, "1"]),
        ("customer_age", "a number from 0 to 120 or null, got", [121, 1e9]),
        (
            "timestamp",
            TIME,
            [
                *(None, "", 0, -1e300, 1706708700, "yesterday", "2300-01-01T00:00:00Z"),
                *("2024-02-30T00:00:00Z", "1899-12-31T23:59:59Z", "2024-13-45T99:99:99Z"),
                *("0000-00-00T00:00:00Z", "2024-01-01T00:00:00+99:99", "99999-01-01"),
                *("９９９９-01-01T00:00:00Z", [2024, 1, 1]),
            ],
        ),
        ("is_fraud", "0, 1, true or false or null, got", [2, "true", []]),
    ],
)
def test_a_wrong_value_is_refused_with_its_field_and_rule(field, rule, values):
    for value in values:
        assert refused(field, **{field: value}).startswith(f"{field}: must be {rule}"), value


def test_other_things_that_are_wrong():
    assert refused("amount", amount=...) == f"amount: is missing; give {AMOUNT}"
    assert refused("device", device=...).endswith(", or null where it is unknown")
    shop = reader_of("shop")
    with pytest.raises(RequestRefused, match="amount: is there twice, also as Amt"):
        shop.read([{**transaction(), "V1": 0.5, "Amt": 2}], is_list=False)
    several = "transaction_id: is missing.*; and 10 more"
    with pytest.raises(RequestRefused, match=several) as many:
        reader_of("canonical").read([{}], is_list=False)
    assert many.value.field == "transaction_id"
    for value in (None, 1, "text", [], [{}], True):
        with pytest.raises(RequestRefused, match="a transaction must be an object") as none:
            reader_of("canonical").read([transaction(), value], is_list=True)
        assert none.value.field == "1"


def test_what_may_be_unknown():
    row = transaction(device=None, is_fraud=..., customer_id="x" * 200)
    (read,) = reader_of("canonical").read([row], is_list=False)
    assert read["device"] is None
    assert reader_of("canonical").as_columns([read])["is_fraud"] == [None]


def test_a_time_ahead_of_the_clock_is_refused_unless_the_model_comes_from_there():
    now = datetime.now(UTC)
    far, near = ((now + timedelta(hours=hours)).isoformat() for hours in (48, 2))
    assert refused("timestamp", timestamp=far).startswith(f"timestamp: must be {TIME}")
    assert reader_of("canonical").read([transaction(timestamp=near)], is_list=False)
    reader = reader_of("canonical", newest=now + timedelta(days=300))
    assert reader.read([transaction(timestamp=far)], is_list=False)


def test_the_schema_for_clients_says_what_is_needed():
    document = reader_of("shop").transaction.model.model_json_schema()
    assert "is_fraud" not in document["required"]
    assert {"transaction_id", "amount", "V1"} <= set(document["required"])
    amount = document["properties"]["amount"]
    assert (amount["minimum"], amount["maximum"]) == (0.0, 1e15)
    assert "also as Amt" in amount["description"]


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
    schema = InputSchema.of(mapped, source_format, ())
    reader = TransactionReader(schema, source_format, NEWEST)
    pd.testing.assert_frame_equal(frame(reader, schema, [row]), mapped)
    assert mapped["customer_id"].tolist() == [r"24|0\|1"]
    with pytest.raises(RequestRefused, match="customer_id: Card missing"):
        reader.read([{key: value for key, value in row.items() if key != "Card"}], is_list=False)
    with pytest.raises(RequestRefused, match="is there twice"):
        reader.read([{**row, "customer_id": "24|0"}], is_list=False)


def test_an_outcome_has_the_id_that_its_transaction_has():
    raw = pd.DataFrame({**transaction(), "transaction_id": [7, 8], "customer_id": "1"})
    source_format = infer_format(raw, SourceFormat(SAME))
    schema = InputSchema.of(to_transactions(raw, source_format), source_format, ())
    reader = TransactionReader(schema, source_format, NEWEST)
    for written in ("007", "7", 7, 7.0):
        (row,) = reader.read([transaction(transaction_id=written)], is_list=False)
        outcome = {"transaction_id": written, "is_fraud": 1}
        assert reader.read_outcomes([outcome], is_list=False) == [(row["transaction_id"], True)]
