"""Where the Optuna studies of experiments are kept, which `optuna-dashboard` shows.

The file of an experiment, or a PostgreSQL that several experiments share.
"""

import functools
import json
import logging
import sqlite3
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from fraud_ae.errors import UserError
from fraud_ae.runtime.checksums import set_aside

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial
    from sqlalchemy.engine import Engine

log = logging.getLogger("fraud_ae")

STUDIES = "optuna.db"
# User attributes of a trial: which combination it is, and a hash of all that it says.
COMBINATION, CONTENT = "combination", "content"
_WAIT_SECONDS = 30
_CONTENTS = (
    "SELECT value_json FROM studies JOIN trials USING (study_id)"
    " JOIN trial_user_attributes USING (trial_id)"
    " WHERE study_name = :study AND trial_user_attributes.key = :key"
)
# The number of a lock of PostgreSQL: writers of studies take turns.
_ADVISORY_LOCK = 0x6672617564


@dataclass(frozen=True)
class SweepStudy:
    """A study: its name, the figure that it maximises, and its user attributes."""

    name: str
    objective: str
    about: dict


class Studies(ABC):
    """Studies in one place. where: as messages name it. prefix: of the names of its studies."""

    where: str
    prefix = ""

    def add(
        self, study: SweepStudy, trials: "Iterable[FrozenTrial]", replace: bool = False
    ) -> None:
        """Add the trials whose combination is not there; each is there once.

        replace: put those that say something else than before in the place of the old ones. Optuna
        cannot change a finished trial, so this makes the study again. After a kill meanwhile, what
        is missing is new to whoever adds it the next time.

        Raises whatever the database, SQLAlchemy, Optuna or the file system have against it.
        """
        wanted = {trial.user_attrs[COMBINATION]: trial for trial in trials}
        if {trial.user_attrs[CONTENT] for trial in wanted.values()} <= self._contents(study.name):
            return
        # Two sweeps take turns, and see each other's trials.
        with self._turn():
            self._write(study, wanted, replace)

    @abstractmethod
    def _turn(self) -> AbstractContextManager:
        """While it lasts, nobody else writes."""

    @abstractmethod
    def _storage(self) -> "RDBStorage":
        """Of Optuna, made once in a process: that takes half a second."""

    @abstractmethod
    def _contents(self, name: str) -> set[str]:
        """What the trials of a study say that are there; a sweep may have nothing new.

        None where these are not the tables that are expected; then Optuna is asked.
        """

    def _write(self, study: SweepStudy, wanted: "Mapping[str, FrozenTrial]", replace: bool) -> None:
        storage = self._storage()
        try:
            _add(storage, study, wanted, replace)
        finally:
            # It belongs to this thread.
            storage.remove_session()


class StudyFile(Studies):
    """A file of SQLite. A damaged one is set aside, with a warning, and made again."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self.path = path

    def _turn(self) -> AbstractContextManager:
        locks = self.path.with_name(".locks")
        locks.mkdir(parents=True, exist_ok=True)
        return FileLock(locks / f"{STUDIES}.lock", timeout=_WAIT_SECONDS)

    def _write(self, study: SweepStudy, wanted: "Mapping[str, FrozenTrial]", replace: bool) -> None:
        wrong = _damage(self.path)
        if wrong is None:
            try:
                super()._write(study, wanted, replace)
                return
            except (ValueError, KeyError) as error:
                # SQLite knows no checksums, and Optuna keeps JSON in it.
                wrong = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        log.warning(
            "%s: damaged (%s), set aside, and made again with the trials of this sweep",
            self.path,
            wrong,
        )
        set_aside(self.path)
        _made.cache_clear()
        super()._write(study, wanted, replace)

    def _storage(self) -> "RDBStorage":
        if not self.path.is_file():
            _made.cache_clear()
        from sqlalchemy.engine import URL

        url = URL.create("sqlite", database=str(self.path.resolve()))
        return _made(url.render_as_string(), "timeout")

    def _contents(self, name: str) -> set[str]:
        # Without SQLAlchemy, which takes long to import.
        try:
            url = f"{self.path.resolve().as_uri()}?mode=ro"
            with closing(sqlite3.connect(url, uri=True, timeout=_WAIT_SECONDS)) as tables:
                rows = tables.execute(_CONTENTS, {"study": name, "key": CONTENT})
                return {json.loads(text) for (text,) in rows}
        except (sqlite3.Error, ValueError):
            return set()


class StudyDatabase(Studies):
    """A PostgreSQL database, which several experiments and machines write to.

    url: postgresql://USER@HOST/NAME; the password comes from PGPASSWORD or ~/.pgpass. experiment:
    whose studies these are, which is part of their names.
    """

    def __init__(self, url: str, experiment: str) -> None:
        self.where = url
        self.prefix = f"{experiment}: "

    def check(self) -> None:
        """Connect, and make the tables where there are none.

        Raises UserError where the database cannot be reached, or is of another version of Optuna.
        """
        try:
            import psycopg  # noqa: F401
        except ImportError:
            raise UserError(
                f"optuna.storage={self.where}: psycopg is not installed; "
                "pip install 'fraud_ae[postgres]'"
            ) from None
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._turn():
                self._storage()
        except (SQLAlchemyError, RuntimeError) as error:
            reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            raise UserError(f"optuna.storage={self.where}: {reason}") from error

    @contextmanager
    def _turn(self) -> Iterator[None]:
        from sqlalchemy import text

        # Given back when the connection ends, also by a kill.
        with _engine(self.where).connect() as connection:
            connection.execute(text(f"SET lock_timeout = {_WAIT_SECONDS * 1000}"))
            connection.execute(text(f"SELECT pg_advisory_lock({_ADVISORY_LOCK})"))
            yield

    def _storage(self) -> "RDBStorage":
        return _made(self.where, "connect_timeout")

    def _contents(self, name: str) -> set[str]:
        from sqlalchemy import text

        with _engine(self.where).connect() as connection:
            if not connection.execute(text("SELECT to_regclass('trials')")).scalar():
                return set()
            rows = connection.execute(text(_CONTENTS), {"study": name, "key": CONTENT})
            return {json.loads(value) for (value,) in rows}


def studies_of(folder: Path, storage: str | None) -> Studies:
    """The studies of an experiment. folder: its own. storage: the setting `optuna.storage`.

    Raises UserError for a storage that is not PostgreSQL, or that cannot be reached.
    """
    if storage is None:
        return StudyFile(folder / STUDIES)
    if not storage.startswith("postgresql://"):
        raise UserError(
            f"optuna.storage={storage}: must be postgresql://USER@HOST/NAME; "
            f"without it studies are in {folder / STUDIES}"
        )
    database = StudyDatabase(storage, folder.name)
    database.check()
    return database


def _add(
    storage: "RDBStorage", sweep: SweepStudy, wanted: "Mapping[str, FrozenTrial]", replace: bool
) -> None:
    import optuna

    study = _study(storage, sweep)
    existing = {
        trial.user_attrs.get(COMBINATION, trial.number): trial
        for trial in study.get_trials(deepcopy=False)
    }
    new = {key: trial for key, trial in wanted.items() if key not in existing}
    if replace and any(
        existing[key].user_attrs[CONTENT] != trial.user_attrs[CONTENT]
        for key, trial in wanted.items()
        if key in existing
    ):
        optuna.delete_study(study_name=sweep.name, storage=storage)
        study, new = _study(storage, sweep), {**existing, **wanted}
    study.add_trials(new.values())


def _study(storage: "RDBStorage", sweep: SweepStudy) -> "Study":
    import optuna

    study = optuna.create_study(
        storage=storage, study_name=sweep.name, direction="maximize", load_if_exists=True
    )
    if study.user_attrs != sweep.about:
        # New, or left so by a kill. The name of the metric is what the dashboard calls the
        # value; that the method may change some day is no news to who runs a sweep.
        warnings.filterwarnings("ignore", ".*set_metric_names is experimental")
        study.set_metric_names([sweep.objective])
        for key, value in sweep.about.items():
            study.set_user_attr(key, value)
    return study


def _damage(path: Path) -> str | None:
    """What SQLite has against a file; None where there is none, or another process holds it."""
    if not path.is_file():
        return None
    try:
        url = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(url, uri=True, timeout=_WAIT_SECONDS)) as tables:
            (said,) = tables.execute("PRAGMA quick_check(1)").fetchone()
            return None if said == "ok" else said
    except sqlite3.OperationalError:
        return None
    except sqlite3.DatabaseError as error:
        return str(error)


@functools.cache
def _made(url: str, timeout: str) -> "RDBStorage":
    """timeout: what the driver of the database calls the seconds that it waits."""
    import optuna

    return optuna.storages.RDBStorage(
        url, engine_kwargs={"connect_args": {timeout: _WAIT_SECONDS}, "pool_pre_ping": True}
    )


@functools.cache
def _engine(url: str) -> "Engine":
    """Connections beside Optuna's, each of which ends where it is no longer used."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    return create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": _WAIT_SECONDS})
