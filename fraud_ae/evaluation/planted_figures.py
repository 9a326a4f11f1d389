"""Figures of planted anomalies: how far above ordinary transactions a detector ranks them.

A frame of planted scores has the columns kind (missing for transactions as they are),
transaction_id, customer_id (where there are customers) and score.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fraud_ae.evaluation.bootstrap import ClusterSample, WeightedRanking, percentile_interval
from fraud_ae.evaluation.custom_metrics import PLANTED_AUC


def planted_figures(scored: pd.DataFrame, replicates: int) -> dict[str, float | None]:
    """The mean over kinds of the ROC AUC of copies against transactions as they are.

    scored: a frame of planted scores. With a 95 % interval over customers, None where all are of
    one.
    """
    sample, ranking = _sample(scored), _PlantedRanking(scored, scored["score"].to_numpy())
    low = high = None
    if sample.count > 1:
        drawn = [ranking.auc(weights) for weights in sample.draw(replicates, 0)]
        low, high = percentile_interval(drawn, 0.95)
    auc = ranking.auc(np.ones(sample.count))
    return {PLANTED_AUC: auc, f"{PLANTED_AUC}_low": low, f"{PLANTED_AUC}_high": high}


def planted_auc(scored: pd.DataFrame) -> float:
    """The mean over kinds alone, see `planted_figures`."""
    sample = _sample(scored)
    return _PlantedRanking(scored, scored["score"].to_numpy()).auc(np.ones(sample.count))


def planted_by_kind(scored: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """For each kind: kind, copies, auc (against transactions as they are), alerted (a share).

    scored: a frame of planted scores.
    """
    ranking = _PlantedRanking(scored, scored["score"].to_numpy())
    weights = np.ones(_sample(scored).count)
    copies = scored.dropna(subset="kind")
    by_kind = copies.groupby("kind", sort=False)["score"]
    alerted = by_kind.agg(lambda scores: float((scores > threshold).mean()))
    aucs = pd.Series(ranking.aucs(weights), index=ranking.kinds)
    return pd.DataFrame(
        {
            "kind": alerted.index,
            "copies": by_kind.size().to_numpy(),
            "auc": aucs[alerted.index].to_numpy(),
            "alerted": alerted.to_numpy(),
        }
    )


def compare_planted(
    scored: pd.DataFrame,
    other_scores: np.ndarray,
    *,
    replicates: int = 1000,
    confidence: float = 0.95,
) -> dict[str, float | int | None]:
    """How much higher the mean ROC AUC of one score is than that of another, on the same rows.

    scored: a frame of planted scores, (n, d). other_scores: (n,). Returns what
    `bootstrap.paired_bootstrap` does.
    """
    sample = _sample(scored)
    ranking = _PlantedRanking(scored, scored["score"].to_numpy())
    other = _PlantedRanking(scored, other_scores)

    def difference(weights: np.ndarray) -> float:
        return ranking.auc(weights) - other.auc(weights)

    low = high = None
    if sample.count > 1:
        drawn = [difference(weights) for weights in sample.draw(replicates, 0)]
        low, high = percentile_interval(drawn, confidence)
    return {
        "difference": difference(np.ones(sample.count)),
        "low": low,
        "high": high,
        "confidence": confidence,
        "replicates": replicates,
    }


class _PlantedRanking:
    """The ROC AUC of each kind under ever other weights of the customers."""

    def __init__(self, scored: pd.DataFrame, scores: np.ndarray) -> None:
        codes = _sample(scored).codes
        kind = scored["kind"]
        self.kinds: Sequence[str] = kind.dropna().unique().tolist()
        self._copies = [codes[(kind == name).to_numpy()] for name in self.kinds]
        self._originals = codes[kind.isna().to_numpy()]
        self._rankings = []
        for name in self.kinds:
            rows = (kind.isna() | (kind == name)).to_numpy()
            is_copy = kind[rows].notna().to_numpy()
            self._rankings.append(WeightedRanking(is_copy, scores[rows], codes[rows]))

    def aucs(self, weights: np.ndarray) -> list[float]:
        """Of each kind; NaN where none of its copies, or no transaction, has any weight."""
        if not weights[self._originals].any():
            return [np.nan] * len(self.kinds)
        return [
            ranking.figures(weights)["auc"] if weights[copies].any() else np.nan
            for ranking, copies in zip(self._rankings, self._copies, strict=True)
        ]

    def auc(self, weights: np.ndarray) -> float:
        """The mean over the kinds that have one."""
        return float(np.nanmean(self.aucs(weights)))


def _sample(scored: pd.DataFrame) -> ClusterSample:
    clusters = scored["customer_id" if "customer_id" in scored else "transaction_id"]
    return ClusterSample(scored["kind"].notna().to_numpy(), clusters)
