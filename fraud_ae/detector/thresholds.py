"""Another threshold for a saved model, and what it would have done."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from fraud_ae.detector.detector import FraudDetector
from fraud_ae.detector.versions import change
from fraud_ae.errors import UserError
from fraud_ae.evaluation.alerting import value_caught
from fraud_ae.evaluation.labelled import labelled
from fraud_ae.evaluation.metrics import alert_metrics
from fraud_ae.evaluation.threshold import METHODS, alerts, utc_days

# The parameter of each way of choosing.
_PARAMETER = {
    "percentile": "percentile",
    "recall": "least_recall",
    "precision": "least_precision",
    "budget": "alerts_per_day",
    "cost": "review_cost",
}


def show_thresholds(model: Path, parameters: Mapping[str, float]) -> None:
    """Print what every way of choosing would have done beside the threshold of a model.

    parameters: of the ways. Raises UserError where the model keeps no scores.
    """
    detector = FraudDetector.load(model)
    scored = detector.held_out_scores()
    table = _table(scored)
    if detector.threshold is not None:
        _add(table, scored, "now", detector.threshold)
    refused: dict[str, list[str]] = {}
    for method in METHODS:
        name = f"{method} {parameters[_PARAMETER[method]]:g}" if method in _PARAMETER else method
        try:
            detector.set_threshold(method=method, **parameters)
        except UserError as error:
            table.add_row(name, "-")
            reason = str(error).partition(": ")[2] or str(error)
            refused.setdefault(reason, []).append(name)
            continue
        _add(table, scored, name, detector.threshold)
    console = Console(highlight=False)
    console.print(table)
    for reason, names in refused.items():
        console.print(f"{', '.join(names)}: {reason}", soft_wrap=True)


def change_threshold(model: Path, asked: Mapping[str, str | float], save: bool) -> None:
    """Print what one threshold would have done beside that of the model, and keep it if asked.

    asked: what `FraudDetector.set_threshold` takes. Raises what it does.
    """
    detector = FraudDetector.load(model)
    scored, before = detector.held_out_scores(), detector.threshold
    detector.set_threshold(**asked)
    table = _table(scored)
    if before is not None:
        _add(table, scored, "now", before)
    _add(table, scored, str(asked.get("method", "value")), detector.threshold)
    console = Console(highlight=False)
    console.print(table)
    if not save:
        console.print("not kept; --save writes it to the model", soft_wrap=True)
        return
    version = change(detector.folder, detector.save)
    place = f"as {version}" if version else f"in {model}"
    console.print(f"threshold {detector.threshold:.6g} kept {place}", soft_wrap=True)


def _table(scored: pd.DataFrame) -> Table:
    frauds = f"{int((scored['is_fraud'] == 1).sum()):,} frauds"
    if scored["is_fraud"].isna().all():
        frauds = "not labelled"
    days = len(np.unique(utc_days(scored["timestamp"])))
    table = Table(
        *("threshold", "", "alerts", "a day", "prec", "recall", "F1", "value"),
        title=f"On {len(scored):,} validation rows of {days:,} days, {frauds}",
        caption="value: the share of the frauds' amounts that was found",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _add(table: Table, scored: pd.DataFrame, name: str, threshold: float) -> None:
    scores = scored["score"].to_numpy()
    flagged, days = alerts(scores, threshold), len(np.unique(utc_days(scored["timestamp"])))
    known = labelled(scored)
    metrics = alert_metrics(known["is_fraud"].to_numpy(), known["score"].to_numpy(), threshold)
    value = value_caught(scored, threshold)
    table.add_row(
        name,
        f"{threshold:.4g}",
        f"{flagged.mean():.2%}",
        f"{flagged.sum() / days:,.1f}",
        *(_figure(metrics[name]) for name in ("precision", "recall", "f1")),
        _figure(value),
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
