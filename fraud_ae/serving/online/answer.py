"""What is answered about a transaction."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from fraud_ae.detector.reasons import Reason


@dataclass(frozen=True)
class Answer:
    """The score of a transaction, and whether and why it is an alert.

    score: higher is more anomalous. threshold: above it is an alert; None where the model has none.
    reasons: of an alert, the strongest first. model: the version that scored it. repeated: whether
    the transaction had been answered before.
    """

    transaction_id: str
    score: float
    alert: bool
    threshold: float | None
    reasons: tuple[Reason, ...]
    model: str
    repeated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The answer that `to_dict` described."""
        return cls(**{**data, "reasons": tuple(map(Reason.of, data["reasons"]))})

    def again(self) -> Self:
        """The same answer to the same transaction."""
        return replace(self, repeated=True)
