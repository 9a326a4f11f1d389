"""A history store in a file of SQLite, of one process."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fraud_ae.serving.databases.database import Database
from fraud_ae.serving.store_file import lock_store

# 256 MB of page cache hold about a million transactions.
_PRAGMAS = """
PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY;
PRAGMA cache_size=-262144; PRAGMA mmap_size=268435456;
"""


class SQLite(Database):
    """A file in WAL mode, locked by its process: committed data survive a killed process."""

    types = MappingProxyType(
        {
            "text": "TEXT",
            "number": "REAL",
            "time": "INTEGER",
            "label": "REAL",
            "integer": "INTEGER",
            "sequence": "INTEGER PRIMARY KEY AUTOINCREMENT",
        }
    )
    pruned_every = 100

    def __init__(self, path: Path, read_only: bool = False) -> None:
        """Open or create the file.

        Raises UserError if it cannot be written or another process has it, sqlite3.Error if it is
        no such file or a damaged one.
        """
        super().__init__()
        self.where, self._path = str(path), path
        self._lock = None if read_only else lock_store(path)
        address = f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rw'}"
        # Each `with self._connection` is one database transaction, begun by its first change.
        self._connection = sqlite3.connect(
            address, uri=True, isolation_level="IMMEDIATE", check_same_thread=False
        )
        if not read_only:
            try:
                self._connection.executescript(_PRAGMAS)
                (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
                if found != "ok":
                    raise sqlite3.DatabaseError(" ".join(found.split()))
            except sqlite3.Error:
                self.close()
                raise

    def execute(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> int:
        return max(self._connection.executemany(statement, rows).rowcount, 0)

    def columns(self) -> dict[str, str]:
        rows = self._connection.execute("PRAGMA table_info(transactions)")
        return {row[1]: row[2] for row in rows}

    def reader(self) -> "SQLite":
        return SQLite(self._path, read_only=True)

    def close(self) -> None:
        self._connection.close()
        if self._lock is not None:
            self._lock.release()

    def erase_free_space(self) -> None:
        self._connection.execute("PRAGMA secure_delete=ON")
        self._connection.execute("VACUUM")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _transaction(self, keys: Collection[str] | None) -> Iterator[None]:
        with self._connection:
            yield
