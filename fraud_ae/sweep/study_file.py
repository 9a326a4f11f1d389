"""The file of an experiment's Optuna studies, which `optuna-dashboard` shows.

Optuna makes the file and its studies; trials are read and written in its tables. Its own calls take
20 to 50 ms for a trial, of the process that hands out the work, and have no way to let a parameter
take values that no earlier trial had, or to correct a trial whose run was made again.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from fraud_ae.sweep.distributions import including, is_number

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

STUDIES = "optuna.db"
# The user attribute by which a trial is found again.
_KEY = "key"
_WAIT_SECONDS = 30
# Of Optuna: the version of its tables, and where a study keeps what its values are called.
_SCHEMA, _METRIC_NAMES = 12, "study:metric_names"


@dataclass(frozen=True)
class Trial:
    """A finished trial. value: None of a failed one. parameters: plain values by dotted key."""

    key: str
    value: float | None
    parameters: dict
    attributes: dict
    started: datetime
    completed: datetime


@dataclass(frozen=True)
class _Known:
    """What the file says of a trial."""

    number: int
    value: float | None
    attributes: dict

    def says(self, trial: Trial) -> bool:
        same = trial.attributes.items() <= self.attributes.items()
        return same and self.value == trial.value


class StudyFile:
    """One study of the file. about: user attributes of the study."""

    def __init__(self, path: Path, name: str, objective: str, about: dict) -> None:
        self.path = path
        self.name = name
        self.objective = objective
        self._about = about

    def add(self, trials: Iterable[Trial], values: Mapping[str, Sequence] | None = None) -> None:
        """Add what is new, and correct what has changed; each key is there once.

        values: of parameters that are going to be swept, as far as they are known.
        Raises whatever SQLite, SQLAlchemy, Optuna or the file system have against it.
        """
        wanted = {trial.key: trial for trial in trials}
        if not _missing(self._known(), wanted):
            return
        # Two sweeps of one experiment take turns, and see each other's trials.
        locks = self.path.with_name(".locks")
        locks.mkdir(parents=True, exist_ok=True)
        with FileLock(locks / f"{STUDIES}.lock", timeout=_WAIT_SECONDS):
            study = self._number() or self._create()
            known = self._known()
            missing = _missing(known, wanted)
            # All of them, or none.
            with self._tables() as tables:
                distributions = self._widened(tables, missing.values(), values or {})
                for key, trial in missing.items():
                    if key in known:
                        _correct(tables, known[key], trial)
                    else:
                        _insert(tables, study, trial, distributions)

    def _number(self) -> int | None:
        """The number of the study, None where it has not been made."""
        if not self._has_tables():
            return None
        with self._tables() as tables:
            (schema,) = tables.execute("SELECT schema_version FROM version_info").fetchone()
            if schema != _SCHEMA:
                raise RuntimeError(f"its tables have version {schema}, not {_SCHEMA}")
            # Written last, so that a study without it is made anew.
            found = tables.execute(
                "SELECT study_id FROM studies JOIN study_system_attributes USING (study_id)"
                " WHERE study_name = ? AND key = ?",
                (self.name, _METRIC_NAMES),
            ).fetchone()
        return found and found[0]

    def _create(self) -> int:
        import optuna

        storage = optuna.storages.RDBStorage(
            f"sqlite:///{self.path}", engine_kwargs={"connect_args": {"timeout": _WAIT_SECONDS}}
        )
        try:
            study = optuna.create_study(
                storage=storage, study_name=self.name, direction="maximize", load_if_exists=True
            )
            for name, value in self._about.items():
                study.set_user_attr(name, value)
            # What `set_metric_names` does, which warns that it may change.
            storage.set_study_system_attr(study._study_id, _METRIC_NAMES, [self.objective])
            return study._study_id
        finally:
            storage.remove_session()
            storage.engine.dispose()

    def _has_tables(self) -> bool:
        if not self.path.is_file():
            return False
        with self._tables() as tables:
            # Those that Optuna fills last.
            return bool(
                tables.execute("SELECT 1 FROM sqlite_master WHERE name = 'version_info'").fetchone()
                and tables.execute("SELECT 1 FROM version_info").fetchone()
            )

    def _known(self) -> dict[str, _Known]:
        """The trials that are there, by key."""
        if not self._has_tables():
            return {}
        with self._tables() as tables:
            values = tables.execute(
                "SELECT t.trial_id, v.value FROM studies s JOIN trials t USING (study_id)"
                " LEFT JOIN trial_values v USING (trial_id) WHERE s.study_name = ?",
                (self.name,),
            ).fetchall()
            attributes: dict[int, dict] = {number: {} for number, _ in values}
            for number, name, text in tables.execute(
                "SELECT t.trial_id, a.key, a.value_json FROM studies s"
                " JOIN trials t USING (study_id) JOIN trial_user_attributes a USING (trial_id)"
                " WHERE s.study_name = ?",
                (self.name,),
            ):
                attributes[number][name] = json.loads(text)
        known = [_Known(number, value, attributes[number]) for number, value in values]
        return {each.attributes[_KEY]: each for each in known if _KEY in each.attributes}

    def _widened(
        self,
        tables: sqlite3.Connection,
        trials: Iterable[Trial],
        values: Mapping[str, Sequence],
    ) -> "dict[str, BaseDistribution]":
        """The distribution of each parameter, wide enough for the old values and the new ones.

        All trials of a study get the same one: Optuna refuses other categories, and leaves what is
        not the same in all out of the importances.
        """
        from optuna.distributions import distribution_to_json, json_to_distribution

        before = {
            name: json_to_distribution(text)
            for name, text in tables.execute(
                "SELECT DISTINCT p.param_name, p.distribution_json FROM studies s"
                " JOIN trials t USING (study_id) JOIN trial_params p USING (trial_id)"
                " WHERE s.study_name = ?",
                (self.name,),
            )
        }
        after = dict(before)
        told = [(name, value) for name, own in values.items() for value in own]
        told += [pair for trial in trials for pair in trial.parameters.items()]
        for name, value in told:
            after[name] = including(after.get(name), value)
        for name in before:
            if after[name] != before[name]:
                tables.execute(
                    "UPDATE trial_params SET distribution_json = ? WHERE param_name = ?"
                    " AND trial_id IN (SELECT trial_id FROM trials JOIN studies USING (study_id)"
                    " WHERE study_name = ?)",
                    (distribution_to_json(after[name]), name, self.name),
                )
        return after

    @contextmanager
    def _tables(self) -> Iterator[sqlite3.Connection]:
        """The tables themselves; what was changed is kept all together, or not at all."""
        # Not read-only: what a kill left of a transaction has to be undone first.
        url = f"{self.path.resolve().as_uri()}?mode=rw"
        with closing(sqlite3.connect(url, uri=True, timeout=_WAIT_SECONDS)) as tables, tables:
            yield tables


def _missing(known: dict[str, _Known], wanted: dict[str, Trial]) -> dict[str, Trial]:
    """Trials that are not there, or not as they are now."""
    return {k: t for k, t in wanted.items() if k not in known or not known[k].says(t)}


def _insert(
    tables: sqlite3.Connection,
    study: int,
    trial: Trial,
    distributions: "dict[str, BaseDistribution]",
) -> None:
    from optuna.distributions import CategoricalDistribution, distribution_to_json

    number = tables.execute(
        "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete)"
        " SELECT COUNT(*), ?, ?, ?, ? FROM trials WHERE study_id = ?",
        (study, _state(trial), _utc(trial.started), _utc(trial.completed), study),
    ).lastrowid
    _insert_value(tables, number, trial)
    others = {}
    for name, value in trial.parameters.items():
        distribution = distributions[name]
        if not isinstance(distribution, CategoricalDistribution) and not is_number(value):
            others[name] = value
            continue
        tables.execute(
            "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)"
            " VALUES (?, ?, ?, ?)",
            (
                number,
                name,
                distribution.to_internal_repr(value),
                distribution_to_json(distribution),
            ),
        )
    _insert_attributes(tables, number, {**trial.attributes, **others, _KEY: trial.key})


def _correct(tables: sqlite3.Connection, known: _Known, trial: Trial) -> None:
    """A run that was trained or evaluated again: its trial says what is there now."""
    tables.execute(
        "UPDATE trials SET state = ?, datetime_start = ?, datetime_complete = ? WHERE trial_id = ?",
        (_state(trial), _utc(trial.started), _utc(trial.completed), known.number),
    )
    tables.execute("DELETE FROM trial_values WHERE trial_id = ?", (known.number,))
    _insert_value(tables, known.number, trial)
    tables.executemany(
        "DELETE FROM trial_user_attributes WHERE trial_id = ? AND key = ?",
        [(known.number, name) for name in trial.attributes],
    )
    _insert_attributes(tables, known.number, trial.attributes)


def _insert_value(tables: sqlite3.Connection, number: int, trial: Trial) -> None:
    if trial.value is not None:
        tables.execute(
            "INSERT INTO trial_values (trial_id, objective, value, value_type)"
            " VALUES (?, 0, ?, 'FINITE')",
            (number, trial.value),
        )


def _insert_attributes(tables: sqlite3.Connection, number: int, attributes: dict) -> None:
    tables.executemany(
        "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)",
        [(number, name, json.dumps(value)) for name, value in attributes.items()],
    )


def _state(trial: Trial) -> str:
    return "FAIL" if trial.value is None else "COMPLETE"


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
