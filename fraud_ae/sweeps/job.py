"""One Hydra job: from a composed configuration to a run, its figures and the value to maximise."""

import math
import os
from collections.abc import Callable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from fraud_ae.configuration.build import (
    dataset_of,
    encoder_of,
    evaluation_of,
    experiment_folder,
    kept_training,
    recipe_of,
    run_of,
    split_of,
    strategy_of,
    tracked_run,
    training_data_of,
)
from fraud_ae.data.sources import Dataset
from fraud_ae.data.split import Split
from fraud_ae.detector.model_info import flat_metrics, published_info
from fraud_ae.detector.versions import publish
from fraud_ae.errors import StrategyRefused, TrainingDiverged, UserError
from fraud_ae.experiments.result_tables import print_groups, print_model
from fraud_ae.experiments.run_figures import evaluate_run, write_groups
from fraud_ae.experiments.run_store import TEST_SCORES, Run, production_identity, validation_set
from fraud_ae.runtime.atomic_files import write_json, write_whole
from fraud_ae.runtime.workers import shared_workers
from fraud_ae.sweeps.candidates import check_data, swept_values, winning_overrides
from fraud_ae.sweeps.leaderboard import RESULT
from fraud_ae.sweeps.training.trained_runs import Trained

# The figures that are shown, in this order; the user's own follow.
SHOWN = (
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
trained = Trained()


def run_job(cfg: DictConfig, config: dict) -> float:
    """Train or reuse the run of a configuration; in a sweep, leave a result for the leaderboard.

    config: the settings of `cfg`, checked. Returns the objective, NaN where it is not defined.
    Raises UserError for what the user can mend. In a sweep a refused strategy or a diverged
    training is recorded and passed over.
    """
    check_candidate(config, HydraConfig.get().runtime.choices)
    if config["stage"]["name"] == "production":
        return _production_job(config)
    if HydraConfig.get().mode == RunMode.RUN:
        return _single_job(config)
    return _sweep_job(cfg, config)


def check_candidate(config: dict, choices: DictConfig) -> None:
    """Refuse a candidate that another data set has chosen. choices: the option of each group."""
    candidate = choices.get("candidate")
    if candidate and config["stage"]["reads"]:
        check_data(experiment_folder(config), candidate, dataset_of(config).fingerprint)


def is_ready(config: dict) -> bool:
    """Whether a job need not wait for a training: its run is there, or it has to complain."""
    try:
        run = run_of(config)
    except UserError:
        return True
    return trained.reusable(run, config["retrain"])


def _single_job(config: dict) -> float:
    dataset = dataset_of(config)
    _describe(config, dataset, split_of(config, dataset))
    epochs = config["trainer"]["max_epochs"]
    run, reused, metrics = _train_or_reuse(config, lambda row: print(_epoch_line(row, epochs)))
    print(f"run {run.id}: {'finished before, not trained again' if reused else 'trained'}")
    print(f"written to {run.folder}")
    if reused and _SWEEP_OF_WANDB in os.environ:
        from fraud_ae.tracking.repeated_runs import track_again

        # Its agent waits for the figures of every combination that it asks for.
        target = tracked_run(config, HydraConfig.get().runtime.choices)
        track_again(run, target, config, metrics)
    if metrics["final_auc"] is None:
        print("ROC AUC and average precision are undefined: they need rows with and without fraud")
    write_groups(run, evaluation_of(config))
    print_groups(run.groups(), Console(highlight=False))
    print(metrics_line(metrics, config["metrics"]["extra"]))
    return _objective(config, metrics)


def _sweep_job(cfg: DictConfig, config: dict) -> float:
    hydra = HydraConfig.get()
    choices = OmegaConf.to_container(hydra.runtime.choices)
    parameters = swept_values(cfg, OmegaConf.to_container(hydra.overrides.task))
    fingerprint = dataset_of(config).fingerprint
    result = {
        "status": "finished",
        "reason": None,
        "run_id": None,
        "reused": False,
        "choices": {group: choices.get(group) for group in ("candidate", "features", "model")},
        "parameters": parameters,
        "extra": list(config["metrics"]["extra"]),
        "objective": None,
        "metrics": {},
        "data": fingerprint,
        "data_name": config["data"]["name"],
        "validation_set": validation_set(fingerprint, config["data"]["split"]),
        "overrides": winning_overrides(cfg, choices, parameters, experiment_folder(config)),
    }
    try:
        run, reused, metrics = _train_or_reuse(config)
        objective = _objective(config, metrics)
        result |= {"run_id": run.id, "reused": reused, "metrics": metrics}
        result["objective"] = objective if math.isfinite(objective) else None
    except StrategyRefused as error:
        result |= {"status": "refused", "reason": str(error)}
    except TrainingDiverged as error:
        result |= {"status": "failed", "reason": str(error)}
    job_folder = Path(hydra.runtime.output_dir)
    write_whole(job_folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    write_json(job_folder / RESULT, result)
    return math.nan if result["objective"] is None else result["objective"]


def _production_job(config: dict) -> float:
    winner, _, reached = _train_or_reuse(config)
    fit_on, folds = _fit(config)
    identity = production_identity(winner, fit_on, folds)
    run = Run(experiment_folder(config) / "runs", identity)
    with run.lock():
        reused = trained.reusable(run, config["retrain"]) and (run.folder / TEST_SCORES).is_file()
        info = published_info(experiment_folder(config), run, config) if reused else None
        if info is None:
            info = _make_production_model(config, winner, run, reused)
    print(f"run {run.id}: {'finished before, not fitted again' if reused else 'fitted'}")
    print(f"written to {experiment_folder(config) / 'models' / 'final_model'}")
    if not config["production"]["challenger"]:
        print(publish(experiment_folder(config)))
    print_model(experiment_folder(config), Console(highlight=False))
    print(metrics_line(flat_metrics(info["figures"]), config["metrics"]["extra"]))
    return _objective(config, reached)


def _make_production_model(config: dict, winner: Run, run: Run, reused: bool) -> dict:
    from fraud_ae.production.final_model import Plan, make_production_model

    fit_on, folds = _fit(config)
    if not reused:
        run.start()
        trained.add(run)
    dataset = dataset_of(config)
    plan = Plan(
        winner=winner,
        run=run,
        strategy=strategy_of(config, dataset),
        encoder=encoder_of(config),
        recipe=recipe_of(config),
        fit_on=fit_on,
        folds=folds,
    )
    return make_production_model(
        plan,
        dataset,
        split_of(config, dataset),
        experiment_folder(config),
        evaluation=evaluation_of(config),
        target=tracked_run(config, HydraConfig.get().runtime.choices),
        config=config,
        report=print,
        workers=shared_workers(),
    )


def _fit(config: dict) -> tuple[str, int]:
    """What a deployed model is fitted on, and in how many parts its threshold is chosen."""
    return config["production"]["fit_on"], config["production"]["folds"]


def _train_or_reuse(
    config: dict, report: Callable[[dict], None] | None = None
) -> tuple[Run, bool, dict]:
    """The finished run of a configuration, whether it was there already, and its figures."""
    run = run_of(config)
    if run.id in trained.diverged:
        raise trained.diverged[run.id]
    evaluation = evaluation_of(config)
    with run.lock():
        if not trained.reusable(run, config["retrain"]):
            from fraud_ae.experiments.run import train_run

            kept = kept_training(config, run)
            if report is not None and kept.epochs:
                print(f"  goes on after {kept.epochs} epochs that were trained before")
            train_run(
                run,
                recipe_of(config),
                training_data_of(config, experiment_folder(config))[1],
                evaluation=evaluation,
                target=tracked_run(config, HydraConfig.get().runtime.choices),
                config=config,
                kept=kept,
                report=report,
            )
            trained.add(run)
        return run, not trained.tell(run), evaluate_run(run, evaluation)


def _objective(config: dict, metrics: dict) -> float:
    value = metrics[config["objective"]]
    return math.nan if value is None else value


def _describe(config: dict, dataset: Dataset, split: Split) -> None:
    transactions = dataset.transactions
    first, last = transactions["timestamp"].iloc[0], transactions["timestamp"].iloc[-1]
    print(
        f"{config['data']['name']}: {len(transactions):,} transactions, "
        f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
    )
    for part in ("train", "validation"):
        rows = transactions[getattr(split, part)(transactions)]
        start, end = rows["timestamp"].iloc[0], rows["timestamp"].iloc[-1]
        print(
            f"  {part:<10} {len(rows):>9,} rows, {rows['is_fraud'].mean():.2%} fraud, "
            f"{start:%Y-%m-%d} to {end:%Y-%m-%d}"
        )


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
