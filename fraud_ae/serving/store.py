"""The history store: recent transactions, their results, and confirmed outcomes."""

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from fraud_ae.data.values.times import newest, present
from fraud_ae.errors import UserError
from fraud_ae.features.event_time import days_to_microseconds
from fraud_ae.features.history import History, needed_later
from fraud_ae.serving.databases.database import Database
from fraud_ae.serving.databases.opening import open_database
from fraud_ae.serving.errors import RequestRefused
from fraud_ae.serving.forgetting import without_forgotten
from fraud_ae.serving.results import ScoreResult, StoredResults
from fraud_ae.serving.tables import (
    Columns,
    add_columns,
    create_tables,
    delete_expired,
    placeholders,
    quoted,
    sorted_frame,
    to_columns,
)

# Transactions and results are kept for at least so many days.
LEAST_DAYS = 30
# A transaction that arrives so many days late still finds its whole history.
LATE_DAYS = 7
# The current time is the median of so many latest transactions: one wrong clock changes nothing.
_RECENT = 99
# Statements have a place for each value, up to a limit.
_AT_ONCE = 1000
_ALWAYS, _NEVER = -(2**62), 2**62
log = logging.getLogger("fraud_ae")


class HistoryStore:
    """The history of one service in a file, or of several in a database; used by one thread.

    Transactions are kept for the longest window of the strategy plus LATE_DAYS, and for LEAST_DAYS
    at least. Older ones are kept if the strategy needs the first use of a value or the previous
    transaction. Transactions may arrive late; results that were given do not change.
    """

    def __init__(self, store: str | Path, kinds: Mapping[str, str], history: History) -> None:
        """Open or create it. store: a path or a URL; the others are those of `use_columns`.

        Raises UserError if it cannot be reached or written, is no such store, a damaged one or one
        of another version, or another process has its file open.
        """
        self.where = str(store)
        self._since_pruned = 0
        try:
            self.database: Database = open_database(store)
        except sqlite3.Error as error:
            raise self._no_store(error) from error
        try:
            create_tables(self.database)
            self.use_columns(kinds, history)
        except sqlite3.Error as error:
            self.close()
            raise self._no_store(error) from error
        except RequestRefused as error:
            self.close()
            raise UserError(f"--store {self.where}: {error}") from error
        except BaseException:
            self.close()
            raise
        self.review = StoredResults(self.database)

    def _no_store(self, error: Exception) -> UserError:
        return UserError(
            f"{self.where}: not a store of transactions, or a damaged one ({error}); restore a "
            "copy of it, or move it away: a service begins a new one"
        )

    def use_columns(self, kinds: Mapping[str, str], history: History) -> None:
        """Store the columns of a model from now on; older transactions lack new columns.

        kinds: column -> key of `Database.types`, with the label. history: that the model needs.
        Raises UserError if the store has a column with another type.
        """
        needed = history.within(list(kinds))
        add_columns(self.database, kinds, needed)
        self._kinds, self.history = dict(kinds), needed
        self._column_list = ", ".join(map(quoted, kinds))

    @property
    def _retention_days(self) -> float:
        return max(self.history.days + LATE_DAYS, LEAST_DAYS)

    def _has_labels(self) -> bool:
        """Whether any label is known, to this process or another."""
        known = self.database.execute(
            "SELECT EXISTS (SELECT 1 FROM labels) "
            "OR EXISTS (SELECT 1 FROM transactions WHERE is_fraud >= 0)"
        )
        return known.fetchone() == (1,)

    @contextmanager
    def turn(self, new: Columns) -> Iterator[None]:
        """While it lasts, nobody else scores transactions of the same ids, customers or terminals.

        All that is stored meanwhile is stored in the end, or nothing.
        """
        with self.database.transaction(_keys(new)):
            yield
        if self._since_pruned >= self.database.pruned_every and not self.database.in_transaction:
            try:
                self.prune()
            except RequestRefused as error:
                # What was stored is stored; the next time does what this one has not.
                log.warning("old transactions were not deleted: %s", error)

    def columns(self, transactions: pd.DataFrame) -> Columns:
        """Canonical transactions, (n, d), as the columns that the other methods take."""
        return to_columns(transactions, self._kinds)

    def with_history(self, new: Columns) -> tuple[pd.DataFrame, np.ndarray]:
        """n new transactions together with the stored ones of their customers and terminals.

        Returns (m, d) canonical transactions in order of time, and the positions of the new ones,
        (n,) int, after stored ones of the same time. While no label is known, `is_fraud` is absent.
        """
        rows = self._related(new)
        columns = zip(*rows, strict=True) if rows else [()] * len(self._kinds)
        columns = {
            name: [*values, *new[name]] for name, values in zip(self._kinds, columns, strict=True)
        }
        frame, places = sorted_frame(columns, self._kinds, self._has_labels())
        return frame, places[len(rows) :]

    def _related(self, new: Columns) -> list[tuple]:
        """Stored transactions of the same customers and terminals, without the new ones."""
        history, earliest = self.history, min(new["timestamp"])
        # Older transactions than the window are stored only because these features need them.
        every = bool(history.previous or history.first_uses)
        queries, values = [], []
        for key, days, unlimited in (
            ("customer_id", history.customer_days, every),
            ("terminal_id", history.terminal_days, False),
        ):
            if days or unlimited:
                keys = [value for value in dict.fromkeys(new[key]) if value is not None]
                queries.append(
                    f"SELECT seq FROM transactions "
                    f"WHERE {key} IN ({placeholders(keys)}) AND timestamp >= ?"
                )
                since = earliest - days_to_microseconds(days)
                values += [*keys, _ALWAYS if unlimited else since]
        if not queries:
            return []
        ids = new["transaction_id"]
        return self.database.execute(
            f"SELECT {self._column_list} FROM transactions "
            f"WHERE seq IN ({' UNION '.join(queries)}) "
            f"AND transaction_id NOT IN ({placeholders(ids)}) ORDER BY timestamp, seq",
            [*values, *ids],
        ).fetchall()

    def results(self, ids: Sequence[str]) -> dict[str, ScoreResult]:
        """Stored results by transaction id."""
        rows = self.database.execute(
            f"SELECT transaction_id, answer FROM answers "
            f"WHERE transaction_id IN ({placeholders(ids)})",
            list(ids),
        )
        return {key: ScoreResult.of(json.loads(text)) for key, text in rows}

    def append(self, new: Columns, results: Sequence[ScoreResult]) -> None:
        """Store transactions with their results, in one database transaction.

        A label in a transaction is stored as a confirmed outcome.
        """
        ids, now = new["transaction_id"], _now()
        labels = zip(ids, new["is_fraud"], strict=True)
        with self.turn(new):
            self._insert(new)
            self._label([(key, label) for key, label in labels if label is not None])
            self._copy_labels(ids)
            self.database.executemany(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (transaction_id) DO UPDATE SET us = excluded.us, "
                "score = excluded.score, alert = excluded.alert, answer = excluded.answer, "
                "answered_at = excluded.answered_at",
                [
                    (r.transaction_id, us, r.score, int(r.alert), json.dumps(asdict(r)), now)
                    for us, r in zip(new["timestamp"], results, strict=True)
                ],
            )
            self._since_pruned += len(ids)

    def fill(self, transactions: pd.DataFrame) -> int:
        """Import canonical transactions, (n, d) in order of time, with their labels.

        Returns how many were new. Those too old to be needed, and those of customers who were
        forgotten, are left out.
        """
        reach = History(self._retention_days, 0.0, self.history.previous, self.history.first_uses)
        needed = needed_later(transactions, reach, newest(transactions["timestamp"]))
        with self.database.transaction():
            recent = without_forgotten(transactions[needed], self.database)
            new = self._insert(self.columns(recent))
            self._copy_labels(recent["transaction_id"].tolist())
        self.prune()
        return new

    def knows(self, transaction_id: str) -> bool:
        """Whether a transaction or its result is stored."""
        known = self.database.execute(
            "SELECT EXISTS (SELECT 1 FROM transactions WHERE transaction_id = ?) "
            "OR EXISTS (SELECT 1 FROM answers WHERE transaction_id = ?)",
            (transaction_id, transaction_id),
        )
        return known.fetchone() == (1,)

    def differences(self, columns: Columns) -> dict[int, str]:
        """Which of n transactions have other values than the one before of their id: row -> what.

        The one before is stored, or stands above. A value that is not stored is no difference: an
        earlier model may not have had the column.
        """
        ids = columns["transaction_id"]
        names = [name for name in self._kinds if name not in ("transaction_id", "is_fraud")]
        stored = self.database.execute(
            f"SELECT transaction_id, {', '.join(map(quoted, names))} FROM transactions "
            f"WHERE transaction_id IN ({placeholders(ids)})",
            list(ids),
        )
        rows = {key: values for key, *values in stored}
        differences = {}
        for row, key in enumerate(ids):
            values = [columns[name][row] for name in names]
            for name, before, now in zip(names, rows.setdefault(key, values), values, strict=True):
                if before is not None and now != before:
                    kind = self._kinds[name]
                    differences[row] = (
                        f"{name} is {_shown(now, kind)}, and was {_shown(before, kind)}"
                    )
                    break
        return differences

    def remove(self, ids: Sequence[str]) -> None:
        """Forget transactions and their results; their outcomes stay."""
        with self.database.transaction([_key("transaction_id", key) for key in ids]):
            for table in ("transactions", "answers"):
                self.database.execute(
                    f"DELETE FROM {table} WHERE transaction_id IN ({placeholders(ids)})", list(ids)
                )

    def _insert(self, new: Columns) -> int:
        """Insert transactions, but for those with an id that is stored; returns their number."""
        return self.database.executemany(
            f"INSERT INTO transactions ({self._column_list}) "
            f"VALUES ({placeholders(self._kinds)}) ON CONFLICT DO NOTHING",
            zip(*(new[name] for name in self._kinds), strict=True),
        )

    def _copy_labels(self, ids: list[str]) -> None:
        """Copy outcomes to transactions, which may arrive after their outcome."""
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            self.database.execute(
                "UPDATE transactions SET is_fraud = l.is_fraud FROM labels l "
                "WHERE l.transaction_id = transactions.transaction_id "
                f"AND transactions.transaction_id IN ({placeholders(some)})",
                some,
            )

    def label(self, transaction_id: str, is_fraud: bool) -> bool:
        """Store a confirmed outcome, replacing an earlier one; whether its transaction is known."""
        with self.database.transaction([_key("transaction_id", transaction_id)]):
            self._label([(transaction_id, is_fraud)])
            self._copy_labels([transaction_id])
        return self.knows(transaction_id)

    def _label(self, labels: Iterable[tuple[str, bool | float]]) -> None:
        now = _now()
        rows = [(transaction_id, int(label), now) for transaction_id, label in labels]
        if not rows:
            return
        self.database.executemany(
            "INSERT INTO labels VALUES (?, ?, ?) ON CONFLICT (transaction_id) DO UPDATE "
            "SET is_fraud = excluded.is_fraud, labelled_at = excluded.labelled_at",
            rows,
        )

    def prune(self) -> int:
        """Delete what no window reaches any more; returns the number of transactions."""
        self._since_pruned = 0
        with self.database.transaction():
            return self._prune()

    def _prune(self) -> int:
        # Wrong times, however many, make nothing old; where all lie ahead, they are simulated.
        latest = present().value // 1000
        recent = self._recent(latest)
        if not recent:
            latest = _NEVER
            recent = self._recent(latest)
        if not recent:
            return 0
        current = int(np.median(recent))
        cutoff = current - days_to_microseconds(self._retention_days)
        self.database.execute("DELETE FROM answers WHERE us < ?", (cutoff,))
        return delete_expired(self.database, self.history, cutoff, latest)

    def _recent(self, latest: int) -> list[int]:
        """The times of the last transactions that came, of those up to a time."""
        rows = self.database.execute(
            "SELECT timestamp FROM transactions WHERE timestamp <= ? ORDER BY seq DESC LIMIT ?",
            (latest, _RECENT),
        )
        return [us for (us,) in rows]

    def close(self) -> None:
        """Close the connection, and release the lock of a file."""
        self.database.close()


def _keys(new: Columns) -> set[str]:
    """What the results of transactions depend on, and what they change."""
    names = ("transaction_id", "customer_id", "terminal_id")
    return {_key(name, value) for name in names for value in new.get(name, ()) if value is not None}


def _key(name: str, value: str) -> str:
    return f"{name} {value}"


def _shown(value: object, kind: str) -> str:
    return str(pd.Timestamp(value, unit="us", tz="UTC")) if kind == "time" else repr(value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
