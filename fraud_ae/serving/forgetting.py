"""Forgetting a customer: out of the store, and what else holds rows of theirs."""

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraud_ae.errors import UserError
from fraud_ae.serving.store_file import lock_store
from fraud_ae.serving.tables import FIXED_TABLES


@dataclass(frozen=True)
class Removed:
    """What was removed from a store: numbers of rows, and the ids of the transactions."""

    transactions: int
    answers: int
    labels: int
    ids: tuple[str, ...]


def forget_customer(path: Path, customer: str) -> Removed:
    """Remove a customer's transactions, their answers and outcomes from a closed store.

    Nothing of them stays in the file, not in its free pages either, and files that are imported
    later do not bring them back: a hash of the id is kept for that. Raises UserError if there is no
    such store, or a service has it open.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such store; name one with --store, or a model with --model")
    lock = lock_store(path)
    try:
        connection = sqlite3.connect(path, isolation_level="IMMEDIATE")
        try:
            return _remove(connection, path, customer)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise UserError(f"{path}: not a store of transactions ({error})") from error
    finally:
        lock.release()


def _remove(connection: sqlite3.Connection, path: Path, customer: str) -> Removed:
    connection.execute("PRAGMA secure_delete=ON")
    columns = {row[1] for row in connection.execute("PRAGMA table_info(transactions)")}
    if "customer_id" not in columns:
        raise UserError(f"{path}: its transactions have no customer_id")
    connection.executescript(FIXED_TABLES)
    theirs = "SELECT transaction_id FROM transactions WHERE customer_id = ?"
    with connection:
        ids = tuple(key for (key,) in connection.execute(theirs, (customer,)))
        answers, labels = (
            connection.execute(
                f"DELETE FROM {table} WHERE transaction_id IN ({theirs})", (customer,)
            ).rowcount
            for table in ("answers", "labels")
        )
        connection.execute(
            "DELETE FROM newest WHERE seq IN (SELECT seq FROM transactions WHERE customer_id = ?)",
            (customer,),
        )
        connection.execute("DELETE FROM transactions WHERE customer_id = ?", (customer,))
        connection.execute("INSERT OR IGNORE INTO forgotten VALUES (?)", (_hash(customer),))
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Removed(len(ids), answers, labels, ids)


def without_forgotten(transactions: pd.DataFrame, connection: sqlite3.Connection) -> pd.DataFrame:
    """Canonical transactions, (n, d), without those of customers whom a store has forgotten."""
    forgotten = {row[0] for row in connection.execute("SELECT customer FROM forgotten")}
    if not forgotten or "customer_id" not in transactions:
        return transactions
    known = transactions["customer_id"].dropna().unique()
    hidden = [customer for customer in known if _hash(str(customer)) in forgotten]
    return transactions[~transactions["customer_id"].isin(hidden)]


def rows_elsewhere(folder: Path, customer: str, ids: tuple[str, ...]) -> Iterator[tuple[Path, int]]:
    """Parquet files below a folder with rows of a customer, and the number of these.

    ids: of known transactions of theirs; those that such a file shows are looked for too.
    """
    files = sorted(path for path in folder.rglob("*.parquet") if path.is_file())
    tables = {path: _keys(path) for path in files}
    known = set(ids)
    for table in tables.values():
        if {"customer_id", "transaction_id"} <= set(table.column_names):
            theirs = table.filter(pc.equal(table["customer_id"], customer))
            known.update(theirs["transaction_id"].to_pylist())
    looked_for = {
        "customer_id": pa.array([customer], pa.string()),
        "transaction_id": pa.array(sorted(known - {None}), pa.string()),
    }
    for path, table in tables.items():
        found = pa.array([False] * table.num_rows)
        for name in table.column_names:
            found = pc.or_(found, pc.is_in(table[name], value_set=looked_for[name]))
        if number := pc.sum(found).as_py():
            yield path, number


def _keys(path: Path) -> pa.Table:
    """The columns that say whose its rows are, as text."""
    try:
        names = pq.read_schema(path).names
        wanted = [name for name in ("customer_id", "transaction_id") if name in names]
        table = pq.read_table(path, columns=wanted)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    return pa.table({name: table[name].cast(pa.string()) for name in wanted})


def _hash(customer: str) -> str:
    return hashlib.sha256(customer.encode()).hexdigest()
