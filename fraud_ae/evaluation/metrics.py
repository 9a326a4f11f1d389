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

    y_true: (n,) 0 or 1. Without rows all but the threshold are None, without fraud, where no alert
    could have been right, precision, recall and F1, and without any alert precision.
    """
    if len(y_true) == 0:
        return {**dict.fromkeys(ALERT_FIGURES), "threshold": float(threshold)}
    is_fraud, flagged = np.asarray(y_true) == 1, alerts(scores, threshold)
    tp, fp = int((flagged & is_fraud).sum()), int((flagged & ~is_fraud).sum())
    fn, tn = int(is_fraud.sum()) - tp, int((~is_fraud).sum()) - fp
    return {
        "precision": tp / (tp + fp) if is_fraud.any() and flagged.any() else None,
        "recall": tp / (tp + fn) if is_fraud.any() else None,
        "f1": 2 * tp / (2 * tp + fp + fn) if is_fraud.any() else None,
        "threshold": float(threshold),
        "alert_rate": float(flagged.mean()),
        "true_positives": tp,
        "false_positives": fp,
        "false_negatives": fn,
        "true_negatives": tn,
    }
