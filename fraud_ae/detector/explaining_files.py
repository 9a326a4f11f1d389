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
    found: list[Explained] = []
    done = 0
    for places, judged in scored_parts(detector, file):
        if ids:
            some = np.flatnonzero(judged.own["transaction_id"].isin(ids))
        else:
            some = np.argsort(-judged.scores, kind="stable")[:most]
        own, scores = judged.own.iloc[some], judged.scores[some]
        customers = own["customer_id"] if "customer_id" in own else [None] * len(own)
        found += [
            Explained(key, time.isoformat(), customer, amount, score, alert, tuple(reasons))
            for key, time, customer, amount, score, alert, reasons in zip(
                own["transaction_id"],
                own["timestamp"],
                customers,
                own["amount"].tolist(),
                scores.tolist(),
                judged.alerts[some].tolist(),
                judged.reasons(some, top),
                strict=True,
            )
        ]
        found = sorted(found, key=lambda each: -each.score)[: None if ids else most]
        done += len(places)
        report(done)
    missing = sorted(set(ids) - {each.transaction_id for each in found})
    if missing:
        raise UserError(f"no transaction {', '.join(missing)} in the file")
    return found


def print_explained(explained: Sequence[Explained], threshold: float) -> None:
    """Print a table, a reason on each line."""
    table = Table("transaction", "score", "why", title=f"alerts are above {threshold:.4g}")
    table.columns[0].overflow = "fold"
    for each in explained:
        shown = f"{each.transaction_id}\n{each.timestamp[:16].replace('T', ' ')}"
        if each.customer_id is not None:
            shown += f"\ncustomer {each.customer_id}"
        alert = "\nalert" if each.alert else ""
        reasons = "\n".join(map(str, each.reasons)) or "nothing raises it"
        table.add_row(shown, f"{each.score:.4f}{alert}", reasons, end_section=True)
    Console(highlight=False).print(table)
