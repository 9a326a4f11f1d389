"""Tables of the history store, their retention, and conversion of columns."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fraud_ae.errors import UserError
from fraud_ae.features.history import History
from fraud_ae.serving.databases.database import STORE_VERSION, Database

# {sequence} and others: the names of a database's types.
_FIXED_TABLES = """
CREATE TABLE IF NOT EXISTS store_version (version {integer} NOT NULL);
CREATE TABLE IF NOT EXISTS transactions (
    seq {sequence}, transaction_id TEXT NOT NULL UNIQUE, timestamp {time} NOT NULL,
    is_fraud {label}
);
CREATE TABLE IF NOT EXISTS answers (
    transaction_id TEXT PRIMARY KEY, us {time} NOT NULL, score {number} NOT NULL,
    alert {integer} NOT NULL, answer TEXT NOT NULL, answered_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS answers_by_time ON answers (us);
CREATE TABLE IF NOT EXISTS labels (
    transaction_id TEXT PRIMARY KEY, is_fraud {integer} NOT NULL, labelled_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS labelled ON transactions (is_fraud) WHERE is_fraud >= 0;
CREATE TABLE IF NOT EXISTS newest (seq {integer} PRIMARY KEY);
CREATE TABLE IF NOT EXISTS pruned (until_us {time} NOT NULL, until_seq {integer} NOT NULL);
CREATE TABLE IF NOT EXISTS forgotten (customer TEXT PRIMARY KEY)
"""


def create_tables(database: Database) -> None:
    """Create the tables that are missing. Raises UserError for those of another version."""
    with database.transaction():
        for statement in _FIXED_TABLES.format(**database.types).split(";"):
            database.execute(statement)
        row = database.execute("SELECT max(version) FROM store_version").fetchone()
        if row[0] is None:
            database.execute("INSERT INTO store_version VALUES (?)", (STORE_VERSION,))
        elif row[0] != STORE_VERSION:
            raise UserError(
                f"{database.where}: a store of version {row[0]}, and this fraud_ae reads version "
                f"{STORE_VERSION}; use the fraud_ae that made it, or another --store"
            )


def add_columns(database: Database, kinds: Mapping[str, str], history: History) -> None:
    """Add missing columns, and the indices that a strategy's history needs.

    kinds: column -> one of `text`, `number`, `time` and `label`. history: restricted to these
    columns. Raises UserError if a column is there with another type.
    """
    indexed = [("timestamp",)]
    indexed += [(key, "timestamp") for key in ("customer_id", "terminal_id") if key in kinds]
    indexed += [("customer_id", column, "timestamp") for column in history.first_uses]
    with database.transaction():
        existing = database.columns()
        for name in kinds:
            kind = database.types[kinds[name]]
            if existing.get(name, kind) != kind:
                raise UserError(
                    f"{database.where}: {name} is {existing[name]} there, and {kind} in this "
                    "model; use another --store"
                )
            if name not in existing:
                database.execute(f"ALTER TABLE transactions ADD COLUMN {quoted(name)} {kind}")
        for columns in indexed:
            name = quoted("transactions by " + " ".join(columns))
            column_list = ", ".join(map(quoted, columns))
            database.execute(f"CREATE INDEX IF NOT EXISTS {name} ON transactions ({column_list})")


def delete_expired(database: Database, history: History, cutoff: int, latest: int) -> int:
    """Delete transactions before a time, unless the history needs them; returns their number.

    cutoff, latest: microseconds since 1970. Only those that became old since the last call are
    examined. A transaction after `latest` has not come to pass, and takes the place of none as the
    last one of its customer.
    """
    last = database.execute("SELECT until_us, until_seq FROM pruned").fetchone()
    until_us, until_seq = last or (-(2**62), 0)
    integer = database.types["integer"]
    database.execute(f"CREATE TEMP TABLE IF NOT EXISTS old (seq {integer} PRIMARY KEY)")
    database.execute("DELETE FROM old")
    database.execute(
        "INSERT INTO old SELECT seq FROM transactions WHERE timestamp < ? AND timestamp >= ? UNION "
        "SELECT seq FROM transactions WHERE seq > ? AND timestamp < ?",
        (cutoff, until_us, until_seq, cutoff),
    )
    if history.previous:
        # The newest of a customer is examined again if a later one has arrived.
        database.execute(
            "INSERT INTO old SELECT k.seq FROM transactions n CROSS JOIN transactions o "
            "CROSS JOIN newest k WHERE n.seq > ? AND o.customer_id = n.customer_id "
            "AND o.timestamp < ? AND k.seq = o.seq ON CONFLICT DO NOTHING",
            (until_seq, cutoff),
        )
    replaced = []
    if history.previous:
        replaced.append(
            "EXISTS (SELECT 1 FROM transactions l WHERE l.customer_id = t.customer_id "
            f"AND (l.timestamp, l.seq) > (t.timestamp, t.seq) AND l.timestamp <= {latest:d})"
        )
    replaced += [
        f"EXISTS (SELECT 1 FROM transactions e WHERE e.customer_id = t.customer_id "
        f"AND e.{name} IS NOT DISTINCT FROM t.{name} "
        f"AND (e.timestamp, e.seq) < (t.timestamp, t.seq))"
        for name in map(quoted, history.first_uses)
    ]
    condition = "".join(f" AND {other}" for other in replaced)
    # CROSS JOIN makes SQLite iterate over the few old ones instead of the whole table.
    deleted = database.execute(
        "DELETE FROM transactions WHERE seq IN (SELECT t.seq FROM old "
        f"CROSS JOIN transactions t WHERE t.seq = old.seq{condition})"
    ).rowcount
    database.execute("DELETE FROM newest WHERE seq IN (SELECT seq FROM old)")
    if history.previous:
        database.execute(
            "INSERT INTO newest SELECT t.seq FROM old CROSS JOIN transactions t "
            f"WHERE t.seq = old.seq AND NOT {replaced[0]}"
        )
    database.execute("DELETE FROM pruned")
    database.execute(
        f"INSERT INTO pruned SELECT CAST(? AS {database.types['time']}), coalesce(max(seq), 0) "
        "FROM transactions",
        (max(cutoff, until_us),),
    )
    return deleted


def quoted(name: str) -> str:
    """A column name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def placeholders(values: Sequence) -> str:
    """A question mark for each value, separated by commas."""
    return ", ".join("?" * len(values))


# Transactions as a database stores them: column -> n values, None for missing ones.
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
