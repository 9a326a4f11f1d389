"""What a W&B run shows of an evaluation: curves, histograms, and the highest scores."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fraud_ae.detector.reasons import Reason
from fraud_ae.evaluation.curves import precision_recall_points, roc_points
from fraud_ae.evaluation.labelled import labelled
from fraud_ae.evaluation.threshold import alerts

_BINS = 50
_COLUMNS = ("transaction_id", "customer_id", "timestamp", "amount", "is_fraud", "score", "alert")


def panels(scored: pd.DataFrame, threshold: float, top: Sequence[dict]) -> dict:
    """Everything to log of scored rows: name -> W&B chart, table or histogram.

    scored: a scored frame. top: see `fraud_ae.detector.reasons.top_transactions`.
    """
    import wandb

    scored = labelled(scored)
    if not len(scored):
        return {"top_transactions": _top_table(top, threshold)}
    y_true, scores = scored["is_fraud"].to_numpy(), scored["score"].to_numpy()
    drawn = {
        "confusion_matrix": wandb.plot.confusion_matrix(
            y_true=y_true.astype(int).tolist(),
            preds=alerts(scores, threshold).astype(int).tolist(),
            class_names=["normal", "fraud"],
        ),
        "top_transactions": _top_table(top, threshold),
        **_histograms(y_true, scores),
    }
    roc = roc_points(y_true, scores)
    if len(roc):
        drawn["roc"] = _curve(roc, "false_positive_rate", "recall", "ROC curve")
        curve = precision_recall_points(y_true, scores)
        drawn["precision_recall"] = _curve(curve, "recall", "precision", "Precision and recall")
    return drawn


def board_panels(board: pd.DataFrame, label: str) -> dict:
    """A leaderboard as a table, and bars of its final_auc, the best first.

    label: the column that names the bars.
    """
    import wandb

    rows = board.astype(object).where(board.notna(), None)
    scored = rows[rows["final_auc"].notna()]
    bars = [
        [str(name), float(value)]
        for name, value in zip(scored[label], scored["final_auc"], strict=True)
    ]
    table = wandb.Table(columns=[label, "final_auc"], data=bars)
    return {
        "leaderboard": wandb.Table(
            columns=list(rows), data=rows.to_numpy().tolist(), allow_mixed_types=True
        ),
        "comparison": wandb.plot.bar(table, label, "final_auc", title=f"final_auc by {label}"),
    }


def _curve(points: pd.DataFrame, x: str, y: str, title: str):
    import wandb

    # The same panel that `wandb.plot.roc_curve` draws, from fewer points.
    rows = [["fraud", *map(float, pair)] for pair in zip(points[x], points[y], strict=True)]
    return wandb.plot_table(
        vega_spec_name="wandb/area-under-curve/v0",
        data_table=wandb.Table(columns=["class", x, y], data=rows),
        fields={"x": x, "y": y, "class": "class"},
        string_fields={
            "title": title,
            "x-axis-title": x.replace("_", " "),
            "y-axis-title": y.replace("_", " "),
        },
    )


def _histograms(y_true: np.ndarray, scores: np.ndarray) -> dict:
    """Of normal and of fraudulent rows, over the same bins; the highest hundredth is one bin."""
    import wandb

    high = np.quantile(scores, 0.99)
    edges = np.append(np.linspace(scores.min(), high, _BINS), max(scores.max(), high))
    edges = np.unique(edges.astype(np.float64))
    if len(edges) < 2:
        edges = np.array([edges[0] - 0.5, edges[0] + 0.5])
    return {
        f"scores_{name}": wandb.Histogram(
            np_histogram=np.histogram(scores[y_true == label].astype(np.float64), edges)
        )
        for name, label in (("normal", 0), ("fraud", 1))
    }


def _top_table(top: Sequence[dict], threshold: float):
    import wandb

    most = max((len(row["reasons"]) for row in top), default=0)
    rows = []
    for row in top:
        reasons = [str(Reason.of(reason)) for reason in row["reasons"]]
        figures = {**row, "alert": int(row["score"] > threshold)}
        rows.append(
            [*(figures[name] for name in _COLUMNS), *reasons, *[""] * (most - len(reasons))]
        )
    names = [f"reason_{number}" for number in range(1, most + 1)]
    return wandb.Table(columns=[*_COLUMNS, *names], data=rows)
