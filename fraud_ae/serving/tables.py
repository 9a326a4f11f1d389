"""SQLite tables of the history store, their retention, and conversion of columns."""

import sqlite3
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fraud_ae.features.history import History

SQL_TYPES = {"text": "TEXT", "number": "REAL", "time": "INTEGER", "label": "REAL"}
FIXED_TABLES = """
CREATE TABLE IF NOT EXISTS transactions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, transaction_id TEXT NOT NULL UNIQUE,
    timestamp INTEGER NOT NULL, is_fraud REAL
);
CREATE TABLE IF NOT EXISTS answers (
    transaction_id TEXT PRIMARY KEY, us INTEGER NOT NULL, score REAL NOT NULL,
    alert INTEGER NOT NULL, answer TEXT NOT NULL, answered_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_by_time ON answers (us);
CREATE TABLE IF NOT EXISTS labels (
    transaction_id TEXT PRIMARY KEY, is_fraud INTEGER NOT NULL, labelled_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS newest (seq INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS pruned (until_us INTEGER NOT NULL, until_seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS forgotten (customer TEXT PRIMARY KEY) WITHOUT ROWID;
"""


def add_columns(connection: sqlite3.Connection, kinds: Mapping[str, str], history: History) -> None:
    """Add missing columns, and the indices that a strategy's history needs.

    kinds: column -> key of SQL_TYPES. history: restricted to these columns.
    """
    existing = {row[1] for row in connection.execute("PRAGMA table_info(transactions)")}
    for name in kinds:
        if name not in existing:
            kind = SQL_TYPES[kinds[name]]
            connection.execute(f"ALTER TABLE transactions ADD COLUMN {quoted(name)} {kind}")
    indexed = [("timestamp",)]
    indexed += [(key, "timestamp") for key in ("customer_id", "terminal_id") if key in kinds]
    indexed += [("customer_id", column, "timestamp") for column in history.first_uses]
    for columns in indexed:
        name = quoted("transactions by " + " ".join(columns))
        column_list = ", ".join(map(quoted, columns))
        connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON transactions ({column_list})")


def delete_expired(
    connection: sqlite3.Connection, history: History, cutoff: int, latest: int
) -> int:
    """Delete transactions before a time, unless the history needs them; returns their number.

    cutoff, latest: microseconds since 1970. Only those that became old since the last call are
    examined. A transaction after `latest` has not come to pass, and takes the place of none as the
    last one of its customer.
    """
    last = connection.execute("SELECT until_us, until_seq FROM pruned").fetchone()
    until_us, until_seq = last or (-(2**62), 0)
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS old (seq INTEGER PRIMARY KEY)")
    connection.execute("DELETE FROM old")
    connection.execute(
        "INSERT INTO old SELECT seq FROM transactions WHERE timestamp < ? AND timestamp >= ? UNION "
        "SELECT seq FROM transactions WHERE seq > ? AND timestamp < ?",
        (cutoff, until_us, until_seq, cutoff),
    )
    if history.previous:
        # The newest of a customer is examined again if a later one has arrived.
        connection.execute(
            "INSERT OR IGNORE INTO old SELECT k.seq FROM transactions n CROSS JOIN transactions o "
            "ON o.customer_id = n.customer_id AND o.timestamp < ? "
            "CROSS JOIN newest k ON k.seq = o.seq WHERE n.seq > ?",
            (cutoff, until_seq),
        )
    still_needed = []
    if history.previous:
        still_needed.append(
            "NOT EXISTS (SELECT 1 FROM transactions l WHERE l.customer_id = t.customer_id "
            f"AND (l.timestamp, l.seq) > (t.timestamp, t.seq) AND l.timestamp <= {latest:d})"
        )
    still_needed += [
        f"NOT EXISTS (SELECT 1 FROM transactions e WHERE e.customer_id = t.customer_id "
        f"AND e.{name} IS t.{name} AND (e.timestamp, e.seq) < (t.timestamp, t.seq))"
        for name in map(quoted, history.first_uses)
    ]
    exceptions = " OR ".join(still_needed) or "0"
    # CROSS JOIN makes SQLite iterate over the few old ones instead of the whole table.
    deleted = connection.execute(
        "DELETE FROM transactions WHERE seq IN (SELECT t.seq FROM old "
        f"CROSS JOIN transactions t USING (seq) WHERE NOT ({exceptions}))"
    ).rowcount
    connection.execute("DELETE FROM newest WHERE seq IN (SELECT seq FROM old)")
    if history.previous:
        connection.execute(
            "INSERT INTO newest SELECT t.seq FROM old CROSS JOIN transactions t USING (seq) "
            f"WHERE {still_needed[0]}"
        )
    connection.execute("DELETE FROM pruned")
    connection.execute(
        "INSERT INTO pruned SELECT ?, coalesce(max(seq), 0) FROM transactions",
        (max(cutoff, until_us),),
    )
    return deleted


def quoted(name: str) -> str:
    """A column name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def placeholders(values: Sequence) -> str:
    """A question mark for each value, separated by commas."""
    return ", ".join("?" * len(values))


# Transactions as SQLite stores them: column -> n values, None for missing ones.
Columns = dict[str, list]


def to_columns(transactions: pd.DataFrame, kinds: Mapping[str, str]) -> Columns:
    """Convert canonical transactions, (n, d); columns that the frame lacks are None."""
    columns: Columns = {}
    for name, kind in kinds.items():
        if name not in transactions:
            columns[name] = [None] * len(transactions)
        elif kind == "time":
            columns[name] = transactions[name].dt.as_unit("us").astype("int64").tolist()
        else:
            values = transactions[name].tolist()
            columns[name] = [None if value != value else value for value in values]
    return columns


def sorted_frame(
    columns: Columns, kinds: Mapping[str, str], has_labels: bool
) -> tuple[pd.DataFrame, np.ndarray]:
    """Canonical transactions in stable order of time, (n, d), and the new position of each.

    has_labels: whether the frame is to have `is_fraud`.
    """
    if not has_labels:
        columns = {name: values for name, values in columns.items() if name != "is_fraud"}
    times = np.array(columns["timestamp"])
    if (times[1:] >= times[:-1]).all():
        return to_frame(columns, kinds), np.arange(len(times))
    order = np.argsort(times, kind="stable")
    # Reordering lists takes half the time of reordering a frame.
    rows = order.tolist()
    sorted_columns = {name: [values[row] for row in rows] for name, values in columns.items()}
    return to_frame(sorted_columns, kinds), np.argsort(order, kind="stable")


def to_frame(columns: Columns, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Convert back to canonical transactions, (n, d)."""
    # One call on finished columns: for a few rows, each pandas call costs as much as all the rest.
    return pd.DataFrame({n: _column(v, kinds[n]) for n, v in columns.items()}, copy=False)


def _column(values: list, kind: str) -> pd.Series | np.ndarray:
    if kind == "text":
        return pd.array(values, dtype="str")
    if kind == "time":
        times = np.array(values, dtype="int64").view("M8[us]")
        return pd.DatetimeIndex(times, tz="UTC")
    return np.array(values, dtype=np.float64)
