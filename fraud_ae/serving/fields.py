"""The fields of an object in a request: their types, and their rules in words."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, create_model
from pydantic.json_schema import WithJsonSchema

from fraud_ae.data.input_schema import InputColumn
from fraud_ae.data.naming import short
from fraud_ae.serving.errors import RequestRefused

LONGEST_ID, LONGEST_TEXT = 200, 1000
# Beyond any currency; features computed from it are still finite.
LARGEST = 1e15
_IDS = ("transaction_id", "customer_id", "terminal_id")
_MOST_ERRORS = 5

Row = dict[str, Any]


class Fields:
    """The fields that an object must have, one per column.

    name: of the pydantic model. source_time: how the source's files write times, in words. model:
    for the API documentation.
    """

    def __init__(self, name: str, columns: Iterable[InputColumn], source_time: str) -> None:
        self._columns = {column.name: column for column in columns}
        self._source_time = source_time
        fields: dict[str, Any] = {
            name: (self._type(column), ... if column.needed else None)
            for name, column in self._columns.items()
        }
        self.model: type[BaseModel] = create_model(name, **fields)

    def validated(self, row: Row, prefix: str) -> Row:
        """The row with converted values; missing ones are None.

        row: column -> value; a timestamp in microseconds, or as a tuple that begins with what could
        not be parsed. prefix: of the field names in errors. Raises RequestRefused (422) with the
        invalid field.
        """
        try:
            return self.model.__pydantic_validator__.validate_python(row).__dict__
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False)
        names = list(dict.fromkeys(str(problem["loc"][0]) for problem in problems))
        messages = []
        for name in names[:_MOST_ERRORS]:
            column, rule = self._columns[name], self._rule(self._columns[name])
            if name not in row:
                null = ", or null where it is unknown" if column.nullable else ""
                messages.append(f"{prefix}{name}: is missing; give {rule}{null}")
            else:
                value = row[name][0] if column.type == "time" else row[name]
                null = " or null" if column.nullable else ""
                messages.append(f"{prefix}{name}: must be {rule}{null}, got {_quoted(value)}")
        more = f"; and {len(names) - _MOST_ERRORS} more" if len(names) > _MOST_ERRORS else ""
        raise RequestRefused(422, "; ".join(messages) + more, prefix + names[0])

    def _rule(self, column: InputColumn) -> str:
        if column.type == "text":
            return f"text of 1 to {_longest(column)} characters"
        if column.type == "label":
            return "0, 1, true or false"
        if column.type == "time":
            rule = self._source_time
            if column.sources != (column.name,):
                rule = f"as 2024-01-31T13:45:00Z, or {' and '.join(column.sources)} {rule}"
            return f"a time from 1900 to a day from now, {rule}"
        low, high = bounds(column)
        return f"a number from {low:g} to {high:g}"

    def _type(self, column: InputColumn) -> Any:
        """The pydantic type of a column, with its JSON schema for the API documentation."""
        before = []
        if column.type == "text":
            kind: Any = Annotated[str, Field(strict=True, max_length=_longest(column))]
            schemas = [{"type": "string", "maxLength": _longest(column)}, {"type": "number"}]
            before = [BeforeValidator(column.kind.text)]
        elif column.type == "number":
            low, high = bounds(column)
            kind = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=low, le=high)]
            schemas = [{"type": "number", "minimum": low, "maximum": high}]
        elif column.type == "time":
            kind = Annotated[int, Field(strict=True)]
            schemas = [{"type": "string", "format": "date-time"}]
        else:
            kind = Annotated[bool, Field(strict=True)]
            schemas = [{"type": "boolean"}, {"type": "integer", "enum": [0, 1]}]
            before = [BeforeValidator(_as_label)]
        if column.nullable:
            kind, schemas = kind | None, [*schemas, {"type": "null"}]
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        rule, sources = self._rule(column), " and ".join(column.sources)
        alias = "" if column.sources == (column.name,) else f"; also as {sources}"
        json_schema = {**schema, "description": f"{rule[0].upper()}{rule[1:]}{alias}."}
        return Annotated[kind, *before, WithJsonSchema(json_schema)]


def bounds(column: InputColumn, largest: float = LARGEST) -> tuple[float, float]:
    """The lowest and the highest value of a number, by default not beyond LARGEST."""
    low = -largest if column.lowest is None else column.lowest
    return low, largest if column.highest is None else column.highest


def _as_label(value: Any) -> Any:
    """0 and 1 as a bool."""
    is_number = isinstance(value, int | float)
    return bool(value) if is_number and value in (0, 1) else value


def _longest(column: InputColumn) -> int:
    return LONGEST_ID if column.name in _IDS else LONGEST_TEXT


def _quoted(value: Any) -> str:
    return short(repr(value) if isinstance(value, str) else "null" if value is None else str(value))
