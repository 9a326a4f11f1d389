"""Figures of a detector on labelled transactions."""

import math
import pkgutil
from collections.abc import Callable

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
)

from fraud_ae.errors import UserError
from fraud_ae.evaluation.threshold import alerts

Metric = Callable[[np.ndarray, np.ndarray], float]


def ranking_metrics(y_true: np.ndarray, scores: np.ndarray) -> dict[str, float | None]:
    """Figures that need no threshold: ROC AUC and average precision.

    y_true: (n,) 0 or 1. scores: (n,), higher is more anomalous. Both figures are None where only
    one class is present, because neither is defined then.
    """
    if len(np.unique(y_true)) < 2:
        return {"auc": None, "average_precision": None}
    return {
        "auc": float(roc_auc_score(y_true, scores)),
        "average_precision": float(average_precision_score(y_true, scores)),
    }


def alert_metrics(
    y_true: np.ndarray, scores: np.ndarray, threshold: float
) -> dict[str, float | int]:
    """Figures of the alerts at a threshold: precision, recall, F1, alert rate, confusion counts."""
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


def load_metric(name: str, path: str) -> Metric:
    """A user's metric, a function (y_true, scores) -> float, from `package.module.function`.

    Raises UserError if there is no such function.
    """
    try:
        metric = pkgutil.resolve_name(path)
    except Exception as error:  # importing a user's module runs it, and anything may go wrong
        raise UserError(
            f"metrics.extra.{name}={path}: cannot be imported ({error}); "
            "give package.module.function, importable from this folder"
        ) from error
    if not callable(metric):
        raise UserError(f"metrics.extra.{name}={path}: is not a function (y_true, scores) -> float")
    return metric


def load_metrics(paths: dict[str, str]) -> dict[str, Metric]:
    """All of the user's metrics, so that what is wrong with one is said before any training."""
    return {name: load_metric(name, path) for name, path in paths.items()}


def extra_metrics(
    y_true: np.ndarray, scores: np.ndarray, paths: dict[str, str]
) -> dict[str, float]:
    """The user's own metrics. paths: name -> `package.module.function`.

    Raises UserError if one cannot be imported, fails, or does not give a number.
    """
    values = {}
    for name, metric in load_metrics(paths).items():
        path = paths[name]
        try:
            value = float(metric(y_true.copy(), scores.copy()))
        except Exception as error:
            raise UserError(
                f"metrics.extra.{name}={path}: {type(error).__name__}: {error}"
            ) from error
        if not math.isfinite(value):
            raise UserError(f"metrics.extra.{name}={path}: gave {value}; must give a finite number")
        values[name] = value
    return values
