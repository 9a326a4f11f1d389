"""A history store in a PostgreSQL, which several services share."""

import functools
import hashlib
import re
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fraud_ae.configuration.secrets import refuse_keys
from fraud_ae.errors import UserError
from fraud_ae.serving.databases.database import Database
from fraud_ae.serving.errors import RequestRefused

if TYPE_CHECKING:
    import psycopg

PREFIX = "postgresql://"
_SCHEMA = "fraud_ae"
# A server that does not answer is given up after so many seconds, and asked again after others.
_SETTINGS = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "fraud_ae",
}
_SECONDS_UNTIL_NEXT = 1.0
# A process that hangs, and a transaction that does, keeps the others waiting no longer.
_SESSION = (
    f"SET search_path = {_SCHEMA}; SET lock_timeout = '10s'; "
    "SET idle_in_transaction_session_timeout = '60s'; SET client_min_messages = warning"
)
# Of the two-number locks, which are others than those of one: all share it, or one has it alone.
_ALL = (0x66726175, 0x64616500)
# A server has room for 64 locks of each of its connections, 100 by default.
_MOST_LOCKS = 256
# Quoted names stay as they are but for what psycopg takes for a place of a value.
_PLACES = re.compile(r'"(?:[^"]|"")*"|\?|%')


class PostgreSQL(Database):
    """A connection to a database, made again where it is lost; its tables are in a schema of ours.

    Transactions that have a customer, a terminal or an id in common take turns by advisory locks,
    so that they see what those before them have committed, whichever process asked.
    """

    types = MappingProxyType(
        {
            "text": "TEXT",
            "number": "DOUBLE PRECISION",
            "time": "BIGINT",
            "label": "DOUBLE PRECISION",
            "integer": "BIGINT",
            "sequence": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        }
    )
    # All stop for it.
    pruned_every = 10_000

    def __init__(self, url: str, read_only: bool = False) -> None:
        """Connect. url: postgresql://USER@HOST/NAME, without a password.

        Raises UserError where the database cannot be reached, the URL is none or holds a password,
        or psycopg is not installed.
        """
        super().__init__()
        refuse_keys(url, "--store")
        try:
            import psycopg
        except ImportError:
            raise UserError(
                f"--store {url}: psycopg is not installed: pip install 'fraud_ae[postgres]'"
            ) from None
        try:
            settings = psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            settings = {"port": "none"}
        if not set(settings.get("port", "")) <= set("0123456789,"):
            # What is wrong with it may be a password, and is not shown.
            raise UserError(f"--store: must be a file or {PREFIX}USER@HOST/NAME")
        if "password" in settings:
            raise UserError("--store: holds a password; give it by PGPASSWORD or in ~/.pgpass")
        self._settings = {**_SETTINGS, **settings}
        self.where, self._read_only = url, read_only
        self._failures = (
            psycopg.OperationalError,
            psycopg.InterfaceError,
            # One that has become a copy of another server is none to write to.
            psycopg.errors.ReadOnlySqlTransaction,
        )
        self._unreachable_until = 0.0
        try:
            self._connection = self._connect()
            if not read_only:
                self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
        except psycopg.errors.UniqueViolation:
            pass  # another process made it at the same moment
        except psycopg.Error as error:
            raise UserError(f"--store {url}: {_first_line(error)}") from error

    def _connect(self) -> "psycopg.Connection":
        import psycopg

        connection = psycopg.connect(**self._settings, autocommit=True)
        connection.execute(_SESSION)
        if self._read_only:
            connection.execute("SET default_transaction_read_only = on")
        return connection

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """What fails for want of a connection becomes a refusal; another is made for the next."""
        import psycopg

        try:
            yield
            self.lost = False
        except self._failures as error:
            self.lost = True
            # Closed rather than rolled back: what state it is in is not known.
            with suppress(psycopg.Error):
                self._connection.close()
            raise RequestRefused(
                503, "the store cannot be reached; ask again", retry_after=1
            ) from error
        except psycopg.DataError as error:
            raise RequestRefused(422, f"cannot be stored: {_first_line(error)}") from error

    def _connected(self) -> "psycopg.Connection":
        """The connection, alive; in a transaction the one that it began with."""
        if self.in_transaction:
            return self._connection
        if not self._connection.closed:
            # One that ended while nobody asked is found out before anything depends on it.
            try:
                self._connection.execute("SELECT 1")
                return self._connection
            except self._failures:
                self._connection.close()
        if time.monotonic() < self._unreachable_until:
            raise RequestRefused(503, "the store cannot be reached; ask again", retry_after=1)
        try:
            self._connection = self._connect()
        except self._failures:
            # So that those who wait are not refused one after another, each after a while.
            self._unreachable_until = time.monotonic() + _SECONDS_UNTIL_NEXT
            raise
        return self._connection

    def execute(self, statement: str, values: Sequence[Any] = ()) -> "psycopg.Cursor":
        with self._failing():
            return self._connected().execute(_translated(statement), values)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> int:
        with self._failing():
            cursor = self._connected().cursor()
            cursor.executemany(_translated(statement), list(rows))
            return max(cursor.rowcount, 0)

    def columns(self) -> dict[str, str]:
        rows = self.execute(
            "SELECT column_name, upper(data_type) FROM information_schema.columns "
            "WHERE table_schema = ? AND table_name = 'transactions'",
            (_SCHEMA,),
        )
        return dict(rows.fetchall())

    def reader(self) -> "PostgreSQL":
        return PostgreSQL(self.where, read_only=True)

    def close(self) -> None:
        self._connection.close()

    def erase_free_space(self) -> None:
        for table in ("transactions", "answers", "labels", "newest"):
            self.execute(f"VACUUM (FULL) {table}")

    @contextmanager
    def _transaction(self, keys: Collection[str] | None) -> Iterator[None]:
        with self._failing(), ExitStack() as opened:
            try:
                opened.enter_context(self._connection.transaction())
            except self._failures:
                # It ended while nobody asked; nothing depends on it yet.
                self._connection.close()
                opened.enter_context(self._connected().transaction())
            self._lock(keys)
            yield

    def _lock(self, keys: Collection[str] | None) -> None:
        """Released when the transaction ends. Keys in one order, so that no two wait in a circle.

        Who has all locks has no key, and waits for none.
        """
        if keys is None or len(keys) > _MOST_LOCKS:
            self._connection.execute("SET LOCAL lock_timeout = 0")
            self._connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", _ALL)
            return
        self._connection.execute(
            "SELECT pg_advisory_xact_lock_shared(%s, %s) "
            "UNION ALL SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) AS key",
            (*_ALL, sorted(set(map(_number, keys)))),
        )


def _number(key: str) -> int:
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


@functools.lru_cache(1000)
def _translated(statement: str) -> str:
    """A statement as psycopg takes it, with %s for each value."""

    def place(match: re.Match) -> str:
        return "%s" if match[0] == "?" else match[0].replace("%", "%%")

    return _PLACES.sub(place, statement)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
