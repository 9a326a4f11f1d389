"""Forgetting a customer: out of the store, and what else holds rows of theirs."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraud_ae.data.input_schema import INPUT_SCHEMA
from fraud_ae.errors import UserError
from fraud_ae.experiments.run_store import TOP_TRANSACTIONS
from fraud_ae.runtime.checksums import SET_ASIDE
from fraud_ae.serving.databases.database import Database
from fraud_ae.serving.databases.opening import is_shared, open_database
from fraud_ae.serving.errors import RequestRefused
from fraud_ae.serving.tables import create_tables

# The columns that say whose a row is.
_KEYS = ("customer_id", "transaction_id")
_AS_TEXT = pa.schema([(name, pa.string()) for name in _KEYS])
# JSON files with transactions -> where in one they are.
_ROWS_OF = {
    TOP_TRANSACTIONS: lambda rows: rows,
    INPUT_SCHEMA: lambda schema: [schema["example"]],
}


@dataclass(frozen=True)
class Removed:
    """What was removed from a store: numbers of rows, and the ids of the transactions."""

    transactions: int
    answers: int
    labels: int
    ids: tuple[str, ...]


def forget_customer(store: str | Path, customer: str) -> Removed:
    """Remove a customer's transactions, their answers and outcomes from a store.

    store: the path of a closed one, or a URL. Nothing of them stays in its files, not in their free
    pages either, and files that are imported later do not bring them back: a hash of the id is kept
    for that. Raises UserError if there is no such store, or a service has its file open.
    """
    if not is_shared(store) and not Path(store).is_file():
        raise UserError(f"{store}: no such store; name one with --store, or a model with --model")
    try:
        with open_database(store) as database:
            return _remove(database, customer)
    except (sqlite3.Error, RequestRefused) as error:
        raise UserError(f"{store}: not a store of transactions ({error})") from error


def _remove(database: Database, customer: str) -> Removed:
    if "customer_id" not in database.columns():
        raise UserError(f"{database.where}: its transactions have no customer_id")
    create_tables(database)
    theirs = "SELECT transaction_id FROM transactions WHERE customer_id = ?"
    with database.transaction():
        ids = tuple(key for (key,) in database.execute(theirs, (customer,)))
        answers, labels = (
            database.execute(
                f"DELETE FROM {table} WHERE transaction_id IN ({theirs})", (customer,)
            ).rowcount
            for table in ("answers", "labels")
        )
        database.execute(
            "DELETE FROM newest WHERE seq IN (SELECT seq FROM transactions WHERE customer_id = ?)",
            (customer,),
        )
        database.execute("DELETE FROM transactions WHERE customer_id = ?", (customer,))
        database.execute(
            "INSERT INTO forgotten VALUES (?) ON CONFLICT DO NOTHING", (_hash(customer),)
        )
    database.erase_free_space()
    return Removed(len(ids), answers, labels, ids)


def without_forgotten(transactions: pd.DataFrame, database: Database) -> pd.DataFrame:
    """Canonical transactions, (n, d), without those of customers whom a store has forgotten."""
    forgotten = {row[0] for row in database.execute("SELECT customer FROM forgotten")}
    if not forgotten or "customer_id" not in transactions:
        return transactions
    known = transactions["customer_id"].dropna().unique()
    hidden = [customer for customer in known if _hash(str(customer)) in forgotten]
    return transactions[~transactions["customer_id"].isin(hidden)]


def rows_elsewhere(
    folder: Path, customer: str, ids: tuple[str, ...]
) -> Iterator[tuple[Path, int | None]]:
    """Files of runs and models below a folder with rows of a customer, and the number of these.

    Parquet files, the highest scores of runs and the example of a model, those too that were set
    aside as damaged; None where one cannot be read. ids: of known transactions of theirs; those
    that such a file shows are looked for too.
    """
    kinds = ("*.parquet", *_ROWS_OF)
    names = [f"{name}{end}" for name in kinds for end in ("", SET_ASIDE)]
    files = sorted(path for name in names for path in folder.rglob(name) if path.is_file())
    tables = {path: _keys(path) for path in files}
    known = set(ids)
    for table in tables.values():
        if table is not None and set(table.column_names) == set(_KEYS):
            theirs = table.filter(pc.equal(table["customer_id"], customer))
            known.update(theirs["transaction_id"].to_pylist())
    looked_for = {
        "customer_id": pa.array([customer], pa.string()),
        "transaction_id": pa.array(sorted(known - {None}), pa.string()),
    }
    for path, table in tables.items():
        if table is None:
            yield path, None
            continue
        found = pa.array([False] * table.num_rows, pa.bool_())
        for name in table.column_names:
            found = pc.or_(found, pc.is_in(table[name], value_set=looked_for[name]))
        if number := pc.sum(found).as_py():
            yield path, number


def _keys(path: Path) -> pa.Table | None:
    """The columns that say whose its rows are, as text; None where it cannot be read."""
    try:
        if rows_of := _ROWS_OF.get(path.name.removesuffix(SET_ASIDE)):
            rows = rows_of(json.loads(path.read_text(encoding="utf-8")))
            return pa.table({name: [row.get(name) for row in rows] for name in _KEYS}, _AS_TEXT)
        names = pq.read_schema(path).names
        table = pq.read_table(path, columns=[name for name in _KEYS if name in names])
        return pa.table({name: table[name].cast(pa.string()) for name in table.column_names})
    except (OSError, ValueError, LookupError, TypeError, AttributeError, pa.ArrowException):
        return None


def _hash(customer: str) -> str:
    return hashlib.sha256(customer.encode()).hexdigest()
