"""Pydantic models of the responses of the HTTP API."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel

from fraud_ae.detector.reasons import Reason
from fraud_ae.serving.results import ScoreResult


class Error(BaseModel):
    """Why a request was not answered; `field` says where, if it is about one."""

    error: str
    field: str | None = None


class ReasonSchema(BaseModel):
    """What makes the score higher. share: of all that does, 0 to 1. features: those it is about."""

    text: str
    subject: str
    features: list[str]
    share: float


class ScoreResponse(BaseModel):
    """The score of a transaction, higher is more anomalous; above the threshold it is an alert.

    Alerts have reasons, the strongest first. model: the version that scored it. repeated: whether
    the transaction had been answered before, which then gets the same answer and counts once.
    """

    transaction_id: str
    score: float
    alert: bool
    threshold: float
    reasons: list[ReasonSchema]
    model: str
    repeated: bool


class StoredOutcome(BaseModel):
    """An outcome that is stored. known: whether its transaction is."""

    transaction_id: str
    is_fraud: bool
    known: bool


class Day(BaseModel):
    """A UTC day of transactions."""

    day: date
    transactions: int
    alerts: int


class Alert(ScoreResponse):
    """An answer that is to be reviewed, with its transaction and its outcome, null if unknown."""

    timestamp: datetime
    customer_id: str | None
    terminal_id: str | None
    amount: float | None
    is_fraud: bool | None


class AlertsResponse(BaseModel):
    """The alerts of a day, the highest score first.

    shown: those with a score above `threshold`. more: how many of these were left out. days: the
    last ones that have transactions, the newest first, with their alerts above `threshold`.
    """

    day: date | None
    threshold: float
    alerts: list[Alert]
    more: int
    days: list[Day]


class Threshold(BaseModel):
    """What a threshold would do; null where that is not known.

    alerts_per_day: of the transactions of the last days. precision, recall and
    held_out_alerts_per_day: on rows that the model was not fitted on.
    """

    threshold: float
    alerts_per_day: float | None
    held_out_alerts_per_day: float
    precision: float | None
    recall: float | None


class ThresholdsResponse(BaseModel):
    """Thresholds, the highest first. start: index of the model's. days: number that are counted."""

    thresholds: list[Threshold]
    start: int
    days: int


def score_response(result: ScoreResult) -> dict[str, Any]:
    """A result as the JSON of a `ScoreResponse`."""
    return {**asdict(result), "reasons": [reason_schema(reason) for reason in result.reasons]}


def reason_schema(reason: Reason) -> dict[str, Any]:
    """A reason as the JSON of a `ReasonSchema`."""
    return {
        "text": str(reason),
        "subject": reason.subject,
        "features": list(reason.features),
        "share": reason.share,
    }
