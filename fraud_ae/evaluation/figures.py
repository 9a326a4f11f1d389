"""All figures of a scored frame, under the names that leaderboards, W&B and metrics.json use."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from fraud_ae.evaluation.alerting import (
    card_precision,
    daily_precision,
    recall_at_false_positive_rate,
    value_caught,
)
from fraud_ae.evaluation.bootstrap import bootstrap_intervals
from fraud_ae.evaluation.custom_metrics import extra_metrics
from fraud_ae.evaluation.labelled import labelled
from fraud_ae.evaluation.metrics import alert_metrics, ranking_metrics
from fraud_ae.evaluation.threshold import ThresholdPolicy, alerts


@dataclass(frozen=True)
class Evaluation:
    """How scores are read; none of it needs a training.

    policy: chooses the threshold. extra: the user's own metrics, name -> `package.module.function`.
    top_k: so many alerts, or customers, are reviewed in a day. replicates: of the bootstrap.
    """

    policy: ThresholdPolicy = field(default_factory=ThresholdPolicy)
    extra: dict[str, str] = field(default_factory=dict)
    top_k: int = 100
    replicates: int = 200

    def figures(self, scored: pd.DataFrame, threshold: float) -> dict[str, float | int | None]:
        """Every figure of n scored rows at a threshold, see `fraud_ae.evaluation.scored_frames`.

        None where a figure is undefined. Raises UserError if a metric of the user's own fails.
        """
        known = labelled(scored)
        custom = extra_metrics(_labels(known), known["score"].to_numpy(), self.extra)
        ranking = ranking_figures(scored, self.replicates)
        return {**ranking, **alert_figures(scored, threshold, self.top_k), **custom}


def ranking_figures(scored: pd.DataFrame, replicates: int) -> dict[str, float | None]:
    """What any threshold leaves as it is: how scores rank, with 95 % intervals over customers."""
    scored = labelled(scored)
    labels, scores = _labels(scored), scored["score"].to_numpy()
    ranking = ranking_metrics(labels, scores)
    clusters = scored["customer_id" if "customer_id" in scored else "transaction_id"]
    intervals = bootstrap_intervals(labels, scores, clusters, replicates=replicates)
    auc_low, auc_high = intervals["auc"] or (None, None)
    precision_low, precision_high = intervals["average_precision"] or (None, None)
    return {
        "final_auc": ranking["auc"],
        "final_auc_low": auc_low,
        "final_auc_high": auc_high,
        "average_precision": ranking["average_precision"],
        "average_precision_low": precision_low,
        "average_precision_high": precision_high,
    }


def alert_figures(
    scored: pd.DataFrame, threshold: float, top_k: int
) -> dict[str, float | int | None]:
    """What alerts on scores above a threshold, or on the highest of a day, are worth.

    The alert rate is that of all rows, everything else that of those with a label.
    """
    alert_rate = float(alerts(scored["score"], threshold).mean())
    scored = labelled(scored)
    labels, scores = _labels(scored), scored["score"].to_numpy()
    return {
        **alert_metrics(labels, scores, threshold),
        "alert_rate": alert_rate,
        "recall_at_1pct_fpr": recall_at_false_positive_rate(labels, scores, 0.01),
        f"daily_precision_at_{top_k}": daily_precision(scored, top_k),
        f"card_precision_at_{top_k}": card_precision(scored, top_k),
        "value_caught": value_caught(scored, threshold),
    }


def _labels(scored: pd.DataFrame) -> np.ndarray:
    return scored["is_fraud"].to_numpy()
