"""Figures of a detector on labelled transactions.

scikit-learn is imported in the functions: figures that are kept are read without it.
"""

import numpy as np

from fraud_ae.evaluation.custom_metrics import ALERT_FIGURES
from fraud_ae.evaluation.threshold import alerts


def ranking_metrics(y_true: np.ndarray, scores: np.ndarray) -> dict[str, float | None]:
    """Figures that need no threshold: ROC AUC and average precision.

    y_true: (n,) 0 or 1. scores: (n,), higher is more anomalous. Both figures are None where only
    one class is present, because neither is defined then.
    """
    if len(np.unique(y_true)) < 2:
        return {"auc": None, "average_precision": None}
    from sklearn.metrics import average_precision_score, roc_auc_score

    return {
        "auc": float(roc_auc_score(y_true, scores)),
        "average_precision": float(average_precision_score(y_true, scores)),
    }


def alert_metrics(
    y_true: np.ndarray, scores: np.ndarray, threshold: float
) -> dict[str, float | int | None]:
    """Figures of the alerts at a threshold: precision, recall, F1, alert rate, confusion counts.

    All but the threshold are None without rows.
    """
    if len(y_true) == 0:
        return {**dict.fromkeys(ALERT_FIGURES), "threshold": float(threshold)}
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    flagged = alerts(scores, threshold)
    precision, recall, f1, _ = precision_recall_fscore_support(
        y_true, flagged, average="binary", zero_division=0.0
    )
    tn, fp, fn, tp = confusion_matrix(y_true, flagged, labels=[0, 1]).ravel()
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "threshold": float(threshold),
        "alert_rate": float(flagged.mean()),
        "true_positives": int(tp),
        "false_positives": int(fp),
        "false_negatives": int(fn),
        "true_negatives": int(tn),
    }
