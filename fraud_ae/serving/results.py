"""The result of scoring a transaction, and read access to the results that a store holds."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import pandas as pd

from fraud_ae.data.values.times import present
from fraud_ae.detector.reasons import Reason
from fraud_ae.serving.databases.database import Database
from fraud_ae.serving.errors import RequestRefused

_RESULTS = (
    "FROM answers a LEFT JOIN transactions t USING (transaction_id) "
    "LEFT JOIN labels l USING (transaction_id) WHERE a.us >= ? AND a.us < ?"
)
_LABEL = "coalesce(l.is_fraud, t.is_fraud)"
_TRANSACTION_COLUMNS = ("customer_id", "terminal_id", "amount")


@dataclass(frozen=True)
class Conflict:
    """A transaction that was answered before, and comes with other values. difference: in words."""

    transaction_id: str
    difference: str

    def refusal(self, prefix: str) -> RequestRefused:
        """The error of its request. prefix: of the field, such as `3.` in a list."""
        return RequestRefused(
            409,
            f"{prefix}transaction_id: {self.transaction_id} was scored before with other "
            f"values: {self.difference}; /score?replace=true replaces it",
            f"{prefix}transaction_id",
        )


@dataclass(frozen=True)
class ScoreResult:
    """The score of a transaction, and whether and why it is an alert.

    score: higher is more anomalous. threshold: above it is an alert; None where the model has none.
    reasons: of an alert, the strongest first. model: the version that scored it. repeated: whether
    the transaction had been scored before.
    """

    transaction_id: str
    score: float
    alert: bool
    threshold: float | None
    reasons: tuple[Reason, ...]
    model: str
    repeated: bool = False

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        """The result that `asdict` gave, as it is after JSON too."""
        return cls(**{**plain, "reasons": tuple(map(Reason.of, plain["reasons"]))})


class StoredResults:
    """Read-only queries on the results in the database of a `HistoryStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def alerts(
        self, since: datetime, until: datetime, limit: int = 1000, above: float | None = None
    ) -> list[dict[str, Any]]:
        """At most `limit` alerts among the transactions of a period, the highest score first.

        above: a threshold to take in place of the one in force at the time of scoring. Each alert
        has the fields of `ScoreResult`, and `timestamp`, `customer_id`, `terminal_id`, `amount` and
        `is_fraud`, None where they are not known.
        """
        table = self._database.columns()
        columns = [name for name in _TRANSACTION_COLUMNS if name in table]
        rows = self._database.execute(
            f"SELECT a.us, a.answer, {_LABEL}, {', '.join(f't.{name}' for name in columns)} "
            f"{_RESULTS} AND {'a.alert = 1' if above is None else 'a.score > ?'} "
            "ORDER BY a.score DESC, a.us LIMIT ?",
            [_us(since), _us(until), *([] if above is None else [above]), limit],
        )
        return [
            {
                "timestamp": _time(us),
                **json.loads(result),
                "is_fraud": None if label is None else bool(label),
                **dict.fromkeys(_TRANSACTION_COLUMNS),
                **dict(zip(columns, values, strict=True)),
            }
            for us, result, label, *values in rows
        ]

    def scores(self, since: datetime, until: datetime) -> pd.DataFrame:
        """Columns us, score, alert and is_fraud (NaN where unknown), in order of time."""
        query = f"SELECT a.us, a.score, a.alert, {_LABEL} AS is_fraud {_RESULTS} ORDER BY a.us"
        rows = self._database.execute(query, (_us(since), _us(until))).fetchall()
        scores = pd.DataFrame(rows, columns=["us", "score", "alert", "is_fraud"])
        return scores.astype(
            {"us": "int64", "score": "float64", "alert": "int64", "is_fraud": "float64"}
        )

    def counts(self) -> dict[str, Any]:
        """Numbers of `transactions`, `answers` and `labels`; `oldest` and `newest` result."""
        tables = {n: f"(SELECT count(*) FROM {n})" for n in ("transactions", "answers", "labels")}
        # One time that has not come to pass is not the newest, unless all are such.
        *numbers, oldest, newest = self._database.execute(
            f"SELECT {', '.join(tables.values())}, min(us), "
            "coalesce(max(us) FILTER (WHERE us <= ?), max(us)) FROM answers",
            (present().value // 1000,),
        ).fetchone()
        times = {"oldest": oldest, "newest": newest}
        period = {name: None if us is None else _time(us) for name, us in times.items()}
        return {**dict(zip(tables, numbers, strict=True)), **period}

    def period(self) -> tuple[datetime, datetime] | None:
        """From when to when the stored transactions reach; None without any."""
        first, last = self._database.execute(
            "SELECT min(timestamp), max(timestamp) FROM transactions"
        ).fetchone()
        return None if first is None else (_time(first), _time(last))


def _time(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1e6, UTC)


def _us(time: datetime) -> int:
    return round(time.timestamp() * 1e6)
