"""Types and rules of the canonical columns, and the report of every value that breaks them."""

import datetime as dt
import logging

import numpy as np
import pandas as pd

from fraud_ae.data.columns import CANONICAL, CATEGORICAL, IDENTIFIERS, NUMERIC, SCENARIO
from fraud_ae.errors import DataError

TEXT = ("transaction_id", "customer_id", *CATEGORICAL, *IDENTIFIERS, SCENARIO)
MICROSECONDS = {"s": 1e6, "ms": 1e3, "us": 1.0}

_EARLIEST = pd.Timestamp("1900-01-01", tz="UTC")
_LATEST = pd.Timestamp("2200-01-01", tz="UTC")
_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
HIGHEST = {"customer_age": 120.0}
_SHOWN = 5
_RULES = {
    "transaction_id": "must not be missing",
    "customer_id": "must not be missing",
    "timestamp": (
        "must be a time between 1900 and 2200 such as 2024-01-31 13:45:00 (other formats: "
        "data.time_format, e.g. %d.%m.%Y; numbers: data.time_unit=s and data.time_origin)"
    ),
    "amount": "must be a finite number, 0 or more",
    "is_fraud": "must be 0 or 1 (or true or false)",
    "quantity": "must be a finite number, 0 or more",
    "customer_age": "must be a number from 0 to 120",
    "account_age_days": "must be a finite number, 0 or more",
}


def typed(name: str, column: pd.Series) -> pd.Series:
    """Column in the type of its canonical name; times are for `as_time`."""
    if name in TEXT:
        return as_text(column)
    return as_label(column) if name == "is_fraud" else as_number(column)


def as_text(column: pd.Series) -> pd.Series:
    """Column as `str`; whole numbers lose their ".0", blank text becomes missing."""
    column = _without_categories(column)
    if pd.api.types.is_float_dtype(column) or column.dtype == object:
        column = column.astype(object).map(_whole_number, na_action="ignore")
    text = column.astype("str")
    blank = text.str.strip() == ""
    return text.mask(blank) if blank.any() else text


def _without_categories(column: pd.Series) -> pd.Series:
    is_category = isinstance(column.dtype, pd.CategoricalDtype)
    return column.astype(object) if is_category else column


def _whole_number(value):
    is_whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if is_whole else value


def as_number(column: pd.Series) -> pd.Series:
    """Column as float64; missing stays NaN, anything that is not a number becomes infinite."""
    column = _without_categories(column)
    if pd.api.types.is_datetime64_any_dtype(column) or column.dtype.kind in "mc":
        numbers = pd.Series(np.nan, index=column.index)
    else:
        numbers = pd.to_numeric(column, errors="coerce")
    numbers = pd.Series(numbers.to_numpy("float64", na_value=np.nan), index=column.index)
    missing = column.isna() | is_missing(column)
    # Infinite, so that the rules tell an unreadable value from a missing one.
    return numbers.mask(numbers.isna() & ~missing, np.inf)


def is_missing(column: pd.Series) -> pd.Series:
    """Which values are missing or blank text: (n,) bool."""
    return column.isna() if column.dtype.kind in "biuf" else as_text(column).isna()


def as_label(column: pd.Series) -> pd.Series:
    """Column of 0/1, booleans or their text as float64; anything else becomes NaN."""
    if column.dtype.kind in "biuf":
        numbers = pd.Series(column.to_numpy("float64", na_value=np.nan), index=column.index)
        return numbers.where(numbers.isin((0, 1))).abs()
    return as_text(column).str.strip().str.lower().map(_LABELS).astype("float64")


def as_time(
    column: pd.Series,
    unit: str | None = None,
    origin: str = "1970-01-01",
    time_format: str | None = None,
) -> pd.Series:
    """Column as datetime64[us, UTC] (naive times are UTC); what cannot be read becomes NaT."""
    column = _without_categories(column)
    if pd.api.types.is_datetime64_any_dtype(column):
        times = pd.to_datetime(column, utc=True)
    elif unit is not None:
        times = _counted_time(as_number(column), unit, origin)
    elif time_format is not None:
        times = pd.to_datetime(as_text(column), format=time_format, utc=True, errors="coerce")
    else:
        # Numbers would be read as nanoseconds since 1970, whatever they count.
        texts_and_dates = column.astype(object).where(
            column.map(lambda value: isinstance(value, str | dt.date)), None
        )
        times = pd.to_datetime(texts_and_dates, format="ISO8601", utc=True, errors="coerce")
    times = times.dt.as_unit("us")
    return times.where(times.between(_EARLIEST, _LATEST))


def _counted_time(numbers: pd.Series, unit: str, origin: str) -> pd.Series:
    start = pd.to_datetime(origin, utc=True).as_unit("us")
    microseconds = (numbers * MICROSECONDS[unit]).round()
    microseconds = microseconds.where(microseconds.abs() < 1e16)  # 300 years
    return start + microseconds.astype("Int64").astype("timedelta64[us]")


def check(
    frame: pd.DataFrame, shown: dict[str, pd.Series], bad_values: str, problems: list[str]
) -> pd.DataFrame:
    """Check the typed columns, shape (n, d), and return them with repairs where allowed.

    `shown` has the values as they are in the file, by canonical name; `problems` are those that
    the mapping found. Raises DataError with all problems of both kinds.
    """
    bad_rows, duplicates = _failures(frame)
    problems = list(problems)
    row_problems = []
    for name, rows in bad_rows.items():
        is_optional = name not in _RULES or name in NUMERIC
        described = _describe(name, rows, shown, named=_transaction_names(frame, shown))
        if is_optional and bad_values == "missing":
            logging.getLogger("fraud_ae").warning("%s; treated as missing", described)
            frame = frame.assign(**{name: frame[name].mask(frame.index.isin(rows))})
        else:
            hint = "; data.bad_values=missing treats them as missing" if is_optional else ""
            row_problems.append(described + hint)
    if len(duplicates):
        row_problems.append(_describe_duplicates(frame["transaction_id"], duplicates))
    if problems or row_problems:
        raise DataError(_report(problems, row_problems))
    return frame


def _failures(frame: pd.DataFrame) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Rows that break a rule, by column, and the rows whose transaction_id is not unique."""
    import pandera.pandas as pa  # takes a second to import

    bad_rows: dict[str, np.ndarray] = {}
    duplicates = np.array([], dtype=np.int64)
    try:
        _schema(list(frame.columns)).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        for error in errors.schema_errors:
            name = error.schema.name
            rows = error.failure_cases["index"].to_numpy(np.int64)
            if error.reason_code is pa.errors.SchemaErrorReason.SERIES_CONTAINS_DUPLICATES:
                duplicates = rows
            else:
                bad_rows[name] = np.union1d(bad_rows.get(name, rows), rows)
    return bad_rows, duplicates


def _schema(names: list[str]):
    import pandera.pandas as pa

    required = {
        "transaction_id": pa.Column("str", unique=True),
        "customer_id": pa.Column("str"),
        "timestamp": pa.Column("datetime64[us, UTC]"),
        "amount": pa.Column("float64", _number_check(0.0, np.inf)),
        "is_fraud": pa.Column("float64"),
    }
    columns = {name: required[name] for name in names if name in required}
    for name in names:
        if name in NUMERIC or name not in (*CANONICAL, SCENARIO):
            lowest = 0.0 if name in NUMERIC else -np.inf
            allowed = _number_check(lowest, HIGHEST.get(name, np.inf))
            columns[name] = pa.Column("float64", allowed, nullable=True)
    return pa.DataFrameSchema(columns)


def _number_check(lowest: float, highest: float):
    import pandera.pandas as pa

    return pa.Check.in_range(
        lowest,
        highest,
        include_min=bool(np.isfinite(lowest)),
        include_max=bool(np.isfinite(highest)),
    )


def _transaction_names(frame: pd.DataFrame, shown: dict[str, pd.Series]) -> pd.Series | None:
    return frame["transaction_id"] if "transaction_id" in shown else None


def _describe(
    name: str, rows: np.ndarray, shown: dict[str, pd.Series], named: pd.Series | None
) -> str:
    values = shown[name]
    first = ", ".join(_describe_row(row, values.iloc[row], named) for row in rows[:_SHOWN])
    more = ", ..." if len(rows) > _SHOWN else ""
    noun = "bad value" if len(rows) == 1 else "bad values"
    rule = _RULES.get(name, "must be a finite number")
    if name not in TEXT and any("," in str(values.iloc[row]) for row in rows[:_SHOWN]):
        rule += ", written like 1234.50"
    return f"{name}: {len(rows)} {noun}: {first}{more}; {rule}"


def _describe_row(row: int, value, named: pd.Series | None) -> str:
    has_name = named is not None and isinstance(named.iloc[row], str)
    name = f" (transaction {short(named.iloc[row])})" if has_name else ""
    is_missing = pd.api.types.is_scalar(value) and pd.isna(value)
    if is_missing or (isinstance(value, str) and not value.strip()):
        return f"row {row}{name} is missing"
    return f"row {row}{name} is {short(repr(value) if isinstance(value, str) else str(value))}"


def _describe_duplicates(ids: pd.Series, rows: np.ndarray) -> str:
    duplicated = ids.loc[np.sort(rows)]
    groups = duplicated.groupby(duplicated, sort=False)
    described = []
    for name in duplicated.unique()[:_SHOWN]:
        where = groups.indices[name]
        first = ", ".join(str(row) for row in duplicated.index[where[:_SHOWN]])
        described.append(f"{short(name)} (rows {first}{', ...' if len(where) > _SHOWN else ''})")
    more = ", ..." if groups.ngroups > _SHOWN else ""
    noun = "id occurs" if groups.ngroups == 1 else "ids occur"
    return (
        f"transaction_id: {groups.ngroups} {noun} more than once: {', '.join(described)}{more}; "
        "must be unique (data.columns.transaction_id=null numbers the rows instead)"
    )


def short(text: object, length: int = 60) -> str:
    """Text on one line, cut to `length` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= length else line[: length - 3] + "..."


def _report(problems: list[str], row_problems: list[str]) -> str:
    count = len(problems) + len(row_problems)
    note = " (rows are counted from 0, in the file's order)" if row_problems else ""
    title = f"{count} problem{'s' if count > 1 else ''} in the transactions{note}:"
    return "\n".join([title, *(f"- {problem}" for problem in row_problems + problems)])
