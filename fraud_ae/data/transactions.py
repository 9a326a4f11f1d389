"""Transactions of any source as one canonical table: mapping, typing, checking, sorting."""

import hashlib
import json
import logging
from functools import partial

import pandas as pd

from fraud_ae.data import schema
from fraud_ae.data.columns import CANONICAL, OPTIONAL, REQUIRED, SCENARIO
from fraud_ae.data.source_format import SourceFormat, did_you_mean, listed
from fraud_ae.errors import DataError
from fraud_ae.runtime.threads import side_by_side

_LOGGER = logging.getLogger("fraud_ae")
_MAY_BE_NULL = ("transaction_id", "customer_id")


def to_transactions(
    raw: pd.DataFrame, source_format: SourceFormat, labelled: bool = True
) -> pd.DataFrame:
    """Canonical transactions as `map_columns` gives them, in stable order of time."""
    mapped = map_columns(raw, source_format, labelled)
    return mapped.sort_values("timestamp", kind="stable", ignore_index=True)


def map_columns(
    raw: pd.DataFrame, source_format: SourceFormat, labelled: bool = True
) -> pd.DataFrame:
    """Canonical transactions, shape (n, d), in the order of `raw`, which is not changed.

    Ids and categories are `str`, times datetime64[us, UTC], numbers and extras float64, is_fraud
    int8. With `labelled=False` labels may be missing: is_fraud is then float64 with NaN in the rows
    that have none, and absent if no row has one, and fraud_scenario is left out. Raises DataError
    with all problems at once.
    """
    if not isinstance(raw, pd.DataFrame):
        raise DataError(f"transactions must be a pandas frame; got a {type(raw).__name__}")
    sources, problems = _resolve(raw, source_format, labelled)
    if len(raw) == 0:
        problems.append("the table has no rows")
    shown = {name: raw[source].reset_index(drop=True) for name, source in sources.items()}
    frame = _typed(shown, source_format, len(raw))
    unlabelled = _unlabelled(shown, labelled, len(raw))
    if "is_fraud" in frame:
        # The rules allow no missing label: a row that may lack one passes with another.
        frame = frame.assign(is_fraud=frame["is_fraud"].mask(unlabelled, 0.0))
    frame = schema.check(frame, shown, source_format.bad_values, problems)
    if "is_fraud" not in frame:
        return frame
    if unlabelled.all():
        return frame.drop(columns="is_fraud")
    if unlabelled.any():
        return frame.assign(is_fraud=frame["is_fraud"].mask(unlabelled))
    return frame.astype({"is_fraud": "int8"})


def _unlabelled(shown: dict[str, pd.Series], labelled: bool, rows: int) -> pd.Series:
    """Which rows have no label and need none: (n,) bool."""
    if labelled or "is_fraud" not in shown:
        return pd.Series(False, index=range(rows))
    return schema.is_missing(shown["is_fraud"])


def _typed(shown: dict[str, pd.Series], source_format: SourceFormat, rows: int) -> pd.DataFrame:
    typed = {}
    for name in (*CANONICAL, SCENARIO, *source_format.extra_columns):
        if name == "timestamp" and name in shown:
            typed[name] = partial(_typed_times, shown[name], source_format)
        elif name in shown:
            typed[name] = partial(schema.typed, name, shown[name])
        elif name == "transaction_id" and source_format.columns.get(name, name) is None:
            typed[name] = partial(pd.Series(range(rows)).astype, "str")
    columns = dict(zip(typed, side_by_side(*typed.values(), rows=rows), strict=True))
    return pd.DataFrame(columns, index=pd.RangeIndex(rows))


def _typed_times(values: pd.Series, source_format: SourceFormat) -> pd.Series:
    if values.name != source_format.columns.get("timestamp", "timestamp"):
        # Found under its canonical name: these are times already, whatever the source has.
        return schema.as_time(values)
    unit, origin = source_format.time_unit, source_format.time_origin
    return schema.as_time(values, unit, origin, source_format.time_format)


def unused_columns(raw: pd.DataFrame, source_format: SourceFormat) -> list[str]:
    """Names of the numeric columns of `raw` that the format does not use."""
    sources, _ = _resolve(raw, source_format, labelled=False)
    used = {*sources.values(), source_format.columns.get(SCENARIO)}
    return [str(name) for name, values in raw.items() if name not in used and _is_numeric(values)]


def _is_numeric(values: pd.Series) -> bool:
    if values.dtype == object:
        return pd.api.types.infer_dtype(values) in ("integer", "decimal")
    return pd.api.types.is_numeric_dtype(values)


def fingerprint(transactions: pd.DataFrame) -> str:
    """Hash of column names and values in their order: 16 hex digits, the same everywhere."""
    digest = hashlib.sha256()
    for name in transactions.columns:
        values = pd.util.hash_pandas_object(transactions[name], index=False)
        digest.update(json.dumps(str(name)).encode())
        digest.update(values.to_numpy("<u8").tobytes())
    return digest.hexdigest()[:16]


def _resolve(
    raw: pd.DataFrame, source_format: SourceFormat, labelled: bool
) -> tuple[dict[str, str], list[str]]:
    """Column of `raw` for every canonical name and extra that it has, and what is wrong."""
    wanted = {name: source_format.columns.get(name, name) for name in REQUIRED}
    wanted |= {name: source_format.columns.get(name) for name in OPTIONAL}
    if labelled:
        wanted[SCENARIO] = source_format.columns.get(SCENARIO)  # what is scored has no answer key
    wanted |= {name: name for name in source_format.extra_columns}
    present, mapped = set(raw.columns), set(wanted.values())
    may_be_absent = (*OPTIONAL, SCENARIO)
    source_columns: dict[str, str] = {}
    problems = []
    for name, source in wanted.items():
        may_lack = name == "is_fraud" and not labelled
        if source in present:
            source_columns[name] = source
        elif source is not None and name in present and name not in mapped:
            source_columns[name] = name  # the frame is canonical already
        elif source is None and name in REQUIRED and name not in _MAY_BE_NULL and not may_lack:
            problems.append(
                f"{name}: cannot be null, every source needs it; "
                f"set data.columns.{name}=NAME_IN_THE_FILE"
            )
        elif source is not None and not may_lack and not (source == name and name in may_be_absent):
            problems.append(_not_found(name, source, raw))
    is_canonical = any(wanted[name] != source for name, source in source_columns.items())
    if wanted["transaction_id"] is None and is_canonical and "transaction_id" in present:
        source_columns["transaction_id"] = "transaction_id"
    if problems:
        problems[-1] += f"\n  The file has these columns: {listed(raw.columns)}"
    repeated = set(raw.columns[raw.columns.duplicated()])
    problems += [
        f"{name}: the file has more than one column {source!r}"
        for name, source in source_columns.items()
        if source in repeated
    ]
    return {
        name: source for name, source in source_columns.items() if source not in repeated
    }, problems


def _not_found(name: str, source: str, raw: pd.DataFrame) -> str:
    meant = did_you_mean((source, name.replace("_", " ")), raw.columns)
    if name not in (*CANONICAL, SCENARIO):
        return f"no column {source!r} in the file{meant}; see data.extra_columns"
    null = ", or =null where there is none" if name in (*_MAY_BE_NULL, *OPTIONAL, SCENARIO) else ""
    return (
        f"{name}: no column {source!r} in the file{meant}; "
        f"set data.columns.{name}=NAME_IN_THE_FILE{null}"
    )
