"""How much better one run is than another on the same validation rows, with an interval."""

from pathlib import Path

import pandas as pd

from fraud_ae.evaluation.bootstrap import paired_bootstrap
from fraud_ae.evaluation.custom_metrics import PLANTED_AUC
from fraud_ae.evaluation.labelled import labelled
from fraud_ae.evaluation.planted_figures import compare_planted
from fraud_ae.experiments.run_store import PLANTED_SCORES, SCORES

# Figures of a run -> what the bootstrap calls them.
_RANKING = {"final_auc": "auc", "average_precision": "average_precision"}
# The figures whose difference has an interval.
WITH_INTERVAL = (*_RANKING, PLANTED_AUC)


def paired_gain(runs: Path, run_id: str, other: str, figure: str) -> dict:
    """How much higher a figure of one run is than of another: see `paired_bootstrap`.

    runs: the folder of all runs; both have scored the same rows, in any order. figure: one of
    WITH_INTERVAL.
    """
    if figure == PLANTED_AUC:
        # The same transactions are planted for each, in the same order.
        scored, other_scored = (
            pd.read_parquet(runs / run / PLANTED_SCORES) for run in (run_id, other)
        )
        return compare_planted(scored, other_scored["score"].to_numpy())
    scored, other_scored = (
        pd.read_parquet(runs / run / SCORES).set_index("transaction_id", drop=False)
        for run in (run_id, other)
    )
    scored = labelled(scored)
    clusters = scored["customer_id" if "customer_id" in scored else "transaction_id"]
    other_scores = other_scored["score"].reindex(scored.index).to_numpy()
    metric = _RANKING[figure]
    return paired_bootstrap(
        scored["is_fraud"], scored["score"], other_scores, clusters, metric=metric
    )
