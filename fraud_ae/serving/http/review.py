"""Data of the review page: the alerts of a day, and the effect of other thresholds."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from fraud_ae.detector.reasons import Reason
from fraud_ae.evaluation.threshold import alerts as above
from fraud_ae.features.event_time import DAY_US
from fraud_ae.serving.http.schemas import reason_schema
from fraud_ae.serving.results import StoredResults

# Number of latest days that can be chosen, and that alerts per day are averaged over.
DAYS = 7
MOST_ALERTS = 200
_DAY = timedelta(days=1)


def alerts_response(stored: StoredResults, day: date | None, threshold: float) -> dict[str, Any]:
    """The alerts of a UTC day, by default the latest one with any, as an `AlertsResponse`."""
    recent = _recent_scores(stored)
    days = _alerts_by_day(recent, threshold)
    if day is None:
        with_alerts = [count["day"] for count in days if count["alerts"]]
        day = (with_alerts or [count["day"] for count in days] or [None])[0]
    alerts: list[dict[str, Any]] = []
    omitted = 0
    if day is not None:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        alerts = stored.alerts(start, start + _DAY, MOST_ALERTS, threshold)
        scores = stored.scores(start, start + _DAY)["score"]
        omitted = int(above(scores, threshold).sum()) - len(alerts)
    alerts = [
        {**alert, "reasons": [reason_schema(Reason.of(reason)) for reason in alert["reasons"]]}
        for alert in alerts
    ]
    return {"day": day, "threshold": threshold, "alerts": alerts, "more": omitted, "days": days}


def thresholds_response(stored: StoredResults, explorer: dict[str, Any]) -> dict[str, Any]:
    """The effect of each threshold lately and on held-out rows, as a `ThresholdsResponse`.

    explorer: see `fraud_ae.evaluation.threshold_curve`.
    """
    recent, held_out = _recent_scores(stored), explorer["parts"]["validation"]
    days = len(np.unique(recent["day"]))
    scores = np.sort(recent["score"].to_numpy())
    alerts = len(scores) - np.searchsorted(scores, explorer["thresholds"], side="right")
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
            explorer["thresholds"], alerts, held_out["alerts"], held_out["caught"], strict=True
        )
    ]
    return {"thresholds": rows, "start": explorer["start"], "days": days}


def _recent_scores(stored: StoredResults) -> pd.DataFrame:
    """Scores of the latest DAYS days, with `day`, the number of days since 1970."""
    newest = stored.counts()["newest"]
    if newest is None:
        return pd.DataFrame({"score": [], "day": []}, dtype="float64")
    midnight = newest.replace(hour=0, minute=0, second=0, microsecond=0)
    scores = stored.scores(midnight - (DAYS - 1) * _DAY, midnight + _DAY)
    return scores.assign(day=scores["us"] // DAY_US)


def _alerts_by_day(recent: pd.DataFrame, threshold: float) -> list[dict[str, Any]]:
    flagged = above(recent["score"].to_numpy(), threshold)
    by_day = recent.assign(alert=flagged).groupby("day")["alert"].agg(["size", "sum"])
    first = date(1970, 1, 1)
    return [
        {"day": first + int(day) * _DAY, "transactions": int(size), "alerts": int(alerts)}
        for day, size, alerts in by_day.sort_index(ascending=False).itertuples()
    ]
