"""What people see of the answers of a service."""

import json
import sqlite3
from datetime import UTC, datetime
from typing import Any

import pandas as pd

_ANSWERED = (
    "FROM answers a LEFT JOIN transactions t USING (transaction_id) "
    "LEFT JOIN labels l USING (transaction_id) WHERE a.us >= ? AND a.us < ?"
)
_LABEL = "coalesce(l.is_fraud, t.is_fraud)"


class Answers:
    """The answers that are kept in the file of a store; nothing is written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def alerts(
        self, since: datetime, until: datetime, limit: int = 1000, above: float | None = None
    ) -> list[dict[str, Any]]:
        """Answers to transactions of a period that were alerts, the highest score first.

        above: those with a score above it instead. Each has what was answered, `timestamp`,
        `customer_id`, `terminal_id` and `amount` (None where it is unknown), and `is_fraud`, None
        where nobody has told.
        """
        there = {row[1] for row in self._connection.execute("PRAGMA table_info(transactions)")}
        shown = [name for name in ("customer_id", "terminal_id", "amount") if name in there]
        rows = self._connection.execute(
            f"SELECT a.us, a.answer, {_LABEL}, {', '.join(f't.{name}' for name in shown)} "
            f"{_ANSWERED} AND {'a.alert' if above is None else 'a.score > ?'} "
            "ORDER BY a.score DESC, a.us LIMIT ?",
            [_us(since), _us(until), *([] if above is None else [above]), limit],
        )
        return [
            {
                "timestamp": _time(us),
                **json.loads(answer),
                "is_fraud": None if label is None else bool(label),
                **dict.fromkeys(("customer_id", "terminal_id", "amount")),
                **dict(zip(shown, values, strict=True)),
            }
            for us, answer, label, *values in rows
        ]

    def scores(self, since: datetime, until: datetime) -> pd.DataFrame:
        """Columns us, score, alert and is_fraud (NaN where unknown), in order of time."""
        rows = self._connection.execute(
            f"SELECT a.us, a.score, a.alert, {_LABEL} {_ANSWERED} ORDER BY a.us",
            (_us(since), _us(until)),
        )
        frame = pd.DataFrame(rows.fetchall(), columns=["us", "score", "alert", "is_fraud"])
        return frame.astype({"is_fraud": "float64"})

    def counts(self) -> dict[str, Any]:
        """How many transactions, answers and labels there are, and the period of the answers."""
        of = {n: f"(SELECT count(*) FROM {n})" for n in ("transactions", "answers", "labels")}
        *found, oldest, newest = self._connection.execute(
            f"SELECT {', '.join(of.values())}, min(us), max(us) FROM answers"
        ).fetchone()
        period = {"oldest": oldest, "newest": newest}
        known = {name: None if us is None else _time(us) for name, us in period.items()}
        return {**dict(zip(of, found, strict=True)), **known}


def _time(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1e6, UTC)


def _us(time: datetime) -> int:
    return int(pd.Timestamp(time).tz_convert("UTC").as_unit("us").asm8.astype("int64"))
