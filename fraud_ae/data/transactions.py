"""Transactions of any source as one canonical table: mapping, typing, checking, sorting."""

import hashlib
import json
import logging
from dataclasses import replace
from functools import partial
from typing import Self

import numpy as np
import pandas as pd

from fraud_ae.data import schema
from fraud_ae.data.columns import BIRTH_DATE, CANONICAL, SCENARIO
from fraud_ae.data.format_inference import infer_format
from fraud_ae.data.source_columns import TEXT, Sources, id_text, resolve
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.values.kinds import (
    MISSING_WORDS,
    ValueKind,
    Wrong,
    canonical_text,
    missing_words,
)
from fraud_ae.data.values.labels import as_label
from fraud_ae.data.values.local_times import clock_changes
from fraud_ae.data.values.numbers import are_numbers, as_number
from fraud_ae.data.values.times import as_time, joined_time, present, with_offsets
from fraud_ae.errors import DataError
from fraud_ae.runtime.threads import side_by_side

_LOGGER = logging.getLogger("fraud_ae")
# Where there are no times, a row is a minute later than the one before.
_ROW = pd.Timedelta(minutes=1)
_DAYS_OF_A_YEAR = 365.2425
_BIRTH_DATES = ValueKind("time", missing_words(MISSING_WORDS))


def training_transactions(
    raw: pd.DataFrame, source_format: SourceFormat
) -> tuple[pd.DataFrame, SourceFormat]:
    """Canonical transactions of training data, in order of time, and the format as they decide it.

    Rows without an id are numbered in order of time, so that no order of files counts.
    Raises DataError with all problems at once.
    """
    _check_table(raw)
    inferred = infer_format(raw, source_format)
    mapped = map_columns(raw, inferred)
    AheadOfClock().add(mapped).tell()
    mapped = without_repeats(mapped)
    if not inferred.sources("timestamp"):
        inferred = replace(inferred, rows_before=len(raw))
    transactions = in_order(mapped, inferred)
    if "transaction_id" not in resolve(raw, inferred, labelled=True)[0]:
        transactions = transactions.assign(transaction_id=_numbers(len(transactions)))
    return transactions, inferred


def to_transactions(
    raw: pd.DataFrame, source_format: SourceFormat, labelled: bool = True
) -> pd.DataFrame:
    """Canonical transactions of a table, each once, in order of time, see `in_order`."""
    mapped = map_columns(raw, source_format, labelled)
    AheadOfClock().add(mapped).tell()
    return in_order(without_repeats(mapped), source_format)


class AheadOfClock:
    """Counts the times of a table, part by part, that lie ahead of the clock of this machine."""

    def __init__(self) -> None:
        self._rows = self._ahead = 0
        self._first: tuple[int, pd.Timestamp] | None = None

    def add(self, transactions: pd.DataFrame) -> Self:
        """Count those of the next canonical transactions, in the order of their table."""
        ahead = np.flatnonzero((transactions["timestamp"] > present()).to_numpy())
        if len(ahead) and self._first is None:
            row = int(ahead[0])
            self._first = self._rows + row, transactions["timestamp"].iloc[row]
        self._rows, self._ahead = self._rows + len(transactions), self._ahead + len(ahead)
        return self

    def tell(self, name: str = "timestamp") -> None:
        """One line where there are some: planned and simulated transactions are taken as they are.

        name: of the table.
        """
        if self._first is None:
            return
        row, moment = self._first
        _LOGGER.warning(
            "%s: %s of %s times lie more than a day ahead of the clock of this machine, the first "
            "in row %d: %s; they are taken as they are",
            name,
            f"{self._ahead:,}",
            f"{self._rows:,}",
            row,
            f"{moment:%Y-%m-%d %H:%M:%S}",
        )


def without_repeats(transactions: pd.DataFrame) -> pd.DataFrame:
    """Canonical transactions without rows that repeat another of their id; a line says how many.

    transactions: of `map_columns`, so that rows of one id have the same values.
    """
    repeated = transactions["transaction_id"].duplicated()
    if not repeated.any():
        return transactions
    _LOGGER.warning(
        "%s %s a transaction that is there already, with the same values, and %s not counted again",
        f"{repeated.sum():,}",
        *(("row repeats", "is") if repeated.sum() == 1 else ("rows repeat", "are")),
    )
    return transactions[~repeated].reset_index(drop=True)


def in_order(transactions: pd.DataFrame, source_format: SourceFormat) -> pd.DataFrame:
    """Transactions in order of time, those of one instant in an order that no file decides."""
    times = transactions["timestamp"]
    if times.is_monotonic_increasing and times.is_unique:
        return transactions
    order = time_order(transactions, source_format)
    return transactions.iloc[order].reset_index(drop=True)


def time_order(transactions: pd.DataFrame, source_format: SourceFormat) -> np.ndarray:
    """The positions of canonical transactions in the order of `in_order`: (n,) int."""
    times = transactions["timestamp"].astype("int64").to_numpy()
    return np.lexsort((tie_order(transactions, source_format), times))


def tie_order(transactions: pd.DataFrame, source_format: SourceFormat) -> np.ndarray:
    """What transactions of one instant are ordered by, whatever file they come from: (n,) uint64.

    A hash of the id, or of all values where ids are only the numbers of rows.
    """
    if source_format.sources("transaction_id"):
        values = transactions["transaction_id"]
    else:
        values = transactions.drop(columns=["transaction_id", "is_fraud"], errors="ignore")
    return pd.util.hash_pandas_object(values, index=False).to_numpy()


def map_columns(
    raw: pd.DataFrame, source_format: SourceFormat, labelled: bool = True
) -> pd.DataFrame:
    """Canonical transactions, shape (n, d), in the order of `raw`, which is not changed.

    Ids and categories are `str`, times datetime64[us, UTC], numbers and extras float64, is_fraud
    int8, or float64 with NaN where some rows are not labelled, and absent where none is. Rows that
    repeat another of the same id and values stay, see `without_repeats`. With
    `labelled=False` the column of labels may be missing, and fraud_scenario is left out. Raises
    DataError with all problems at once.
    """
    _check_table(raw)
    sources, problems = resolve(raw, source_format, labelled)
    if len(raw) == 0:
        problems.append("the table has no rows")
    frame, refused = _typed(raw, sources, source_format)
    shown = {name: _shown(raw, columns) for name, columns in sources.items()}
    if BIRTH_DATE in shown:
        shown["customer_age"] = shown[BIRTH_DATE]
    unlabelled = frame["is_fraud"].isna() if "is_fraud" in frame else pd.Series(dtype=bool)
    frame = schema.check(frame, shown, source_format, problems, refused)
    if "is_fraud" not in frame:
        return frame
    if unlabelled.all():
        return frame.drop(columns="is_fraud")
    return frame if unlabelled.any() else frame.astype({"is_fraud": "int8"})


def _check_table(raw: object) -> None:
    if not isinstance(raw, pd.DataFrame):
        raise DataError(f"transactions must be a pandas frame; got a {type(raw).__name__}")


def _shown(raw: pd.DataFrame, columns: tuple[str, ...]) -> pd.Series:
    """The values of a column as the file has them, for messages."""
    if len(columns) == 1:
        return raw[columns[0]].reset_index(drop=True)
    parts = [raw[column].map(str).reset_index(drop=True) for column in columns]
    return parts[0].str.cat(parts[1:], sep=" ")


def _typed(
    raw: pd.DataFrame, sources: Sources, source_format: SourceFormat
) -> tuple[pd.DataFrame, dict[str, Wrong]]:
    """Every column in the type of its canonical name, and what has no certain value in it."""
    raw = raw.reset_index(drop=True)
    rows = len(raw)
    texts = (*TEXT, *source_format.extra_categories)
    extras = (*source_format.extra_columns, *source_format.extra_categories)
    names = [name for name in (*CANONICAL, SCENARIO, *extras) if name in sources]
    jobs = [
        partial(_column, raw, name, sources[name], source_format, name in texts) for name in names
    ]
    columns, refused = {}, {}
    for name, (values, wrong) in zip(names, side_by_side(*jobs, rows=rows), strict=True):
        columns[name] = values
        refused[name] = wrong
    if not source_format.sources("transaction_id") and "transaction_id" not in columns:
        columns["transaction_id"] = _numbers(rows)
    if not source_format.sources("timestamp") and "timestamp" not in columns:
        columns["timestamp"] = _row_times(rows, source_format)
    if BIRTH_DATE in sources and "timestamp" in columns:
        columns["customer_age"] = _ages(columns["timestamp"], raw[sources[BIRTH_DATE][0]])
    order = [name for name in (*CANONICAL, SCENARIO, *extras) if name in columns]
    return pd.DataFrame({name: columns[name] for name in order}, index=pd.RangeIndex(rows)), refused


def _numbers(rows: int) -> pd.Series:
    """Ids of rows that have none: (rows,) `str`."""
    return pd.Series(range(rows)).astype("str")


def _ages(times: pd.Series, birth_dates: pd.Series) -> pd.Series:
    """Ages in years at some times: NaN where no date is given, infinite where it is none."""
    born = as_time(birth_dates)
    given = canonical_text(birth_dates, _BIRTH_DATES)[0].notna()
    ages = (times - born) / pd.Timedelta(days=_DAYS_OF_A_YEAR)
    return ages.mask(born.isna() & given, np.inf)


def _column(
    raw: pd.DataFrame,
    name: str,
    columns: tuple[str, ...],
    source_format: SourceFormat,
    is_text: bool,
) -> tuple[pd.Series, Wrong]:
    if is_text:
        return id_text(raw, name, columns, source_format.kinds)
    if name == "timestamp":
        return _times(raw, columns, source_format)
    values = raw[columns[0]]
    if name == "is_fraud":
        return as_label(values, source_format.labels_map), {}
    kind = source_format.kinds.get(name)
    missing = MISSING_WORDS if kind is None else frozenset(kind.missing)
    return as_number(values, source_format.decimal or ".", missing), {}


def _times(
    raw: pd.DataFrame, columns: tuple[str, ...], source_format: SourceFormat
) -> tuple[pd.Series, Wrong]:
    mixed = _mixed_offsets(raw, columns, source_format)
    if columns != source_format.sources("timestamp"):
        # Found under its canonical name: these are times already, whatever the source has.
        return as_time(raw[columns[0]]), mixed
    if len(columns) > 1:
        values = joined_time([raw[column] for column in columns], source_format.time_format)
    else:
        values = raw[columns[0]]
    times = source_times(values, source_format)
    twice, wrong = local_times(values, times, source_format)
    if twice.any() and source_format.ambiguous_times != "refuse":
        row = int(np.flatnonzero(twice)[0])
        _LOGGER.warning(
            "%s: %d of the times lie in an hour that the clocks of %s showed twice, the first in "
            "row %d: %s; each is read as the %s one (data.ambiguous_times)",
            ", ".join(columns),
            twice.sum(),
            source_format.time_zone,
            row,
            values.iloc[row],
            source_format.ambiguous_times,
        )
    return times, mixed | wrong


def local_times(
    values: pd.Series, times: pd.Series, source_format: SourceFormat
) -> tuple[np.ndarray, Wrong]:
    """As `clock_changes`, of values of a source and what `source_times` makes of them."""
    zone, rule = source_format.time_zone, source_format.ambiguous_times
    if zone is None:
        return np.zeros(len(values), dtype=bool), {}

    def read(some: pd.Series, zone: str | None, rule: str) -> pd.Series:
        return source_times(some, replace(source_format, time_zone=zone, ambiguous_times=rule))

    return clock_changes(values, times, read, zone, rule)


def _mixed_offsets(
    raw: pd.DataFrame, columns: tuple[str, ...], source_format: SourceFormat
) -> Wrong:
    """What is wrong with times of which some have an offset and others have not: the rarer ones."""
    is_given = source_format.time_zone or source_format.time_unit or source_format.time_format
    if is_given or len(columns) > 1:
        return {}
    has_time, has_offset = with_offsets(raw[columns[0]])
    given, lacking = np.flatnonzero(has_time & has_offset), np.flatnonzero(has_time & ~has_offset)
    if not len(given) or not len(lacking):
        return {}
    other = "has no offset from UTC, and others have one"
    if len(given) < len(lacking):
        other = "has an offset from UTC, and others have none"
    reason = f"{other}; data.time_zone=ZONE (such as UTC) says what times without one are"
    return dict.fromkeys(min(given, lacking, key=len).tolist(), reason)


def source_times(values: pd.Series, source_format: SourceFormat) -> pd.Series:
    """Times of a source, (n,), as datetime64[us, UTC]; what cannot be read becomes NaT."""
    return as_time(
        values,
        source_format.time_unit,
        source_format.time_origin,
        source_format.time_format,
        source_format.time_zone,
        source_format.ambiguous_times,
    )


def _row_times(rows: int, source_format: SourceFormat) -> pd.Series:
    """Without times: training rows one after the other, all that is scored later after them.

    So no score depends on the order of a file.
    """
    start = pd.Timestamp(source_format.time_origin, tz="UTC").as_unit("us")
    if source_format.rows_before:
        times = [start + source_format.rows_before * _ROW] * rows
    else:
        times = start + np.arange(rows) * _ROW
    # Of no rows, too.
    return pd.Series(times, dtype="datetime64[us, UTC]")


def unused_columns(raw: pd.DataFrame, source_format: SourceFormat) -> list[str]:
    """Names of the numeric columns of `raw` that the format does not use."""
    sources, _ = resolve(raw, source_format, labelled=True)
    used = {column for columns in sources.values() for column in columns}
    return [str(name) for name in raw.columns if name not in used and are_numbers(raw[name])]


def fingerprint(transactions: pd.DataFrame) -> str:
    """Hash of column names and values in their order: 16 hex digits, the same everywhere."""
    digest = hashlib.sha256()
    for name in transactions.columns:
        values = pd.util.hash_pandas_object(transactions[name], index=False)
        digest.update(json.dumps(str(name)).encode())
        digest.update(values.to_numpy("<u8").tobytes())
    return digest.hexdigest()[:16]
