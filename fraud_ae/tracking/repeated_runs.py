"""Telling W&B of a run that was trained before."""

import math

from fraud_ae.experiments.run_store import Run
from fraud_ae.tracking.target import TrackedRun
from fraud_ae.tracking.tracker import track_run


def track_again(run: Run, target: TrackedRun, config: dict, metrics: dict) -> None:
    """Log everything about a finished run as a training does.

    config: resolved. metrics: the run's figures, at the threshold of that configuration.
    """
    steps = math.ceil(metrics["train_rows"] / config["trainer"]["batch_size"])
    with track_run(target, run.folder, config, run.identity["data"]["fingerprint"]) as tracker:
        for row in run.history().to_dict("records"):
            tracker.log_epoch(row, steps)
        scored, top = run.scores(), run.top_transactions()
        tracker.log_evaluation(scored, metrics["threshold"], metrics, top)
