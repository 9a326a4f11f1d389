"""What a service remembers: the trailing windows, its answers, and confirmed outcomes.

A SQLite file in WAL mode: what was committed survives a killed process.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from fraud_ae.data.input_schema import InputSchema
from fraud_ae.errors import UserError
from fraud_ae.features.event_time import days_to_microseconds
from fraud_ae.features.history import History, needed_later
from fraud_ae.serving.online.answer import Answer
from fraud_ae.serving.online.answers import Answers
from fraud_ae.serving.online.tables import (
    FIXED_TABLES,
    Columns,
    add_columns,
    columns_of,
    forget,
    in_order,
    marks,
    quoted,
)

# A repeated transaction is recognised, and its alert can be reviewed, for so many days at least.
LEAST_DAYS = 30
# One that is so many days late still finds all that it looks back to.
LATE_DAYS = 7
# Old transactions are forgotten each time that so many new ones have come.
_PRUNED_EVERY = 100
# The newest time is taken from so many arrivals, so that one wrong clock does not empty the store.
_RECENT = 99
_ALWAYS = -(2**62)
# Pages are kept in memory: 256 MB of them are those of a million transactions.
_PRAGMAS = """
PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY;
PRAGMA cache_size=-262144; PRAGMA mmap_size=268435456;
"""


class HistoryStore:
    """The memory of one service, in one file, for one process; use it from one thread at a time.

    Transactions are kept for the longest window of the strategy and LATE_DAYS, and for LEAST_DAYS
    at least. Older ones stay where the strategy asks for the first use of a value or for the
    previous transaction. Those that arrive late take their place in time, and answers that were
    given stay as they are.
    """

    def __init__(
        self, connection: sqlite3.Connection, lock: FileLock, schema: InputSchema, history: History
    ) -> None:
        self._connection, self._lock = connection, lock
        self._connection.executescript(f"{_PRAGMAS} {FIXED_TABLES}")
        self.review = Answers(connection)
        self.adopt(schema, history)
        self._since_pruned = 0

    @classmethod
    def open(cls, path: Path, schema: InputSchema, history: History) -> Self:
        """Open the file, or make it.

        Raises UserError where it cannot be written, is no such file, or another process has it.
        """
        lock = FileLock(path.with_name(f"{path.name}.lock"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(f"{path}: another service has it; use another --store") from error
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from error
        try:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            return cls(connection, lock, schema, history)
        except sqlite3.Error as error:
            lock.release()
            raise UserError(f"{path}: not a store of transactions ({error})") from error

    def adopt(self, schema: InputSchema, history: History) -> None:
        """Serve a model from now on; columns that are new are unknown of older transactions."""
        self._kinds = {column.name: column.kind for column in schema.columns}
        self._kinds["is_fraud"] = "label"
        self._listed = ", ".join(map(quoted, self._kinds))
        self.history = history.within(list(self._kinds))
        add_columns(self._connection, self._kinds, self.history)
        self._has_labels = self._any_labels()

    @property
    def _kept_days(self) -> float:
        return max(self.history.days + LATE_DAYS, LEAST_DAYS)

    def _any_labels(self) -> bool:
        told = "SELECT 1 FROM labels UNION ALL SELECT 1 FROM transactions WHERE is_fraud >= 0"
        return self._connection.execute(f"SELECT EXISTS ({told})").fetchone() == (1,)

    def columns(self, transactions: pd.DataFrame) -> Columns:
        """Canonical transactions, (n, d), in the form in which they are kept."""
        return columns_of(transactions, self._kinds)

    def with_history(self, new: Columns) -> tuple[pd.DataFrame, np.ndarray]:
        """n transactions among what is kept of their customers and terminals.

        Returns (m, d) canonical transactions in order of time, without `is_fraud` as long as nobody
        has told any label, and where the new ones are among them, (n,) int: of an instant the last.
        """
        rows = self._before(new)
        columns = zip(*rows, strict=True) if rows else [()] * len(self._kinds)
        both = {
            name: [*values, *new[name]] for name, values in zip(self._kinds, columns, strict=True)
        }
        frame, places = in_order(both, self._kinds, self._has_labels)
        return frame, places[len(rows) :]

    def _before(self, new: Columns) -> list[tuple]:
        """What is kept of the customers and terminals of some transactions, without themselves."""
        asked, values = [], []
        for key, since in self._reach(min(new["timestamp"])).items():
            keys = [value for value in dict.fromkeys(new[key]) if value is not None]
            asked.append(
                f"SELECT seq FROM transactions WHERE {key} IN ({marks(keys)}) AND timestamp >= ?"
            )
            values += [*keys, since]
        if not asked:
            return []
        ids = new["transaction_id"]
        return self._connection.execute(
            f"SELECT {self._listed} FROM transactions WHERE seq IN ({' UNION '.join(asked)}) "
            f"AND transaction_id NOT IN ({marks(ids)}) ORDER BY timestamp, seq",
            [*values, *ids],
        ).fetchall()

    def _reach(self, earliest: int) -> dict[str, int]:
        """Since when the transactions of a customer and a terminal matter; absent if never."""
        reach = {}
        if self.history.customer_days:
            reach["customer_id"] = earliest - days_to_microseconds(self.history.customer_days)
        if self.history.previous or self.history.first_uses:
            # What is older than the window is here because it is needed.
            reach["customer_id"] = _ALWAYS
        if self.history.terminal_days:
            reach["terminal_id"] = earliest - days_to_microseconds(self.history.terminal_days)
        return reach

    def answers(self, ids: Sequence[str]) -> dict[str, Answer]:
        """The answers that were given to transactions of these ids before."""
        rows = self._connection.execute(
            f"SELECT transaction_id, answer FROM answers WHERE transaction_id IN ({marks(ids)})",
            list(ids),
        )
        return {key: Answer.from_dict(json.loads(text)) for key, text in rows}

    def append(self, new: Columns, answers: Sequence[Answer]) -> None:
        """Keep transactions with what was answered, all of it or, if the process dies, nothing.

        A label that comes with a transaction is a confirmed outcome.
        """
        ids, now = new["transaction_id"], _now()
        labels = zip(ids, new["is_fraud"], strict=True)
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._insert(new)
            self._label([(key, label) for key, label in labels if label is not None])
            self._take_labels(ids)
            self._connection.executemany(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (a.transaction_id, us, a.score, a.alert, json.dumps(a.to_dict()), now)
                    for us, a in zip(new["timestamp"], answers, strict=True)
                ],
            )
        self._since_pruned += len(ids)
        if self._since_pruned >= _PRUNED_EVERY:
            self.prune()

    def fill(self, transactions: pd.DataFrame) -> int:
        """Keep what may be needed of canonical transactions, (n, d) in order of time, with labels.

        Returns how many were new. What is older than anything looks back to is left out.
        """
        reach = History(self._kept_days, 0.0, self.history.previous, self.history.first_uses)
        needed = needed_later(transactions, reach, transactions["timestamp"].iloc[-1])
        kept = transactions[needed]
        before = self._connection.total_changes
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._insert(self.columns(kept))
            new = self._connection.total_changes - before
            self._take_labels(kept["transaction_id"].tolist())
        self._has_labels = self._any_labels()
        self.prune()
        return new

    def _insert(self, new: Columns) -> None:
        """An id that is there already counts once, as it came first."""
        self._connection.executemany(
            f"INSERT OR IGNORE INTO transactions ({self._listed}) VALUES ({marks(self._kinds)})",
            zip(*(new[name] for name in self._kinds), strict=True),
        )

    def _take_labels(self, ids: list[str]) -> None:
        """An outcome may be known before the transaction is."""
        self._connection.executemany(
            "UPDATE transactions SET is_fraud = l.is_fraud FROM labels l "
            "WHERE transactions.transaction_id = ? AND l.transaction_id = ?",
            [(key, key) for key in ids],
        )

    def label(self, transaction_id: str, is_fraud: bool) -> bool:
        """Keep a confirmed outcome; whether its transaction is known. The last one told counts."""
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._label([(transaction_id, is_fraud)])
            self._take_labels([transaction_id])
        found = self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM transactions WHERE transaction_id = ?1) "
            "OR EXISTS (SELECT 1 FROM answers WHERE transaction_id = ?1)",
            (transaction_id,),
        )
        return found.fetchone() == (1,)

    def _label(self, labels: Iterable[tuple[str, bool | float]]) -> None:
        now = _now()
        told = [(key, int(label), now) for key, label in labels]
        self._connection.executemany(
            "INSERT INTO labels VALUES (?, ?, ?) ON CONFLICT (transaction_id) DO UPDATE "
            "SET is_fraud = excluded.is_fraud, labelled_at = excluded.labelled_at",
            told,
        )
        self._has_labels = self._has_labels or bool(told)

    def prune(self) -> int:
        """Forget what no window reaches any more; how many transactions that were."""
        self._since_pruned = 0
        recent = self._connection.execute(
            "SELECT timestamp FROM transactions ORDER BY seq DESC LIMIT ?", (_RECENT,)
        ).fetchall()
        if not recent:
            return 0
        newest = int(np.median([us for (us,) in recent]))
        cutoff = newest - days_to_microseconds(self._kept_days)
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("DELETE FROM answers WHERE us < ?", (cutoff,))
            return forget(self._connection, self.history, cutoff)

    def close(self) -> None:
        """Write everything into the one file, and let others have it."""
        self._connection.close()
        self._lock.release()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
