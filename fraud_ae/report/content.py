"""Everything that a report says about an experiment, as plain data."""

from pathlib import Path

import pandas as pd

from fraud_ae.evaluation.threshold_curve import explorer
from fraud_ae.report.curves import score_curves, training_curves
from fraud_ae.report.decision import decision, final_figures
from fraud_ae.report.experiments import compared_experiments
from fraud_ae.report.facts import audit, data_facts, provenance, top_transactions
from fraud_ae.report.reliability import reliability
from fraud_ae.report.results import SWEEPS, ExperimentResults, plain
from fraud_ae.report.sweeps import broad_sweep, leaderboard_table, strategies
from fraud_ae.report.versions import versions


def report_content(folder: Path, comparison: pd.DataFrame | None = None) -> dict:
    """What a report on the experiment of a folder holds; parts that are missing are None.

    comparison: see `compare_experiments`; of a single experiment nothing is shown.
    Every number in it is finite or None.
    """
    results = ExperimentResults(folder)
    scored = results.scores()
    ready = results.threshold is not None and "validation" in scored
    return plain(
        {
            "name": folder.name,
            "runs": len(list(folder.glob("runs/*/metrics.json"))),
            "decision": decision(results),
            "figures": final_figures(results),
            "strategies": strategies(results),
            "broad": broad_sweep(results),
            "boards": {stage: leaderboard_table(results, stage) for stage in SWEEPS[1:]},
            "training": training_curves(results),
            "curves": score_curves(scored, results.threshold) if ready else {},
            "reliability": reliability(scored) if ready and results.has_probabilities else None,
            "explorer": explorer(scored, results.threshold) if ready else None,
            "top": top_transactions(results),
            "data": data_facts(results),
            "audit": audit(results),
            "versions": versions(folder),
            "comparison": compared_experiments(comparison, folder.name),
            "provenance": provenance(results),
        }
    )
