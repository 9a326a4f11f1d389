"""Transactions of a request: from JSON to what `map_columns` makes of the same values."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, create_model
from pydantic.json_schema import WithJsonSchema
from pydantic_core import from_json

from fraud_ae.data.columns import NUMERIC
from fraud_ae.data.input_schema import InputColumn, InputSchema
from fraud_ae.data.schema import short
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.serving.online.tables import Columns
from fraud_ae.serving.refusals import Refused
from fraud_ae.serving.timestamps import TimeReader

LONGEST_ID, LONGEST_TEXT = 200, 1000
# Beyond any currency; what features are made of it is still finite.
LARGEST = 1e15
_IDS = ("transaction_id", "customer_id", "terminal_id")
_TOLD = 5

Row = dict[str, Any]


def parsed(body: bytes) -> Any:
    """What a JSON body says. Raises Refused, 400, where it is no JSON; NaN and Infinity are not."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Refused(400, f"the body is not JSON: {error}") from None


class TransactionReader:
    """Reads the transactions that one model takes.

    A column is found under its canonical name, or under the one that it has in the files that the
    model was made of, whose times are read as there. Fields that are no column are ignored.
    newest: time of the newest transaction of these.
    """

    def __init__(self, schema: InputSchema, source_format: SourceFormat, newest: datetime) -> None:
        self.columns = schema.columns
        self._columns = {column.name: column for column in schema.columns}
        sources = {column.source: column.name for column in schema.columns}
        self._names = {name: name for name in self._columns if name not in sources} | sources
        self._times = TimeReader(source_format, newest)
        self._forgives = source_format.bad_values == "missing"
        fields: dict[str, Any] = {
            column.name: (self._type(column), ... if column.needed else None)
            for column in schema.columns
        }
        self.model: type[BaseModel] = create_model("Transaction", **fields)

    def read(self, given: Sequence[Any], listed: bool) -> list[Row]:
        """Canonical values by name of n JSON values, missing ones None, times in microseconds.

        listed: whether they came as a list, so that fields are told with their place.
        Raises Refused, 422, with the field that is wrong.
        """
        places = [f"{number}." if listed else "" for number in range(len(given))]
        rows = [self._renamed(one, place) for one, place in zip(given, places, strict=True)]
        shown = [row.get("timestamp") for row in rows]
        for by_source in {by_source for _, by_source in filter(None, shown)}:
            of = [n for n, time in enumerate(shown) if time is not None and time[1] == by_source]
            times = self._times.read([shown[n][0] for n in of], by_source)
            for n, us in zip(of, times, strict=True):
                rows[n]["timestamp"] = us
        return [
            self._checked(row, time and time[0], place)
            for row, time, place in zip(rows, shown, places, strict=True)
        ]

    def as_columns(self, rows: Sequence[Row]) -> Columns:
        """n transactions, in the form in which they are kept."""
        columns = {name: [row[name] for row in rows] for name in self._columns}
        labels = columns.get("is_fraud", [None] * len(rows))
        return columns | {"is_fraud": [None if one is None else float(one) for one in labels]}

    def _renamed(self, given: Any, place: str) -> Row:
        """Values by canonical name; of the time, also whether it has the name of the source."""
        if not isinstance(given, dict):
            raise Refused(422, "a transaction must be an object", place.rstrip(".") or None)
        row: Row = {}
        for key, value in given.items():
            name = self._names.get(key)
            if name is None:
                continue
            column = self._columns[name]
            if name in row:
                told = f"{place}{name}: is there twice, also as {column.source}"
                raise Refused(422, told, place + name)
            if column.kind == "time":
                value = (value, key == column.source)
            elif self._forgives and name in NUMERIC and _is_impossible(value, column):
                value = None
            row[name] = value
        return row

    def _checked(self, row: Row, time: Any, place: str) -> Row:
        """time: as it was given."""
        try:
            return self.model.__pydantic_validator__.validate_python(row).__dict__
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False)
        names = list(dict.fromkeys(str(problem["loc"][0]) for problem in problems))
        absent = {p["loc"][0] for p in problems if p["type"] == "missing"}
        told = []
        for name in names[:_TOLD]:
            column = self._columns[name]
            if name in absent:
                null = ", or null where it is unknown" if column.nullable else ""
                told.append(f"{place}{name}: is missing; give {self._rule(column)}{null}")
                continue
            value = time if column.kind == "time" else row[name]
            null = " or null" if column.nullable else ""
            told.append(f"{place}{name}: must be {self._rule(column)}{null}, got {_shown(value)}")
        more = f"; and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
        raise Refused(422, "; ".join(told) + more, place + names[0])

    def _rule(self, column: InputColumn) -> str:
        if column.kind == "text":
            return f"text of 1 to {_longest(column)} characters"
        if column.kind == "label":
            return "0, 1, true or false"
        if column.kind == "time":
            own = f", or {column.source} {self._times.rule}" if column.source != column.name else ""
            how = self._times.rule if column.source == column.name else "as 2024-01-31T13:45:00Z"
            return f"a time from 1900 to a day from now, {how}{own}"
        low, high = _bounds(column)
        return f"a number from {low:g} to {high:g}"

    def _type(self, column: InputColumn) -> Any:
        """The type of a field of the model, with how it is described to clients."""
        before = []
        if column.kind == "text":
            kind: Any = Annotated[str, Field(strict=True, max_length=_longest(column))]
            shapes = [{"type": "string", "maxLength": _longest(column)}, {"type": "number"}]
            before = [BeforeValidator(as_text)]
        elif column.kind == "number":
            low, high = _bounds(column)
            kind = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=low, le=high)]
            shapes = [{"type": "number", "minimum": low, "maximum": high}]
        elif column.kind == "time":
            kind = Annotated[int, Field(strict=True)]
            shapes = [{"type": "string", "format": "date-time"}]
        else:
            kind = Annotated[bool, Field(strict=True)]
            shapes = [{"type": "boolean"}, {"type": "integer", "enum": [0, 1]}]
            before = [BeforeValidator(as_label)]
        if column.nullable:
            kind, shapes = kind | None, [*shapes, {"type": "null"}]
        shape = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
        told = self._rule(column)
        known_as = "" if column.source == column.name else f"; also as {column.source}"
        described = {**shape, "description": f"{told[0].upper()}{told[1:]}{known_as}."}
        return Annotated[kind, *before, WithJsonSchema(described)]


def as_text(value: Any) -> Any:
    """An id or a category as `fraud_ae.data.schema.as_text` has it; blank text is None."""
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, float) and np.isfinite(value):
        return str(int(value)) if value.is_integer() else str(value)
    return str(value) if isinstance(value, int) else value


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


def _shown(value: Any) -> str:
    return short(repr(value) if isinstance(value, str) else "null" if value is None else str(value))
