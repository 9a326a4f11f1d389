"""Outcomes that became known after their transactions were written down: id -> fraud or not."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd

from fraud_ae.data import schema
from fraud_ae.data.reading import read_table
from fraud_ae.data.source_format import SourceFormat, listed
from fraud_ae.errors import DataError

log = logging.getLogger("fraud_ae")

_SQLITE = b"SQLite format 3\0"
_QUERY = "SELECT transaction_id, is_fraud FROM labels ORDER BY labelled_at"


def read_labels(path: str | Path) -> pd.Series:
    """Outcomes by transaction: (n,) float64 of 0 and 1, under unique ids as text.

    path: a CSV (also gzipped) or Parquet file with the columns transaction_id and is_fraud, or the
    SQLite file of a service, with a table `labels` of these and `labelled_at`. Of several labels
    of a transaction the one of the last `labelled_at` counts.
    Raises DataError for a file that cannot be read, labels that are neither 0 nor 1, and several
    labels of a transaction that differ and have no `labelled_at`.
    """
    path = Path(path)
    table = _read_sqlite(path) if _is_sqlite(path) else _read_file(path)
    absent = [name for name in ("transaction_id", "is_fraud") if name not in table]
    if absent:
        raise DataError(
            f"{path}: data.labels needs the columns transaction_id and is_fraud; there is no "
            f"{' and no '.join(absent)} (the file has: {listed(table.columns)})"
        )
    ids = schema.typed("transaction_id", table["transaction_id"])
    labels = schema.typed("is_fraud", table["is_fraud"])
    wrong = table["is_fraud"][labels.isna()]
    if len(wrong) or ids.isna().any():
        shown = listed(map(repr, wrong.head(5)))
        what = f"is_fraud must be 0 or 1, and is {shown}" if len(wrong) else "an id is missing"
        raise DataError(f"{path}: {what}")
    outcomes = pd.Series(labels.to_numpy(), index=ids.to_numpy())
    if "labelled_at" not in table:
        _check_one_each(outcomes, path)
    return outcomes[~outcomes.index.duplicated(keep="last")]


def with_labels(raw: pd.DataFrame, source_format: SourceFormat, path: str | Path) -> pd.DataFrame:
    """Raw transactions with the outcomes of a file of `read_labels` in place of their own.

    Of outcomes whose transaction is not there, a warning tells how many. Raises DataError as
    `read_labels` does, and where the transactions have no ids.
    """
    id_column = _column(raw, source_format, "transaction_id")
    if id_column is None:
        raise DataError(
            f"data.labels={path}: outcomes belong to transactions by their id, and these have "
            "none; set data.columns.transaction_id=NAME_IN_THE_FILE"
        )
    known = read_labels(path)
    ids = schema.typed("transaction_id", raw[id_column])
    new = ids.map(known)
    unknown = len(known) - known.index.isin(ids).sum()
    if unknown:
        log.warning("%s: %d of %d are of no transaction here", path, unknown, len(known))
    label = _column(raw, source_format, "is_fraud") or source_format.columns.get("is_fraud")
    if label not in raw:
        return raw.assign(**{label or "is_fraud": new})
    column = raw[label]
    if column.dtype.kind not in "biuf":
        return raw.assign(**{label: column.astype(object).mask(new.notna(), new)})
    return raw.assign(**{label: column.astype("float64").mask(new.notna(), new)})


def _column(raw: pd.DataFrame, source_format: SourceFormat, name: str) -> str | None:
    source = source_format.columns.get(name, name)
    return next((column for column in (source, name) if column in raw and source), None)


def _is_sqlite(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _read_sqlite(path: Path) -> pd.DataFrame:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as store:
            rows = store.execute(_QUERY).fetchall()
    except sqlite3.Error as error:
        raise DataError(
            f"{path}: no labels in this SQLite file ({error}); it needs a table "
            "labels(transaction_id, is_fraud, labelled_at)"
        ) from None
    table = pd.DataFrame(rows, columns=["transaction_id", "is_fraud"])
    # They come in order of time.
    return table.assign(labelled_at=range(len(table)))


def _read_file(path: Path) -> pd.DataFrame:
    # Ids are text, so that leading zeros stay.
    try:
        table = read_table(path, SourceFormat(columns={"transaction_id": "transaction_id"}))
    except DataError as error:
        raise DataError(f"data.labels: {str(error).replace('data.path', 'data.labels')}") from None
    if "labelled_at" not in table:
        return table
    times = schema.as_time(table["labelled_at"])
    if times.isna().any():
        raise DataError(f"{path}: labelled_at must be a time such as 2024-01-31 13:45:00")
    return table.iloc[times.argsort(kind="stable")]


def _check_one_each(outcomes: pd.Series, path: Path) -> None:
    differing = outcomes.groupby(level=0).nunique()
    twice = differing.index[differing > 1]
    if len(twice):
        raise DataError(
            f"{path}: transactions with two labels that differ: {listed(twice[:5])}; a column "
            "labelled_at says which is the later one"
        )
