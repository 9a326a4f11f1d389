"""Curves of a score over all thresholds, with as many points as an eye can tell apart."""

import numpy as np
import pandas as pd

_POINTS = 200


def roc_points(y_true: np.ndarray, scores: np.ndarray, points: int = _POINTS) -> pd.DataFrame:
    """The ROC curve: columns false_positive_rate, recall and threshold, from (0, 0) to (1, 1).

    y_true: (n,) 0 or 1. scores: (n,), higher is more anomalous. At most about `points` rows, all
    of them points of the curve. Empty where one class is missing.
    """
    if len(np.unique(y_true)) < 2:
        return pd.DataFrame({"false_positive_rate": [], "recall": [], "threshold": []})
    threshold, flagged, frauds = _cutoffs(y_true, scores)
    normal = flagged - frauds
    # Points on a straight line between their neighbours tell nothing.
    corners = np.ones(len(threshold), dtype=bool)
    corners[1:-1] = (np.diff(normal, 2) != 0) | (np.diff(frauds, 2) != 0)
    threshold, normal, frauds = (
        np.append(first, values[corners])
        for first, values in ((np.inf, threshold), (0, normal), (0, frauds))
    )
    false_positive_rate, recall = normal / normal[-1], frauds / frauds[-1]
    curve = pd.DataFrame(
        {"false_positive_rate": false_positive_rate, "recall": recall, "threshold": threshold}
    )
    return _thinned(curve, false_positive_rate + recall, points)


def precision_recall_points(
    y_true: np.ndarray, scores: np.ndarray, points: int = _POINTS
) -> pd.DataFrame:
    """The precision-recall curve: columns recall, precision and threshold, recall rising.

    Arguments as for `roc_points`. The first point, recall 0 and precision 1, has no threshold.
    """
    if len(np.unique(y_true)) < 2:
        return pd.DataFrame({"recall": [], "precision": [], "threshold": []})
    threshold, flagged, frauds = _cutoffs(y_true, scores)
    curve = pd.DataFrame(
        {
            "recall": np.append(0.0, frauds / frauds[-1]),
            "precision": np.append(1.0, frauds / flagged),
            "threshold": np.append(np.nan, threshold),
        }
    )
    return _thinned(curve, curve["recall"].to_numpy(), points)


def _cutoffs(y_true: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, ...]:
    """Distinct scores, highest first, and how many rows and frauds reach each of them."""
    order = np.argsort(-np.asarray(scores), kind="stable")
    descending = np.asarray(scores)[order]
    last = np.flatnonzero(np.append(descending[1:] != descending[:-1], True))
    return descending[last], last + 1, np.cumsum(np.asarray(y_true)[order] == 1)[last]


def _thinned(curve: pd.DataFrame, position: np.ndarray, points: int) -> pd.DataFrame:
    """Rows at even steps of a rising position, and the first and the last."""
    if len(curve) <= points:
        return curve
    wanted = np.linspace(position[0], position[-1], points)
    rows = np.unique(np.append(np.searchsorted(position, wanted), [0, len(curve) - 1]))
    return curve.iloc[np.minimum(rows, len(curve) - 1)].drop_duplicates().reset_index(drop=True)
