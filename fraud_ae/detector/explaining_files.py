"""The reasons of some transactions of a file."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from fraud_ae.data.canonical_file import CanonicalFile
from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.reasons import Reason
from fraud_ae.detector.scoring_files import scored_parts
from fraud_ae.errors import UserError


@dataclass(frozen=True)
class Explained:
    """A transaction with its score and the reasons of it, the strongest first."""

    transaction_id: str
    timestamp: str
    customer_id: str | None
    amount: float
    score: float
    alert: bool
    reasons: tuple[Reason, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain data, with each reason in words too."""
        reasons = [{"text": str(reason), **asdict(reason)} for reason in self.reasons]
        return {**asdict(self), "reasons": reasons}


def explain_file(
    detector: FraudDetector,
    file: CanonicalFile,
    ids: Sequence[str] = (),
    *,
    most: int = 10,
    top: int = 3,
    report: Callable[[int], None] = lambda rows: None,
) -> list[Explained]:
    """The transactions of some ids, or of the highest scores, the highest score first.

    Raises UserError for an id that is not in the file.
    """
    explained_rows: list[Explained] = []
    done = 0
    for places, part in scored_parts(detector, file):
        if ids:
            positions = np.flatnonzero(part.scored["transaction_id"].isin(ids))
        else:
            positions = np.argsort(-part.scores, kind="stable")[:most]
        selected, scores = part.scored.iloc[positions], part.scores[positions]
        customers = selected["customer_id"] if "customer_id" in selected else [None] * len(selected)
        explained_rows += [
            Explained(key, time.isoformat(), customer, amount, score, alert, tuple(reasons))
            for key, time, customer, amount, score, alert, reasons in zip(
                selected["transaction_id"],
                selected["timestamp"],
                customers,
                selected["amount"].tolist(),
                scores.tolist(),
                part.alerts[positions].tolist(),
                part.reasons(positions, top),
                strict=True,
            )
        ]
        explained_rows = sorted(explained_rows, key=lambda transaction: -transaction.score)[
            : None if ids else most
        ]
        done += len(places)
        report(done)
    missing = sorted(set(ids) - {transaction.transaction_id for transaction in explained_rows})
    if missing:
        raise UserError(f"no transaction {', '.join(missing)} in the file")
    return explained_rows


def print_explained(explained: Sequence[Explained], threshold: float) -> None:
    """Print a table, a reason on each line."""
    table = Table("transaction", "score", "why", title=f"alerts are above {threshold:.4g}")
    table.columns[0].overflow = "fold"
    for transaction in explained:
        heading = f"{transaction.transaction_id}\n{transaction.timestamp[:16].replace('T', ' ')}"
        if transaction.customer_id is not None:
            heading += f"\ncustomer {transaction.customer_id}"
        alert = "\nalert" if transaction.alert else ""
        reasons = "\n".join(map(str, transaction.reasons)) or "nothing raises it"
        table.add_row(heading, f"{transaction.score:.4f}{alert}", reasons, end_section=True)
    Console(highlight=False).print(table)
