"""A finished run, tracked as if it had just been trained."""

import math

from fraud_ae.experiments.run_store import Run
from fraud_ae.tracking.target import TrackingTarget
from fraud_ae.tracking.tracker import track


def track_finished_run(run: Run, target: TrackingTarget, metrics: dict) -> None:
    """Log everything about a finished run as a training does.

    metrics: the run's figures, at the threshold that is asked for now.
    """
    steps = math.ceil(metrics["train_rows"] / run.identity["trainer"]["batch_size"])
    with track(target, run.folder) as tracker:
        for row in run.history().to_dict("records"):
            tracker.log_epoch(row, steps)
        scored, top = run.scores(), run.top_transactions()
        tracker.log_evaluation(scored, metrics["threshold"], metrics, top)
