"""Pydantic models of the HTTP API, besides the transaction, which depends on the model."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic.json_schema import WithJsonSchema

from fraud_ae.data.naming import short
from fraud_ae.data.values.kinds import ValueKind
from fraud_ae.detector.reasons import Reason
from fraud_ae.serving.errors import RequestRefused
from fraud_ae.serving.online.results import ScoreResult
from fraud_ae.serving.transactions import LONGEST_ID, as_label

_ID = {"anyOf": [{"type": "string", "maxLength": LONGEST_ID}, {"type": "number"}]}


class Error(BaseModel):
    """Why a request was not answered; `field` says where, if it is about one."""

    error: str
    field: str | None = None


class ReasonSchema(BaseModel):
    """What makes the score higher. share: of all that does, 0 to 1. features: that tell of it."""

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


class Outcome(BaseModel):
    """A confirmed outcome: whether a transaction was fraud. The last one told counts."""

    transaction_id: Annotated[
        str,
        Field(strict=True, max_length=LONGEST_ID),
        BeforeValidator(ValueKind().text),
        WithJsonSchema(_ID),
    ]
    is_fraud: Annotated[
        bool,
        Field(strict=True),
        BeforeValidator(as_label),
        WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "integer", "enum": [0, 1]}]}),
    ]


class StoredOutcome(BaseModel):
    """An outcome that is kept. known: whether its transaction is there."""

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
    """Thresholds, the highest first. start: place of the model's own. days: that are counted."""

    thresholds: list[Threshold]
    start: int
    days: int


_OUTCOME = TypeAdapter(Outcome)


def score_response(result: ScoreResult) -> dict[str, Any]:
    """A result as the JSON of a `ScoreResponse`."""
    return {**result.to_dict(), "reasons": [reason_schema(reason) for reason in result.reasons]}


def reason_schema(reason: Reason) -> dict[str, Any]:
    """A reason as the JSON of a `ReasonSchema`."""
    return {
        "text": str(reason),
        "subject": reason.subject,
        "features": list(reason.features),
        "share": reason.share,
    }


def parse_outcomes(values: Sequence[Any], is_list: bool) -> list[tuple[str, bool]]:
    """(transaction_id, is_fraud) of n JSON values.

    is_list: whether the request was a list. Raises RequestRefused (422) with the invalid field.
    """
    return [
        _parse_outcome(value, f"{number}." if is_list else "")
        for number, value in enumerate(values)
    ]


def _parse_outcome(value: Any, prefix: str) -> tuple[str, bool]:
    if not isinstance(value, dict):
        raise RequestRefused(422, "an outcome must be an object", prefix.rstrip(".") or None)
    try:
        outcome = _OUTCOME.validate_python(value)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        field = str(problem["loc"][0])
        rules = {
            "transaction_id": f"text of 1 to {LONGEST_ID} characters",
            "is_fraud": "0, 1, true or false",
        }
        got = "nothing" if problem["type"] == "missing" else short(repr(problem["input"]))
        message = f"{prefix}{field}: must be {rules[field]}, got {got}"
        raise RequestRefused(422, message, prefix + field) from None
    return outcome.transaction_id, outcome.is_fraud
