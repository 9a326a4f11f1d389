"""What a history store asks of the database that it lies in."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, Self

# What the store's statements are written for; another version is refused.
STORE_VERSION = 1


class Rows(Protocol):
    """What a statement gives, as of DB-API 2.0."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""

    def fetchone(self) -> Any:
        """The next row, None without one."""

    def fetchall(self) -> list[Any]:
        """All rows."""

    def __iter__(self) -> Iterator[Any]: ...


class Database(ABC):
    """A connection, used by one thread at a time. where: as messages name it.

    Statements have question marks for values, and are such as every database understands.
    types: what `text`, `number`, `time`, `label`, `integer` and a `sequence` are called.
    pruned_every: old transactions are deleted after so many new ones. lost: whether the last
    statement found no connection.
    """

    where: str
    types: Mapping[str, str]
    pruned_every: int
    lost = False

    def __init__(self) -> None:
        self._depth = 0

    @abstractmethod
    def execute(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        """Run one statement. Raises RequestRefused (503) where the connection is lost."""

    @abstractmethod
    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> int:
        """Run a statement for each row of values; returns how many rows were changed in all."""

    @abstractmethod
    def columns(self) -> dict[str, str]:
        """The columns of the table `transactions` -> what their types are called here."""

    @abstractmethod
    def reader(self) -> "Database":
        """Another connection, which only reads."""

    def check(self) -> None:
        """Ask for nothing. Raises RequestRefused (503) where there is still no connection."""
        self.execute("SELECT 1")

    @abstractmethod
    def close(self) -> None:
        """Close the connection, and release what it holds."""

    @abstractmethod
    def erase_free_space(self) -> None:
        """Leave nothing of deleted rows in the tables' files."""

    @abstractmethod
    def _transaction(self, keys: Collection[str] | None) -> AbstractContextManager:
        """As `transaction`, of which none is open."""

    @contextmanager
    def transaction(self, keys: Collection[str] | None = None) -> Iterator[None]:
        """All of its statements or none; part of the one around it, if there is one.

        keys: of what it reads and writes, such as the transactions' and customers': two that have
        a key in common take turns. None takes turns with all.
        """
        if self._depth:
            yield
            return
        with self._transaction(keys):
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    @property
    def in_transaction(self) -> bool:
        """Whether one is open."""
        return self._depth > 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
