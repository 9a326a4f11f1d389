"""How well scores rank where labels are known, and how far that moves by chance."""

from collections.abc import Mapping

import numpy as np
from scipy.special import logit

from fraud_ae.evaluation.bootstrap import METRICS, bootstrap_figures
from fraud_ae.evaluation.metrics import ranking_metrics

# With fewer frauds, a figure moves too much to be held against another.
LEAST_FRAUDS = 20


def ranking(
    labels: np.ndarray,
    scores: np.ndarray,
    clusters: Mapping[str, np.ndarray],
    *,
    fraud_share: float | None = None,
    replicates: int = 200,
) -> dict:
    """ROC AUC and average precision with 95 % intervals over customers.

    labels: (n,) 0, 1 or NaN. scores: (n,). clusters: kind -> (n,) int. fraud_share: as if frauds
    had this share, as the average precision goes with it; by default the one they have.
    Returns rows, frauds, fraud_share and for either figure `value`, `low`, `high` and `sd`, its
    standard error on the logit scale, where the terminals count as well as the customers. All are
    None where fewer than two clusters or classes are there.
    """
    known = ~np.isnan(np.asarray(labels, dtype=np.float64))
    labels, scores = labels[known], scores[known]
    clusters = {kind: codes[known] for kind, codes in clusters.items()}
    metrics = ranking_metrics(labels, scores)
    frauds = int(np.sum(labels == 1))
    result = {"rows": len(labels), "frauds": frauds, "fraud_share": frauds / max(len(labels), 1)}
    rows = np.arange(len(labels))
    kinds = [clusters[kind] for kind in ("customer", "terminal") if kind in clusters] or [rows]
    first, *others = (
        bootstrap_figures(labels, scores, kind, fraud_share=fraud_share, replicates=replicates)
        for kind in kinds
    )
    for name in METRICS:
        result[name] = {"value": metrics[name], "low": None, "high": None, "sd": None}
        if first is not None:
            value = metrics[name] if fraud_share is None else float(first[name][0])
            low, high = np.quantile(first[name][1:], (0.025, 0.975)).tolist()
            # As if both kinds moved it independently; what single rows add counts twice.
            drawn = [figures for figures in (first, *others) if figures is not None]
            sd = [np.std(_on_logit(figures[name][1:]), ddof=1) for figures in drawn]
            spread = float(np.sqrt(np.sum(np.square(sd))))
            result[name] = {"value": value, "low": low, "high": high, "sd": spread}
    return result


def fall(reference: Mapping, current: Mapping) -> float | None:
    """How many standard errors a figure has fallen, by two results of `ranking` for it.

    None where either has no standard error.
    """
    if reference["sd"] is None or current["sd"] is None:
        return None
    difference = _on_logit(reference["value"]) - _on_logit(current["value"])
    return float(difference / max(np.hypot(reference["sd"], current["sd"]), 1e-9))


def _on_logit(values: np.ndarray | float) -> np.ndarray:
    return logit(np.clip(values, 1e-4, 1 - 1e-4))
