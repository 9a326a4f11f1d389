"""The versions of a model, as a report shows them."""

from pathlib import Path

from fraud_ae.detector.versions import Versions
from fraud_ae.pipeline.version_tables import METRICS, verdict_lines


def versions(folder: Path) -> dict | None:
    """The versions in the folder of an experiment, None where none is kept.

    current: the row of the one in production. rows: see `Versions.rows`, each with the decision in
    short lines, `decision_lines`. has_last_model: whether what the last pipeline made is in
    production. last: the last retraining, with its figures as rows of champion, challenger and
    difference; None where there was none.
    """
    models = Versions(folder / "models")
    rows = [{**row, "decision_lines": verdict_lines(row)} for row in models.rows()]
    if not rows:
        return None
    retrained = [d for d in models.decisions().values() if d["kind"] == "retrain"]
    last = retrained[-1] if retrained else None
    return {
        "current": next((row for row in rows if row["in_production"]), None),
        "has_last_model": models.is_for_production(models.folder / "final_model"),
        "rows": rows,
        "last": _last(last) if last else None,
    }


def _last(decision: dict) -> dict:
    named = decision.get("figures", {}).items()
    return {
        "rows": None,
        "alerts": None,
        **decision,
        "figures": [{"name": METRICS[metric], **figures} for metric, figures in named],
        "policy": decision["request"]["policy"],
    }
