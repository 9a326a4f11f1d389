"""Which database a store is in."""

from pathlib import Path

from fraud_ae.errors import UserError
from fraud_ae.serving.databases.database import Database
from fraud_ae.serving.databases.postgresql import PREFIX, PostgreSQL
from fraud_ae.serving.databases.sqlite import SQLite


def open_database(store: str | Path) -> Database:
    """Open or create a store's database. store: the path of a file, or a URL of PostgreSQL.

    Raises UserError if it cannot be used, sqlite3.Error if a file is none of SQLite.
    """
    if is_shared(store):
        return PostgreSQL(str(store))
    return SQLite(Path(store))


def is_shared(store: str | Path) -> bool:
    """Whether a store is a database of PostgreSQL.

    Raises UserError, which does not show it, for a URL of anything else.
    """
    if isinstance(store, Path):
        return False
    if "://" in store and not store.startswith(PREFIX):
        raise UserError(
            f"--store {store.partition('://')[0]}://...: must be a file or {PREFIX}USER@HOST/NAME"
        )
    return store.startswith(PREFIX)
