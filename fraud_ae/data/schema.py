"""Rules of the canonical columns, and the report of every value that breaks them."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from fraud_ae.data.columns import CANONICAL, NUMERIC, SCENARIO
from fraud_ae.data.naming import short
from fraud_ae.data.source_columns import TEXT
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.values.kinds import Wrong
from fraud_ae.errors import DataError

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
    refused: what is wrong with some values, by canonical name and row. Raises DataError with all
    problems of all kinds.
    """
    if source_format.negative_amounts == "missing" and "amount" in frame:
        frame = frame.assign(amount=frame["amount"].mask(frame["amount"] < 0))
    ids = frame["transaction_id"] if "transaction_id" in shown else None
    row_problems = []
    for name, reasons in refused.items():
        for reason in dict.fromkeys(reasons.values()):
            rows = [row for row in sorted(reasons) if reasons[row] == reason]
            row_problems.append(_describe(name, rows, shown[name], ids, reason))
    for name in frame:
        bad = _breaks_rule(frame[name], source_format)
        rows = np.setdiff1d(np.flatnonzero(bad), list(refused.get(name, ())))
        if not len(rows):
            continue
        is_optional = name not in _RULES or name in (*NUMERIC, "amount")
        rule = _rule(name, shown[name].iloc[rows[:_SHOWN]], source_format)
        described = _describe(name, rows, shown[name], ids, rule)
        if is_optional and source_format.bad_values == "missing":
            logging.getLogger("fraud_ae").warning("%s; treated as missing", described)
            frame = frame.assign(**{name: frame[name].mask(bad)})
        else:
            hint = "; data.bad_values=missing treats them as missing" if is_optional else ""
            row_problems.append(described + hint)
    if ids is not None and len(repeated := ids[ids.duplicated(keep=False) & ids.notna()]):
        row_problems.append(_describe_duplicates(repeated))
    if problems or row_problems:
        raise DataError(_report(problems, row_problems))
    return frame


def bounds(name: str, source_format: SourceFormat) -> tuple[float | None, float | None]:
    """The least and the greatest number of a column, None where there is no bound."""
    if name == "amount":
        return (None if source_format.negative_amounts in ("refund", None) else 0.0), None
    return (0.0 if name in CANONICAL else None), (120.0 if name == "customer_age" else None)


def _breaks_rule(values: pd.Series, source_format: SourceFormat) -> np.ndarray:
    """Which values of a canonical column, (n,), break its rule: (n,) bool."""
    name = values.name
    missing = values.isna().to_numpy()
    if name in ("transaction_id", "customer_id", "timestamp"):
        return missing
    if name in (*TEXT, *source_format.extra_categories):
        return np.zeros(len(values), dtype=bool)
    if name == "is_fraud":
        return ~missing & ~values.isin((0.0, 1.0)).to_numpy()
    low, high = bounds(name, source_format)
    allowed = np.isfinite(values.to_numpy())
    if low is not None:
        allowed &= values.to_numpy() >= low
    if high is not None:
        allowed &= values.to_numpy() <= high
    may_lack = name != "amount" or source_format.negative_amounts == "missing"
    return ~allowed & ~(missing & may_lack)


def _rule(name: str, examples: pd.Series, source_format: SourceFormat) -> str:
    rule = _RULES.get(name, "must be a finite number")
    if name == "amount" and source_format.negative_amounts == "refuse":
        rule += ", 0 or more (data.negative_amounts=refund or missing takes others)"
    is_number = name in ("amount", *NUMERIC) or name not in (*CANONICAL, SCENARIO)
    example = "1234,50" if source_format.decimal == "," else "1234.50"
    other = "." if source_format.decimal == "," else ","
    if is_number and any(other in str(value) for value in examples):
        rule += f", written like {example} (data.decimal)"
    return rule


def _describe(
    name: str, rows: Sequence[int], shown: pd.Series, ids: pd.Series | None, rule: str
) -> str:
    first = ", ".join(_describe_row(row, shown.iloc[row], ids) for row in rows[:_SHOWN])
    more = ", ..." if len(rows) > _SHOWN else ""
    noun = "bad value" if len(rows) == 1 else "bad values"
    return f"{name}: {len(rows)} {noun}: {first}{more}; {rule}"


def _describe_row(row: int, value, ids: pd.Series | None) -> str:
    has_id = ids is not None and isinstance(ids.iloc[row], str)
    transaction = f" (transaction {short(ids.iloc[row])})" if has_id else ""
    is_missing = pd.api.types.is_scalar(value) and pd.isna(value)
    if is_missing or (isinstance(value, str) and not value.strip()):
        return f"row {row}{transaction} is missing"
    value = short(repr(value) if isinstance(value, str) else str(value))
    return f"row {row}{transaction} is {value}"


def _describe_duplicates(duplicated: pd.Series) -> str:
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


def _report(problems: list[str], row_problems: list[str]) -> str:
    count = len(problems) + len(row_problems)
    note = " (rows are counted from 0, in the file's order)" if row_problems else ""
    title = f"{count} problem{'s' if count > 1 else ''} in the transactions{note}:"
    return "\n".join([title, *(f"- {problem}" for problem in row_problems + problems)])
