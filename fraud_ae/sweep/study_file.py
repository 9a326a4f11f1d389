"""The file of an experiment's Optuna studies, which `optuna-dashboard` shows.

Optuna adds the trials, each in one transaction, so that a kill leaves no half of one. What it has
no call for is done in its tables: looking up what is there without importing SQLAlchemy, letting a
parameter take values that no earlier trial had, and correcting a trial that was made again.
"""

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

STUDIES = "optuna.db"
# The user attribute by which a trial is found again.
_KEY = "key"
_WAIT_SECONDS = 30


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
        told = {name: self.attributes.get(name, _KEY) for name in trial.attributes}
        return self.value == trial.value and told == trial.attributes


class StudyFile:
    """One study of the file. about: user attributes of the study."""

    def __init__(self, path: Path, name: str, objective: str, about: dict) -> None:
        self.path = path
        self.name = name
        self.objective = objective
        self._about = about

    def add(self, trials: Iterable[Trial]) -> None:
        """Add what is new, and correct what has changed; each key is there once.

        Raises whatever SQLite, SQLAlchemy, Optuna or the file system have against it.
        """
        wanted = {trial.key: trial for trial in trials}
        if not self._missing(wanted):
            return
        # Two sweeps of one experiment take turns, and see each other's trials.
        locks = self.path.with_name(".locks")
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{STUDIES}.lock", timeout=_WAIT_SECONDS)
        with lock, _storage(self.path) as storage:
            self._write(storage, wanted)

    def _missing(self, wanted: dict[str, Trial]) -> dict[str, Trial]:
        known = self._known()
        return {k: t for k, t in wanted.items() if k not in known or not known[k].says(t)}

    def _write(self, storage: "RDBStorage", wanted: dict[str, Trial]) -> None:
        import optuna

        study = optuna.create_study(
            storage=storage, study_name=self.name, direction="maximize", load_if_exists=True
        )
        # What `set_metric_names` does, which warns that it may change.
        storage.set_study_system_attr(study._study_id, "study:metric_names", [self.objective])
        for name, value in self._about.items():
            study.set_user_attr(name, value)
        known = self._known()
        missing = self._missing(wanted)
        with self._tables() as tables:
            distributions = self._widened(tables, missing.values())
            for key, trial in missing.items():
                if key in known:
                    _correct(tables, known[key], trial)
        for key, trial in missing.items():
            if key not in known:
                study.add_trial(_frozen(trial, distributions))

    def _known(self) -> dict[str, _Known]:
        """The trials that are there, by key."""
        if not self.path.is_file():
            return {}
        with self._tables() as tables:
            if not tables.execute(
                "SELECT 1 FROM sqlite_master WHERE name = 'trial_values'"
            ).fetchone():
                return {}
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
        self, tables: sqlite3.Connection, trials: Iterable[Trial]
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
        for trial in trials:
            for name, value in trial.parameters.items():
                after[name] = _including(after.get(name), value)
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
        url = f"file:{self.path.resolve()}?mode=rw"
        with closing(sqlite3.connect(url, uri=True, timeout=_WAIT_SECONDS)) as tables, tables:
            yield tables


@contextmanager
def _storage(path: Path) -> "Iterator[RDBStorage]":
    from optuna.storages import RDBStorage

    storage = RDBStorage(
        f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": _WAIT_SECONDS}}
    )
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _correct(tables: sqlite3.Connection, known: _Known, trial: Trial) -> None:
    """A run that was trained or evaluated again: its trial says what is there now."""
    for name, value in trial.attributes.items():
        place = (known.number, name)
        tables.execute("DELETE FROM trial_user_attributes WHERE trial_id = ? AND key = ?", place)
        tables.execute(
            "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)",
            (*place, json.dumps(value)),
        )
    tables.execute(
        "UPDATE trial_values SET value = ? WHERE trial_id = ?", (trial.value, known.number)
    )


def _including(distribution: "BaseDistribution | None", value: object) -> "BaseDistribution":
    """A distribution that a value and all values of another belong to; a number stays one.

    A value that is no number cannot be added to numbers: then the distribution stays as it is.
    """
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if distribution is None:
        if not _is_number(value):
            return CategoricalDistribution([value])
        kind = IntDistribution if isinstance(value, int) else FloatDistribution
        return kind(value, value)
    if isinstance(distribution, CategoricalDistribution):
        # Added at the end: a trial holds the place of its value.
        new = () if value in distribution.choices else (value,)
        return CategoricalDistribution([*distribution.choices, *new])
    if not _is_number(value):
        return distribution
    whole = isinstance(distribution, IntDistribution) and isinstance(value, int)
    kind = IntDistribution if whole else FloatDistribution
    return kind(min(distribution.low, value), max(distribution.high, value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _frozen(trial: Trial, distributions: "dict[str, BaseDistribution]") -> "FrozenTrial":
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import TrialState, create_trial

    fitting = {
        name: value
        for name, value in trial.parameters.items()
        if isinstance(distributions[name], CategoricalDistribution) or _is_number(value)
    }
    others = {name: v for name, v in trial.parameters.items() if name not in fitting}
    frozen = create_trial(
        state=TrialState.FAIL if trial.value is None else TrialState.COMPLETE,
        value=trial.value,
        params=fitting,
        distributions={name: distributions[name] for name in fitting},
        user_attrs={**trial.attributes, **others, _KEY: trial.key},
    )
    frozen.datetime_start, frozen.datetime_complete = trial.started, trial.completed
    return frozen
