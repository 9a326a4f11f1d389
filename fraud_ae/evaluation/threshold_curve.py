"""The threshold explorer: what each of a few hundred thresholds would alert on."""

import numpy as np
import pandas as pd

from fraud_ae.evaluation.threshold import utc_days

_THRESHOLDS = 600
_BINS = 60


def explorer(scored: dict[str, pd.DataFrame], chosen: float) -> dict:
    """Thresholds, highest first, and per part the alerts that each gives.

    scored: part -> scored frame, among them `validation`. chosen: the threshold to start from,
    which is one of them exactly. An alert is a score above the threshold.
    """
    thresholds = candidate_thresholds(scored["validation"]["score"].to_numpy(np.float32), chosen)
    return {
        "thresholds": thresholds,
        "start": thresholds.index(chosen),
        "parts": {part: _part(frame, thresholds) for part, frame in scored.items()},
        "histogram": histogram(scored["validation"]),
    }


def candidate_thresholds(scores: np.ndarray, chosen: float, number: int = _THRESHOLDS) -> list:
    """About `number` thresholds, highest first, dense at the top, and `chosen` among them.

    scores: (n,) float32. Taken from the ranks: the first gives no alert on these scores, the last
    one fewer than there are.
    """
    descending = np.sort(scores)[::-1]
    ranks = np.unique(np.geomspace(1, len(scores), number).round().astype(int)) - 1
    candidates = {float(score) for score in descending[ranks]}
    # Scores are compared in float32, so that two numbers that are alike there are one threshold.
    candidates = {score for score in candidates if np.float32(score) != np.float32(chosen)}
    return sorted({*candidates, chosen}, reverse=True)


def _part(scored: pd.DataFrame, thresholds: list[float]) -> dict:
    scores = scored["score"].to_numpy(np.float32)
    is_fraud = scored["is_fraud"].to_numpy() == 1
    amount = np.nan_to_num(scored["amount"].to_numpy(np.float64)[is_fraud])
    is_labelled = scored["is_fraud"].notna().to_numpy()
    cutoffs = np.asarray(thresholds, dtype=np.float32)
    fraud_scores = scores[is_fraud]
    order = np.argsort(fraud_scores, kind="stable")
    first_caught = np.searchsorted(fraud_scores[order], cutoffs, side="right")
    # Summed from the highest score down, so that all frauds caught are all of the amount.
    summed = np.append(0.0, np.cumsum(amount[order][::-1]))
    return {
        "rows": len(scores),
        "labelled": int(is_labelled.sum()),
        "days": len(np.unique(utc_days(scored["timestamp"]))),
        "frauds": int(is_fraud.sum()),
        "fraud_amount": float(summed[-1]),
        "alerts": _above(scores, cutoffs),
        "labelled_alerts": _above(scores[is_labelled], cutoffs),
        "caught": (len(fraud_scores) - first_caught).tolist(),
        "caught_amount": summed[len(fraud_scores) - first_caught].tolist(),
    }


def _above(scores: np.ndarray, cutoffs: np.ndarray) -> list[int]:
    """How many scores are above each cutoff."""
    return (len(scores) - np.searchsorted(np.sort(scores), cutoffs, side="right")).tolist()


def histogram(scored: pd.DataFrame, bins: int = _BINS) -> dict:
    """Shares of the normal, fraud and unlabelled rows by score; empty classes are left out.

    Returns the `edges` of the bins, whether they are equally wide in `log`, and the shares.
    """
    scores = scored["score"].to_numpy(np.float64)
    is_fraud = scored["is_fraud"].to_numpy(np.float64)
    low, middle, high = scores.min(), np.median(scores), scores.max()
    # Scores that pile up at their low end would all lie in the first bin.
    in_log = bool(low > 0 and high > 10 * middle)
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.geomspace(low, high, bins + 1) if in_log else np.linspace(low, high, bins + 1)
    # Rounding must not leave the extreme scores outside.
    edges[0], edges[-1] = min(edges[0], low), max(edges[-1], high)
    shares = {}
    classes = {"normal": is_fraud == 0, "fraud": is_fraud == 1, "not labelled": np.isnan(is_fraud)}
    for name, rows in classes.items():
        if rows.any():
            shares[name] = (np.histogram(scores[rows], edges)[0] / rows.sum()).tolist()
    return {"edges": edges.tolist(), "log": in_log, "shares": shares}
