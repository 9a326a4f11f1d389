"""Transactions of a request: from JSON to the values that `map_columns` makes of a file's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import pandas as pd
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, create_model
from pydantic.json_schema import WithJsonSchema
from pydantic_core import from_json

from fraud_ae.data.columns import NUMERIC
from fraud_ae.data.input_schema import InputColumn, InputSchema
from fraud_ae.data.naming import short
from fraud_ae.data.source_columns import id_text
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.values.kinds import missing_numbers
from fraud_ae.data.values.times import joined_time
from fraud_ae.errors import DataError
from fraud_ae.serving.errors import RequestRefused
from fraud_ae.serving.online.tables import Columns
from fraud_ae.serving.timestamps import TimeReader

LONGEST_ID, LONGEST_TEXT = 200, 1000
# Beyond any currency; features computed from it are still finite.
LARGEST = 1e15
_IDS = ("transaction_id", "customer_id", "terminal_id")
_MOST_ERRORS = 5

Row = dict[str, Any]


def parse_json(body: bytes) -> Any:
    """The value of a JSON body. Raises RequestRefused (400) for invalid JSON, NaN and Infinity."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RequestRefused(400, f"the body is not JSON: {error}") from None


class TransactionReader:
    """Validates transactions against the input schema of one model.

    A field may have the canonical name of a column or its name in the source files, in whose format
    timestamps are then parsed. Unknown fields are ignored.
    newest: timestamp of the newest transaction that the model was made of.
    """

    def __init__(self, schema: InputSchema, source_format: SourceFormat, newest: datetime) -> None:
        self.columns = schema.columns
        self._columns = {column.name: column for column in schema.columns}
        sources = {source: column.name for column in schema.columns for source in column.sources}
        self._names = {name: name for name in self._columns if name not in sources} | sources
        self._times = TimeReader(source_format, newest)
        self._format = source_format
        fields: dict[str, Any] = {
            column.name: (self._type(column), ... if column.needed else None)
            for column in schema.columns
        }
        self.model: type[BaseModel] = create_model("Transaction", **fields)

    def read(self, values: Sequence[Any], is_list: bool) -> list[Row]:
        """Canonical rows of n JSON values: missing fields are None, times are in microseconds.

        is_list: whether the request was a list; errors then name the position in it.
        Raises RequestRefused (422) with the invalid field.
        """
        prefixes = [f"{number}." if is_list else "" for number in range(len(values))]
        rows = [
            self._canonical_names(value, prefix)
            for value, prefix in zip(values, prefixes, strict=True)
        ]
        originals = [row.get("timestamp") for row in rows]
        for by_source in {by_source for _, by_source in filter(None, originals)}:
            indices = [i for i, time in enumerate(originals) if time and time[1] == by_source]
            times = self._times.read([originals[i][0] for i in indices], by_source)
            for index, us in zip(indices, times, strict=True):
                rows[index]["timestamp"] = us
        return [
            self._validated(row, original and original[0], prefix)
            for row, original, prefix in zip(rows, originals, prefixes, strict=True)
        ]

    def as_columns(self, rows: Sequence[Row]) -> Columns:
        """Columns of n rows, as `HistoryStore` and `OnlineDetector.score_columns` take them."""
        columns = {name: [row[name] for row in rows] for name in self._columns}
        labels = columns.get("is_fraud", [None] * len(rows))
        return columns | {"is_fraud": [None if label is None else float(label) for label in labels]}

    def _canonical_names(self, fields: Any, prefix: str) -> Row:
        """Fields by canonical name; the timestamp as (value, whether it has its source name)."""
        if not isinstance(fields, dict):
            raise RequestRefused(422, "a transaction must be an object", prefix.rstrip(".") or None)
        row: Row = {}
        parts: dict[str, Row] = {}
        for key, value in fields.items():
            name = self._names.get(key)
            if name is None:
                continue
            column = self._columns[name]
            if len(column.sources) > 1 and key in column.sources:
                parts.setdefault(name, {})[key] = value
                continue
            if name in row:
                raise _repeated(column, prefix)
            if column.type == "time":
                value = (value, key in column.sources)
            elif column.type == "number" and self._is_missing(value, column):
                value = None
            row[name] = value
        for name, values in parts.items():
            if name in row:
                raise _repeated(self._columns[name], prefix)
            row[name] = self._joined(self._columns[name], values, prefix)
        return row

    def _is_missing(self, value: Any, column: InputColumn) -> bool:
        """Whether a number is one that the format of the source takes for missing."""
        if isinstance(value, int | float) and value in missing_numbers(column.kind.missing):
            return True
        if column.name == "amount":
            is_negative = isinstance(value, int | float) and value < 0
            return is_negative and self._format.negative_amounts == "missing"
        bad_is_missing = self._format.bad_values == "missing"
        return bad_is_missing and column.name in NUMERIC and _is_impossible(value, column)

    def _joined(self, column: InputColumn, values: Row, prefix: str) -> Any:
        """What the fields of the source that make one column together stand for."""
        absent = [source for source in column.sources if source not in values]
        if absent:
            message = f"{prefix}{column.name}: {', '.join(absent)} missing"
            raise RequestRefused(422, message, prefix + column.name)
        frame = pd.DataFrame({source: [values[source]] for source in column.sources}, dtype=object)
        try:
            if column.type == "time":
                times = [frame[source] for source in column.sources]
                return joined_time(times, self._format.time_format).iloc[0], True
            text, wrong = id_text(frame, column.name, column.sources, self._format.kinds)
        except DataError as error:
            raise RequestRefused(422, f"{prefix}{error}", prefix + column.name) from None
        for why in wrong.values():
            raise RequestRefused(422, f"{prefix}{column.name}: {why}", prefix + column.name)
        return None if text.isna().iloc[0] else text.iloc[0]

    def _validated(self, row: Row, original: Any, prefix: str) -> Row:
        """The row with converted values. original: the timestamp as the client sent it."""
        try:
            return self.model.__pydantic_validator__.validate_python(row).__dict__
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False)
        names = list(dict.fromkeys(str(problem["loc"][0]) for problem in problems))
        missing = {p["loc"][0] for p in problems if p["type"] == "missing"}
        messages = []
        for name in names[:_MOST_ERRORS]:
            column = self._columns[name]
            if name in missing:
                null = ", or null where it is unknown" if column.nullable else ""
                messages.append(f"{prefix}{name}: is missing; give {self._rule(column)}{null}")
                continue
            value = original if column.type == "time" else row[name]
            null = " or null" if column.nullable else ""
            messages.append(
                f"{prefix}{name}: must be {self._rule(column)}{null}, got {_quoted(value)}"
            )
        more = f"; and {len(names) - _MOST_ERRORS} more" if len(names) > _MOST_ERRORS else ""
        raise RequestRefused(422, "; ".join(messages) + more, prefix + names[0])

    def _rule(self, column: InputColumn) -> str:
        if column.type == "text":
            return f"text of 1 to {_longest(column)} characters"
        if column.type == "label":
            return "0, 1, true or false"
        if column.type == "time":
            alternative = f", or {' and '.join(column.sources)} {self._times.rule}"
            is_source = column.sources == (column.name,)
            main = self._times.rule if is_source else f"as 2024-01-31T13:45:00Z{alternative}"
            return f"a time from 1900 to a day from now, {main}"
        low, high = _bounds(column)
        return f"a number from {low:g} to {high:g}"

    def _type(self, column: InputColumn) -> Any:
        """The pydantic type of a column, with its JSON schema for the API documentation."""
        before = []
        if column.type == "text":
            kind: Any = Annotated[str, Field(strict=True, max_length=_longest(column))]
            schemas = [{"type": "string", "maxLength": _longest(column)}, {"type": "number"}]
            before = [BeforeValidator(column.kind.text)]
        elif column.type == "number":
            low, high = _bounds(column)
            kind = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=low, le=high)]
            schemas = [{"type": "number", "minimum": low, "maximum": high}]
        elif column.type == "time":
            kind = Annotated[int, Field(strict=True)]
            schemas = [{"type": "string", "format": "date-time"}]
        else:
            kind = Annotated[bool, Field(strict=True)]
            schemas = [{"type": "boolean"}, {"type": "integer", "enum": [0, 1]}]
            before = [BeforeValidator(as_label)]
        if column.nullable:
            kind, schemas = kind | None, [*schemas, {"type": "null"}]
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        rule = self._rule(column)
        is_source = column.sources == (column.name,)
        alias = "" if is_source else f"; also as {' and '.join(column.sources)}"
        json_schema = {**schema, "description": f"{rule[0].upper()}{rule[1:]}{alias}."}
        return Annotated[kind, *before, WithJsonSchema(json_schema)]


def _repeated(column: InputColumn, prefix: str) -> RequestRefused:
    message = f"{prefix}{column.name}: is there twice, also as {' and '.join(column.sources)}"
    return RequestRefused(422, message, prefix + column.name)


def as_label(value: Any) -> Any:
    """0 and 1 as a bool."""
    is_number = isinstance(value, int | float)
    return bool(value) if is_number and value in (0, 1) else value


def _is_impossible(value: Any, column: InputColumn) -> bool:
    if not isinstance(value, int | float):
        return False
    low, high = column.lowest, column.highest
    return (low is not None and value < low) or (high is not None and value > high)


def _bounds(column: InputColumn) -> tuple[float, float]:
    low = -LARGEST if column.lowest is None else column.lowest
    return low, LARGEST if column.highest is None else column.highest


def _longest(column: InputColumn) -> int:
    return LONGEST_ID if column.name in _IDS else LONGEST_TEXT


def _quoted(value: Any) -> str:
    return short(repr(value) if isinstance(value, str) else "null" if value is None else str(value))
