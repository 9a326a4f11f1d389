"""Reliability: whether of transactions with a probability of p, a share of p is fraud.

Sources: reliability and the Brier score, Murphy, Journal of Applied Meteorology 12 (1973); expected
calibration error, Naeini, Cooper and Hauskrecht, AAAI 2015; intervals of shares, Wilson, Journal of
the American Statistical Association 22 (1927).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

# Frauds are rare, and so most probabilities are small: edges of equal steps would leave nearly all
# rows in one bin. They are fixed, and not those of equally many frauds, so that validation and test
# have the same bins, and so that people can look up the bin of a score.
EDGES = (0.0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
_CONFIDENCE = 0.95


def reliability_bins(
    y_true: np.ndarray, probabilities: np.ndarray, edges: Sequence[float] = EDGES
) -> pd.DataFrame:
    """Rows grouped by their probability, lowest first; bins without a row are left out.

    y_true: (n,) 0 or 1. probabilities: (n,), 0 to 1, of fraud. edges: (b + 1,), rising from 0 to 1;
    a bin holds its lower edge, and the last one 1 as well. Returns at most b rows with

    - `low`, `high`: the edges;
    - `rows`, `frauds`: how many there are;
    - `predicted`: the mean of the probabilities; `observed`: the share that was fraud;
    - `observed_low`, `observed_high`: its 95 % interval (Wilson), as if transactions did not depend
      on one another: where frauds come in series, it is too narrow;
    - `agrees`: whether chance explains the difference. The interval for it has a confidence of
      1 - 0.05 / number of bins (Bonferroni), so that of perfect probabilities not even one table in
      20 has a bin that does not agree.

    Raises ValueError for probabilities that are not between 0 and 1.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities must be between 0 and 1")
    bins = np.digitize(probabilities, edges[1:-1])
    count = len(edges) - 1
    rows = np.bincount(bins, minlength=count)
    frauds = np.bincount(bins, np.asarray(y_true) == 1, minlength=count).astype(int)
    sums = np.bincount(bins, probabilities, minlength=count)
    found = np.flatnonzero(rows)
    table = pd.DataFrame(
        {
            "low": np.asarray(edges[:-1])[found],
            "high": np.asarray(edges[1:])[found],
            "rows": rows[found],
            "frauds": frauds[found],
            "predicted": sums[found] / rows[found],
            "observed": frauds[found] / rows[found],
        }
    )
    counts = list(zip(table["frauds"].tolist(), table["rows"].tolist(), strict=True))
    intervals = np.array([_wilson(*of, _CONFIDENCE) for of in counts]).reshape(-1, 2)
    of_all = 1 - (1 - _CONFIDENCE) / max(len(counts), 1)
    wider = np.array([_wilson(*of, of_all) for of in counts]).reshape(-1, 2)
    return table.assign(
        observed_low=intervals[:, 0],
        observed_high=intervals[:, 1],
        agrees=(wider[:, 0] <= table["predicted"]) & (table["predicted"] <= wider[:, 1]),
    )


def _wilson(frauds: int, rows: int, confidence: float) -> tuple[float, float]:
    """The interval of a share: low and high."""
    from scipy.stats import binomtest  # here: a report of scores that are none needs no SciPy

    interval = binomtest(frauds, rows).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def reliability_figures(
    y_true: np.ndarray, probabilities: np.ndarray, edges: Sequence[float] = EDGES
) -> dict[str, float | int | None]:
    """How far probabilities are from what happened, in all.

    Arguments and errors as for `reliability_bins`. Returns `rows`, `frauds`, `predicted` (the mean
    probability), `base_rate` (the share that was fraud), and

    - `brier_score`: the mean squared difference from 0 and 1, the lower the better;
    - `brier_skill`: the share of it that is spared against giving every row the base rate; 1 is
      perfect, and 0 or less no better. None where only one class is present;
    - `expected_calibration_error`: the mean over the rows of the distance between `predicted` and
      `observed` of their bin.

    All but the counts are None without rows.
    """
    y_true = np.asarray(y_true)
    probabilities = np.asarray(probabilities, dtype=np.float64)
    bins = reliability_bins(y_true, probabilities, edges)
    names = ("predicted", "base_rate", "brier_score", "brier_skill", "expected_calibration_error")
    if bins.empty:
        return {"rows": 0, "frauds": 0, **dict.fromkeys(names)}
    from sklearn.metrics import brier_score_loss  # here, as in `fraud_ae.evaluation.metrics`

    is_fraud = (y_true == 1).astype(int)
    base_rate = float(is_fraud.mean())
    brier = float(brier_score_loss(is_fraud, probabilities, labels=[0, 1]))
    uninformed = base_rate * (1 - base_rate)
    distances = (bins["predicted"] - bins["observed"]).abs()
    error = float(np.average(distances, weights=bins["rows"]))
    skill = 1 - brier / uninformed if uninformed else None
    figures = (float(probabilities.mean()), base_rate, brier, skill, error)
    counts = {"rows": len(y_true), "frauds": int(is_fraud.sum())}
    return {**counts, **dict(zip(names, figures, strict=True))}
