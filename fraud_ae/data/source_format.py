"""How the columns of a source become canonical ones."""

import difflib
from dataclasses import dataclass

import pandas as pd

from fraud_ae.data import schema
from fraud_ae.data.columns import CANONICAL, SCENARIO
from fraud_ae.errors import DataError

_NAMES = (*CANONICAL, SCENARIO)


@dataclass(frozen=True)
class SourceFormat:
    """How the columns of a source become canonical ones; plain data, saved with a model.

    `columns`: canonical name -> column of the file, None where the source has none. `time_unit`
    ("s", "ms" or "us") is for times that are numbers counted from `time_origin`, `time_format`
    (strptime) for other text than ISO 8601. `bad_values`: "error", or "missing" to treat
    impossible values of optional columns as missing. Raises DataError for impossible settings.
    """

    columns: dict[str, str | None]
    extra_columns: tuple[str, ...] = ()
    time_unit: str | None = None
    time_origin: str = "1970-01-01"
    time_format: str | None = None
    bad_values: str = "error"

    def __post_init__(self):
        # Formats that come back from JSON or a configuration have other containers.
        object.__setattr__(self, "columns", dict(self.columns))
        object.__setattr__(self, "extra_columns", tuple(self.extra_columns))
        problems = _format_problems(self)
        if problems:
            raise DataError("\n".join(problems))


def did_you_mean(names: tuple[str, ...], candidates) -> str:
    lowered = {str(candidate).lower(): str(candidate) for candidate in candidates}
    for name in names:
        similar = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
        if len(name) > 2:
            similar += [candidate for candidate in lowered if name.lower() in candidate]
        if similar:
            return f" (did you mean {lowered[similar[0]]!r}?)"
    return ""


def listed(names, most: int = 40) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(schema.short(name) for name in names[:most]) + more


def _format_problems(source_format: SourceFormat) -> list[str]:
    columns, extras = source_format.columns, source_format.extra_columns
    problems = [
        f"data.columns.{name}: unknown name{did_you_mean((name,), _NAMES)}; "
        f"known are {listed(_NAMES)}"
        for name in columns
        if name not in _NAMES
    ]
    label = columns.get("is_fraud", "is_fraud")
    if label and list(columns.values()).count(label) > 1:
        problems.append(f"data.columns: {label!r} is the label and cannot be another column too")
    taken = {*_NAMES, *columns.values()}
    problems += [
        f"data.extra_columns: {name!r} is used already"
        for name in dict.fromkeys(extras)
        if name in taken or extras.count(name) > 1
    ]
    if source_format.bad_values not in ("error", "missing"):
        problems.append(
            f"data.bad_values must be error or missing; got {source_format.bad_values!r}"
        )
    if source_format.time_unit not in (None, *schema.MICROSECONDS):
        problems.append(
            f"data.time_unit must be {', '.join(schema.MICROSECONDS)} or null; "
            f"got {source_format.time_unit!r}"
        )
    if source_format.time_unit and source_format.time_format:
        problems.append("data.time_unit and data.time_format exclude each other")
    try:
        pd.Timestamp(source_format.time_origin)
    except (TypeError, ValueError):
        problems.append(f"data.time_origin: {source_format.time_origin!r} is not a date")
    return problems
