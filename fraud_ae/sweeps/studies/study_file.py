"""The file of an experiment's Optuna studies, which `optuna-dashboard` shows."""

import functools
import json
import logging
import sqlite3
import warnings
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from fraud_ae.runtime.checksums import set_aside

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

log = logging.getLogger("fraud_ae")

STUDIES = "optuna.db"
# User attributes of a trial: which combination it is, and a hash of all that it says.
COMBINATION, CONTENT = "combination", "content"
_WAIT_SECONDS = 30


class StudyFile:
    """One study of the file. about: user attributes of the study."""

    def __init__(self, path: Path, name: str, objective: str, about: dict) -> None:
        self.path = path
        self.name = name
        self.objective = objective
        self._about = about

    def add(self, trials: "Iterable[FrozenTrial]", replace: bool = False) -> None:
        """Add the trials whose combination is not there; each is there once.

        replace: put those that say something else than before in the place of the old ones. Optuna
        cannot change a finished trial, so this makes the study again. After a kill meanwhile, what
        is missing is new to whoever adds it the next time.

        Raises whatever SQLite, SQLAlchemy, Optuna or the file system have against it.
        """
        wanted = {trial.user_attrs[COMBINATION]: trial for trial in trials}
        if {trial.user_attrs[CONTENT] for trial in wanted.values()} <= self._contents():
            return
        # Two sweeps of one experiment take turns, and see each other's trials.
        locks = self.path.with_name(".locks")
        locks.mkdir(parents=True, exist_ok=True)
        with FileLock(locks / f"{STUDIES}.lock", timeout=_WAIT_SECONDS):
            wrong = _damage(self.path)
            if wrong is None:
                try:
                    self._write(wanted, replace)
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
            self._write(wanted, replace)

    def _write(self, wanted: "Mapping[str, FrozenTrial]", replace: bool) -> None:
        storage = _storage(self.path)
        try:
            self._add(storage, wanted, replace)
        finally:
            # It belongs to this thread.
            storage.remove_session()

    def _add(
        self, storage: "RDBStorage", wanted: "Mapping[str, FrozenTrial]", replace: bool
    ) -> None:
        import optuna

        study = self._study(storage)
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
            optuna.delete_study(study_name=self.name, storage=storage)
            study, new = self._study(storage), {**existing, **wanted}
        study.add_trials(new.values())

    def _study(self, storage: "RDBStorage") -> "Study":
        import optuna

        study = optuna.create_study(
            storage=storage, study_name=self.name, direction="maximize", load_if_exists=True
        )
        if study.user_attrs != self._about:
            # New, or left so by a kill. The name of the metric is what the dashboard calls the
            # value; that the method may change some day is no news to who runs a sweep.
            warnings.filterwarnings("ignore", ".*set_metric_names is experimental")
            study.set_metric_names([self.objective])
            for name, value in self._about.items():
                study.set_user_attr(name, value)
        return study

    def _contents(self) -> set[str]:
        """What the trials say that are there, without SQLAlchemy: a sweep may have nothing new.

        None where these are not the tables that are expected; then Optuna is asked.
        """
        try:
            url = f"{self.path.resolve().as_uri()}?mode=ro"
            with closing(sqlite3.connect(url, uri=True, timeout=_WAIT_SECONDS)) as tables:
                rows = tables.execute(
                    "SELECT value_json FROM studies JOIN trials USING (study_id)"
                    " JOIN trial_user_attributes USING (trial_id)"
                    " WHERE study_name = ? AND trial_user_attributes.key = ?",
                    (self.name, CONTENT),
                )
                return {json.loads(text) for (text,) in rows}
        except (sqlite3.Error, ValueError):
            return set()


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


def _storage(path: Path) -> "RDBStorage":
    """The storage of a file, made once in a process: that takes half a second."""
    if not path.is_file():
        _made.cache_clear()
    return _made(path.resolve())


@functools.cache
def _made(path: Path) -> "RDBStorage":
    import optuna
    from sqlalchemy.engine import URL

    return optuna.storages.RDBStorage(
        URL.create("sqlite", database=str(path)).render_as_string(),
        engine_kwargs={"connect_args": {"timeout": _WAIT_SECONDS}},
    )
