"""Outcomes that became known after their transactions were written down: id -> fraud or not."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd

from fraud_ae.data.files.reading import read_table
from fraud_ae.data.naming import listed
from fraud_ae.data.source_columns import id_text, resolve
from fraud_ae.data.source_format import SourceFormat
from fraud_ae.data.values.kinds import ValueKind, canonical_text, decide_kind
from fraud_ae.data.values.labels import as_label, guess_meaning
from fraud_ae.data.values.times import as_time
from fraud_ae.errors import DataError

log = logging.getLogger("fraud_ae")

_SQLITE = b"SQLite format 3\0"
_QUERY = "SELECT transaction_id, is_fraud FROM labels ORDER BY labelled_at"


def read_labels(path: str | Path, ids: ValueKind | None = None) -> pd.Series:
    """Outcomes by transaction: (n,) float64 of 0 and 1, under unique ids as text.

    path: a table, of any kind that `read_table` reads, with the columns transaction_id and
    is_fraud, or the SQLite file of a service, with a table `labels` of these and `labelled_at`. Of
    several labels of a transaction the one of the last `labelled_at` counts. ids: what the ids of
    the transactions are, so that 700000.0 is read as 700000.
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
    names, wrong = canonical_text(
        table["transaction_id"], ids or decide_kind(table["transaction_id"])
    )
    labels = as_label(table["is_fraud"])
    bad = table["is_fraud"][~labels.isin((0, 1))]
    if len(bad):
        shown = listed(map(repr, bad.head(5)))
        raise DataError(f"{path}: is_fraud must be 0 or 1, and is {shown}")
    for row, why in wrong.items():
        raise DataError(f"{path}: transaction_id: row {row} {why}")
    if names.isna().any():
        raise DataError(f"{path}: an id is missing")
    outcomes = pd.Series(labels.to_numpy(), index=names.to_numpy())
    if "labelled_at" not in table:
        differing = outcomes.groupby(level=0).nunique()
        twice = differing.index[differing > 1]
        if len(twice):
            raise DataError(
                f"{path}: transactions with two labels that differ: {listed(twice[:5])}; a column "
                "labelled_at says which is the later one"
            )
    return outcomes[~outcomes.index.duplicated(keep="last")]


def with_labels(
    raw: pd.DataFrame,
    source_format: SourceFormat,
    path: str | Path,
    allow_unmatched: bool = False,
) -> pd.DataFrame:
    """Raw transactions with the outcomes of a file of `read_labels` in place of theirs.

    allow_unmatched: whether more than half of the outcomes may be of other transactions; a
    warning says how many. Raises DataError as `read_labels` does, where they may not,
    and where the transactions have no ids.
    """
    columns = resolve(raw, source_format, labelled=False)[0].get("transaction_id")
    if columns is None:
        raise DataError(
            f"data.labels={path}: outcomes belong to transactions by their id, and these have "
            "none; set data.columns.transaction_id=NAME_IN_THE_FILE"
        )
    kinds = {"transaction_id": decide_kind(raw[columns[0]])} if len(columns) == 1 else {}
    known = read_labels(path, kinds.get("transaction_id", ValueKind()))
    ids, _ = id_text(raw, "transaction_id", columns, kinds)
    matched = int(known.index.isin(ids).sum())
    unmatched = f"{path}: {len(known) - matched:,} of {len(known):,} labels are of no transaction"
    if 2 * matched < len(known) and not allow_unmatched:
        raise DataError(
            f"{unmatched} here: such as {listed(known.index[~known.index.isin(ids)][:3])}, where "
            f"the transactions have {listed(ids[:3])}; --allow-unmatched, or "
            "data.allow_unmatched=true, takes the rest"
        )
    if matched < len(known):
        log.warning("%s here", unmatched)
    return _with_outcomes(raw, source_format, ids.map(known))


def _with_outcomes(
    raw: pd.DataFrame, source_format: SourceFormat, outcomes: pd.Series
) -> pd.DataFrame:
    """The table with known outcomes, (n,) 1, 0 or NaN, in the words of its labels."""
    names = (*source_format.sources("is_fraud"), "is_fraud")
    name = next((name for name in names if name in raw), None)
    if name is None:
        return raw.assign(**{names[0]: outcomes.to_numpy()})
    meaning = source_format.labels_map or guess_meaning(raw[name]) or {}
    words = {0.0: "0", 1.0: "1"} | {said: word for word, said in reversed(meaning.items())}
    column = raw[name].astype(object)
    return raw.assign(**{name: column.mask(outcomes.notna(), outcomes.map(words))})


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
    try:
        table = read_table(path)
    except DataError as error:
        raise DataError(f"data.labels: {str(error).replace('data.path', 'data.labels')}") from None
    if "labelled_at" not in table:
        return table
    times = as_time(table["labelled_at"])
    if times.isna().any():
        raise DataError(f"{path}: labelled_at must be a time such as 2024-01-31 13:45:00")
    return table.iloc[times.argsort(kind="stable")]
