"""One job of training: from a `Job` to a run, its figures and the value to maximise."""

import math
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from rich.console import Console

from fraud_ae.configuration.job import Job
from fraud_ae.data.sources import Dataset
from fraud_ae.data.split import Split
from fraud_ae.errors import StrategyRefused, TrainingDiverged, UserError, WorkerLost
from fraud_ae.evaluation.custom_metrics import PLANTED_AUC
from fraud_ae.evaluation.planted_figures import planted_by_kind
from fraud_ae.experiments.result_tables import print_groups, print_planted
from fraud_ae.experiments.run_figures import evaluate_run, write_groups
from fraud_ae.experiments.run_store import Run
from fraud_ae.runtime.atomic_files import write_json, write_whole
from fraud_ae.sweeps.candidates import check_data, swept_values, winning_overrides
from fraud_ae.sweeps.leaderboard import RESULT
from fraud_ae.sweeps.training.trained_runs import TrainedRuns

# The figures that are shown, in this order; the user's own follow.
SHOWN = (
    PLANTED_AUC,
    "final_auc",
    "test_auc",
    "average_precision",
    "precision",
    "recall",
    "threshold",
    "alert_rate",
    "deployed_threshold",
    "deployed_alert_rate",
    "best_epoch",
    "feature_count",
    "fraud_ratio",
)
# Set by an agent of `wandb sweep`.
_SWEEP_OF_WANDB = "WANDB_SWEEP_ID"
trained = TrainedRuns()


def run_single_job(job: Job) -> float:
    """Train or reuse the run of a job, and print it.

    Returns the objective, NaN where it is not defined. Raises UserError for what the user can mend.
    """
    check_candidate(job)
    _describe(job.source.name, job.dataset, job.split)
    labels = job.validation_labels
    if len(set(labels)) < 2:
        print(
            f"validation has {int(labels.sum()):,} frauds among {len(labels):,} labelled rows: "
            "figures of labels will be undefined"
        )
    epochs = job.trainer.max_epochs
    run, reused, metrics = train_or_reuse(job, lambda row: print(_epoch_line(row, epochs)))
    print(f"run {run.id}: {'finished before, not trained again' if reused else 'trained'}")
    print(f"written to {run.folder}")
    if reused and _SWEEP_OF_WANDB in os.environ:
        from fraud_ae.experiments.finished_runs import track_finished_run

        # Its agent waits for the figures of every combination that it asks for.
        track_finished_run(run, job.target, metrics)
    write_groups(run, job.evaluation)
    console = Console(highlight=False)
    if len(labels):
        print_groups(run.groups(), console)
    planted = run.planted_scores()
    if planted is not None:
        print_planted(planted_by_kind(planted, metrics["threshold"]), console)
    print(metrics_line(metrics, job.evaluation.extra))
    return objective(job, metrics)


def run_sweep_job(job: Job) -> float:
    """Train or reuse the run of a job of a sweep, and leave its result for the leaderboard.

    A refused strategy is recorded and passed over, and so is a training that diverged or whose
    process was killed. Returns and raises what
    `run_single_job` does.
    """
    check_candidate(job)
    hydra = HydraConfig.get()
    parameters = swept_values(job.settings, OmegaConf.to_container(hydra.overrides.task))
    result = {
        "status": "finished",
        "reason": None,
        "run_id": None,
        "reused": False,
        "choices": {group: job.choices.get(group) for group in ("candidate", "features", "model")},
        "parameters": parameters,
        "extra": list(job.evaluation.extra),
        "maximised": job.objective,
        "objective": None,
        "metrics": {},
        "data": job.dataset.fingerprint,
        "data_name": job.source.name,
        "validation_set": job.validation_set,
        "overrides": winning_overrides(job, parameters),
    }
    try:
        run, reused, metrics = train_or_reuse(job)
        reached = objective(job, metrics)
        result |= {"run_id": run.id, "reused": reused, "metrics": metrics}
        result["objective"] = reached if math.isfinite(reached) else None
    except StrategyRefused as error:
        result |= {"status": "refused", "reason": str(error)}
    except (TrainingDiverged, WorkerLost) as error:
        result |= {"status": "failed", "reason": str(error)}
    folder = Path(hydra.runtime.output_dir)
    write_whole(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(job.settings)))
    write_json(folder / RESULT, result)
    if result["objective"] is None:
        # The worst: Optuna takes no NaN, and ends with an error where no combination has a value.
        return -math.inf if hydra.sweeper.get("direction") == "maximize" else math.inf
    return result["objective"]


def check_candidate(job: Job) -> None:
    """Refuse a candidate that another data set has chosen."""
    candidate = job.choices.get("candidate")
    if candidate and job.stage.reads:
        check_data(job.folder, candidate, job.dataset.fingerprint)


def check_classes(job: Job) -> None:
    """Say before hours of training that no figure could be made of the validation rows.

    Raises UserError where one class is absent, unless planted anomalies decide.
    """
    if job.plants:
        return
    split = job.split.describe(job.before_test, ("train", "validation"))
    validation, train = split["validation"], split["train"]
    if validation["frauds"] is None:
        raise UserError(
            f"objective={job.objective} is made of labels, and these transactions have none: "
            f"objective={PLANTED_AUC} compares by anomalies planted in copies of the validation "
            "rows; labels that became known later are given with data.labels=FILE"
        )
    if 0 < validation["frauds"] < validation["rows"]:
        return
    raise UserError(
        f"validation has {validation['frauds']:,} frauds in {validation['rows']:,} rows from "
        f"{validation['start'][:10]} to {validation['end'][:10]} (training has "
        f"{train['frauds']:,} in {train['rows']:,}), and validation rows of both classes are "
        "needed to compare anything. Move the parts: 'data.split.fractions=[0.5,0.3,0.2]', a "
        "shorter data.split.label_delay_days, or dates such as data.split.train_end; "
        f"objective={PLANTED_AUC} compares without labels"
    )


def is_ready(job: Job) -> bool:
    """Whether a job need not wait for a training: its run is there, or it has to complain."""
    try:
        run = job.run
    except UserError:
        return True
    return trained.reusable(run, job.retrain)


def train_or_reuse(
    job: Job, report: Callable[[dict], None] | None = None
) -> tuple[Run, bool, dict]:
    """The finished run of a job, whether it was there already, and its figures.

    report: called with the history row of each epoch.
    """
    run = job.run
    if run.id in trained.failed:
        raise trained.failed[run.id]
    with run.lock():
        if not trained.reusable(run, job.retrain):
            from fraud_ae.experiments.run import train_run

            resumable = job.resumable
            if report is not None and resumable.epochs:
                print(f"  goes on after {resumable.epochs} epochs that were trained before")
            train_run(
                run,
                job.recipe,
                job.training_data()[1],
                evaluation=job.evaluation,
                target=job.target,
                resumable=resumable,
                report=report,
            )
            trained.add(run)
        if job.plants and not run.has_planted_scores:
            _score_planted(job, run)
        return run, not trained.report(run), evaluate_run(run, job.evaluation)


def _score_planted(job: Job, run: Run) -> None:
    """Planted anomalies as a finished run scores them, which was trained without them."""
    from fraud_ae.detector.detector import FraudDetector

    data = job.training_data()[1]
    detector = FraudDetector.load(run.model_folder)
    scores = run.scores()["score"].to_numpy()
    run.write_planted_scores(data.planted.scored(detector, scores))


def objective(job: Job, metrics: dict) -> float:
    """What a sweep maximises, NaN where it is not defined. metrics: of the job's run."""
    value = metrics[job.objective]
    return math.nan if value is None else value


def _describe(name: str, dataset: Dataset, split: Split) -> None:
    transactions = dataset.transactions
    first, last = transactions["timestamp"].iloc[0], transactions["timestamp"].iloc[-1]
    print(f"{name}: {len(transactions):,} transactions, {first:%Y-%m-%d} to {last:%Y-%m-%d}")
    for part in ("train", "validation"):
        rows = transactions[getattr(split, part)(transactions)]
        start, end = rows["timestamp"].iloc[0], rows["timestamp"].iloc[-1]
        print(
            f"  {part:<10} {len(rows):>9,} rows, {_fraud_share(rows)}, "
            f"{start:%Y-%m-%d} to {end:%Y-%m-%d}"
        )


def _fraud_share(rows: pd.DataFrame) -> str:
    labels = rows.get("is_fraud", pd.Series(dtype="float64"))
    known = int(labels.notna().sum())
    if not known:
        return "not labelled"
    share = f"{labels.mean():.2%} fraud"
    return share if known == len(rows) else f"{share} among {known:,} labelled"


def _epoch_line(row: dict, epochs: int) -> str:
    return (
        f"  epoch {row['epoch']:>2}/{epochs}  train {row['train_loss']:.4f}  "
        f"validation {row['val_loss']:.4f}  {row['seconds']:.1f} s"
    )


def metrics_line(metrics: dict, extra: dict) -> str:
    """The figures of a run in one line: name=value, separated by blanks."""
    names = [name for name in (*SHOWN, *extra) if name in metrics]
    return " ".join(f"{name}={_shown(metrics[name])}" for name in names)


def _shown(value: float | int | None) -> str:
    if value is None:
        return "undefined"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
