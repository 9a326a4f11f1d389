"""How the columns of a source become canonical ones."""

from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from fraud_ae.data.columns import BIRTH_DATE, CANONICAL, SCENARIO
from fraud_ae.data.naming import did_you_mean, listed
from fraud_ae.data.values.kinds import ValueKind
from fraud_ae.data.values.times import UNITS, has_date
from fraud_ae.errors import DataError

_NAMES = (*CANONICAL, BIRTH_DATE, SCENARIO)
# A time and an id may be made of several columns.
_SEVERAL = ("transaction_id", "customer_id", "terminal_id", "timestamp")
CHOICES = {
    "bad_values": ("error", "missing"),
    "negative_amounts": ("refund", "missing", "refuse", None),
    "ambiguous_times": ("earlier", "later", "refuse"),
}


@dataclass(frozen=True)
class SourceFormat:
    """How the columns of a source become canonical ones; plain data, saved with a model.

    columns: canonical name -> column of the file, several of them for ids and times, None where the
    source has none. extra_columns, extra_categories: further numbers and texts, by name, as a range
    `FIRST:LAST` in the order of the file, or with * and ?. time_unit: one of `UNITS`, for times
    that are numbers counted from `time_origin`; time_format (strptime): for text that is not ISO
    8601; time_zone: of times that have none. bad_values: "missing" treats impossible values of
    optional columns as missing. negative_amounts: what they are; `refund`
    where the training data have some. labels_map: what the values of the
    label mean, 1, 0 or None for not labelled. decimal: what stands before the decimals. missing:
    words that stand for a missing value, in text too. separator, encoding, header: of a CSV.
    kinds: of the values of each column, by `infer_format`; empty before. rows_before: of
    the training data, where time is the order of their rows.
    Raises DataError for impossible settings.
    """

    columns: dict[str, str | tuple[str, ...] | None]
    extra_columns: tuple[str, ...] = ()
    extra_categories: tuple[str, ...] = ()
    time_unit: str | None = None
    time_origin: str = "1970-01-01"
    time_format: str | None = None
    time_zone: str | None = None
    ambiguous_times: str = "earlier"
    bad_values: str = "error"
    negative_amounts: str | None = None
    labels_map: dict[str, float | None] | None = None
    decimal: str | None = None
    missing: tuple[str, ...] | None = None
    separator: str | None = None
    encoding: str | None = None
    header: tuple[str, ...] | None = None
    kinds: dict[str, ValueKind] = field(default_factory=dict)
    rows_before: int = 0

    def __post_init__(self):
        # Formats that come back from JSON or a configuration have other containers.
        plain = {
            "columns": {name: _plain(source) for name, source in dict(self.columns).items()},
            "extra_columns": tuple(self.extra_columns),
            "extra_categories": tuple(self.extra_categories),
            "missing": None if self.missing is None else tuple(map(str, self.missing)),
            "header": None if self.header is None else tuple(map(str, self.header)),
            "kinds": {
                name: kind if isinstance(kind, ValueKind) else ValueKind(**kind)
                for name, kind in dict(self.kinds).items()
            },
        }
        if self.labels_map is not None:
            plain["labels_map"] = {str(k): value for k, value in dict(self.labels_map).items()}
        for name, value in plain.items():
            object.__setattr__(self, name, value)
        problems = _format_problems(self)
        if problems:
            raise DataError("\n".join(problems))

    def sources(self, name: str) -> tuple[str, ...]:
        """The columns of the file that a canonical one is made of; none where it is null."""
        source = self.columns.get(name, name)
        return () if source is None else source if isinstance(source, tuple) else (source,)


def _plain(source: Any) -> str | tuple[str, ...] | None:
    if source is None or isinstance(source, str):
        return source
    names = tuple(map(str, source))
    return names[0] if len(names) == 1 else names or None


def _format_problems(source_format: SourceFormat) -> list[str]:
    columns = source_format.columns
    problems = [
        f"data.columns.{name}: unknown name{did_you_mean((name,), _NAMES)}; "
        f"known are {listed(_NAMES)}"
        for name in columns
        if name not in _NAMES
    ]
    problems += [
        f"data.columns.{name}: is one column; several make a time or an id"
        for name, source in columns.items()
        if isinstance(source, tuple) and name not in _SEVERAL
    ]
    label = columns.get("is_fraud", "is_fraud")
    used = [source for name in columns for source in source_format.sources(name)]
    if label and used.count(label) > 1:
        problems.append(f"data.columns: {label!r} is the label and cannot be another column too")
    if columns.get(BIRTH_DATE) and columns.get("customer_age"):
        problems.append("data.columns: customer_age and customer_birth_date exclude each other")
    seen = {*_NAMES, *used}
    for setting in ("extra_columns", "extra_categories"):
        names = getattr(source_format, setting)
        problems += [
            f"data.{setting}: {name!r} is used already"
            for name in dict.fromkeys(names)
            if name in seen or names.count(name) > 1
        ]
        seen |= set(names)
    problems += [
        f"data.{name} must be {', '.join(map(str, choices[:-1]))} or {choices[-1]}; "
        f"got {getattr(source_format, name)!r}"
        for name, choices in CHOICES.items()
        if getattr(source_format, name) not in choices
    ]
    if source_format.decimal not in (None, ".", ","):
        problems.append(f"data.decimal must be a point or a comma; got {source_format.decimal!r}")
    for word, meaning in (source_format.labels_map or {}).items():
        if meaning not in (None, 0, 1):
            problems.append(f"data.labels_map: {word} must be 1, 0 or null; got {meaning!r}")
    return problems + _time_problems(source_format)


def _time_problems(source_format: SourceFormat) -> list[str]:
    problems = []
    if source_format.time_unit not in (None, *UNITS):
        problems.append(
            f"data.time_unit must be {', '.join(UNITS)} or null; got {source_format.time_unit!r}"
        )
    if source_format.time_unit and source_format.time_format:
        problems.append("data.time_unit and data.time_format exclude each other")
    if source_format.time_format and not has_date(source_format.time_format):
        problems.append(
            f"data.time_format={source_format.time_format!r} has no date, so that all days would "
            "be one; where the date stands in other columns, name them all: "
            "'data.columns.timestamp=[Year,Month,Day,Time]'"
        )
    try:
        pd.Timestamp(source_format.time_origin)
    except (TypeError, ValueError):
        problems.append(f"data.time_origin: {source_format.time_origin!r} is not a date")
    try:
        ZoneInfo(source_format.time_zone or "UTC")
    except (ValueError, OSError, KeyError):
        problems.append(
            f"data.time_zone: {source_format.time_zone!r} is no time zone such as Europe/Berlin"
        )
    return problems
