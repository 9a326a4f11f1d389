"""Rules of the canonical columns, and the report of every value that breaks them."""

import logging

import numpy as np
import pandas as pd

from fraud_ae.data.columns import CANONICAL, NUMERIC, SCENARIO
from fraud_ae.data.naming import short
from fraud_ae.data.source_columns import TEXT
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.values.kinds import Wrong
from fraud_ae.errors import DataError

HIGHEST = {"customer_age": 120.0}
_SHOWN = 5
_RULES = {
    "transaction_id": "must not be missing",
    "customer_id": "must not be missing",
    "timestamp": (
        "must be a time between 1900 and 2200 such as 2024-01-31 13:45:00 (other formats: "
        "data.time_format, e.g. %d.%m.%Y; numbers: data.time_unit=s and data.time_origin)"
    ),
    "amount": "must be a finite number",
    "is_fraud": "must be 0 or 1; other words: 'data.labels_map={Fraud: 1, OK: 0, Unknown: null}'",
    "quantity": "must be a finite number, 0 or more",
    "customer_age": "must be a number from 0 to 120",
    "account_age_days": "must be a finite number, 0 or more",
}


def check(
    frame: pd.DataFrame,
    shown: dict[str, pd.Series],
    source_format: SourceFormat,
    problems: list[str],
    refused: dict[str, Wrong],
) -> pd.DataFrame:
    """Check the typed columns, shape (n, d), and return them with repairs where allowed.

    shown: the values as they are in the file, by canonical name. problems: what the mapping found.
    refused: what is wrong with some values, by canonical name and row. Rows that are the same in
    all of their columns stay. Raises DataError with all problems of all kinds.
    """
    frame = _without_negative_amounts(frame, source_format)
    bad_rows, duplicates = _failures(frame, source_format)
    names = frame["transaction_id"] if "transaction_id" in shown else None
    problems, row_problems = list(problems), []
    for name, reasons in refused.items():
        for reason in dict.fromkeys(reasons.values()):
            rows = np.array([row for row in sorted(reasons) if reasons[row] == reason])
            row_problems.append(_describe(name, rows, shown, names, reason))
            bad_rows[name] = np.setdiff1d(bad_rows.get(name, rows), rows)
    for name, rows in bad_rows.items():
        if not len(rows):
            continue
        is_optional = name not in _RULES or name in (*NUMERIC, "amount")
        described = _describe(name, rows, shown, names, _rule(name, rows, shown, source_format))
        if is_optional and source_format.bad_values == "missing":
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


def _without_negative_amounts(frame: pd.DataFrame, source_format: SourceFormat) -> pd.DataFrame:
    if source_format.negative_amounts != "missing" or "amount" not in frame:
        return frame
    return frame.assign(amount=frame["amount"].mask(frame["amount"] < 0))


def _failures(
    frame: pd.DataFrame, source_format: SourceFormat
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Rows that break a rule, by column, and rows of one transaction_id that are not the same."""
    import pandera.pandas as pa  # takes a second to import

    bad_rows: dict[str, np.ndarray] = {}
    duplicates = np.array([], dtype=np.int64)
    try:
        _schema(list(frame.columns), source_format).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        for error in errors.schema_errors:
            name = error.schema.name
            rows = error.failure_cases["index"].to_numpy(np.int64)
            if error.reason_code is pa.errors.SchemaErrorReason.SERIES_CONTAINS_DUPLICATES:
                duplicates = _conflicting(frame, rows)
            else:
                bad_rows[name] = np.union1d(bad_rows.get(name, rows), rows)
    return bad_rows, duplicates


def _conflicting(frame: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """Those of the rows, whose ids repeat, that have other values than the first of their id."""
    ids = frame["transaction_id"].loc[rows]
    distinct = ids[~frame.loc[rows].duplicated()]
    return rows[ids.isin(distinct[distinct.duplicated()]).to_numpy()]


def _schema(names: list[str], source_format: SourceFormat):
    import pandera.pandas as pa

    lowest = 0.0 if source_format.negative_amounts == "refuse" else -np.inf
    may_lack = source_format.negative_amounts == "missing"
    columns = {
        "transaction_id": pa.Column("str", unique=True),
        "customer_id": pa.Column("str"),
        "timestamp": pa.Column("datetime64[us, UTC]"),
        "amount": pa.Column("float64", _number_check(lowest, np.inf), nullable=may_lack),
        "is_fraud": pa.Column("float64", pa.Check.isin((0.0, 1.0)), nullable=True),
    }
    columns = {name: column for name, column in columns.items() if name in names}
    texts = (*TEXT, *source_format.extra_categories)
    for name in (name for name in names if name not in (*columns, *texts)):
        allowed = _number_check(0.0 if name in NUMERIC else -np.inf, HIGHEST.get(name, np.inf))
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


def _rule(
    name: str, rows: np.ndarray, shown: dict[str, pd.Series], source_format: SourceFormat
) -> str:
    rule = _RULES.get(name, "must be a finite number")
    if name == "amount" and source_format.negative_amounts == "refuse":
        rule += ", 0 or more (data.negative_amounts=refund or missing takes others)"
    is_number = name in ("amount", *NUMERIC) or name not in (*CANONICAL, SCENARIO)
    example = "1234,50" if source_format.decimal == "," else "1234.50"
    other = "." if source_format.decimal == "," else ","
    if is_number and any(other in str(shown[name].iloc[row]) for row in rows[:_SHOWN]):
        rule += f", written like {example} (data.decimal)"
    return rule


def _describe(
    name: str, rows: np.ndarray, shown: dict[str, pd.Series], named: pd.Series | None, rule: str
) -> str:
    values = shown.get(name, pd.Series(dtype=object))
    if not len(values):
        return f"{name}: {rule}"
    first = ", ".join(_describe_row(row, values.iloc[row], named) for row in rows[:_SHOWN])
    more = ", ..." if len(rows) > _SHOWN else ""
    noun = "bad value" if len(rows) == 1 else "bad values"
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
        f"transaction_id: {groups.ngroups} {noun} more than once, with other values: "
        f"{', '.join(described)}{more}; must be unique (data.columns.transaction_id=null numbers "
        "the rows instead)"
    )


def _report(problems: list[str], row_problems: list[str]) -> str:
    count = len(problems) + len(row_problems)
    note = " (rows are counted from 0, in the file's order)" if row_problems else ""
    title = f"{count} problem{'s' if count > 1 else ''} in the transactions{note}:"
    return "\n".join([title, *(f"- {problem}" for problem in row_problems + problems)])
