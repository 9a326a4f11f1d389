"""Transactions of a request: from JSON to the values that `map_columns` makes of a file's."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from math import inf
from typing import Any

import pandas as pd
from pydantic_core import from_json

from fraud_ae.data.columns import NUMERIC
from fraud_ae.data.input_schema import InputColumn, InputSchema
from fraud_ae.data.source_columns import id_text
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.values.kinds import ValueKind, missing_numbers
from fraud_ae.data.values.times import joined_time
from fraud_ae.errors import DataError
from fraud_ae.serving.errors import RequestRefused
from fraud_ae.serving.fields import Fields, Row, bounds
from fraud_ae.serving.tables import Columns
from fraud_ae.serving.timestamps import TimeReader

_CONFIRMED = InputColumn("is_fraud", ("is_fraud",), "label", ValueKind(), True, False)


def parse_json(body: bytes) -> Any:
    """The value of a JSON body. Raises RequestRefused (400) for invalid JSON, NaN and Infinity."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RequestRefused(400, f"the body is not JSON: {error}") from None


class TransactionReader:
    """Validates transactions, and outcomes of them, against the input schema of one model.

    A field may have the canonical name of a column or its name in the source files, in whose format
    timestamps are then parsed. Unknown fields are ignored.
    newest: timestamp of the newest transaction that the model was made of.
    """

    def __init__(self, schema: InputSchema, source_format: SourceFormat, newest: datetime) -> None:
        self._columns = {column.name: column for column in schema.columns}
        sources = {source: column.name for column in schema.columns for source in column.sources}
        self._names = {name: name for name in self._columns if name not in sources} | sources
        self._times = TimeReader(source_format, newest)
        self._format = source_format
        self.transaction = Fields("Transaction", schema.columns, self._times.rule)
        outcome = (self._columns["transaction_id"], _CONFIRMED)
        self.outcome = Fields("Outcome", outcome, self._times.rule)

    def read(self, values: Sequence[Any], is_list: bool) -> list[Row]:
        """Canonical rows of n JSON values: missing fields are None, times are in microseconds.

        is_list: whether the request was a list; errors then name the position in it.
        Raises RequestRefused (422) with the invalid field.
        """
        objects = list(_objects(values, is_list, "a transaction"))
        rows = [self._canonical(fields, prefix) for fields, prefix in objects]
        timed = [row for row in rows if "timestamp" in row]
        times = self._times.read([row["timestamp"] for row in timed])
        for row, us in zip(timed, times, strict=True):
            if us is not None:
                row["timestamp"] = us
        for row, (_, prefix) in zip(rows, objects, strict=True):
            if isinstance(row.get("timestamp"), tuple):
                why = self._times.clock_change(*row["timestamp"])
                if why is not None:
                    raise _refused(self._columns["timestamp"], prefix, why)
        return [
            self.transaction.validated(row, prefix)
            for row, (_, prefix) in zip(rows, objects, strict=True)
        ]

    def read_outcomes(self, values: Sequence[Any], is_list: bool) -> list[tuple[str, bool]]:
        """(transaction_id, is_fraud) of n JSON values; is_list and errors are those of `read`."""
        outcomes = [
            self.outcome.validated(fields, prefix)
            for fields, prefix in _objects(values, is_list, "an outcome")
        ]
        return [(outcome["transaction_id"], outcome["is_fraud"]) for outcome in outcomes]

    def as_columns(self, rows: Sequence[Row]) -> Columns:
        """Columns of n rows, as `HistoryStore` and `ServedModel.score` take them."""
        columns = {name: [row[name] for row in rows] for name in self._columns}
        labels = columns.get("is_fraud", [None] * len(rows))
        return columns | {"is_fraud": [None if label is None else float(label) for label in labels]}

    def _canonical(self, fields: Row, prefix: str) -> Row:
        """Values by canonical name; the timestamp as (value, whether it has its source name)."""
        given: dict[str, Row] = {}
        for key, value in fields.items():
            if key in self._names:
                given.setdefault(self._names[key], {})[key] = value
        return {
            name: self._value(self._columns[name], values, prefix) for name, values in given.items()
        }

    def _value(self, column: InputColumn, values: Row, prefix: str) -> Any:
        """The value of a column, of one field or of all sources that make it together."""
        by_source = all(key in column.sources for key in values)
        is_joined = by_source and len(column.sources) > 1
        if len(values) > 1 and not is_joined:
            sources = " and ".join(column.sources)
            raise _refused(column, prefix, f"is there twice, also as {sources}")
        if is_joined:
            return self._joined(column, values, prefix)
        (value,) = values.values()
        if column.type == "time":
            return value, by_source
        return None if column.type == "number" and self._is_missing(value, column) else value

    def _is_missing(self, value: Any, column: InputColumn) -> bool:
        """Whether the format of the source takes a number for missing."""
        if not isinstance(value, int | float):
            return False
        if value in missing_numbers(column.kind.missing):
            return True
        if column.name == "amount":
            return value < 0 and self._format.negative_amounts == "missing"
        low, high = bounds(column, inf)
        is_impossible = column.name in NUMERIC and not low <= value <= high
        return is_impossible and self._format.bad_values == "missing"

    def _joined(self, column: InputColumn, values: Row, prefix: str) -> Any:
        """What the fields of the source that make one column together stand for."""
        absent = [source for source in column.sources if source not in values]
        if absent:
            raise _refused(column, prefix, f"{', '.join(absent)} missing")
        frame = pd.DataFrame({source: [values[source]] for source in column.sources}, dtype=object)
        try:
            if column.type == "time":
                times = [frame[source] for source in column.sources]
                return joined_time(times, self._format.time_format).iloc[0], True
            text, wrong = id_text(frame, column.name, column.sources, self._format.kinds)
        except DataError as error:
            raise RequestRefused(422, f"{prefix}{error}", prefix + column.name) from None
        for why in wrong.values():
            raise _refused(column, prefix, why)
        return None if text.isna().iloc[0] else text.iloc[0]


def _objects(values: Sequence[Any], is_list: bool, what: str) -> Iterator[tuple[Row, str]]:
    """The JSON objects of a request, each with the prefix of its field names in errors."""
    for number, value in enumerate(values):
        if not isinstance(value, dict):
            raise RequestRefused(422, f"{what} must be an object", str(number) if is_list else None)
        yield value, f"{number}." if is_list else ""


def _refused(column: InputColumn, prefix: str, problem: str) -> RequestRefused:
    field = prefix + column.name
    return RequestRefused(422, f"{field}: {problem}", field)
