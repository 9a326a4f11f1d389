"""What the review page shows: the alerts of a day, and what other thresholds would do."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from fraud_ae.detector.reasons import Reason
from fraud_ae.evaluation.threshold import alerts as above
from fraud_ae.features.event_time import DAY_US
from fraud_ae.serving.http.schemas import shown_reason
from fraud_ae.serving.online.answers import Answers

# So many days can be chosen, and count for the alerts per day.
DAYS = 7
MOST = 200
_DAY = timedelta(days=1)


def alerts_of(kept: Answers, day: date | None, threshold: float) -> dict[str, Any]:
    """The alerts of a UTC day, by default the newest one that has any; see `shapes.Alerts`."""
    recent = _recent(kept)
    days = _days(recent, threshold)
    if day is None:
        with_alerts = [one["day"] for one in days if one["alerts"]]
        day = (with_alerts or [one["day"] for one in days] or [None])[0]
    found: list[dict[str, Any]] = []
    more = 0
    if day is not None:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        found = kept.alerts(start, start + _DAY, MOST, threshold)
        if len(found) == MOST:
            scores = kept.scores(start, start + _DAY)["score"].to_numpy()
            more = int(above(scores, threshold).sum()) - MOST
    shown = [
        {**one, "reasons": [shown_reason(Reason.of(reason)) for reason in one["reasons"]]}
        for one in found
    ]
    return {"day": day, "threshold": threshold, "alerts": shown, "more": more, "days": days}


def thresholds_of(kept: Answers, explored: dict[str, Any]) -> dict[str, Any]:
    """What each threshold would have done lately and on held-out rows; see `shapes.Thresholds`.

    explored: see `fraud_ae.evaluation.threshold_curve`.
    """
    recent, held_out = _recent(kept), explored["parts"]["validation"]
    days = len(np.unique(recent["day"]))
    scores = np.sort(recent["score"].to_numpy())
    alerts = len(scores) - np.searchsorted(scores, explored["thresholds"], side="right")
    frauds = held_out["frauds"]
    rows = [
        {
            "threshold": threshold,
            "alerts_per_day": int(number) / days if days else None,
            "held_out_alerts_per_day": flagged / held_out["days"],
            "precision": caught / flagged if flagged else None,
            "recall": caught / frauds if frauds else None,
        }
        for threshold, number, flagged, caught in zip(
            explored["thresholds"], alerts, held_out["alerts"], held_out["caught"], strict=True
        )
    ]
    return {"thresholds": rows, "start": explored["start"], "days": days}


def _recent(kept: Answers) -> pd.DataFrame:
    """Scores of the last days that have transactions, with their `day` as a number."""
    newest = kept.counts()["newest"]
    if newest is None:
        return pd.DataFrame({"score": [], "day": []}, dtype="float64")
    midnight = newest.replace(hour=0, minute=0, second=0, microsecond=0)
    scores = kept.scores(midnight - (DAYS - 1) * _DAY, midnight + _DAY)
    return scores.assign(day=scores["us"] // DAY_US)


def _days(recent: pd.DataFrame, threshold: float) -> list[dict[str, Any]]:
    flagged = above(recent["score"].to_numpy(), threshold)
    by_day = recent.assign(alert=flagged).groupby("day")["alert"].agg(["size", "sum"])
    first = date(1970, 1, 1)
    return [
        {"day": first + int(day) * _DAY, "transactions": int(size), "alerts": int(alerts)}
        for day, size, alerts in by_day.sort_index(ascending=False).itertuples()
    ]
